package login

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

const (
	clientID     = "gateway"
	clientSecret = "gateway-secret-of-32-characters!"
)

// site is a protected site: what a browser talks to. It exists before its login, whose provider has to know its
// address.
type site struct {
	*httptest.Server
	handler atomic.Pointer[http.ServeMux]
}

func newSite(t *testing.T, https bool) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.Load().ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if https {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *site) client(secret string) idptest.Client {
	return idptest.Client{
		ID: clientID, Secret: secret,
		RedirectURIs:         []string{s.URL + CallbackPath},
		PostLogoutURIs:       []string{s.URL + LoggedOutPath},
		BackchannelLogoutURI: s.URL + BackchannelLogoutPath,
	}
}

// users of the real provider.
var users = map[string]idptest.User{
	"alice": {ACR: "urn:test:mfa", Claims: map[string]any{"name": "Alice Ng", "email": "alice@example.test", "groups": []string{"support", "staff"}}},
	"bob":   {Claims: map[string]any{"name": "Bob Reed", "groups": []string{"staff"}}},
}

const peopleYAML = `users:
  - {username: alice, id: "1"}
  - {username: sam, id: "2", name: Sam Reed, groups: [fieldworkers]}
  - {username: former, id: "3", active: false}
`

// rig is a login with all that it works with, on a site.
type rig struct {
	*Handler
	t              *testing.T
	site           *site
	clock          *clock.Manual
	sessions       *session.Manager
	impersonations *impersonation.Manager
	events         *eventLog
	log            *lockedBuffer

	seen []state.SeenUser
}

