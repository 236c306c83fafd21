package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

func init() {
	caddy.RegisterModule(SQLiteSink{})
}

// SQLiteSink keeps the record in an SQLite database; the sink of a gateway that names no other.
type SQLiteSink struct {
	config.SQLiteSink
}

// CaddyModule implements [caddy.Module].
func (SQLiteSink) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.sinks.sqlite", New: func() caddy.Module { return new(SQLiteSink) }}
}

// Provision implements [caddy.Provisioner].
func (s *SQLiteSink) Provision(caddy.Context) error {
	s.SetDefaults()
	return resolvePath("audit sqlite", &s.Path)
}

// Key implements [SinkOpener].
func (s *SQLiteSink) Key() string { return "sqlite " + s.Path }

// OpenSink implements [SinkOpener].
func (s *SQLiteSink) OpenSink(ctx context.Context, _ Env) (Sink, error) {
	return sqlite.Open(ctx, s.Path)
}

// OpenReader implements [ReaderOpener].
func (s *SQLiteSink) OpenReader(_ context.Context, env Env) (Reader, error) {
	return sqlite.OpenReader(s.Path, env.now())
}

// UnmarshalCaddyfile reads what follows the name in audit. Syntax:
//
//	sqlite [<path>]
func (s *SQLiteSink) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	return one(d, "audit sqlite", &s.Path, config.DefaultSQLitePath, false)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SQLiteSink)(nil)
	_ caddy.Validator       = (*SQLiteSink)(nil)
	_ caddyfile.Unmarshaler = (*SQLiteSink)(nil)
	_ SinkOpener            = (*SQLiteSink)(nil)
	_ ReaderOpener          = (*SQLiteSink)(nil)
)
