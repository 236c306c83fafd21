package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
)

// pruneTimeout is more than [clickhouse.RemovalTime]: it is the servers that say a deletion took too long.
const pruneTimeout = 4 * time.Hour

func auditPruneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune [--config <path> [--adapter <name>]] [--dsn <dsn>]",
		Short: "Removes from ClickHouse what the retention lets go",
		Long: `
Removes the rows that the gateway's events retention_applied in the database say are kept no longer, and whatever these
say, none younger than --keep, nor than the configuration's floor of the retention. For where the gateway itself must not be
able to delete: run it now and then, on another machine, with a user who may (impersonate_maintainer of
deploy/clickhouse/users.sql). Run again it does nothing more.

The database is the one of --dsn, or the configuration's maintainer. With --dsn alone no configuration
is read and no floor is known: give --config too where there is one. An SQLite audit is pruned by the gateway itself.`,
		RunE: run(pruneAudit),
	}
	configFlags(cmd)
	cmd.Flags().String("dsn", "", "The database and who may delete: clickhouse://maintainer:secret@host:9000/db; {env.NAME} and {file./path} are replaced")
	cmd.Flags().String("keep", "30d", "Never remove what is younger than this, whatever the log says; not less than the floor of a configuration that is read")
	cmd.Flags().Bool("dry-run", false, "Say what would be removed, and remove nothing")
	cmd.Flags().Duration("timeout", pruneTimeout, "How long it may take; ClickHouse goes on with a deletion that was begun")
	return cmd
}

func pruneAudit(cmd *cobra.Command) (int, error) {
	text, _ := cmd.Flags().GetString("keep")
	dry, _ := cmd.Flags().GetBool("dry-run")
	timeout, _ := cmd.Flags().GetDuration("timeout")
	keep, err := retention.Parse(text)
	if err != nil {
		return 1, fmt.Errorf("--keep: %w", err)
	}
	if keep == retention.Forever {
		return 1, errors.New("--keep: forever removes nothing; give days, such as 90d")
	}
	dsn, floor, err := maintainer(cmd)
	if err != nil {
		return 1, err
	}
	if keep.Shorter(floor) {
		if cmd.Flags().Changed("keep") {
			return 1, fmt.Errorf("--keep: %w", &retention.FloorError{Floor: floor})
		}
		keep = floor
	}
	before, ok := keep.Before(time.Now())
	if !ok {
		return 1, errors.New("the configuration's floor of the retention is forever: nothing may be removed")
	}
	sink, err := clickhouse.Open(dsn)
	if err != nil {
		return 1, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	return exitDone, errors.Join(prune(ctx, cmd.OutOrStdout(), sink, before, dry), sink.Close())
}

func prune(ctx context.Context, out io.Writer, sink *clickhouse.Sink, before time.Time, dry bool) error {
	authorised, err := sink.Authorised(ctx)
	if err != nil {
		return err
	}
	removed := 0
	for _, a := range authorised {
		// What is old enough, of the log as one that is in use: up to a checkpoint. Of another all of it may be.
		old, err := sink.Removable(ctx, a.LogID, before, a.Through)
		if err != nil {
			return err
		}
		if a.Whole {
			if old, err = sink.Removable(ctx, "", before, math.MaxUint64); err != nil {
				return err
			}
		}
		for _, p := range old {
			if p.LogID != a.LogID || p.Whole != a.Whole {
				continue
			}
			p.Through = min(p.Through, a.Through)
			removed++
			if dry {
				fmt.Fprintf(out, "log %s: rows up to %d would be removed\n", p.LogID, p.Through)
				continue
			}
			begun := time.Now()
			if err := sink.RemoveNow(ctx, p); err != nil {
				return err
			}
			fmt.Fprintf(out, "log %s: rows up to %d are removed (%s)\n", p.LogID, p.Through, time.Since(begun).Round(time.Millisecond))
		}
	}
	if removed == 0 {
		fmt.Fprintln(out, "Nothing to remove.")
	}
	return nil
}

// maintainer is who may delete, and the least that is kept: the configuration's floor, or without one as little as any.
func maintainer(cmd *cobra.Command) (dsn string, floor retention.Period, err error) {
	const least retention.Period = 1
	if dsn, _ = cmd.Flags().GetString("dsn"); dsn != "" {
		if err := resolve("--dsn", &dsn); err != nil || !cmd.Flags().Changed("config") && !cmd.Flags().Changed("adapter") {
			return dsn, least, err
		}
	}
	app, done, err := loadApp(cmd)
	if err != nil {
		return "", 0, err
	}
	defer done()
	_, days, err := app.Audit.RetentionDays()
	if err != nil {
		return "", 0, err
	}
	for _, s := range app.sinks {
		if ch, ok := s.(*ClickHouseSink); ok && dsn == "" {
			dsn = ch.Maintainer
		}
	}
	if dsn == "" {
		return "", 0, errors.New("nobody is named who may delete: give --dsn, with a user who may (impersonate_maintainer of deploy/clickhouse/users.sql)")
	}
	return dsn, retention.Period(days), nil
}
