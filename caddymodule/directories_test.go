package caddymodule

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/dirtest"
)

// elsewhere has sam and alice in a directory elsewhere and nowhere else.
func elsewhere(t *testing.T, directory string) (w *world, alice client) {
	t.Helper()
	w = newWorld(t)
	w.write("users.yaml", "users:\n  - {id: u1, username: owner, groups: [account-owners]}\n")
	w.extra = directory
	w.mustLoad()
	alice.w, alice.LoginClient = w, w.login("alice")
	w.impersonate(alice.LoginClient, "sam")
	alice.expect("sam")
	return w, alice
}

// TestDirectoryLDAP: deactivated in LDAP, an account can't be used any longer; while the server is down, its facts
// count, also over a reload.
func TestDirectoryLDAP(t *testing.T) {
	const entry = "dn: uid=%,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nobjectClass: windowsAccount\nuid: %\ncn: %\nsn: %\nuserAccountControl: 512\n\n"
	const group = "dn: cn=%s,ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: %s\nmember: uid=%u,ou=people,dc=example,dc=com\n\n"
	groupOf := func(name, member string) string {
		return strings.NewReplacer("%s", name, "%u", member).Replace(group)
	}
	slapd := dirtest.StartSlapd(t, strings.ReplaceAll(entry, "%", "sam")+strings.ReplaceAll(entry, "%", "alice")+groupOf("support", "alice")+groupOf("fieldworkers", "sam"))
	w, alice := elsewhere(t, `directory ldap ldap://`+slapd.Addr+` {
			base ou=people,dc=example,dc=com
			bind cn=reader,dc=example,dc=com
			password read&er
			groups search ou=groups,dc=example,dc=com
			start_tls
			ca `+slapd.CA+`
			every 1s
		}`)

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
