package portal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/portal"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// rig is the portal on real parts: a SQLite store, sessions, a directory, a policy, impersonations.
type rig struct {
	t        testing.TB
	clock    *clock.Manual
	store    state.Store
	sessions *session.Manager
	people   *people
	dir      *directory.Directory
	imp      *impersonation.Manager
	events   *events
	server   *httptest.Server
	log      *syncBuffer

	mu      sync.Mutex
	rules   impersonation.Rules
	started []string // ids OnStart was told of
	stopped []string
	stepped []string // where StepUp was to lead back to
}

// people is a source that tests change.
type people struct {
	mu    sync.Mutex
	users []directory.User
	err   error
}

func (*people) Name() string { return "test people" }

func (p *people) Users(context.Context) ([]directory.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	return append([]directory.User{}, p.users...), nil
}

// events keeps what would go to the journal; it can refuse to.
type events struct {
	mu   sync.Mutex
	all  []audit.Event
	fail error
	// recorder is who else is told, and signs; may be nil.
	recorder *audit.Recorder
}

func (e *events) SignNote(text string) (string, error) {
	if e.recorder == nil {
		return "", audit.ErrNoSigner
	}
	return e.recorder.SignNote(text)
}

func (e *events) PublicKeys() ([]string, error) {
	if e.recorder == nil {
		return nil, audit.ErrNoSigner
	}
	return e.recorder.PublicKeys()
}

func (e *events) Event(_ context.Context, ev audit.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return e.fail
	}
	e.all = append(e.all, ev)
	return nil
}

func (e *events) of(kind string) []audit.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []audit.Event
	for _, ev := range e.all {
		if ev.Type == kind {
			out = append(out, ev)
		}
	}
	return out
}

