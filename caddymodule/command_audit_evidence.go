package caddymodule

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
)

func auditEvidenceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evidence <id> [--output <file>] [--key <file>]",
		Short: "Writes one impersonation, with proofs, into one zip",
		Long: `
Writes one file with who, whom, why, who agreed, the policy that allowed it, notices, every request and event with the proof that it is
in the signed log, the checkpoints, the public keys, a report to print, and how to check all that without this program. The same audit
makes the same file. It appears under its name once it is whole; one that is there is not overwritten.

Like the portal's button it is an event (audit_exported, with who ran the command), recorded by the running gateway, which is asked at
the administration endpoint of the configuration. The file is made without it, too; the message then says that there is no event.

The public keys are put in as they are in signing_key.pub of the configuration's journal, or of --key. Whoever checks the pack should
have them from elsewhere: caddy-impersonate impersonate audit verify --evidence <file> --key <file>.

Exit codes: 0 done; 1 it could not be made, and the message says why.`,
		Args: named("the impersonation's id"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAudit(func(ctx context.Context, r *reading) error { return r.evidence(ctx, args[0]) })(cmd, args)
	}
	readFlags(cmd)
	cmd.Flags().StringP("output", "o", "", "The file to write (default: evidence-<id>.zip)")
	cmd.Flags().StringArray("key", nil, "File of public keys, one a line (default: signing_key.pub in the configuration's journal); can be given several times")
	return cmd
}

func (r *reading) evidence(ctx context.Context, id string) error {
	keys, err := keysOf(r.cmd, r.configuration)
	if err != nil {
		return err
	}
	pack, err := evidence.Collect(ctx, r.Reader, id, keys)
	if err != nil {
		return fmt.Errorf("impersonation %.64q: %w", id, err)
	}
	zip, err := pack.Zip(nil)
	if err != nil {
		return err
	}
	output, _ := r.cmd.Flags().GetString("output")
	if output == "" {
		output = "evidence-" + audit.FileName(id) + ".zip"
	}
	to, finish, err := newFile(output)
	if err != nil {
		return err
	}
	told := r.announce(ctx, exported{What: audit.ExportedEvidence, Filter: audit.Filter{Impersonation: id}, Format: "zip"})
	_, err = to.Write(zip)
	err = finish(err)
	told.end(ctx, err, nil, len(zip))
	if err != nil {
		return err
	}
	r.cmd.PrintErrf("%d bytes in %s.\n", len(zip), output)
	if n := pack.Unshown(); n > 0 {
		r.cmd.PrintErrf("%d of its requests are not there: maybe retention removed them with its start, but a pack can't show that. Whoever checks it is\ntold so; audit verify of the whole log can.\n", n)
	}
	return nil
}

// keysOf are the public keys of the flag, or those that the configuration's gateway has published.
func keysOf(cmd *cobra.Command, config func() (*configuration, error)) ([]string, error) {
	files, _ := cmd.Flags().GetStringArray("key")
	if len(files) == 0 {
		c, err := config()
		journal := ""
		if err == nil {
			journal, err = c.journal()
		}
		if err != nil {
			return nil, fmt.Errorf("%w; or name the public key with --key", err)
		}
		files = []string{publishedKeys(journal)}
	}
	return readKeys(files)
}

// verifyEvidence checks a pack.
func verifyEvidence(cmd *cobra.Command, file string) (code int, err error) {
	keys, err := keysOf(cmd, func() (*configuration, error) { return readConfiguration(cmd) })
	if err != nil {
		return 1, err
	}
	zip, err := os.ReadFile(file)
	if err != nil {
		return 1, fmt.Errorf("reading the pack: %w", err)
	}
	report, err := evidence.Verify(zip, keys)
	if err != nil {
		return 1, err
	}
	out := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		if err := printJSON(out, report); err != nil {
			return 1, err
		}
	} else {
		for _, f := range report.Findings {
			fmt.Fprintln(out, plain(f.String()))
		}
		fmt.Fprintf(out, "impersonation %s: %d rows, %d checkpoints", plain(report.Impersonation), report.Rows, report.Checkpoints)
		if report.Signed {
			fmt.Fprint(out, "; made and signed by the gateway")
		}
		fmt.Fprintln(out)
		switch {
		case report.NoStart:
			fmt.Fprintf(out, "removed by retention: its start, in rows 1 to %d of the log\n", report.Removed)
		case report.Removed > 0:
			fmt.Fprintf(out, "removed by retention: rows 1 to %d of the log, before its start; the report says what of it was recorded there\n", report.Removed)
		}
		if report.NoEnd {
			fmt.Fprintln(out, "it has no end: it went on when this was made, or only the whole log can show what became of its end")
		}
		printVerdict(out, report.Clean(), uint64(len(report.Findings)))
	}
	if !report.Clean() {
		return exitFound, nil
	}
	return exitDone, nil
}
