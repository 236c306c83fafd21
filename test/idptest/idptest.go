// Package idptest runs real OpenID Connect providers for tests, and a browser without a screen that logs in at them.
// Node and npm have to be there: a test that needs a provider fails without them, it is never skipped.
package idptest

import (
	"net"
	"net/url"
	"strconv"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// Config is what a provider knows. Its JSON is what op.mjs reads.
type Config struct {
	// Port on 127.0.0.1; 0: any free one.
	Port    int             `json:"port,omitempty"`
	Clients []Client        `json:"clients"`
	Users   map[string]User `json:"users"`
	// ClaimsAtUserinfo leaves all claims but sub out of ID tokens, as the specification has it.
	ClaimsAtUserinfo bool `json:"claims_at_userinfo,omitempty"`
	// ProfileClaims are further claims given with scope profile.
	ProfileClaims []string `json:"profile_claims,omitempty"`
}

// Client is a relying party.
type Client struct {
	ID string `json:"id"`
	// Secret; empty: a public client.
	Secret string `json:"secret,omitempty"`
	// AuthMethod at the token endpoint; default client_secret_basic, or none without a secret.
	AuthMethod           string   `json:"auth_method,omitempty"`
	RedirectURIs         []string `json:"redirect_uris"`
	PostLogoutURIs       []string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI string   `json:"backchannel_logout_uri,omitempty"`
}

// User is an account at the provider; its name is the key it is configured under.
type User struct {
	// Password; default "demo".
	Password string `json:"password,omitempty"`
	// ACR is claimed at each login; default none.
	ACR string `json:"acr,omitempty"`
	// Claims beside sub and preferred_username, which are the name.
	Claims map[string]any `json:"claims,omitempty"`
}

// Provider is a running provider. Stop and Start play an outage: the same issuer comes back, its sessions forgotten.
type Provider struct {
	Issuer string

	t      testing.TB
	dir    string
	config Config
	p      *process
}

// StartOP starts the real provider, ended with the test.
func StartOP(t testing.TB, c Config) *Provider {
	t.Helper()
	if c.Port == 0 { // one that is still its own when it was down
		c.Port = portOf(t, "http://"+freeport.Addr(t))
	}
	p := &Provider{t: t, dir: install(t), config: c}
	p.Start()
	t.Cleanup(p.Stop)
	return p
}

// Start starts it again at the same address.
func (p *Provider) Start() {
	p.t.Helper()
	proc, ready, err := start(p.t, p.dir, "op.mjs", "OP_CONFIG", p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	p.p, p.Issuer = proc, ready.Issuer
}

// Stop ends it; connections to its address are refused from then on.
func (p *Provider) Stop() {
	if p.p != nil {
		p.p.stop()
		p.p = nil
	}
}

// Rotate replaces the signing key; tokens signed by the old one verify no more. Logins under way at the provider are
// forgotten.
func (p *Provider) Rotate() {
	p.t.Helper()
	command(p.t, p.p, "rotate", nil)
}

// Requests is how often a path was asked for since Start.
func (p *Provider) Requests(path string) int {
	p.t.Helper()
	return command(p.t, p.p, "requests", nil).Requests[path]
}

// Evil is a provider that misbehaves as its scenario says; the scenarios are in scenarios.mjs.
type Evil struct {
	Issuer string

	t testing.TB
	p *process
}

// StartEvil starts one, ended with the test. Anybody who asks is logged in as alice.
func StartEvil(t testing.TB, scenario string) *Evil {
	t.Helper()
	proc, ready, err := start(t, install(t), "evil.mjs", "EVIL_CONFIG", map[string]any{"scenario": scenario})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proc.stop)
	return &Evil{Issuer: ready.Issuer, t: t, p: proc}
}

// Scenario changes how it misbehaves.
func (e *Evil) Scenario(name string) {
	e.t.Helper()
	command(e.t, e.p, "scenario", map[string]any{"name": name})
}

// Scenarios lists all there are.
func (e *Evil) Scenarios() []string {
	e.t.Helper()
	return command(e.t, e.p, "scenarios", nil).Names
}

// Rotate replaces the signing key.
func (e *Evil) Rotate() {
	e.t.Helper()
	command(e.t, e.p, "rotate", nil)
}

// Requests is how often a path was asked for.
func (e *Evil) Requests(path string) int {
	e.t.Helper()
	return command(e.t, e.p, "requests", nil).Requests[path]
}

// Sign makes a token of any shape. By is whose signature it gets: "current", "stranger", "secret" (HMAC with what
// the client last sent), "public" (HMAC with the public key) or "none". Header parameters that are nil are left out.
func (e *Evil) Sign(by string, header, payload map[string]any) string {
	e.t.Helper()
	args := map[string]any{"by": by, "payload": payload}
	if header != nil {
		args["header"] = header
	}
	return command(e.t, e.p, "sign", args).Token
}

func command(t testing.TB, p *process, name string, args map[string]any) answer {
	t.Helper()
	a, err := p.command(name, args)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func portOf(t testing.TB, issuer string) int {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