func (*events) LogID() string              { return "log" }
func (*events) LastSeq() uint64            { return 0 }
func (*events) Counts(string) audit.Counts { return audit.Counts{} }
func (*events) EachTrimmer(context.Context, func(context.Context, string, uint64, audit.Trimmer) error) error {
	return nil
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func user(username, name string, active bool, groups ...string) directory.User {
	if groups == nil {
		groups = []string{}
	}
	return directory.User{
		Identity: identity.Identity{ID: "id-" + username, Username: username, Name: name, Email: username + "@example.com", Groups: groups, Attributes: map[string]string{}},
		Active:   active,
	}
}

func crew() []directory.User {
	return []directory.User{
		user("owner", "Olga Owner", true, "account-owners"),
		user("admin", "Alice Ng", true, "admins"),
		user("super", "Sue Pervisor", true, "supervisors"),
		user("auditor", "Aud Itor", true, "auditors"),
		user("sam", "Sam Reed", true, "fieldworkers"),
		user("kim", "Kim Field", true, "fieldworkers"),
		user("office", "Otto Office", true, "office"),
		user("former", "Fay Former", false, "fieldworkers"),
	}
}

func rules() policy.Rules {
	return policy.Rules{
		Roles: map[string]policy.Match{
			policy.RoleOwner:   {Groups: []string{"account-owners"}},
			policy.RoleAuditor: {Groups: []string{"auditors"}},
		},
		Protect: policy.Match{Groups: []string{"account-owners", "admins"}},
		Policies: []policy.Policy{
			{
				Name: "support", Actor: policy.Match{Groups: []string{"admins", "account-owners"}}, Target: policy.Match{Groups: []string{"fieldworkers", "office"}},
				Modes: []string{policy.ModeFull, policy.ModeReadOnly}, Duration: 30 * time.Minute, Idle: 10 * time.Minute, RequireReason: true,
			},
			{
				Name: "team", Actor: policy.Match{Groups: []string{"supervisors"}}, Target: policy.Match{Groups: []string{"fieldworkers"}},
				Modes: []string{policy.ModeReadOnly}, Duration: 2 * time.Hour,
			},
		},
	}
}

func newRig(t testing.TB, users ...directory.User) *rig {
	t.Helper()
	return newRigOn(t, nil, users...)
}

// newRigOn is a rig whose auditors read by reader.
func newRigOn(t testing.TB, reader audit.Reader, users ...directory.User) *rig {
	t.Helper()
	if users == nil {
		users = crew()
	}
	ctx := t.Context()
	g := &rig{t: t, clock: clock.NewManual(start), people: &people{users: users}, events: &events{}, log: &syncBuffer{}}
	log := slog.New(slog.NewTextHandler(g.log, nil))
	store, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g.store = store
	t.Cleanup(func() { _ = store.Close() })
	g.sessions = session.NewManager(session.Options{Store: store, Clock: g.clock, Log: log})
	g.dir = directory.New(directory.Options{Clock: g.clock, Log: log, Sources: []directory.Source{g.people}})
	if err := g.dir.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	g.imp = impersonation.NewManager(impersonation.Options{Store: store, Clock: g.clock, Log: log, OnEnd: func(ctx context.Context, l *impersonation.Live, e *impersonation.Ended) {
		if e.Unasked() {
			_ = g.sessions.SetNotice(ctx, l.Session, impersonation.Notice{Cause: e.Cause, Target: l.TargetName}.String())
		}
	}})
	t.Cleanup(func() { _ = g.imp.Close(context.Background()) })
	g.use(rules())

	h := portal.New(portal.Options{
		Session: func(r *http.Request) (*session.Session, string, bool) {
			raw, ok := session.RawID(r, false)
			if !ok {
				return nil, "", false
			}
			s, err := g.sessions.Get(r.Context(), raw)
			return s, raw, err == nil
		},
		Rules: func() impersonation.Rules {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.rules
		},
		Impersonations: g.imp,
		Favourites:     g.store,
		Audit:          reader,
		Retention:      retention.New(retention.Options{Store: store, Audit: g.events, Clock: g.clock, Log: log, Limits: retention.Limits{Initial: 400, Floor: 90}}),
		Events:         g.events,
		Clock:          g.clock,
		Log:            log,
		Site:           func(r *http.Request) string { return "http://" + r.Host },
		ClientIP:       func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
		OnStart: func(w http.ResponseWriter, _ *http.Request, l *impersonation.Live) {
			w.Header().Set("Clear-Site-Data", `"cache"`)
			g.mu.Lock()
			defer g.mu.Unlock()
			g.started = append(g.started, l.ID)
		},
		StepUp: func(w http.ResponseWriter, r *http.Request, s *session.Session, returnTo string) {
			g.mu.Lock()
			g.stepped = append(g.stepped, s.Subject+" "+returnTo)
			g.mu.Unlock()
			http.Redirect(w, r, "https://idp.example/auth", http.StatusSeeOther)
		},
		OnStop: func(w http.ResponseWriter, _ *http.Request, l *impersonation.Live) {
			w.Header().Set("Clear-Site-Data", `"cache"`)
			g.mu.Lock()
			defer g.mu.Unlock()
			g.stopped = append(g.stopped, l.ID)
		},
	})
	g.server = httptest.NewServer(h)
	t.Cleanup(g.server.Close)
	return g
}

// use puts a policy in force.
func (g *rig) use(r policy.Rules) {
	g.t.Helper()
	set, err := policy.Compile(r)
	if err != nil {
		g.t.Fatal(err)
	}
	n := impersonation.Rules{Policy: set, Directory: g.dir}
	g.mu.Lock()
	g.rules = n
	g.mu.Unlock()
	if err := g.imp.Use(context.Background(), n, g.events); err != nil {
		g.t.Fatal(err)
	}
}

// change changes one account.
func (g *rig) change(username string, f func(*directory.User)) {
	g.t.Helper()
	g.people.mu.Lock()
	users := append([]directory.User{}, g.people.users...)
	for i := range users {
		if users[i].Username == username {
			f(&users[i])
		}
	}
	g.people.users = users
	g.people.mu.Unlock()
	if err := g.dir.Refresh(context.Background()); err != nil {
		g.t.Fatal(err)
	}
}

// breakSource makes the directory's source fail.
func (g *rig) breakSource() {
	g.people.mu.Lock()
	g.people.err = errors.New("line 7: <b>mangled</b>")
	g.people.mu.Unlock()
	_ = g.dir.Refresh(context.Background())
}

// browser is a person's browser: it keeps cookies, and does not follow redirects by itself.
type browser struct {
	*rig
	c   *http.Client
	raw string
}

func (g *rig) anonymous() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{rig: g, c: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// login is a browser in which that person has logged in.
func (g *rig) login(username string) *browser {
	g.t.Helper()
	b := g.anonymous()
	claims := identity.Identity{ID: "id-" + username, Username: username, Name: "Claimed " + username}
	_, raw, err := g.sessions.Create(context.Background(), session.Login{Claims: claims, Issuer: "https://idp.example", Subject: username})
	if err != nil {
		g.t.Fatal(err)
	}
	u, _ := url.Parse(g.server.URL)
	b.c.Jar.SetCookies(u, []*http.Cookie{{Name: session.CookieName(false), Value: raw, Path: "/"}})
	b.raw = raw
	return b
}

// answerOf is an answer read whole.
type answerOf struct {
	*http.Response
	body string
}

func (b *browser) do(method, path, body string, headers ...string) *answerOf {
	b.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, b.server.URL+path, rd)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.c.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return &answerOf{res, string(all)}
}

// get opens a page as a browser does.
func (b *browser) get(path string) *answerOf {
	b.t.Helper()
	return b.do("GET", path, "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none")
}

// post sends a form of the site's own page.
func (b *browser) post(path string, form url.Values) *answerOf {
	b.t.Helper()
	return b.do("POST", path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html",
		"Origin", b.server.URL, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate")
}

// json calls the API as a script of the site does.
func (b *browser) json(method, path, body string) *answerOf {
	b.t.Helper()
	h := []string{"Accept", "application/json", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}
	if body != "" {
		h = append(h, "Content-Type", "application/json")
	}
	return b.do(method, path, body, h...)
}

func (a *answerOf) object(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("not JSON: %v: %s", err, a.body)
	}
	return m
}

func (a *answerOf) want(t testing.TB, status int, contains ...string) *answerOf {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	for _, c := range contains {
		if !strings.Contains(a.body, c) {
			t.Fatalf("%s %s: %q is not in: %s", a.Request.Method, a.Request.URL, c, a.body)
		}
	}
	return a
}

func (a *answerOf) to(t testing.TB, status int, location string) *answerOf {
	t.Helper()
	a.want(t, status)
	if got := a.Header.Get("Location"); got != location {
		t.Fatalf("%s %s: leads to %q, want %q", a.Request.Method, a.Request.URL, got, location)
	}
	return a
}

// begin starts one by the form.
func (b *browser) begin(target string) {
	b.t.Helper()
	b.post("/.impersonate/start", url.Values{"target": {target}, "reason": {"testing it"}}).want(b.t, http.StatusSeeOther)
}
