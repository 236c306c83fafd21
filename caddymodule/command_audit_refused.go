package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

func auditRefusedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "refused [--config <path> [--adapter <name>]] [--send]",
		Short: "Lists batches that a sink refused, and sends them again",
		Long: `
When a sink refuses rows in a way that no later try can mend (a constraint that an operator added, say), the gateway puts the batch
into a file beside the journal and goes on with the next. This lists these files; --send brings them to the sinks of the
configuration once what was in the way is gone. Each row is checked against its leaf hash first, and rows that the sink has
already are not sent twice. A file that was sent is renamed to end in .sent. The gateway may run meanwhile.

Exits with 0 when nothing waits any more, 3 when something does.`,
		RunE: run(refusedBatches),
	}
	configFlags(cmd)
	cmd.Flags().Bool("send", false, "Send them")
	cmd.Flags().Duration("timeout", 5*time.Minute, "How long it may take")
	return cmd
}

func refusedBatches(cmd *cobra.Command) (int, error) {
	send, err := cmd.Flags().GetBool("send")
	if err != nil {
		return 1, err
	}
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err != nil {
		return 1, err
	}
	app, done, err := loadApp(cmd)
	if err != nil {
		return 1, err
	}
	defer done()
	list, err := audit.RefusedBatches(app.Audit.Journal)
	if err != nil {
		return 1, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	out := cmd.OutOrStdout()
	if send {
		if list, err = sendAgain(ctx, out, app.sinks, list); err != nil {
			return 1, err
		}
	}
	for _, b := range list {
		fmt.Fprintf(out, "%s: rows %d to %d, since %s\n", b.File, b.From, b.To, b.Since.Local().Format(time.DateTime))
	}
	if len(list) > 0 {
		return exitPending, nil
	}
	fmt.Fprintln(out, "No refused batch waits.")
	return exitDone, nil
}

// sendAgain returns those that are left: of sinks that the configuration does not name.
func sendAgain(ctx context.Context, out io.Writer, openers []SinkOpener, list []audit.RefusedBatch) (left []audit.RefusedBatch, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	var sinks []Sink
	defer func() {
		for _, s := range sinks {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, o := range openers {
		s, err := o.OpenSink(ctx, Env{})
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, s)
	}
next:
	for _, b := range list {
		for _, s := range sinks {
			if !b.Of(s.Name()) {
				continue
			}
			batch, err := b.Read()
			if err == nil {
				err = s.Write(ctx, batch)
			}
			if err == nil {
				err = b.Sent()
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.File, err)
			}
			fmt.Fprintf(out, "%s: rows %d to %d sent to %s\n", b.File, b.From, b.To, s.Name())
			continue next
		}
		left = append(left, b)
	}
	return left, nil
}
