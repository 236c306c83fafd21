package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func usersRefreshCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "refresh [--address <admin endpoint> | --config <path> [--adapter <name>]]",
		Short: "Has the running gateway read its directory now",
		Long: `
Asks the gateway, at Caddy's administration endpoint, to read all sources of its directory now instead of when they are
due, and waits until what changed there is in force: an account deactivated in LDAP or in the app's own table can't be
used from then on, and impersonations by it and of it have ended.

Without flags the endpoint is the default one, localhost:2019.`,
		Args: cobra.NoArgs,
		RunE: run(refreshUsers),
	}
	configFlags(cmd)
	cmd.Flags().Lookup("config").Usage = "Configuration file to find the endpoint's address in"
	cmd.Flags().String("address", "", "Address of the administration endpoint")
	return cmd
}

// maxAnswer bounds what the endpoint is listened to.
const maxAnswer = 1 << 20

func refreshUsers(cmd *cobra.Command) (int, error) {
	address, err := cmd.Flags().GetString("address")
	if err != nil {
		return 0, err
	}
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return 0, err
	}
	adapter, err := cmd.Flags().GetString("adapter")
	if err != nil {
		return 0, err
	}
	address, err = caddycmd.DetermineAdminAPIAddress(address, nil, file, adapter)
	if err != nil {
		return 0, fmt.Errorf("finding the administration endpoint: %w", err)
	}
	res, err := caddycmd.AdminAPIRequest(address, http.MethodPost, refreshPath, nil, nil)
	if err != nil {
		return 0, fmt.Errorf("asking the running gateway at %s: %w", address, err)
	}
	defer res.Body.Close()
	var answer refreshed
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&answer); err != nil {
		return 0, fmt.Errorf("reading the answer: %w", err)
	}
	t := &table{head: []string{"SOURCE", "ACCOUNTS", "STATE"}, sentences: true}
	for _, s := range answer.Sources {
		t.add(s.Name, strconv.Itoa(s.Users), cmp.Or(s.Error, "read"))
	}
	if err := t.print(cmd.OutOrStdout(), widthOf(cmd.OutOrStdout())); err != nil {
		return 0, err
	}
	if !answer.Complete {
		return 0, errors.New("not all sources could be read; what they last gave stays in force")
	}
	return exitDone, nil
}
