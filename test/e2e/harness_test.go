package e2e

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// binary is the gateway under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "impersonate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "caddy-impersonate")
	build := exec.Command("go", "build", "-o", binary, "./cmd/caddy-impersonate")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the gateway: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const clientSecret = "e2e-client-secret-e2e-client-secret"

// parts are what one test's gateway stands between.
type parts struct {
	Dir        string
	Addr       string // host:port of the site
	Scheme     string
	Issuer     string
	App        string // host:port
	ClickHouse string // DSN; empty: SQLite
	Policy     string // lines added to the policy
	Require    string // what it requires; empty: reason
	OIDC       string // lines added to oidc
	Audit      string // lines added to audit
	Site       string // lines added to the site
	Global     string // lines added to the global options
	More       string // lines added to the app's options
	Log        string // lines added to the default log
	UsersFile  string
	Config     string // the whole Caddyfile, in place of what these make of it

	Begin time.Time // when the clock begins of a gateway in this process; zero: now
}

func (p *parts) origin() string { return p.Scheme + "://" + p.Addr }

const usersYAML = `users:
  - {id: u1, username: owner, name: Olivia Hart, email: owner@example.test, groups: [account-owners]}
  - {id: u2, username: alice, name: Alice Ng, email: alice@example.test, groups: [support]}
  - {id: u3, username: sam, name: Sam Reed, email: sam@example.test, groups: [fieldworkers]}
  - {id: u4, username: former, name: Frank Otto, groups: [fieldworkers], active: false}
  - {id: u5, username: bob, name: Bob Stone, email: bob@example.test, groups: [support]}
`

// newParts picks an address, writes the directory and starts the provider.
func newParts(t *testing.T) *parts {
	t.Helper()
	p := &parts{Dir: t.TempDir(), Addr: freeport.Addr(t), Scheme: "http"}
	p.UsersFile = filepath.Join(p.Dir, "users.yaml")
	write(t, p.UsersFile, usersYAML)
	p.Issuer = startProvider(t, p.origin(), "https://"+p.Addr).Issuer
	return p
}

func startProvider(t *testing.T, origins ...string) *idptest.Provider {
	t.Helper()
	users := map[string]idptest.User{}
	for name, full := range map[string]string{"owner": "Olivia Hart", "alice": "Alice Ng", "sam": "Sam Reed", "former": "Frank Otto", "bob": "Bob Stone"} {
		users[name] = idptest.User{Claims: map[string]any{"name": full, "email": name + "@example.test", "groups": []string{"staff"}}}
	}
	client := idptest.Client{ID: "gateway", Secret: clientSecret}
	for _, o := range origins {
		client.RedirectURIs = append(client.RedirectURIs, o+"/.impersonate/callback")
		client.PostLogoutURIs = append(client.PostLogoutURIs, o+"/.impersonate/logged-out")
	}
	return idptest.StartOP(t, idptest.Config{Clients: []idptest.Client{client}, Users: users})
}

func (p *parts) caddyfile() string {
	if p.Config != "" {
		return p.Config
	}
	sink := "sqlite " + filepath.Join(p.Dir, "audit.db")
	if p.ClickHouse != "" {
		sink = "clickhouse " + p.ClickHouse
	}
	return fmt.Sprintf(`{
	admin off
	persist_config off
	skip_install_trust
	storage file_system %[1]s/caddy
	log {
		%[11]s
		%[12]s
	}
	%[10]s
	impersonate {
		state sqlite %[1]s/state.db
		oidc {
			issuer        %[2]s
			client_id     gateway
			client_secret %[3]s
			scopes        openid profile email groups
			%[14]s
		}
		directory file %[1]s/users.yaml
		role owner   group account-owners
		protect group account-owners support
		policy support {
			actor    group support
			target   group fieldworkers
			mode     full read_only
			duration 30m
			require  %[13]s
			%[6]s
		}
		audit {
			journal %[1]s/journal
			%[4]s
			%[7]s
		}
		%[15]s
	}
}
%[5]s {
	log {
		output file %[1]s/access.log
		%[12]s
	}
	impersonate {
		identity Remote-User   {impersonate.user.username}
		identity Remote-Email  {impersonate.user.email}
		identity Remote-Name   {impersonate.user.name}
		identity Remote-Groups {impersonate.user.groups}
		%[8]s
	}
	reverse_proxy %[9]s
}
`, p.Dir, p.Issuer, clientSecret, sink, p.origin(), p.Policy, p.Audit, p.Site, p.App, p.Global, p.Log, withoutQueries, cmp.Or(p.Require, "reason"), p.OIDC, p.More)
}

