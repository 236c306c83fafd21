package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
)

func schemaCommand() *cobra.Command {
	schema := &cobra.Command{Use: "schema", Short: "Makes the audit's tables in ClickHouse"}
	plan := &cobra.Command{
		Use:   "plan [--config <path> [--adapter <name>] | --dsn <dsn>] [--cluster <name>]",
		Short: "Prints the SQL that apply would run",
		Long: `
Prints the SQL that brings the audit's tables and views in ClickHouse up to what this version writes. Nothing is changed.

The database is the one in the configuration, or in --dsn. Exits with 0 when there is nothing to apply, 3 when there is.`,
		RunE: run(planSchema),
	}
	apply := &cobra.Command{
		Use:   "apply [--config <path> [--adapter <name>] | --dsn <dsn>] [--cluster <name>]",
		Short: "Creates or updates the tables and views",
		Long: `
Creates the audit's tables and views in ClickHouse, or brings them up to what this version writes. Rows that are there
stay. It can be run again at any time; an older schema is updated, a newer one refused.

The database is the one in the configuration, or in --dsn. The user needs the rights to create databases, tables and
views, which the gateway's own user should not have: name another in --dsn.`,
		RunE: run(applySchema),
	}
	for _, cmd := range []*cobra.Command{plan, apply} {
		configFlags(cmd)
		cmd.Flags().String("dsn", "", "The database, instead of the configuration's: clickhouse://user:secret@host:9000/db; {env.NAME} and {file./path} are replaced")
		cmd.Flags().String("cluster", "", "A cluster of the servers' remote_servers: on all of them, replicated (ReplicatedMergeTree) and behind Distributed tables. Always the same one for a database")
		cmd.Flags().Duration("timeout", 5*time.Minute, "How long it may take")
		schema.AddCommand(cmd)
	}
	return schema
}

func planSchema(cmd *cobra.Command) (code int, err error) {
	err = withSchema(cmd, func(ctx context.Context, sink *clickhouse.Sink) error {
		statements, err := sink.Plan(ctx)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		for _, st := range statements {
			fmt.Fprintf(out, "-- version %d: %s\n%s;\n\n", st.Version, st.Name, strings.TrimSuffix(strings.TrimSpace(st.SQL), ";"))
		}
		if len(statements) > 0 {
			code = exitPending
			return nil
		}
		upToDate(out, sink)
		return nil
	})
	return code, err
}

func applySchema(cmd *cobra.Command) (int, error) {
	return exitDone, withSchema(cmd, func(ctx context.Context, sink *clickhouse.Sink) error {
		out := cmd.OutOrStdout()
		n := 0
		err := sink.Apply(ctx, func(st clickhouse.Statement, took time.Duration) {
			n++
			fmt.Fprintf(out, "%s (%s)\n", st.Name, took.Round(time.Millisecond))
		})
		if err != nil {
			return err
		}
		if n == 0 {
			upToDate(out, sink)
			return nil
		}
		fmt.Fprintf(out, "The database %s is at version %d.\n", sink.Database(), clickhouse.SchemaVersion())
		return nil
	})
}

func upToDate(out io.Writer, sink *clickhouse.Sink) {
	fmt.Fprintf(out, "Nothing to apply: the database %s is at version %d.\n", sink.Database(), clickhouse.SchemaVersion())
}

// withSchema calls f with the database that the flags name.
func withSchema(cmd *cobra.Command, f func(context.Context, *clickhouse.Sink) error) error {
	dsn, err := schemaDSN(cmd)
	if err != nil {
		return err
	}
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err != nil {
		return err
	}
	sink, err := clickhouse.Open(dsn)
	if err != nil {
		return err
	}
	cluster, err := cmd.Flags().GetString("cluster")
	if err == nil && cluster != "" {
		err = sink.OnCluster(cluster)
	}
	if err != nil {
		return errors.Join(err, sink.Close())
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	return errors.Join(f(ctx, sink), sink.Close())
}

func schemaDSN(cmd *cobra.Command) (string, error) {
	dsn, err := cmd.Flags().GetString("dsn")
	if err != nil {
		return "", err
	}
	if dsn != "" {
		if err := resolve("--dsn", &dsn); err != nil {
			return "", err
		}
		return dsn, (&config.ClickHouseSink{DSN: dsn}).Validate()
	}
	app, done, err := loadApp(cmd)
	if err != nil {
		return "", err
	}
	defer done()
	for _, s := range app.sinks {
		if ch, ok := s.(*ClickHouseSink); ok {
			return ch.DSN, nil
		}
	}
	return "", errors.New("the configuration's audit names no clickhouse, and an SQLite database makes its tables itself: there is nothing to do")
}
