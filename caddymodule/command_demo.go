package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/demo"
)

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo [--addr <host:port>] [--data <directory>] [--clickhouse <address>]",
		Short: "Shows the gateway at work, with an app and a provider of its own",
		Long: `
Serves an app for field workers, a provider to log in at and the gateway between them, in one process, on this machine
only, and prints what to try.`,
		RunE: run(runDemo),
	}
	cmd.Flags().String("addr", demo.DefaultAddr, "Where to serve the app")
	cmd.Flags().String("data", "", "Where to keep state and audit (default: a temporary directory, removed at the end)")
	cmd.Flags().String("clickhouse", "", "A ClickHouse server to write the audit to: host:port, or clickhouse://… (default: SQLite)")
	return cmd
}

func runDemo(cmd *cobra.Command) (int, error) {
	o := demo.Options{Out: cmd.OutOrStdout(), Run: serveCaddyfile, Migrate: migrate}
	for name, into := range map[string]*string{"addr": &o.Addr, "data": &o.Data, "clickhouse": &o.ClickHouse} {
		var err error
		if *into, err = cmd.Flags().GetString(name); err != nil {
			return 0, err
		}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return exitDone, demo.Run(ctx, o)
}

// serveCaddyfile runs the server with a Caddyfile until ctx ends.
func serveCaddyfile(ctx context.Context, caddyfile []byte, ready func()) error {
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(caddyfile, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	if err := caddy.Load(cfg, true); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	if err := caddy.Stop(); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}

// migrate brings the audit's tables at dsn up to date.
func migrate(ctx context.Context, dsn string) error {
	sink, err := clickhouse.Open(dsn)
	if err != nil {
		return err
	}
	err = sink.Apply(ctx, func(clickhouse.Statement, time.Duration) {})
	return errors.Join(err, sink.Close())
}
