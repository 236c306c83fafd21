package caddymodule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

func init() {
	caddy.RegisterModule(new(testClock))
}

// testClock is a guest of impersonate.clocks, as a test binary has one.
type testClock struct{}

var theClock struct {
	sync.Mutex
	*clock.Manual
}

func (*testClock) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.clocks.manual", New: func() caddy.Module { return new(testClock) }}
}

func (*testClock) Clock() Clock {
	theClock.Lock()
	defer theClock.Unlock()
	return theClock.Manual
}

// world is a running server between a real provider and an app that tells what it was sent.
type world struct {
	t        *testing.T
	dir      string
	addr     string
	provider *idptest.Provider
	app      *httptest.Server
	journal  string
	policy   string // lines in the policy
	audit    string // lines in audit
	extra    string // further options of the app
	global   string // further global options
	admin    string // address of the administration endpoint; empty: there is none
	tunnels  string // options of the reverse_proxy that WebSockets have to themselves; empty: they have none
	manual   bool   // the clock stands still
}

const usersYAML = `users:
  - {id: u1, username: owner, name: Olivia Hart, groups: [account-owners]}
  - {id: u2, username: alice, name: Alice Ng, groups: [support]}
  - {id: u3, username: sam, name: Sam Reed, groups: [fieldworkers]}
`

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), journal: "journal"}
	w.addr = freeport.Addr(t)
	w.provider = idptest.StartOP(t, idptest.Config{
		Clients: []idptest.Client{{ID: "gateway", Secret: "reload-test-secret", RedirectURIs: []string{w.url("/.impersonate/callback")}}},
		Users:   map[string]idptest.User{"alice": {Claims: map[string]any{"name": "Alice Ng"}}, "sam": {}, "owner": {}},
	})
	w.app = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			rw.WriteHeader(http.StatusOK)
			http.NewResponseController(rw).Flush()
			<-r.Context().Done()
			return
		}
		rw.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(rw, "user=%s by=%s", r.Header.Get("Remote-User"), r.Header.Get("X-Impersonated-By"))
	}))
	t.Cleanup(w.app.Close)
	w.write("users.yaml", usersYAML)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		nodes.Range(func(key, _ any) bool { t.Errorf("the state %v was left open", key); return true })
		trails.Range(func(key, _ any) bool { t.Errorf("the journal %v was left open", key); return true })
	})
	return w
}

func (w *world) url(path string) string { return "http://" + w.addr + path }

func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) caddyfile() string {
	return `{
	admin ` + cmp.Or(w.admin, "off") + `
	auto_https off
	persist_config off
	skip_install_trust
	` + w.global + `
	impersonate {
		state sqlite ` + w.dir + `/state.db
		oidc {
			issuer ` + w.provider.Issuer + `
			client_id gateway
			client_secret reload-test-secret
			scopes openid profile email groups
		}
		directory file ` + w.dir + `/users.yaml
		directory seen
		role owner group account-owners
		policy support {
			actor group support
			target group fieldworkers
			` + w.policy + `
		}
		audit {
			journal ` + w.dir + "/" + w.journal + `
			sqlite ` + w.dir + `/audit.db
			` + w.audit + `
		}
		` + w.extra + `
	}
}
http://` + w.addr + ` {
	impersonate
	` + w.tunnelProxy() + `
	reverse_proxy ` + strings.TrimPrefix(w.app.URL, "http://") + `
}
`
}

// tunnelProxy is apart, because reverse_proxy with a stream_close_delay is not free of data races while tunnels and other
// answers end in one and the same (caddy v2.11.9: registerConnection writes what finalizeResponse copies).
func (w *world) tunnelProxy() string {
	if w.tunnels == "" {
		return ""
	}
	return "@tunnel `header({'Connection': '*pgrade*'}) || method('CONNECT')`\n\treverse_proxy @tunnel " + strings.TrimPrefix(w.app.URL, "http://") + " {\n\t\t" + w.tunnels + "\n\t}"
}