// newRig makes a login; change may adjust its options.
func newRig(t *testing.T, s *site, issuer string, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, site: s, clock: clock.NewManual(time.Now()), events: &eventLog{}, log: &lockedBuffer{}}
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	r.sessions = session.NewManager(session.Options{Store: store, Clock: r.clock})
	people := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(people, []byte(peopleYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := directory.NewSeenSource(store)
	dir := directory.New(directory.Options{Clock: r.clock, Sources: []directory.Source{directory.NewFileSource(people), seen}})
	if err := dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	rules, err := policy.Compile(policy.Rules{Policies: []policy.Policy{{
		Name: "support", Actor: policy.Match{Groups: []string{"support"}}, Target: policy.Match{Users: []string{"sam"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r.impersonations = impersonation.NewManager(impersonation.Options{Store: store, Clock: r.clock})
	t.Cleanup(func() { _ = r.impersonations.Close(context.Background()) })
	if err := r.impersonations.Use(t.Context(), impersonation.Rules{Policy: rules, Directory: dir}, &eventLog{}); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Issuer: issuer, ClientID: clientID, ClientSecret: clientSecret,
		Scopes: []string{"openid", "profile", "email", "groups"},
		Clock:  r.clock, Log: slog.New(slog.NewJSONHandler(r.log, nil)), HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		SealKey: bytes.Repeat([]byte{7}, 32), Sessions: r.sessions, Impersonations: r.impersonations, Events: r.events, Directory: dir,
		Seen: func(ctx context.Context, u state.SeenUser) error {
			r.seen = append(r.seen, u)
			return seen.Note(ctx, u)
		},
		Site: func(r *http.Request) (string, string) {
			if r.TLS != nil {
				return "https", r.Host
			}
			return "http", r.Host
		},
		ClientIP: func(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() },
	}
	if change != nil {
		change(&o)
	}
	if r.Handler, err = New(o); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc(LoginPath, r.ServeLogin)
	mux.HandleFunc(CallbackPath, r.ServeCallback)
	mux.HandleFunc(LogoutPath, r.ServeLogout)
	mux.HandleFunc(LoggedOutPath, r.ServeLoggedOut)
	mux.HandleFunc(BackchannelLogoutPath, r.ServeBackchannelLogout)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		raw, ok := session.RawID(req, req.TLS != nil)
		if !ok {
			_, _ = w.Write([]byte("nobody"))
			return
		}
		v, err := r.sessions.Get(req.Context(), raw)
		if err != nil {
			_, _ = w.Write([]byte("nobody"))
			return
		}
		_, _ = w.Write([]byte("hello " + v.Claims.Username + " at " + req.URL.RequestURI()))
	})
	s.handler.Store(mux)
	return r
}

// withOP is a rig at the real provider.
func withOP(t *testing.T, change func(*Options)) (*rig, *idptest.Provider) {
	t.Helper()
	s := newSite(t, false)
	op := idptest.StartOP(t, idptest.Config{Clients: []idptest.Client{s.client(clientSecret)}, Users: users})
	return newRig(t, s, op.Issuer, change), op
}

func (r *rig) loginURL(returnTo string) string {
	return r.site.URL + LoginPath + "?return_to=" + returnTo
}

// login logs a browser in and fails the test when that does not work.
func (r *rig) login(b *idptest.LoginClient) {
	r.t.Helper()
	page := b.Login(r.loginURL("/work"))
	if want := "hello " + b.Username + " at /work"; page.Body != want {
		r.t.Fatalf("the login ended at %s: %d %s; want %s\nlog: %s", page.URL, page.Status, page.Body, want, r.log)
	}
}

// impersonating has the session act as sam.
func (r *rig) impersonating(raw string) *impersonation.Live {
	r.t.Helper()
	s, err := r.sessions.Get(r.t.Context(), raw)
	if err != nil {
		r.t.Fatal(err)
	}
	l, err := r.impersonations.Start(r.t.Context(), impersonation.StartRequest{Session: s, Target: "sam", Site: r.site.URL})
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// endedByLogout checks how an impersonation ended.
func (r *rig) endedByLogout(l *impersonation.Live, by string) {
	r.t.Helper()
	if e := l.Ended(); e == nil || e.Cause != impersonation.CauseLogout || e.By != by {
		r.t.Errorf("the impersonation ended: %+v; want a logout by %q", e, by)
	}
}

// who is whom the site takes the browser for.
func (r *rig) who(b *idptest.LoginClient) string {
	r.t.Helper()
	return b.Get(r.site.URL + "/").Body
}

// cookie is the browser's cookie of that name.
func cookie(b *idptest.LoginClient, address, name string) string {
	req := httptest.NewRequest(http.MethodGet, address, nil)
	for _, c := range b.Jar.Cookies(req.URL) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// pendingCookies are the names of the browser's cookies of logins under way.
func pendingCookies(b *idptest.LoginClient, address string) (names []string) {
	req := httptest.NewRequest(http.MethodGet, address, nil)
	for _, c := range b.Jar.Cookies(req.URL) {
		if strings.Contains(c.Name, "-login-") {
			names = append(names, c.Name)
		}
	}
	return names
}

// failedWith checks everything that has to be so after a login failed: a clear page with a way on, one event that
// gives the reason, no session, no cookie left of the attempt, and nothing secret told to anybody.
func (r *rig) failedWith(page *idptest.Page, b *idptest.LoginClient, status int, reason string) {
	r.t.Helper()
	if page.Status != status {
		r.t.Errorf("status %d, want %d: %s", page.Status, status, page.Body)
	}
	if !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.Body, ">Try again</a>") {
		r.t.Errorf("no page with a way on: %s", page.Body)
	}
	if strings.Contains(page.Body, "<script") || strings.Contains(page.Body, "<b>") {
		r.t.Errorf("markup from outside: %s", page.Body)
	}
	if page.Header.Get("Cache-Control") != "no-store" {
		r.t.Errorf("Cache-Control is %q", page.Header.Get("Cache-Control"))
	}
	got := r.events.take()
	if len(got) != 1 || got[0].Type != audit.EventLoginFailed {
		r.t.Fatalf("events %+v, want one login_failed", got)
	}
	var detail struct{ Reason, Error string }
	if err := json.Unmarshal([]byte(got[0].Detail), &detail); err != nil {
		r.t.Fatalf("detail %q: %v", got[0].Detail, err)
	}
	if detail.Reason != reason {
		r.t.Errorf("reason %q (%s), want %q", detail.Reason, detail.Error, reason)
	}
	if got[0].ClientIP != "127.0.0.1" {
		r.t.Errorf("client ip %q", got[0].ClientIP)
	}
	if who := r.who(b); who != "nobody" {
		r.t.Errorf("the site says %q: a session was made", who)
	}
	if len(r.seen) != 0 {
		r.t.Errorf("noted as seen: %+v", r.seen)
	}
	r.noSecrets(page.Body, got[0].Detail, r.log.String())
}

// noSecrets fails when a token, a code or a secret is in a text for people.
func (r *rig) noSecrets(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		for _, secret := range []string{"eyJ", clientSecret, "SECRET-IN-BODY", "access_token"} {
			if strings.Contains(text, secret) {
				r.t.Errorf("%q in %s", secret, text)
			}
		}
	}
}

type eventLog struct {
	mu  sync.Mutex
	all []audit.Event
	err error
}

func (l *eventLog) Event(_ context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
	return l.err
}

// take returns the events since the last call.
func (l *eventLog) take() []audit.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
