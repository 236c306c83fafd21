package caddymodule

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
)

var errNoSCIM = errors.New("what an identity provider has written by SCIM is in the state, which only the running server reads")

func init() {
	caddy.RegisterModule(SCIMDirectory{})
}

// SCIMDirectory is accounts and groups that an identity provider writes to /.impersonate/scim/v2/, which each site serves.
// What it writes is in force at once, and kept in the state.
type SCIMDirectory struct {
	config.SCIMDirectory
}

// CaddyModule implements [caddy.Module].
func (SCIMDirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.directories.scim", New: func() caddy.Module { return new(SCIMDirectory) }}
}

// Provision implements [caddy.Provisioner].
func (s *SCIMDirectory) Provision(caddy.Context) error {
	return resolve("directory scim bearer", &s.Bearer)
}

// OpenSource implements [SourceOpener].
func (s *SCIMDirectory) OpenSource(_ context.Context, env Env) (Source, error) {
	if env.scim == nil {
		return nil, errNoSCIM
	}
	return env.scim.Open(s.Bearer), nil
}

// UnmarshalCaddyfile reads what follows directory. Syntax:
//
//	directory scim {
//	    bearer <token>
//	}
func (s *SCIMDirectory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	return readBlock(d, "directory scim", []string{"bearer"}, func(b *block, option string) error {
		if option == "bearer" {
			return b.value(option, &s.Bearer, "{env.SCIM_TOKEN}")
		}
		return b.unknown(option)
	})
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SCIMDirectory)(nil)
	_ caddy.Validator       = (*SCIMDirectory)(nil)
	_ caddyfile.Unmarshaler = (*SCIMDirectory)(nil)
	_ SourceOpener          = (*SCIMDirectory)(nil)
)