// load does what starting the server, or a reload, does.
func (w *world) load() error {
	w.t.Helper()
	raw := adapt(w.t, w.caddyfile())
	if !strings.HasPrefix(raw, "{") {
		w.t.Fatal(raw)
	}
	if w.manual {
		var cfg map[string]any
		if err := json.Unmarshal([]byte(raw), &cfg); err != nil {
			w.t.Fatal(err)
		}
		cfg["apps"].(map[string]any)["impersonate"].(map[string]any)["clock"] = map[string]string{"source": "manual"}
		b, err := json.Marshal(cfg)
		if err != nil {
			w.t.Fatal(err)
		}
		raw = string(b)
	}
	return caddy.Load([]byte(raw), true)
}

// mustLoad returns once the server that was replaced, if there was one, does not listen any more. Caddy closes its socket a
// moment after the reload, and connections that wait there are reset.
func (w *world) mustLoad() {
	w.t.Helper()
	if err := w.load(); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("that one server listens", func() bool { return listeners(w.t, w.addr) <= 1 })
}

// listeners counts the sockets that listen at an address's port; none where the system does not tell.
func listeners(t *testing.T, addr string) (n int) {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(table)) {
			const listens = "0A"
			if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == listens {
				n++
			}
		}
	}
	return n
}

// unshared keeps no connection: a reload closes those that are kept, perhaps just when a request is sent on one.
var unshared = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// login logs somebody in; the provider is found in the background, so the first try may be too early.
func (w *world) login(username string) *idptest.LoginClient {
	w.t.Helper()
	c := idptest.NewLoginClient(w.t, username)
	w.eventually("a login of "+username, func() bool {
		page := c.Login(w.url("/"))
		return page.Status == http.StatusOK && strings.Contains(page.Body, "user="+username)
	})
	return c
}

// impersonate starts one by the API.
func (w *world) impersonate(c *idptest.LoginClient, target string) {
	w.t.Helper()
	page := api(w.t, c, http.MethodPost, w.url("/.impersonate/api/v1/impersonations"), map[string]any{"target": target})
	if page.StatusCode != http.StatusCreated {
		w.t.Fatalf("impersonating %s: %d", target, page.StatusCode)
	}
}

// sees is what the app is told when the person asks for a page.
func (w *world) sees(c *idptest.LoginClient) string {
	w.t.Helper()
	page, err := c.Try(http.MethodGet, w.url("/page"), nil)
	for try := 0; err != nil && try < 3; try++ {
		// A reload of Caddy closes the odd connection that its old server had just accepted.
		page, err = c.Try(http.MethodGet, w.url("/page"), nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if page.Status != http.StatusOK {
		return fmt.Sprintf("%d %s", page.Status, page.Header.Get("Location"))
	}
	return page.Body
}

func (w *world) eventually(what string, f func() bool) {
	w.t.Helper()
	deadline := time.After(3 * time.Minute)
	for !f() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			w.t.Fatalf("%s did not happen", what)
		}
	}
}

func api(t *testing.T, c *idptest.LoginClient, method, address string, body any) *http.Response {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", u.Scheme+"://"+u.Host)
	for _, cookie := range c.Jar.Cookies(u) {
		req.AddCookie(cookie)
	}
	res, err := unshared.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}

// client is somebody's browser.
type client struct {
	*idptest.LoginClient
	w *world
}

// expect checks whose account is used.
func (c client) expect(username string) {
	c.w.t.Helper()
	if got := c.w.sees(c.LoginClient); !strings.HasPrefix(got, "user="+username+" ") {
		c.w.t.Fatalf("%q, want %s", got, username)
	}
}

// ends waits until alice is herself again.
func (c client) ends(why string) {
	c.w.t.Helper()
	c.w.eventually("an end because "+why, func() bool { return strings.HasPrefix(c.w.sees(c.LoginClient), "user=alice by=") })
}

// status asks without a login.
func (w *world) status(path string) int {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url(path), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := unshared.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
