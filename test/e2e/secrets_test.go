package e2e

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/demo/provider"
	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// secrets are what must be found nowhere, by what they are.
type secrets struct {
	mu     sync.Mutex
	values map[string]string
}

func (s *secrets) note(what, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value != "" {
		s.values[what+" "+value[:min(len(value), 6)]+"…"] = value
	}
}

// fresh makes one up.
func (s *secrets) fresh(what string) string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails
	value := "s" + hex.EncodeToString(b[:])
	s.note(what, value)
	return value
}

// startTalkativeProvider runs the demo's provider, and notes everything secret that passes between it, the browser
// and the gateway.
func startTalkativeProvider(t *testing.T, s *secrets, origin string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	issuer := "http://" + l.Addr().String()
	p, err := provider.New(provider.Options{
		Issuer: issuer, ClientID: "gateway", ClientSecret: clientSecret,
		RedirectURIs: []string{origin + "/.impersonate/callback"}, PostLogoutURIs: []string{origin + "/.impersonate/logged-out"},
		Accounts: []provider.Account{{Subject: "u2", Username: "alice", Password: "demo", Name: "Alice Ng", Groups: []string{"support"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		p.ServeHTTP(answer, r)
		if form, err := url.ParseQuery(string(body)); err == nil && r.URL.Path == "/token" {
			s.note("code", form.Get("code"))
			s.note("PKCE verifier", form.Get("code_verifier"))
			var tokens map[string]any
			if err := json.Unmarshal(answer.Body.Bytes(), &tokens); err != nil {
				t.Error(err)
			}
			for _, name := range []string{"id_token", "access_token"} {
				token, _ := tokens[name].(string)
				s.note(name, token)
			}
		}
		if to, err := url.Parse(answer.Header().Get("Location")); err == nil {
			s.note("code", to.Query().Get("code"))
			s.note("state", to.Query().Get("state"))
		}
		s.note("nonce", r.URL.Query().Get("nonce"))
		for _, c := range answer.Result().Cookies() {
			s.note("the provider's cookie", c.Value)
		}
		for name, v := range answer.Header() {
			w.Header()[name] = v
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return issuer
}

// startCareless runs an app that hands out secrets, and takes them in URLs.
func startCareless(t *testing.T, s *secrets) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
		http.SetCookie(w, &http.Cookie{Name: "app_session", Value: s.fresh("the app's session cookie"), Path: "/", HttpOnly: true})
		http.SetCookie(w, &http.Cookie{Name: "csrftoken", Value: s.fresh("the app's CSRF cookie"), Path: "/"})
		s.note("assertion", r.Header.Get("X-Impersonate-Assertion"))
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/page?reset_token="+s.fresh("a token in Location"), http.StatusFound)
		case "/broken":
			panic(http.ErrAbortHandler)
		case "/api":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{}`))
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, "<!DOCTYPE html><title>p</title><p>%s", s.fresh("a secret on a page"))
		}
	}))
	t.Cleanup(app.Close)
	return strings.TrimPrefix(app.URL, "http://")
}

// What opens something must be in no log, no row and no file: neither the gateway's own secrets nor those that pass
// through it. The gateway's loggers are set to DEBUG here.
func TestNoSecretsInLogsOrAudit(t *testing.T) {
	s := &secrets{values: map[string]string{"client secret": clientSecret}}
	p := &parts{Dir: t.TempDir(), Addr: freeport.Addr(t), Scheme: "http"}
	p.UsersFile = filepath.Join(p.Dir, "users.yaml")
	write(t, p.UsersFile, usersYAML)
	p.Issuer = startTalkativeProvider(t, s, p.origin())
	p.App = startCareless(t, s)
	p.Site = "assertion X-Impersonate-Assertion"
	p.Audit = "requests all"
	p.Global = "log own {\n\toutput file " + filepath.Join(p.Dir, "own.log") + "\n\tlevel DEBUG\n\tinclude impersonate http.handlers.impersonate\n}"
	g := startGateway(t, p)

	alice := logIn(t, p.origin(), "alice")
	_, session, _ := strings.Cut(alice.cookie, "=")
	s.note("session", session)
	misuse(t, s, alice)
	alice.become("sam")
	misuse(t, s, alice)
	alice.back()

	// Logins that fail are told of; what failed is not.
	for _, query := range []string{
		"code=" + s.fresh("a forged code") + "&state=" + s.fresh("a forged state"),
		"error=access_denied&error_description=token%3D" + s.fresh("a token in an error") + "&state=" + s.fresh("a forged state"),
	} {
		if res, _ := alice.do(http.MethodGet, "/.impersonate/callback?"+query, "", navigation); res.StatusCode < 400 {
			t.Errorf("a forged callback answered %d", res.StatusCode)
		}
	}
	replay(t, s, p)
	alice.do(http.MethodGet, "/.impersonate/login?return_to="+url.QueryEscape("/page?token="+s.fresh("a token in return_to")), "", navigation)
	stranger := &person{t: t, origin: p.origin(), client: insecureClient(), cookie: "impersonate=" + base64.RawURLEncoding.EncodeToString([]byte(s.fresh("a forged session")+"x"))}
	s.note("a forged session", strings.TrimPrefix(stranger.cookie, "impersonate="))
	stranger.do(http.MethodGet, "/page?token="+s.fresh("a stranger's token"), "", navigation)
	// Logout carries the ID token to the provider in a URL.
	res, body := alice.do(http.MethodPost, "/.impersonate/logout", "", navigation, func(r *http.Request) { r.Header.Set("Origin", p.origin()) })
	if to := res.Header.Get("Location") + body; !strings.Contains(to, "id_token_hint=") {
		t.Errorf("logging out answered %d without an ID token: %q %s", res.StatusCode, to, body)
	}
	g.kill(syscall.SIGTERM)

	found := everythingKept(t, p.Dir)
	found["stdout and stderr"] = []byte(g.log.String())
	// That the search would find something:
	for file, want := range map[string]string{
		"access.log": `"uri":"/page?REDACTED"`, "own.log": "login failed", "audit.db as text": "visible=yes", "stdout and stderr": "/broken?REDACTED", "state.db as text": "alice",
	} {
		if !bytes.Contains(found[file], []byte(want)) {
			t.Errorf("%s does not hold %q: is it looked at?\n%.2000s", file, want, found[file])
		}
	}
	if !bytes.Contains(found["audit.db as text"], []byte("token=[redacted]")) {
		t.Error("the audit has no redacted token: was one sent?")
	}
	if len(s.values) < 40 {
		t.Errorf("only %d secrets were used", len(s.values))
	}
	for what, value := range s.values {
		forms := map[string]string{"": value, ", escaped": url.QueryEscape(value), ", in base64": base64.StdEncoding.EncodeToString([]byte(value)), ", in hex": hex.EncodeToString([]byte(value))}
		if raw, err := base64.RawURLEncoding.DecodeString(value); err == nil && strings.HasPrefix(what, "session") {
			forms[", its bytes"], forms[", its bytes in hex"] = string(raw), hex.EncodeToString(raw)
		}
		for form, text := range forms {
			for file, content := range found {
				if i := bytes.Index(content, []byte(text)); i >= 0 {
					t.Errorf("%s%s is in %s: …%q…", what, form, file, content[max(0, i-150):min(len(content), i+len(text)+50)])
				}
			}
		}
	}
	t.Logf("%d secrets sought in %d files", len(s.values), len(found))
}

// misuse sends requests that carry secrets in every place where apps have been seen to take them.
func misuse(t *testing.T, s *secrets, p *person) {
	t.Helper()
	send := func(status int, method, path, body string, edit ...func(*http.Request)) {
		t.Helper()
		res, text := p.do(method, path, body, edit...)
		if res.StatusCode != status {
			t.Errorf("%s %s answered %d: %.300s", method, path, res.StatusCode, text)
		}
	}
	send(http.StatusOK, http.MethodGet, "/page?visible=yes&token="+s.fresh("token")+"&access_token="+s.fresh("access_token"), "", navigation)
	send(http.StatusOK, http.MethodGet, "/page?next="+url.QueryEscape("/cb?code="+s.fresh("code in a parameter")+"&x=1"), "", navigation)
	send(http.StatusOK, http.MethodGet, "/page?To%6ben="+s.fresh("token under an escaped name")+"&user[password]="+s.fresh("password in brackets"), "")
	send(http.StatusOK, http.MethodGet, "/page;jsessionid="+s.fresh("session in a path"), "")
	send(http.StatusOK, http.MethodGet, "/api?data="+url.QueryEscape(`{"apiKey":"`+s.fresh("key in JSON")+`"}`), "")
	send(http.StatusOK, http.MethodPost, "/api?password="+s.fresh("password"), "secret="+s.fresh("secret in a form"), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-CSRFToken", s.fresh("CSRF header"))
	})
	send(http.StatusOK, http.MethodGet, "/api", "", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+s.fresh("bearer token"))
		r.Header.Set("Cookie", p.cookie+"; app_session="+s.fresh("cookie of the app")+"; other="+s.fresh("another cookie"))
		r.Header.Set("X-Api-Key", s.fresh("API key"))
		r.Header.Set("Referer", p.origin+"/reset?token="+s.fresh("token in Referer"))
	})
	send(http.StatusOK, http.MethodGet, "/api", "", func(r *http.Request) { r.SetBasicAuth("someone", s.fresh("basic password")) })
	send(http.StatusFound, http.MethodGet, "/moved", "", navigation)
	send(http.StatusBadGateway, http.MethodGet, "/broken?token="+s.fresh("token to a broken page"), "")
	send(http.StatusForbidden, http.MethodPost, "/.impersonate/stop?token="+s.fresh("token to ours"), "", func(r *http.Request) { r.Header.Set("Origin", "http://elsewhere.test") })
}

// replay brings a code back a second time.
func replay(t *testing.T, s *secrets, p *parts) {
	t.Helper()
	c := idptest.NewLoginClient(t, "alice")
	callback := c.ToCallback(p.origin() + "/.impersonate/login?return_to=/.impersonate/")
	origin, err := url.Parse(p.origin())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range c.Jar.Cookies(origin) {
		s.note("the pending login", k.Value)
	}
	first := c.Get(callback)
	for _, k := range first.Cookies {
		s.note("session", k.Value)
	}
	if again := c.Get(callback); first.Status >= 400 || again.Status < 400 {
		t.Errorf("a callback answered %d, the same again %d", first.Status, again.Status)
	}
}

// everythingKept reads all files below a directory but the configuration, and the databases also as text: SQLite may
// scatter a long value.
func everythingKept(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "Caddyfile" {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		content, err := os.ReadFile(path)
		found[name] = content
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.db", "audit.db"} {
		found[name+" as text"] = dump(t, filepath.Join(dir, name))
	}
	return found
}

// dump is every value of every table of a database.
func dump(t *testing.T, path string) []byte {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	names := column(t, db, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
	if len(names) == 0 {
		t.Fatalf("%s has no tables", path)
	}
	var b bytes.Buffer
	for _, name := range names {
		rows, err := db.QueryContext(t.Context(), `SELECT * FROM "`+name+`"`)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		values, into := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s: ", name)
			for _, v := range values {
				b.Write(v)
				b.WriteByte('|')
			}
			b.WriteByte('\n')
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return b.Bytes()
}

func column(t *testing.T, db *sql.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	return values
}
