// Package login logs people in at an OpenID Connect provider (code flow with PKCE, state and nonce) and out again: by
// themselves, at the provider too, or by the provider's back-channel.
//
// Nothing the browser or the provider sends is believed before it is checked, everything is bounded in size and time,
// and whatever goes wrong ends in a page that says so, an event in the audit, and no session.
package login

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Paths of this package's pages.
const (
	prefix = "/.impersonate/"

	LoginPath     = prefix + "login"
	StepUpPath    = prefix + "step-up"
	CallbackPath  = prefix + "callback"
	LogoutPath    = prefix + "logout"
	LoggedOutPath = prefix + "logged-out"
	// BackchannelLogoutPath is called by the provider itself.
	BackchannelLogoutPath = prefix + "backchannel-logout"
)

// Options are what a Handler works with.
type Options struct {
	// Issuer is the provider's identifier, exactly as its discovery document and tokens give it.
	Issuer   string
	ClientID string
	// ClientSecret; empty: a public client, which PKCE alone protects.
	ClientSecret string
	// Scopes; default openid, profile, email.
	Scopes []string
	// Claims maps a fact (id, username, name, email, groups, or any other, which becomes an attribute) to the claim
	// that holds it: a name, or names joined by dots. It is added to the defaults: sub, preferred_username, name,
	// email, groups.
	Claims map[string]string

	// StepUp is how recent a fresh login has to be, and StepUpACR which authentication contexts it may have; 0: there is no
	// need for one.
	StepUp    time.Duration
	StepUpACR []string

	// Clock, Rand and Log default to the system's and to silence.
	Clock clock.Clock
	Rand  io.Reader
	Log   *slog.Logger
	// HTTP gives the transport and the timeout (default 10 s) for calls to the provider; may be nil. Its answers
	// are bounded and its redirects not followed all the same.
	HTTP *http.Client
	// SealKey, at least 32 bytes, is what keys of this package are derived from. Every node of a site needs the same.
	SealKey []byte

	Sessions *session.Manager
	// Impersonations is where the session's impersonation is ended; *impersonation.Manager is one.
	Impersonations interface {
		EndSession(ctx context.Context, session state.Hash, cause, by string) error
	}
	Events    audit.Events
	Directory *directory.Directory
	// Seen notes who has logged in; may be nil.
	Seen func(context.Context, state.SeenUser) error
	// Site is the scheme and host the browser sees.
	Site func(*http.Request) (scheme, host string)
	// ClientIP is whom the request comes from; may be nil.
	ClientIP func(*http.Request) netip.Addr
}

// defaultClaims are the standard claims (OpenID Connect Core 1.0, section 5.1), and groups as most providers name it.
var defaultClaims = map[string]string{
	"id": "sub", "username": "preferred_username", "name": "name", "email": "email", "groups": "groups",
}

// Bounds on what anybody can make happen, logged in or not.
const (
	maxStates = 1 << 14
	maxJTIs   = 1 << 14

	failedBurst = 100
	failedEvery = 100 * time.Millisecond
)

// Handler serves login and logout for all sites of one configuration. Its provider is found in the background by Run.
type Handler struct {
	o      Options
	issuer string
	clock  clock.Clock
	rand   io.Reader
	log    *slog.Logger
	client *http.Client
	claims map[string]string
	sealer *sealer
	states *once   // of logins and logouts, used up
	jtis   *once   // of logout tokens, taken
	failed *bucket // how many failures reach the audit

	unrecorded atomic.Int64 // failures that did not, since the last that did

	// Tokens from a login come from the provider itself; a logout token from anybody. Each has its own allowance
	// of key fetches, so that the one can't use up the other's.
	loginKeys, logoutKeys *bucket

	current atomic.Pointer[provider]
	mu      sync.Mutex
	attempt *attempt // at discovery: the latest
}

// New checks the options; it does not call the provider.
func New(o Options) (*Handler, error) {
	switch {
	case o.ClientID == "":
		return nil, errors.New("login: no client id")
	case len(o.SealKey) < 32:
		return nil, fmt.Errorf("login: a seal key of %d bytes; at least 32 are needed", len(o.SealKey))
	case o.Sessions == nil || o.Impersonations == nil || o.Events == nil || o.Directory == nil || o.Site == nil:
		return nil, errors.New("login: Sessions, Impersonations, Events, Directory and Site are required")
	}
	u, err := url.Parse(o.Issuer)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("login: issuer %q is no http or https URL without user, query and fragment", o.Issuer)
	}
	sealer, err := newSealer(o.SealKey)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	h := &Handler{o: o, issuer: o.Issuer, clock: o.Clock, rand: o.Rand, log: o.Log, sealer: sealer, client: boundedClient(o.HTTP)}
	if h.clock == nil {
		h.clock = clock.System
	}
	if h.rand == nil {
		h.rand = rand.Reader
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if len(h.o.Scopes) == 0 {
		h.o.Scopes = []string{"openid", "profile", "email"}
	}
	h.claims = maps.Clone(defaultClaims)
	maps.Copy(h.claims, o.Claims)
	h.states, h.jtis = newOnce(maxStates), newOnce(maxJTIs)
	h.failed = newBucket(h.clock, failedBurst, failedEvery)
	h.loginKeys = newBucket(h.clock, keyBurst, keyEvery)
	h.logoutKeys = newBucket(h.clock, keyBurst, keyEvery)
	return h, nil
}

func (h *Handler) site(r *http.Request) (scheme, host string) { return h.o.Site(r) }

func (h *Handler) https(r *http.Request) bool {
	scheme, _ := h.o.Site(r)
	return scheme == "https"
}

func (h *Handler) clientIP(r *http.Request) string {
	if h.o.ClientIP == nil {
		return ""
	}
	if ip := h.o.ClientIP(r); ip.IsValid() {
		return ip.String()
	}
	return ""
}

// random is 256 bits, base64url.
func (h *Handler) random() (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(h.rand, b[:]); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// leave sends the browser to the provider. After a form was posted, a page in between does it: the form-action of a
// page's policy (CSP) holds for redirects too in some browsers, and no page's policy names the provider.
func leave(w http.ResponseWriter, r *http.Request, to, title string) {
	if r.Method != http.MethodPost || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		redirect(w, to)
		return
	}
	problem.Write(w, r, &problem.Problem{
		Code: "leaving", Status: http.StatusOK, Title: title, Detail: "You are being sent to the identity provider.",
		Refresh: to,
		Links:   []problem.Link{{Text: "Go on", Href: to}},
	})
}

// redirect sends the browser on with a GET. Where it goes may hold a token or a code: no cache may keep it, and no
// Referer may carry this address there.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
