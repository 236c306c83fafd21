package caddymodule

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

func auditRotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate-key [--config <path> [--adapter <name>] | --journal <directory>]",
		Short: "Makes a new key that signs checkpoints",
		Long: `
Makes a new signing key in the journal's directory, in the place of the old one, and prints its public key, which is also
added to signing_key.pub there. A running gateway takes it up with its next checkpoint; the old key's last checkpoint
vouches for the new one. The old private key is gone then; public keys are kept, since what they signed stays.

A key that the configuration names with signing_key is yours: replace the file yourself.`,
		RunE: run(rotateKey),
	}
	configFlags(cmd)
	cmd.Flags().String("journal", "", "The journal's directory, instead of the configuration's")
	return cmd
}

func rotateKey(cmd *cobra.Command) (int, error) {
	dir, err := cmd.Flags().GetString("journal")
	if err != nil {
		return 1, err
	}
	if dir == "" {
		app, done, err := loadApp(cmd)
		if err != nil {
			return 1, err
		}
		defer done()
		if file := app.Audit.SigningKey; file != "" {
			return 1, errors.New("the configuration names the signing key " + file + ": put another in its place (openssl genpkey -algorithm ed25519), and the gateway takes it up")
		}
		dir = app.Audit.Journal
	}
	s, err := audit.RotateOwnSigner(dir)
	if err != nil {
		return 1, err
	}
	fmt.Fprintln(cmd.OutOrStdout(), s.Verifier())
	return exitDone, nil
}
