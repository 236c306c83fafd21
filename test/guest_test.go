package test_test

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/seed-240d5494/caddy-impersonate/caddymodule"
)

func init() {
	caddy.RegisterModule(new(Roster))
}

// Roster is a directory of one's own: it lives in another module and uses nothing but what caddymodule exports.
type Roster struct {
	Usernames []string `json:"usernames,omitempty"`
}

// CaddyModule implements [caddy.Module].
func (*Roster) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.directories.roster", New: func() caddy.Module { return new(Roster) }}
}

// OpenSource implements [caddymodule.SourceOpener].
func (r *Roster) OpenSource(context.Context, caddymodule.Env) (caddymodule.Source, error) {
	return r, nil
}

// Name implements [caddymodule.Source].
func (*Roster) Name() string { return "roster" }

// Users implements [caddymodule.Source].
func (r *Roster) Users(context.Context) ([]caddymodule.User, error) {
	var users []caddymodule.User
	for _, name := range r.Usernames {
		users = append(users, caddymodule.User{Identity: caddymodule.Identity{ID: name, Username: name}, Active: true})
	}
	return users, nil
}

// UnmarshalCaddyfile implements [caddyfile.Unmarshaler], so that the Caddyfile knows it.
func (r *Roster) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if r.Usernames = d.RemainingArgs(); len(r.Usernames) == 0 {
		return d.ArgErr()
	}
	return nil
}

var (
	_ caddymodule.SourceOpener = (*Roster)(nil)
	_ caddymodule.Source       = (*Roster)(nil)
)

// A directory of one's own is named in the Caddyfile like those that come with the gateway.
func Example_guestModule() {
	json, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n\timpersonate {\n\t\tdirectory roster ann bob\n\t}\n}\n"), nil)
	fmt.Println(string(json), err)
	// Output: {"apps":{"impersonate":{"oidc":{"issuer":"","client_id":"","client_secret":""},"directories":[{"source":"roster","usernames":["ann","bob"]}]}}} <nil>
}
