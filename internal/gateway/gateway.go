// Package gateway is one request's story: who is there, who they may be, what the app is told, what the browser is
// shown, and what is written down. It is plain net/http; caddymodule fits it into Caddy.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/login"
	"github.com/seed-240d5494/caddy-impersonate/internal/portal"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Options are a configuration's parts; all but Reader, Retention, Banners and Ready are required.
type Options struct {
	Store          state.Store
	Sessions       *session.Manager
	Impersonations *impersonation.Manager
	Rules          impersonation.Rules
	Login          *login.Handler
	Signer         *identity.Signer
	Recorder       *audit.Recorder
	Clock          clock.Clock
	Log            *slog.Logger

	// Reader answers auditors in the portal; nil: the record can't be read here.
	Reader audit.Reader
	// Retention is how long the audit is kept; nil: nobody changes that in the portal.
	Retention *retention.Keeper

	// RecordAll writes own-account requests to the audit too.
	RecordAll bool
	// RecordFields writes the names of the fields that unsafe requests send to the audit.
	RecordFields bool

	// Scheme is "https" or "http": what the browser used, also behind a trusted proxy.
	Scheme func(*http.Request) string
	// ClientIP is the browser's address, never from a header an untrusted peer sent.
	ClientIP func(*http.Request) netip.Addr
	// StatusOf is the status an error returned by the next handler will be answered with.
	StatusOf func(error) int
	// Banners counts what became of documents; nil: nobody asks.
	Banners *BannerCounts
	// Zone is the one people are told times in; nil: UTC.
	Zone *time.Location
	// Ready adds checks to /readyz.
	Ready func(context.Context) []Check
	// SCIM serves provisioning; nil: there is none.
	SCIM http.Handler
}

// Check is one line of /readyz.
type Check struct {
	Name string
	Err  error
}

// Next is the rest of the chain: the app. Like Caddy's handlers it may return an error instead of answering.
type Next func(http.ResponseWriter, *http.Request) error

// Gateway serves a configuration's sites.
type Gateway struct {
	Options
	own     *http.ServeMux
	orphans orphans
	name    *name
}

// SiteOptions are one `impersonate` directive.
type SiteOptions struct {
	Identity []identity.Template
	// Assertion is the header that carries the signed assertion; empty: none is sent.
	Assertion string
	// ImpersonatedBy sends X-Impersonated-By while impersonating.
	ImpersonatedBy bool
	// Scrub are further names no client may send, such as those another part of the app trusts.
	Scrub  []string
	Banner BannerOptions
	// Actions name requests for the audit; the first match counts.
	Actions []Action
	// Deny is refused while impersonating.
	Deny []string
	// Safe are reads though their method says otherwise, for read_only.
	Safe []MethodPath
	// Public needs no login.
	Public []string
	// ClearStorage empties what pages stored in the browser at an impersonation's start and end.
	ClearStorage bool
	// OnIdentity is called once it is known who a request is made as, before it is forwarded. May be nil.
	OnIdentity func(*http.Request, *Who)
}

// BannerOptions are how a site's banner looks.
type BannerOptions struct {
	// Text replaces the default sentence; it may hold {impersonate.user.…} and {impersonate.actor.…}.
	Text     string
	Color    string // "#rrggbb"; empty: the default red
	Position string // "top" (default) or "bottom"
	// AllowUnmarked lets HTML through that can't carry the banner, instead of withholding it.
	AllowUnmarked bool
}

// Action names what a request does.
type Action struct {
	Name, Method, Path string
}

// MethodPath is a request by its method (empty: any) and path pattern.
type MethodPath struct {
	Method, Path string
}

// Who is whom a request is made as.
type Who struct {
	// User is the effective identity: the target while impersonating, else the person.
	User *identity.Identity
	// Actor is always the real person.
	Actor *identity.Identity
	// ID and Mode are empty on own-account requests.
	ID, Mode string
}

// Site is one protected site: one `impersonate` directive.
type Site struct {
	*Gateway
	called     *name
	headers    *identity.Headers
	assertion  string
	banner     BannerOptions
	bannerText *identity.Text
	actions    []action
	deny       patterns
	safe       patterns
	public     patterns
	// clearStorage: see SiteOptions
	clearStorage bool
	onIdentity   func(*http.Request, *Who)
}

type action struct {
	name    string
	pattern Pattern
}

// name tells what it is the name of from others, by its address (of no size, all would have the same). What outlives a
// configuration keeps names of its parts: the parts themselves would stay in memory, with a directory of all accounts.
type name struct{ _ byte }

// New checks the parts and mounts the gateway's own pages.
func New(o Options) (*Gateway, error) {
	if o.Store == nil || o.Sessions == nil || o.Impersonations == nil || o.Rules.Policy == nil || o.Rules.Directory == nil || o.Login == nil ||
		o.Signer == nil || o.Recorder == nil || o.Clock == nil || o.Log == nil || o.Scheme == nil || o.ClientIP == nil || o.StatusOf == nil {
		return nil, errors.New("gateway: a required part is missing")
	}
	g := &Gateway{Options: o, own: http.NewServeMux(), name: new(name)}
	g.mount()
	return g, nil
}

