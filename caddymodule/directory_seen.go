package caddymodule

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

var errNoStore = errors.New("who has logged in is in the state, which only the running server reads")

func init() {
	caddy.RegisterModule(SeenDirectory{})
}

// SeenDirectory is everybody who has logged in, as the provider described them at their last login. They are active
// unless a source named before it says otherwise.
type SeenDirectory struct{}

// CaddyModule implements [caddy.Module].
func (SeenDirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.directories.seen", New: func() caddy.Module { return new(SeenDirectory) }}
}

// OpenSource implements [SourceOpener].
func (SeenDirectory) OpenSource(_ context.Context, env Env) (Source, error) {
	if env.Store == nil {
		return nil, errNoStore
	}
	return directory.NewSeenSource(env.Store), nil
}

// UnmarshalCaddyfile reads what follows directory. Syntax:
//
//	directory seen
func (SeenDirectory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if d.NextArg() {
		return d.Errf("directory seen: unexpected %q; it takes no value", d.Val())
	}
	if hasBlock(d) {
		return d.Errf("directory seen takes no block; remove { … }")
	}
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*SeenDirectory)(nil)
	_ SourceOpener          = (*SeenDirectory)(nil)
)
