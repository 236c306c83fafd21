package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

func init() {
	caddy.RegisterModule(SQLiteState{})
}

// SQLiteState keeps sessions and impersonations in an SQLite database, which one running server owns.
type SQLiteState struct {
	config.SQLiteState
}

// CaddyModule implements [caddy.Module].
func (SQLiteState) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.state.sqlite", New: func() caddy.Module { return new(SQLiteState) }}
}

// Provision implements [caddy.Provisioner].
func (s *SQLiteState) Provision(caddy.Context) error {
	s.SetDefaults()
	return resolvePath("state sqlite", &s.Path)
}

// Key implements [StateOpener].
func (s *SQLiteState) Key() string { return "sqlite " + s.Path }

// OpenState implements [StateOpener].
func (s *SQLiteState) OpenState(ctx context.Context, env Env) (Store, error) {
	return sqlite.Open(ctx, s.Path, sqlite.Options{Log: env.Log})
}

// UnmarshalCaddyfile reads what follows state. Syntax:
//
//	state sqlite [<path>]
func (s *SQLiteState) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	return one(d, "state sqlite", &s.Path, config.DefaultStatePath, false)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SQLiteState)(nil)
	_ caddy.Validator       = (*SQLiteState)(nil)
	_ caddyfile.Unmarshaler = (*SQLiteState)(nil)
	_ StateOpener           = (*SQLiteState)(nil)
)
