package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

// auditReadCommands are those that read the audit where it is kept. The server need not run.
func auditReadCommands() []*cobra.Command {
	return []*cobra.Command{
		auditListCommand("impersonations", "Lists impersonations, the newest first", listImpersonations),
		auditListCommand("requests", "Lists requests, the newest first", listRequests),
		auditListCommand("events", "Lists events, the newest first", listEvents),
		auditShowCommand(), auditTailCommand(), auditExportCommand(), auditEvidenceCommand(),
	}
}

// readFlags are those of every command that reads.
func readFlags(cmd *cobra.Command) {
	configFlags(cmd)
	f := cmd.Flags()
	f.String("clickhouse", "", "Read from this ClickHouse, as clickhouse://auditor:secret@host:9000/db")
	f.String("sqlite", "", "Read from this SQLite file")
	f.Bool("utc", false, "Print times in UTC, not in local time")
}

func filterFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("actor", "", "Only by this person (username)")
	f.String("target", "", "Only in this person's account (username)")
	f.String("impersonation", "", "Only of this impersonation (id)")
	f.String("from", "", "From this time on: 2026-03-01, 2026-03-01T09:30, or how long ago: 90m, 12h, 7d")
	f.String("to", "", "Before this time; of a day, its end")
	f.String("outcome", "", "Only with this outcome; of impersonations the cause of the end, or active")
	f.String("type", "", "Only events of this type")
	f.StringP("q", "q", "", "Text to look for")
}

// reading is what a command reads with.
type reading struct {
	audit.Reader
	cmd  *cobra.Command
	zone *time.Location
	now  time.Time

	config *configuration // nil until it is asked for
}

// configuration is that of the command, read once.
func (r *reading) configuration() (*configuration, error) {
	if r.config != nil {
		return r.config, nil
	}
	c, err := readConfiguration(r.cmd)
	r.config = c
	return c, err
}

// withAudit makes f a command's function, with the audit that the flags or the configuration name.
func withAudit(f func(ctx context.Context, r *reading) error) func(*cobra.Command, []string) error {
	return run(func(cmd *cobra.Command) (code int, err error) {
		r := &reading{cmd: cmd, zone: time.Local, now: time.Now()}
		done, err := r.open()
		if err != nil {
			return 0, err
		}
		defer done()
		defer func() { err = errors.Join(err, r.Close()) }()
		if utc, err := cmd.Flags().GetBool("utc"); err == nil && utc {
			r.zone = time.UTC
		}
		return exitDone, f(cmd.Context(), r)
	})
}

// open opens the audit that the flags or the configuration name. The caller closes it, and calls done.
func (r *reading) open() (done func(), err error) {
	nothing := func() {}
	dsn, err := r.cmd.Flags().GetString("clickhouse")
	if err != nil {
		return nil, err
	}
	file, err := r.cmd.Flags().GetString("sqlite")
	if err != nil {
		return nil, err
	}
	switch {
	case dsn != "" && file != "":
		return nil, errors.New("--clickhouse and --sqlite: give one of them")
	case dsn != "":
		if err := resolve("--clickhouse", &dsn); err != nil {
			return nil, err
		}
		if err := (&config.ClickHouseSink{DSN: dsn}).Validate(); err != nil {
			return nil, err
		}
		r.Reader, err = clickhouse.OpenReader(dsn, nil)
		return nothing, err
	case file != "":
		r.Reader, err = sqlite.OpenReader(file, nil)
		return nothing, err
	}
	c, err := r.configuration()
	if err != nil {
		return nil, fmt.Errorf("%w; or name the audit with --clickhouse or --sqlite", err)
	}
	app, done, err := c.app()
	if err != nil {
		return nil, fmt.Errorf("%w; or name the audit with --clickhouse or --sqlite", err)
	}
	r.Reader, err = app.openReader(r.cmd.Context())
	if err == nil && r.Reader == nil {
		err = errors.New("none of the configuration's audit sinks can be read by this command")
	}
	if err != nil {
		done()
		return nil, err
	}
	app.releases = nil // the command closes it
	return done, nil
}

// filter reads the flags. Times without a zone are local, or UTC with --utc.
func (r *reading) filter() (f audit.Filter, err error) {
	flags := r.cmd.Flags()
	for name, into := range map[string]*string{
		"actor": &f.Actor, "target": &f.Target, "impersonation": &f.Impersonation, "outcome": &f.Outcome, "type": &f.Type, "q": &f.Q,
	} {
		if *into, err = flags.GetString(name); err != nil {
			return f, err
		}
	}
	from, _ := flags.GetString("from")
	if f.From, err = audit.ParseFrom(from, r.now, r.zone); err != nil {
		return f, fmt.Errorf("--from: %w", err)
	}
	to, _ := flags.GetString("to")
	if f.To, err = audit.ParseTo(to, r.now, r.zone); err != nil {
		return f, fmt.Errorf("--to: %w", err)
	}
	return f, f.Check()
}

func (r *reading) json() bool {
	v, err := r.cmd.Flags().GetBool("json")
	return err == nil && v
}

func (r *reading) width() int { return widthOf(r.cmd.OutOrStdout()) }

func (r *reading) time(t time.Time) string { return t.In(r.zone).Format("2006-01-02 15:04:05") }