// withoutQueries keeps what URLs may carry (the provider's code, an app's tokens, the ID token at logout) and CSRF
// tokens out of a log: Caddy itself hides only Cookie, Set-Cookie and Authorization.
const withoutQueries = `format filter {
			request>uri                  regexp [?;].* ?REDACTED
			request>headers>Referer      regexp [?;].* ?REDACTED
			request>headers>X-Csrftoken  delete
			request>headers>X-Csrf-Token delete
			request>headers>X-Xsrf-Token delete
			request>headers>X-Api-Key    delete
			resp_headers>Location        regexp [?;].* ?REDACTED
		}`

// gateway is a running binary.
type gateway struct {
	t     *testing.T
	parts *parts
	cmd   *exec.Cmd
	done  chan struct{}
	log   *logBuffer
	// config is the Caddyfile; empty: Caddyfile in the parts' directory. Env is added to the environment. Binary and ready
	// are others than the gateway's and /readyz, if not empty.
	config        string
	env           []string
	binary, ready string
}

// startGateway runs the binary on the parts' Caddyfile and waits until it serves.
func startGateway(t *testing.T, p *parts) *gateway {
	t.Helper()
	g := &gateway{t: t, parts: p, log: &logBuffer{}}
	write(t, filepath.Join(p.Dir, "Caddyfile"), p.caddyfile())
	g.start()
	t.Cleanup(func() {
		g.kill(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.log.String())
		}
	})
	return g
}

func (g *gateway) start() {
	g.t.Helper()
	if g.config == "" {
		g.config = filepath.Join(g.parts.Dir, "Caddyfile")
	}
	args := []string{"run", "--config", g.config}
	if !strings.HasSuffix(g.config, ".json") {
		args = append(args, "--adapter", "caddyfile")
	}
	g.cmd = exec.Command(cmp.Or(g.binary, binary), args...)
	g.cmd.Env = append(os.Environ(), "HOME="+g.parts.Dir, "XDG_DATA_HOME="+g.parts.Dir, "XDG_CONFIG_HOME="+g.parts.Dir)
	g.cmd.Env = append(g.cmd.Env, g.env...)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.done = make(chan struct{})
	go func() {
		_ = g.cmd.Wait()
		close(g.done)
	}()
	client := insecureClient()
	waitFor(g.t, 3*time.Minute, "the gateway serves", func() bool {
		select {
		case <-g.done:
			g.t.Fatalf("the gateway ended:\n%s", g.log.String())
		default:
		}
		res, err := client.Get(g.parts.origin() + cmp.Or(g.ready, "/.impersonate/readyz"))
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// kill ends the process and waits for it.
func (g *gateway) kill(s os.Signal) {
	select {
	case <-g.done:
		return
	default:
	}
	_ = g.cmd.Process.Signal(s)
	select {
	case <-g.done:
	case <-time.After(2 * time.Minute):
		_ = g.cmd.Process.Kill()
		<-g.done
		g.t.Errorf("the gateway did not end within two minutes of %v", s)
	}
}

// run runs a command of the binary to its end.
func run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("caddy-impersonate %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// logBuffer collects what a process prints.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// waitFor waits on a condition.
func waitFor(t testing.TB, most time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %v: %s", most, what)
		case <-tick.C:
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
