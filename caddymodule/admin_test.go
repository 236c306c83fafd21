package caddymodule

import (
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// TestRefreshEndsAtOnce: a directory that is read once a day is read when the operator says so, and whoever was deactivated
// there is out when the answer is: the next request is the person's own, and what was under way is cut.
func TestRefreshEndsAtOnce(t *testing.T) {
	t.Run("LDAP", func(t *testing.T) {
		slapd, directory := startSlapd(t, "1d")
		endsByRefresh(t, directory, func() { slapd.Modify("uid=sam,ou=people,dc=example,dc=com", "userAccountControl", "514") }, slapd.Stop)
	})
	t.Run("SQL", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "app.db")
		db, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		exec := func(statement string) {
			t.Helper()
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		exec("CREATE TABLE users (id INTEGER PRIMARY KEY, login TEXT, active BOOLEAN, team TEXT)")
		exec("INSERT INTO users VALUES (1, 'sam', true, 'fieldworkers'), (2, 'alice', true, 'support')")
		endsByRefresh(t, `directory sql "sqlite://`+file+`" {
			query "SELECT id, login AS username, active FROM users"
			groups_query "SELECT id, team FROM users"
			every 1d
		}`, func() { exec("UPDATE users SET active = false WHERE login = 'sam'") }, func() { exec("DROP TABLE users") })
	})
}

func endsByRefresh(t *testing.T, directory string, deactivate, destroy func()) {
	t.Helper()
	admin := freeport.Addr(t)
	w, alice := elsewhere(t, directory, func(w *world) { w.admin = admin })
	config := filepath.Join(w.dir, "Caddyfile")
	w.write("Caddyfile", w.caddyfile())

	// Under way as sam.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url("/slow"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range alice.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	slow, err := unshared.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Body.Close()

	out, errs, code := execute(t, usersCommand(), "refresh", "--config", config)
	if code != 0 || !strings.Contains(out, "read") {
		t.Fatalf("nothing has changed: code %d\n%s%s", code, out, errs)
	}
	alice.expect("sam")
	deactivate()
	alice.expect("sam") // a day is long
	if out, errs, code := execute(t, usersCommand(), "refresh", "--address", admin); code != 0 {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	alice.expect("alice")
	if _, err := io.Copy(io.Discard, slow.Body); err == nil {
		t.Error("what was under way came to its end")
	}

	destroy()
	out, errs, code = execute(t, usersCommand(), "refresh", "--address", admin)
	if code != 1 || !strings.Contains(errs, "not all sources could be read") || strings.Count(out, "\n") != 4 {
		t.Errorf("a source is gone: code %d\n%s%s", code, out, errs)
	}
	alice.expect("alice")
}

// askAdmin sends a request to the administration endpoint.
func (w *world) askAdmin(method, path, origin, body string) (status int, said string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.admin+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	res, err := unshared.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestAdminAPI(t *testing.T) {
	w := newWorld(t)
	w.admin = freeport.Addr(t)
	w.mustLoad()
	ask := func(method, origin string) (status int, body string) {
		t.Helper()
		return w.askAdmin(method, refreshPath, origin, "")
	}
	status, body := ask(http.MethodPost, "")
	var got refreshed
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
		t.Fatal(status, body, err)
	}
	if !got.Complete || got.Users != 3 || len(got.Sources) != 2 || got.Sources[0].LastGood == nil || got.Sources[0].Users != 3 {
		t.Errorf("%s", body)
	}
	if status, body := ask(http.MethodGet, ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d %s", status, body)
	}
	if status, body := ask(http.MethodPost, "https://elsewhere.example"); status != http.StatusForbidden {
		t.Errorf("from another origin: %d %s", status, body)
	}
	// The endpoint of a server without the app.
	if _, errs, code := execute(t, usersCommand(), "refresh", "--address", freeport.Addr(t)); code != 1 || !strings.Contains(errs, "asking the running gateway") {
		t.Errorf("nobody there: code %d %s", code, errs)
	}
}
