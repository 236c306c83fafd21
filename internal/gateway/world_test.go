package gateway_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
	auditsqlite "github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/login"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// appFunc is the app behind the gateway, as the next handler in the chain.
type appFunc func(w http.ResponseWriter, r *http.Request) error

// world is a gateway on real parts: stores in SQLite, a journal on a disk that can fail, a directory read from a file, a
// policy, a server. Only the clock of sessions and impersonations is moved by hand.
type world struct {
	t     testing.TB
	dir   string
	clock *clock.Manual
	fs    *faultfs.FS
	log   *lockedBuffer

	store     state.Store
	node      *gateway.Node
	recorder  *audit.Recorder
	directory *directory.Directory
	policy    policy.Rules
	options   gateway.SiteOptions
	all       bool
	fields    bool
	sink      audit.Sink // nil: SQLite

	site   atomic.Pointer[gateway.Site]
	app    atomic.Pointer[appFunc]
	served atomic.Int64 // requests the app has seen
	begun  atomic.Int64 // of those that stay open
	server *httptest.Server
	age    time.Duration
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// statusError is how the next handler says what the server is to answer.
type statusError int

func (e statusError) Error() string { return http.StatusText(int(e)) }

func statusOf(err error) int {
	var s statusError
	if errors.As(err, &s) {
		return int(s)
	}
	return http.StatusInternalServerError
}

// account is a line of the users' file.
type account struct {
	username, name, group string
	off                   bool
}

var crew = []account{
	{"admin", "Alice Ng", "admins", false},
	{"boss", "Bo Ss", "admins", false},
	{"sam", "Sam Reed", "fieldworkers", false},
	{"kim", "Kim Field", "fieldworkers", false},
}

func defaultRules() policy.Rules {
	return policy.Rules{Policies: []policy.Policy{{
		Name: "support", Actor: policy.Match{Groups: []string{"admins"}}, Target: policy.Match{Groups: []string{"fieldworkers"}},
		Modes: []string{policy.ModeFull, policy.ModeReadOnly}, Duration: 30 * time.Minute, Idle: 20 * time.Minute,
	}}}
}

func newWorld(t testing.TB, change ...func(*world)) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), clock: clock.NewManual(noon), fs: faultfs.New(), log: &lockedBuffer{}, policy: defaultRules(), age: 1000 * time.Hour,
		options: gateway.SiteOptions{
			Identity: []identity.Template{
				{Name: "Remote-User", Value: "{impersonate.user.username}"},
				{Name: "Remote-Name", Value: "{impersonate.user.name}"},
				{Name: "Remote-Groups", Value: "{impersonate.user.groups}"},
			},
			ImpersonatedBy: true, Assertion: "X-Assertion",
		},
	}
	for _, f := range change {
		f(w)
	}
	w.serve(page)
	w.users(crew...)
	w.openAudit()
	w.open()
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		err := w.site.Load().ServeHTTP(rw, r, func(rw http.ResponseWriter, r *http.Request) error {
			w.served.Add(1)
			return (*w.app.Load())(rw, r)
		})
		if err != nil {
			http.Error(rw, err.Error(), statusOf(err))
		}
	}))
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(w.log, nil), slog.LevelError)
	t.Cleanup(func() {
		w.server.CloseClientConnections()
		w.server.Close()
		w.close()
		w.fs.Heal()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // it writes to the test's directory until then
		defer cancel()
		_ = w.recorder.Close(ctx)
	})
	return w
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewTextHandler(w.log, nil)) }

