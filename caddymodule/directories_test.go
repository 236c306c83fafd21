package caddymodule

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/dirtest"
)

// elsewhere has sam and alice in a directory elsewhere and nowhere else.
func elsewhere(t *testing.T, directory string, edit ...func(*world)) (w *world, alice client) {
	t.Helper()
	w = newWorld(t)
	for _, f := range edit {
		f(w)
	}
	w.write("users.yaml", "users:\n  - {id: u1, username: owner, groups: [account-owners]}\n")
	w.extra = directory
	w.mustLoad()
	alice.w, alice.LoginClient = w, w.login("alice")
	w.impersonate(alice.LoginClient, "sam")
	alice.expect("sam")
	return w, alice
}

const (
	ldapEntry = "dn: uid=%,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nobjectClass: windowsAccount\nuid: %\ncn: %\nsn: %\nuserAccountControl: 512\n\n"
	ldapGroup = "dn: cn=%s,ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: %s\nmember: uid=%u,ou=people,dc=example,dc=com\n\n"
)

// startSlapd starts a server with sam and alice, and returns the directory that reads it.
func startSlapd(t *testing.T, every string) (slapd *dirtest.Slapd, directory string) {
	t.Helper()
	groupOf := func(name, member string) string {
		return strings.NewReplacer("%s", name, "%u", member).Replace(ldapGroup)
	}
	slapd = dirtest.StartSlapd(t, strings.ReplaceAll(ldapEntry, "%", "sam")+strings.ReplaceAll(ldapEntry, "%", "alice")+groupOf("support", "alice")+groupOf("fieldworkers", "sam"))
	return slapd, `directory ldap ldap://` + slapd.Addr + ` {
			base ou=people,dc=example,dc=com
			bind cn=reader,dc=example,dc=com
			password read&er
			groups search ou=groups,dc=example,dc=com
			start_tls
			ca ` + slapd.CA + `
			every ` + every + `
		}`
}

// TestDirectoryLDAP: deactivated in LDAP, an account can't be used any longer; while the server is down, its facts
// count, also over a reload.
func TestDirectoryLDAP(t *testing.T) {
	slapd, directory := startSlapd(t, "1s")
	w, alice := elsewhere(t, directory)

	slapd.Stop()
	w.mustLoad()
	alice.expect("sam")
	if status := w.status("/.impersonate/readyz"); status != http.StatusOK {
		t.Errorf("not ready while the last facts count: %d", status)
	}
	slapd.Start()

	slapd.Modify("uid=sam,ou=people,dc=example,dc=com", "userAccountControl", "514")
	alice.ends("sam is deactivated in LDAP")
	slapd.Modify("uid=alice,ou=people,dc=example,dc=com", "userAccountControl", "514")
	w.eventually("alice is deactivated in LDAP", func() bool { return strings.HasPrefix(w.sees(alice.LoginClient), "403") })
}

// changesEnd: sam is deactivated in a table, then alice.
func changesEnd(t *testing.T, url string, exec func(...string)) {
	t.Helper()
	exec("CREATE TABLE users (id INTEGER PRIMARY KEY, login VARCHAR(100), active BOOLEAN, team VARCHAR(100))",
		"INSERT INTO users VALUES (1, 'sam', true, 'fieldworkers'), (2, 'alice', true, 'support')")
	w, alice := elsewhere(t, `directory sql "`+url+`" {
			query "SELECT id, login AS username, active FROM users"
			groups_query "SELECT id, team FROM users"
			every 1s
		}`)
	w.mustLoad()
	alice.expect("sam")
	exec("UPDATE users SET active = false WHERE login = 'sam'")
	alice.ends("sam is deactivated in the table")
	exec("DELETE FROM users WHERE login = 'sam'", "UPDATE users SET active = false WHERE login = 'alice'")
	w.eventually("alice is deactivated in the table", func() bool { return strings.HasPrefix(w.sees(alice.LoginClient), "403") })
}

// TestDirectorySQL: deactivated in the app's own table, an account can't be used any longer.
func TestDirectorySQL(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		db := dirtest.StartPostgres(t)
		changesEnd(t, db.URL, db.Exec)
	})
	t.Run("MariaDB", func(t *testing.T) {
		db := dirtest.StartMariaDB(t)
		changesEnd(t, db.URL, db.Exec)
	})
	t.Run("SQLite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "app.db")
		db, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		changesEnd(t, "sqlite://"+file, func(statements ...string) {
			t.Helper()
			for _, s := range statements {
				if _, err := db.Exec(s); err != nil {
					t.Fatal(s, err)
				}
			}
		})
	})
}

// TestDirectorySCIM: what an identity provider writes is in force at once, and ends an impersonation; it outlives reloads.
func TestDirectorySCIM(t *testing.T) {
	w := newWorld(t)
	w.write("users.yaml", "users:\n  - {id: u1, username: owner, groups: [account-owners]}\n")
	const token = "a-token-of-the-tests"
	w.extra = "directory scim {\n\t\t\tbearer " + token + "\n\t\t}"
	w.mustLoad()
	scim := func(method, path, body string) map[string]any {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, w.url("/.impersonate/scim/v2"+path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/scim+json")
		res, err := unshared.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode/100 != 2 {
			t.Fatalf("%s %s: %d", method, path, res.StatusCode)
		}
		var got map[string]any
		_ = json.NewDecoder(res.Body).Decode(&got) // a 204 has none
		return got
	}
	id := func(o map[string]any) string {
		t.Helper()
		id, ok := o["id"].(string)
		if !ok {
			t.Fatal(o)
		}
		return id
	}
	sam := id(scim("POST", "/Users", `{"userName":"sam","displayName":"Sam Reed"}`))
	staff := id(scim("POST", "/Users", `{"userName":"alice","displayName":"Alice Ng"}`))
	scim("POST", "/Groups", `{"displayName":"fieldworkers","members":[{"value":"`+sam+`"}]}`)
	scim("POST", "/Groups", `{"displayName":"support","members":[{"value":"`+staff+`"}]}`)
	if status := w.status("/.impersonate/scim/v2/Users"); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", status)
	}
	alice := client{w.login("alice"), w}
	w.impersonate(alice.LoginClient, "sam")
	alice.expect("sam")
	w.mustLoad()
	alice.expect("sam")
	scim("PATCH", "/Users/"+sam, `{"Operations":[{"op":"Replace","path":"active","value":"False"}]}`)
	alice.expect("alice") // at once
	scim("PATCH", "/Users/"+sam, `{"Operations":[{"op":"Replace","path":"active","value":"True"}]}`)
	w.impersonate(alice.LoginClient, "sam")
	alice.expect("sam")
	scim("DELETE", "/Users/"+sam, "")
	alice.expect("alice")
}