// Site prepares one site.
func (g *Gateway) Site(o SiteOptions) (*Site, error) {
	s := &Site{Gateway: g, called: new(name), assertion: http.CanonicalHeaderKey(o.Assertion), banner: o.Banner, clearStorage: o.ClearStorage, onIdentity: o.OnIdentity}
	scrub := o.Scrub
	if o.Assertion != "" {
		scrub = append([]string{o.Assertion}, scrub...)
	}
	var err error
	if s.headers, err = identity.NewHeaders(o.Identity, o.ImpersonatedBy, scrub...); err != nil {
		return nil, fmt.Errorf("compiling identity headers: %w", err)
	}
	if o.Banner.Text != "" {
		if s.bannerText, err = identity.NewText(o.Banner.Text); err != nil {
			return nil, fmt.Errorf("compiling the banner's text: %w", err)
		}
	}
	for _, a := range o.Actions {
		p, err := NewPattern(a.Method, a.Path)
		if err != nil {
			return nil, fmt.Errorf("compiling action %q: %w", a.Name, err)
		}
		s.actions = append(s.actions, action{a.Name, p})
	}
	for _, safe := range o.Safe {
		p, err := NewPattern(safe.Method, safe.Path)
		if err != nil {
			return nil, fmt.Errorf("compiling safe: %w", err)
		}
		s.safe = append(s.safe, p)
	}
	if s.deny, err = compile(o.Deny); err != nil {
		return nil, fmt.Errorf("compiling deny: %w", err)
	}
	if s.public, err = compile(o.Public); err != nil {
		return nil, fmt.Errorf("compiling public: %w", err)
	}
	return s, nil
}

func compile(paths []string) (patterns, error) {
	var ps patterns
	for _, p := range paths {
		c, err := NewPattern("", p)
		if err != nil {
			return nil, err
		}
		ps = append(ps, c)
	}
	return ps, nil
}

// actionOf names the request for the audit.
func (s *Site) actionOf(r *http.Request) string {
	if len(s.actions) == 0 {
		return ""
	}
	lower := strings.ToLower(r.URL.Path)
	if !strings.HasPrefix(lower, "/") {
		return ""
	}
	for i := range s.actions {
		if s.actions[i].pattern.match(r.Method, lower) {
			return s.actions[i].name
		}
	}
	return ""
}

// origin is the site as the browser sees it.
func (g *Gateway) origin(r *http.Request) string { return g.Scheme(r) + "://" + r.Host }

// mount puts the gateway's own pages under Prefix.
func (g *Gateway) mount() {
	// Every state-changing call refuses other origins; the identity provider's back-channel has none and no cookie.
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(crossOrigin))
	guard := func(f http.HandlerFunc) http.Handler { return csrf.Handler(f) }

	g.own.Handle("GET "+Prefix+"login", g.serveLogin(g.Login.ServeLogin))
	g.own.Handle("GET "+Prefix+"step-up", g.serveLogin(g.Login.ServeStepUp))
	g.own.Handle("GET "+Prefix+"callback", g.serveLogin(g.Login.ServeCallback))
	g.own.Handle("POST "+Prefix+"logout", guard(g.serveLogout))
	g.own.Handle("POST "+Prefix+"backchannel-logout", http.HandlerFunc(g.Login.ServeBackchannelLogout))
	g.own.Handle("GET "+Prefix+"jwks.json", http.HandlerFunc(g.serveJWKS))
	g.own.Handle("GET "+Prefix+"healthz", http.HandlerFunc(g.serveHealthz))
	g.own.Handle("GET "+Prefix+"readyz", http.HandlerFunc(g.serveReadyz))
	g.own.Handle("GET "+Prefix+"logged-out", http.HandlerFunc(g.Login.ServeLoggedOut))
	session := func(r *http.Request) (*session.Session, string, bool) {
		f := g.found(r)
		return f.sess, f.raw, f.sess != nil
	}
	pages := g.needsState(portal.New(portal.Options{
		Session:        session,
		Rules:          func() impersonation.Rules { return g.Rules },
		Impersonations: g.Impersonations,
		Favourites:     g.Store,
		Zone:           g.Zone,
		Audit:          g.Reader,
		Retention:      g.Retention,
		Events:         g.Recorder,
		Clock:          g.Clock,
		Log:            g.Log,
		Site:           g.origin,
		ClientIP:       g.ClientIP,
		OnStart:        g.onStart,
		OnStop:         g.onStop,
		StepUp:         g.Login.StepUp,
	}))
	g.own.Handle(Prefix, pages)
	if g.SCIM != nil {
		g.own.HandleFunc(scimPrefix, func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			r.URL.Scheme = g.Scheme(r)
			g.SCIM.ServeHTTP(w, r)
		})
	}
	g.own.HandleFunc("GET "+framePath, g.serveFrame)
	g.own.HandleFunc("GET "+refusedPath, g.serveRefused)
	g.own.HandleFunc(Prefix+"assets/", func(w http.ResponseWriter, r *http.Request) {
		if !banner.ServeAsset(w, r) {
			pages.ServeHTTP(w, r)
		}
	})
}