// users writes the users' file and, once there is a directory, has it read.
func (w *world) users(all ...account) {
	w.t.Helper()
	var b strings.Builder
	b.WriteString("users:\n")
	for _, a := range all {
		fmt.Fprintf(&b, "  - {id: id-%s, username: %s, name: %q, groups: [%s], active: %v}\n", a.username, a.username, a.name, a.group, !a.off)
	}
	path := filepath.Join(w.dir, "users.yaml")
	w.must(os.WriteFile(path, []byte(b.String()), 0o600))
	w.age -= time.Minute // each is a little younger than the one before, and all are old
	at := time.Now().Add(-w.age)
	w.must(os.Chtimes(path, at, at))
	if w.directory != nil {
		w.must(w.directory.Refresh(context.Background()))
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) openAudit() {
	w.t.Helper()
	var err error
	w.recorder, err = audit.Open(audit.Options{Dir: filepath.Join(w.dir, "journal"), FS: w.fs, Log: w.logger(), SegmentBytes: 1 << 20})
	w.must(err)
	sink := w.sink
	if sink == nil {
		sink, err = auditsqlite.Open(context.Background(), filepath.Join(w.dir, "audit.db"))
		w.must(err)
	}
	w.must(w.recorder.UseSinks(context.Background(), audit.ShipOptions{BatchTime: 2 * time.Millisecond}, sink))
}

// open starts the gateway, on what was there before.
func (w *world) open() {
	w.t.Helper()
	ctx := context.Background()
	var err error
	w.store, err = sqlite.Open(ctx, filepath.Join(w.dir, "state.db"), sqlite.Options{})
	w.must(err)
	w.node, err = gateway.OpenNode(ctx, gateway.NodeOptions{Store: w.store, Clock: w.clock, Log: w.logger()})
	w.must(err)
	w.directory = directory.New(directory.Options{Clock: w.clock, Log: w.logger(), Sources: []directory.Source{directory.NewFileSource(filepath.Join(w.dir, "users.yaml"))}})
	w.must(w.directory.Refresh(ctx))
	w.configure()
}

// configure puts the policy and the site's options in force, as a reload does.
func (w *world) configure() {
	w.t.Helper()
	ctx := context.Background()
	set, err := policy.Compile(w.policy)
	w.must(err)
	rules := impersonation.Rules{Policy: set, Directory: w.directory}
	w.must(w.node.Use(ctx, rules, w.recorder, session.Lifetimes{}))
	scheme := func(*http.Request) string { return "http" }
	ip := func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") }
	l, err := login.New(login.Options{
		Issuer: "https://idp.example", ClientID: "gateway", Clock: w.clock, Log: w.logger(), SealKey: w.node.LoginKey, Sessions: w.node.Sessions,
		Impersonations: w.node.Impersonations, Events: w.recorder, Directory: w.directory,
		Site: func(r *http.Request) (string, string) { return "http", r.Host }, ClientIP: ip,
	})
	w.must(err)
	g, err := gateway.New(gateway.Options{
		Store: w.store, Sessions: w.node.Sessions, Impersonations: w.node.Impersonations, Rules: rules, Login: l, Signer: w.node.Signer,
		Recorder: w.recorder, Clock: w.clock, Log: w.logger(), RecordAll: w.all, RecordFields: w.fields, Scheme: scheme, ClientIP: ip, StatusOf: statusOf,
		Banners: w.node.Banners,
	})
	w.must(err)
	site, err := g.Site(w.options)
	w.must(err)
	w.site.Store(site)
}

func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.node.Close(ctx) // tests break what it writes to
}

// restart is what a restart of the process does to all but the audit.
func (w *world) restart() {
	w.t.Helper()
	w.close()
	w.open()
}

func (w *world) serve(app appFunc) { w.app.Store(&app) }

// proxy has the app be a server of its own, behind a reverse proxy.
func (w *world) proxy(app http.HandlerFunc) {
	w.t.Helper()
	backend := httptest.NewServer(app)
	w.t.Cleanup(func() {
		backend.CloseClientConnections()
		backend.Close()
	})
	w.serve(reverseProxy(w, backend.URL))
}

// page is an app with one page that says as whom it sees its user.
func page(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><html><head><title>app</title></head><body><p>user=%s by=%s cookies=[%s]</p></body></html>",
		r.Header.Get("Remote-User"), r.Header.Get("X-Impersonated-By"), r.Header.Get("Cookie"))
	return nil
}

// intended tells whether the journal has taken an intent since now. That something was synced does not tell: the place that the
// sink has come to is, too.
func (w *world) intended() func() bool {
	before := w.recorder.Stats().Intents
	return func() bool { return w.recorder.Stats().Intents > before }
}

// rows reads what came into the audit, once as many requests are there as wanted.
func (w *world) rows(want int, where ...string) []row {
	w.t.Helper()
	db, err := auditsqlite.OpenReadOnly(filepath.Join(w.dir, "audit.db"))
	w.must(err)
	defer func() { _ = db.Close() }()
	var got []row
	w.until(fmt.Sprintf("%d requests are in the audit", want), func() bool {
		got = readRows(w.t, db, where...)
		return len(got) >= want
	})
	if len(got) != want {
		w.t.Fatalf("%d requests are in the audit, want %d: %+v", len(got), want, got)
	}
	return got
}

type row struct {
	Method, Path, Actor, Target, Outcome, Refusal, Banner, RequestID, Action string
	Status                                                                   int
	Sent, Got                                                                int64
	Duration                                                                 time.Duration
}

