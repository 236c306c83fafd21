package caddymodule

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

func requestWith(vars map[string]any, header http.Header, conn *tls.ConnectionState) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://app.example.com/", nil)
	r.Header, r.TLS = header, conn
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
}

func TestSchemeOf(t *testing.T) {
	trusted, stranger := map[string]any{caddyhttp.TrustedProxyVarKey: true}, map[string]any{caddyhttp.TrustedProxyVarKey: false}
	proto := func(v ...string) http.Header { return http.Header{"X-Forwarded-Proto": v} }
	for name, tt := range map[string]struct {
		r    *http.Request
		want string
	}{
		"tls":                    {requestWith(stranger, nil, new(tls.ConnectionState)), "https"},
		"plain":                  {requestWith(stranger, nil, nil), "http"},
		"trusted proxy":          {requestWith(trusted, proto("https"), nil), "https"},
		"trusted proxy, http":    {requestWith(trusted, proto("http"), nil), "http"},
		"trusted proxy, two":     {requestWith(trusted, proto("https", "http"), nil), "http"},
		"trusted proxy, silent":  {requestWith(trusted, nil, nil), "http"},
		"a stranger claims it":   {requestWith(stranger, proto("https"), nil), "http"},
		"tls, and a claim of it": {requestWith(stranger, proto("http"), new(tls.ConnectionState)), "https"},
		"no server":              {requestWith(nil, proto("https"), nil), "http"},
	} {
		if got := schemeOf(tt.r); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestClientIPOf(t *testing.T) {
	for in, want := range map[any]netip.Addr{
		"192.0.2.1":        netip.MustParseAddr("192.0.2.1"),
		"::ffff:192.0.2.1": netip.MustParseAddr("192.0.2.1"),
		"2001:db8::1":      netip.MustParseAddr("2001:db8::1"),
		"@":                {},
		"":                 {},
		nil:                {},
	} {
		r := requestWith(map[string]any{caddyhttp.ClientIPVarKey: in}, nil, nil)
		r.RemoteAddr = "203.0.113.9:1"
		if got := clientIPOf(r); got != want {
			t.Errorf("%v: %v, want %v", in, got, want)
		}
	}
}

func TestStatusOf(t *testing.T) {
	gone := caddyhttp.Error(http.StatusBadGateway, errors.New("no upstream"))
	for _, tt := range []struct {
		err  error
		want int
	}{{gone, 502}, {fmt.Errorf("wrapped: %w", gone), 502}, {errors.New("plain"), 500}, {caddyhttp.HandlerError{}, 500}} {
		if got := statusOf(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	actor := &identity.Identity{ID: "u2", Username: "alice", Name: "Alice Ng", Groups: []string{"support", "night"}}
	user := &identity.Identity{ID: "u3", Username: "sam", Email: "sam@example.com", Attributes: map[string]string{"department": "north"}}
	who := &gateway.Who{User: user, Actor: actor, ID: "i1", Mode: "full"}
	repl := caddy.NewReplacer()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl))
	setPlaceholders(r, who)
	for in, want := range map[string]string{
		"{impersonate.user.username}":   "sam",
		"{impersonate.user.email}":      "sam@example.com",
		"{impersonate.user.name}":       "",
		"{impersonate.user.department}": "north",
		"{impersonate.user.shoe_size}":  "",
		"{impersonate.actor.username}":  "alice",
		"{impersonate.actor.groups}":    "support,night",
		"{impersonate.id}":              "i1",
		"{impersonate.mode}":            "full",
		"{http.auth.user.id}":           "alice",
	} {
		got, err := repl.ReplaceOrErr(in, false, true)
		if err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"impersonate.other", "impersonate", "http.auth.user.name", "impersonated"} {
		if v, ok := repl.Get(in); ok {
			t.Errorf("{%s} is %v", in, v)
		}
	}

	// One closure, and at times room for it.
	allocs := testing.AllocsPerRun(100, func() { setPlaceholders(r, who) })
	if allocs > 2 {
		t.Errorf("%v allocations", allocs)
	}

	setPlaceholders(httptest.NewRequest(http.MethodGet, "/", nil), who) // outside of Caddy: nothing to do
}

// FuzzCaddyfile: whatever stands in the blocks, adapting ends in JSON that the modules read, or in an error that tells a line.
func FuzzCaddyfile(f *testing.F) {
	for _, s := range []string{
		"oidc {\n issuer https://a\n}", "directory file /a\ndirectory seen", "policy a {\n actor group x\n target user y\n mode full\n}",
		"audit {\n clickhouse clickhouse://a:b@c:9000/d\n redact x y\n}", "role owner group a {\n}", "session {\n idle 1h\n}", "state sqlite \"\"", "{", "}", "notify\n", "\"a",
	} {
		f.Add(s, "identity A {impersonate.user.id}\nbanner {\n color \"#fff\"\n}")
		f.Add("directory seen", s)
	}
	adapter := caddyfileAdapter()
	f.Fuzz(func(t *testing.T, global, site string) {
		if bytes.ContainsAny([]byte(global+site), "\x00") || len(global)+len(site) > 4<<10 {
			return
		}
		for _, word := range []string{"import", "<<", "{$", "bind", "tls"} { // Caddy's own, that reach out
			if bytes.Contains([]byte(global+site), []byte(word)) {
				return
			}
		}
		cfg, _, err := adapter.Adapt([]byte("{\n\timpersonate {\n"+global+"\n}\n}\n:8080 {\nimpersonate {\n"+site+"\n}\n}\n"), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a message")
			}
			return
		}
		var whole caddy.Config
		if err := caddy.StrictUnmarshalJSON(cfg, &whole); err != nil {
			t.Fatal(err)
		}
		if raw := whole.AppsRaw[appID]; raw != nil {
			if err := caddy.StrictUnmarshalJSON(raw, new(App)); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
		}
	})
}
