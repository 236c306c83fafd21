package e2e

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// loadCompose reads docker-compose.yml with the library docker compose itself is made of: its schema, its
// interpolation.
func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// No container engine runs where these tests do: what the file says is checked here, what it starts is run natively
// by TestComposePartsNatively.
func TestComposeFile(t *testing.T) {
	p := loadCompose(t)
	for name, s := range p.Services {
		if s.Build == nil && s.Image == "" {
			t.Errorf("%s has neither an image nor a build", name)
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
			if !v.ReadOnly {
				t.Errorf("%s may write to %s", name, v.Source)
			}
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s beyond this machine", name, port.Published)
			}
		}
		if once := s.Restart == types.RestartPolicyOnFailure; !once && (s.HealthCheck == nil || len(s.HealthCheck.Test) == 0) {
			t.Errorf("%s has no health check", name)
		}
		for needed, how := range s.DependsOn {
			on := p.Services[needed]
			if how.Condition == types.ServiceConditionHealthy && on.HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which has no check", name, needed)
			}
		}
	}
	for name, secret := range p.Secrets {
		if _, err := os.Stat(secret.File); err != nil {
			t.Errorf("secret %s: %v", name, err)
		}
	}
	if image := p.Services["clickhouse"].Image; !strings.HasPrefix(image, "clickhouse/clickhouse-server:26") {
		t.Errorf("ClickHouse is %s", image)
	}
	mounted := false
	for _, v := range p.Services["gateway"].Volumes {
		mounted = mounted || v.Target == "/etc/caddy/Caddyfile" && filepath.Base(filepath.Dir(v.Source)) != "deploy" && filepath.Base(v.Source) == "Caddyfile"
	}
	if !mounted {
		t.Error("the gateway does not mount the root Caddyfile")
	}
	order := startOrder(t, p)
	for _, pair := range [][2]string{{"clickhouse", "schema"}, {"schema", "users"}, {"users", "gateway"}, {"app", "gateway"}, {"gateway", "provider"}} {
		if order[pair[0]] >= order[pair[1]] {
			t.Errorf("%s does not start before %s", pair[0], pair[1])
		}
	}
}

// startOrder numbers the services by when they can start; a circle fails the test.
func startOrder(t *testing.T, p *types.Project) map[string]int {
	t.Helper()
	order := map[string]int{}
	for round := 1; len(order) < len(p.Services); round++ {
		if round > len(p.Services) {
			t.Fatalf("the services wait for each other; only %v can start", order)
		}
	next:
		for name, s := range p.Services {
			if order[name] != 0 {
				continue
			}
			for needed := range s.DependsOn {
				if n := order[needed]; n == 0 || n == round {
					continue next
				}
			}
			order[name] = round
		}
	}
	return order
}

// The same parts as in docker-compose.yml, without containers: the root Caddyfile as it is, the provider and the app
// of deploy/, the ClickHouse engine, the schema made by the command and shipped to by the gateway.
func TestComposePartsNatively(t *testing.T) {
	ch := chtest.StartOwn(t)
	dir := t.TempDir()
	site := "http://" + strings.Replace(freeport.Addr(t), "127.0.0.1", "localhost", 1)
	issuer := "http://" + strings.Replace(freeport.Addr(t), "127.0.0.1", "localhost", 1)
	secret := filepath.Join(dir, "oidc_client_secret")
	write(t, secret, "native-native-native-native-1234")

	startComposeProvider(t, issuer, site, secret)
	app := startDjango(t)
	run(t, "impersonate", "schema", "apply", "--dsn", ch.DSN)
	dsn, err := url.Parse(ch.DSN)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := dsn.User.Password()

	g := &gateway{t: t, parts: &parts{Dir: dir, Addr: strings.TrimPrefix(site, "http://"), Scheme: "http"}, log: &logBuffer{}}
	g.config, err = filepath.Abs("../../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	g.env = []string{
		"IMPERSONATE_DATA=" + dir, "IMPERSONATE_USERS=" + abs(t, "../../deploy/gateway/users.yaml"), "OIDC_ISSUER=" + issuer, "OIDC_SECRET_FILE=" + secret,
		"CLICKHOUSE_USER=" + dsn.User.Username(), "CLICKHOUSE_PASSWORD=" + password, "CLICKHOUSE_HOSTS=" + ch.Addr,
		"SITE_ADDRESS=" + site, "APP_UPSTREAM=" + app,
	}
	g.start()
	t.Cleanup(func() {
		g.kill(os.Interrupt)
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.log.String())
		}
	})
	if out := run(t, "impersonate", "health", "--url", site); !strings.Contains(out, "ok") {
		t.Errorf("the health check says %s", out)
	}

	alice := logIn(t, site, "alice")
	page := func() string {
		t.Helper()
		res, body := alice.do(http.MethodGet, "/admin/", "", navigation)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("Django answered %d: %.300s", res.StatusCode, body)
		}
		return body
	}
	if body := page(); !strings.Contains(body, "<strong>alice</strong>") {
		t.Errorf("Django does not know alice: %.600s", body)
	}
	alice.become("sam")
	if body := page(); !strings.Contains(body, "<strong>sam</strong>") || !strings.Contains(body, "<impersonate-banner") {
		t.Errorf("Django does not show sam under the banner: %.1200s", body)
	}
	alice.back()
	if body := page(); !strings.Contains(body, "<strong>alice</strong>") || strings.Contains(body, "<impersonate-banner") {
		t.Errorf("Django does not show alice again: %.600s", body)
	}
	waitFor(t, 3*time.Minute, "the rows reach ClickHouse", func() bool {
		return ch.Count("SELECT count() FROM impersonate.impersonations WHERE actor_username = 'alice' AND target_username = 'sam' AND end_cause = 'stopped' AND requests > 0") == 1
	})
}

func startComposeProvider(t *testing.T, issuer, site, secret string) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{"package.json", "package-lock.json", "op.mjs", "accounts.json"} {
		b, err := os.ReadFile(filepath.Join("../../deploy/provider", f))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, f), string(b))
	}
	if err := idptest.NPM(dir, "ci", "--omit=dev", "--no-audit", "--no-fund", "--silent"); err != nil {
		t.Fatalf("installing the provider (node and npm are needed; see test/setup.sh): %v", err)
	}
	log := &logBuffer{}
	cmd := exec.Command("node", "op.mjs")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ISSUER="+issuer, "SITE="+site, "CLIENT_SECRET_FILE="+secret, "LISTEN=localhost")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			t.Logf("the provider's log:\n%s", log.String())
		}
	})
	waitFor(t, 3*time.Minute, "the provider serves", func() bool {
		select {
		case <-done:
			t.Fatalf("the provider ended:\n%s", log.String())
		default:
		}
		return bytes.Contains([]byte(log.String()), []byte("provider ready"))
	})
}

func abs(t *testing.T, path string) string {
	t.Helper()
	p, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
