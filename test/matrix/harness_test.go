package matrix

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// binary is the gateway under test, built once; certFile and keyFile are its sites' certificate, pin its key's hash.
var binary, certFile, keyFile, pin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "impersonate-matrix-")
	if err == nil {
		err = prepare(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func prepare(dir string) error {
	binary = filepath.Join(dir, "caddy-impersonate")
	build := exec.Command("go", "build", "-o", binary, "./cmd/caddy-impersonate")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	priv, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(pub)
	pin = base64.StdEncoding.EncodeToString(hash[:])
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv}), 0o600)
}

const clientSecret = "matrix-client-secret-matrix-client-secret"

// people are all there are, by username.
var people = map[string]string{"alice": "Alice Ng", "sam": "Sam Reed"}

const usersYAML = `users:
  - {id: u1, username: alice, name: Alice Ng, email: alice@example.com, groups: [support]}
  - {id: u2, username: sam, name: Sam Reed, email: sam@example.com, groups: [fieldworkers]}
`

// options are the global options around each app's site.
const options = `{
	admin off
	persist_config off
	skip_install_trust
	default_bind 127.0.0.1
	auto_https disable_redirects
	storage file_system %[1]s/caddy
	impersonate {
		state sqlite %[1]s/state.db
		oidc {
			issuer        %[2]s
			client_id     gateway
			client_secret %[3]s
			scopes        openid profile email groups
		}
		directory file %[1]s/users.yaml
		policy support {
			actor    group support
			target   group fieldworkers
			mode     full read_only
			duration 30m
			require  reason
		}
		audit {
			journal %[1]s/journal
			sqlite  %[1]s/audit.db
		}
	}
}
%[4]s {
	tls %[5]s %[6]s
%[7]s}
`

// site is a running gateway with one app behind it.
type site struct {
	t        *testing.T
	dir      string
	origin   string
	provider *idptest.Provider
}

// startSite starts a provider, the app, and the gateway on what docs/apps.md shows for it.
func startSite(t *testing.T, a app) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), origin: "https://" + freeport.Addr(t)}
	users := map[string]idptest.User{}
	for name, full := range people {
		users[name] = idptest.User{Claims: map[string]any{"name": full, "email": name + "@example.com", "groups": []string{"staff"}}}
	}
	s.provider = idptest.StartOP(t, idptest.Config{Users: users, Clients: []idptest.Client{{
		ID: "gateway", Secret: clientSecret,
		RedirectURIs:   []string{s.origin + "/.impersonate/callback"},
		PostLogoutURIs: []string{s.origin + "/.impersonate/logged-out"},
	}}})

	files := filepath.Join(s.dir, "app")
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	addr := a.start(t, files, s.origin)
	block := upstream.ReplaceAllString(documented(t, a.name), "${1}"+addr)
	config := filepath.Join(s.dir, "Caddyfile")
	write(t, filepath.Join(s.dir, "users.yaml"), usersYAML)
	write(t, config, fmt.Sprintf(options, s.dir, s.provider.Issuer, clientSecret, s.origin, certFile, keyFile, block))

	cmd := exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_DATA_HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir)
	run(t, "the gateway", cmd, syscall.SIGTERM, func() bool { return answers(s.origin + "/.impersonate/readyz") })
	return s
}

var (
	section   = regexp.MustCompile("(?ms)^##+ ([^\n]+)\n(.*?)(?:^##|\\z)")
	siteBlock = regexp.MustCompile("(?ms)^```caddyfile server\n(.*?)^```$")
	upstream  = regexp.MustCompile(`(?m)^(\s*(?:reverse_proxy|php_fastcgi)\s+)[^\s{]+`)
)

// documented is the site's Caddyfile that docs/apps.md shows for an app.
func documented(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/apps.md")
	if err != nil {
		t.Fatal(err)
	}
	for rest := string(page); ; {
		at := section.FindStringSubmatchIndex(rest)
		if at == nil {
			t.Fatalf("docs/apps.md has no section %q with a Caddyfile", name)
		}
		heading, text := rest[at[2]:at[3]], rest[at[4]:at[5]]
		if block := siteBlock.FindStringSubmatch(text); heading == name && block != nil {
			if !upstream.MatchString(block[1]) {
				t.Fatalf("docs/apps.md: the Caddyfile of %s has no reverse_proxy or php_fastcgi", name)
			}
			return block[1]
		}
		rest = rest[at[5]:]
	}
}

var client = &http.Client{
	Timeout: patience,
	Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // our own certificate, on loopback
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answers tells whether an address answers without an error of the server.
func answers(address string) bool {
	res, err := client.Get(address) //nolint:noctx // polled
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode < http.StatusInternalServerError
}

// audit reads one number from the audit, once its rows are there.
func (s *site) audit(what, query string, want int) {
	s.t.Helper()
	var got int
	waitFor(s.t, patience, what, func() bool {
		got = count(s.t, filepath.Join(s.dir, "audit.db"), query)
		return got == want
	}, func() string { return fmt.Sprintf("%d rows, not %d, of %s", got, want, query) })
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