func readRows(t testing.TB, db *sql.DB, where ...string) []row {
	t.Helper()
	condition := strings.Join(append([]string{"true"}, where...), " AND ")
	rs, err := db.Query(`SELECT method, path, actor_username, target_username, outcome, refusal, banner, request_id, action, status, response_bytes, request_bytes, duration_us FROM requests WHERE ` + condition + ` ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rs.Close() }()
	var all []row
	for rs.Next() {
		var r row
		if err := rs.Scan(&r.Method, &r.Path, &r.Actor, &r.Target, &r.Outcome, &r.Refusal, &r.Banner, &r.RequestID, &r.Action, &r.Status, &r.Sent, &r.Got, &r.Duration); err != nil {
			t.Fatal(err)
		}
		r.Duration *= time.Microsecond
		all = append(all, r)
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// until waits for what happens in the background.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	limit := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("it never came to be that %s; log:\n%s", what, w.log)
		}
	}
}

// browser is a person's browser. It does not follow redirects by itself.
type browser struct {
	*world
	c   *http.Client
	jar *cookiejar.Jar
	raw string
	id  state.Hash
}

func (w *world) anonymous() *browser {
	jar, _ := cookiejar.New(nil) // never fails
	tr := &http.Transport{}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &browser{world: w, jar: jar, c: &http.Client{Jar: jar, Transport: tr, Timeout: 2 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// login is a browser in which that person has logged in.
func (w *world) login(username string) *browser {
	w.t.Helper()
	b := w.anonymous()
	b.relogin(username, "")
	return b
}

func (b *browser) relogin(username, replaces string) {
	b.t.Helper()
	claims := identity.Identity{ID: "sub-" + username, Username: username, Name: "Claimed " + username}
	s, raw, err := b.node.Sessions.Create(context.Background(), session.Login{Claims: claims, Issuer: "https://idp.example", Subject: username, Replaces: replaces})
	b.must(err)
	b.raw, b.id = raw, s.ID
	b.setCookie(session.CookieName(false), raw)
}

func (b *browser) url() *url.URL {
	u, err := url.Parse(b.server.URL)
	b.must(err)
	return u
}

func (b *browser) setCookie(name, value string) {
	b.jar.SetCookies(b.url(), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// cookies are those the browser would send to the path, without the gateway's.
func (b *browser) cookies(path string) map[string]string {
	u := b.url()
	u.Path = path
	all := map[string]string{}
	for _, c := range b.jar.Cookies(u) {
		if !session.Reserved(c.Name) {
			all[c.Name] = c.Value
		}
	}
	return all
}

// answer is a response read whole.
type answer struct {
	*http.Response
	t    testing.TB
	body string
	err  error // of reading the body
}

func (b *browser) request(method, path, body string, headers ...string) *http.Request {
	b.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, b.server.URL+path, rd)
	b.must(err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (b *browser) do(method, path, body string, headers ...string) *answer {
	b.t.Helper()
	res, err := b.c.Do(b.request(method, path, body, headers...))
	b.must(err)
	return b.read(res)
}

func (b *browser) read(res *http.Response) *answer {
	all, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return &answer{res, b.t, string(all), err}
}

var navigation = []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none"}

// get opens a page.
func (b *browser) get(path string) *answer { b.t.Helper(); return b.do("GET", path, "", navigation...) }

// post sends a form of the site's own page.
func (b *browser) post(path string, form url.Values, more ...string) *answer {
	b.t.Helper()
	return b.do("POST", path, form.Encode(), append([]string{
		"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", b.server.URL,
		"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document",
	}, more...)...)
}

// fetch is what a page's script does.
func (b *browser) fetch(method, path, body string, more ...string) *answer {
	b.t.Helper()
	return b.do(method, path, body, append([]string{"Accept", "application/json", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", b.server.URL}, more...)...)
}

// begin starts an impersonation, and stop ends it, as a browser does.
func (b *browser) begin(target string, more ...string) *browser {
	b.t.Helper()
	form := url.Values{"target": {target}, "reason": {"testing it"}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	b.post("/.impersonate/start", form).want(http.StatusSeeOther)
	return b
}

func (b *browser) stop() *answer {
	b.t.Helper()
	return b.post("/.impersonate/stop", nil).want(http.StatusSeeOther)
}

func (b *browser) live() *impersonation.Live {
	return b.node.Impersonations.Of(context.Background(), b.id)
}

func (a *answer) want(status int, contains ...string) *answer {
	a.t.Helper()
	if a.StatusCode != status {
		a.t.Fatalf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	for _, c := range contains {
		if !strings.Contains(a.body, c) {
			a.t.Fatalf("%s %s: %q is not in: %s", a.Request.Method, a.Request.URL.Path, c, a.body)
		}
	}
	return a
}

func (a *answer) without(texts ...string) *answer {
	a.t.Helper()
	for _, c := range texts {
		if strings.Contains(a.body, c) {
			a.t.Fatalf("%s %s: %q is in: %s", a.Request.Method, a.Request.URL.Path, c, a.body)
		}
	}
	return a
}

const (
	bannerMark = `<impersonate-banner`
	noticeMark = `data-kind="notice`
)

// asTarget and asActor are how the default app's page looks.
func (b *browser) asTarget(target string) *answer {
	b.t.Helper()
	return b.get("/").want(http.StatusOK, "user="+target+" ", bannerMark)
}

func (b *browser) asActor(actor string) *answer {
	b.t.Helper()
	return b.get("/").want(http.StatusOK, "user="+actor+" by= ")
}

func removeUsers(w *world) { w.must(os.Remove(filepath.Join(w.dir, "users.yaml"))) }
