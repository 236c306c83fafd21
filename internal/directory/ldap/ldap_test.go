package ldap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/test/dirtest"
)

const people = `dn: uid=sam,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: sam
cn: Sam Reed
sn: Reed
mail: sam@example.com
departmentNumber: north
userPassword: pw
entryUUID: 11111111-1111-4111-8111-111111111111

dn: uid=off,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: windowsAccount
uid: off
cn: Off
sn: Off
userAccountControl: 514

dn: uid=on,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: windowsAccount
uid: on
cn: On
sn: On
userAccountControl: 512
accountExpires: 9223372036854775807

dn: uid=expired,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: windowsAccount
uid: expired
cn: Expired
sn: Expired
accountExpires: 132539328000000000

dn: uid=locked,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: locked
cn: Locked
sn: Locked
pwdAccountLockedTime: 000001010000Z

dn: cn=printer,ou=people,dc=example,dc=com
objectClass: device
cn: printer

dn: cn=field,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: field
member: UID=Sam, OU=people,dc=example,dc=com

dn: cn=everybody,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: everybody
member: cn=field,ou=groups,dc=example,dc=com
member: cn=everybody,ou=groups,dc=example,dc=com

dn: cn=unix,ou=groups,dc=example,dc=com
objectClass: posixGroup
cn: unix
gidNumber: 10
memberUid: sam
`

func options(s *dirtest.Slapd) Options {
	return Options{
		URLs: []string{"ldap://" + s.Addr}, BindDN: "cn=reader,dc=example,dc=com", Password: "read&er",
		Base: "ou=people,dc=example,dc=com", Filter: "(objectClass=inetOrgPerson)",
		Attributes: map[string]string{"username": "UID", "name": "cn", "email": "mail", "department": "departmentNumber"},
		Timeout:    2 * time.Minute, Every: time.Minute, Keep: time.Hour, Limit: 10_000,
		Clock: clock.NewManual(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)),
	}
}

func byName(t *testing.T, users []directory.User) map[string]directory.User {
	t.Helper()
	m := map[string]directory.User{}
	for _, u := range users {
		if _, dup := m[u.Username]; dup {
			t.Errorf("%s twice", u.Username)
		}
		m[u.Username] = u
	}
	return m
}

func read(t *testing.T, o Options) map[string]directory.User {
	t.Helper()
	users, err := New(o).Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return byName(t, users)
}

func TestReadsAccounts(t *testing.T) {
	slapd := dirtest.StartSlapd(t, people)
	o := options(slapd)
	got := read(t, o)
	active := map[string]bool{}
	for name, u := range got {
		active[name] = u.Active
	}
	if d := cmp.Diff(map[string]bool{"sam": true, "off": false, "on": true, "expired": false, "locked": false}, active); d != "" {
		t.Errorf("active: -want +got:\n%s", d)
	}
	want := directory.User{Active: true, Identity: identity.Identity{
		ID: "11111111-1111-4111-8111-111111111111", Username: "sam", Name: "Sam Reed", Email: "sam@example.com", Attributes: map[string]string{"department": "north"},
	}}
	if d := cmp.Diff(want, got["sam"]); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}

	// Groups by search: of groups too, in a circle; by any spelling of the DN; of Unix.
	o.GroupBase, o.GroupFilter = "ou=groups,dc=example,dc=com", "(|(objectClass=groupOfNames)(objectClass=posixGroup))"
	got = read(t, o)
	if d := cmp.Diff([]string{"everybody", "field", "unix"}, got["sam"].Groups); d != "" {
		t.Errorf("groups by search: -want +got:\n%s", d)
	}
	if g := got["on"].Groups; g == nil || len(g) != 0 {
		t.Errorf("in no group: %#v, want none and known to be", g)
	}

	// By memberOf, which the server keeps.
	admin, err := ldap.DialURL("ldap://" + slapd.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.Bind(dirtest.SlapdAdmin, dirtest.SlapdPassword); err != nil {
		t.Fatal(err)
	}
	add := ldap.NewAddRequest("cn=support,ou=groups,dc=example,dc=com", nil)
	add.Attribute("objectClass", []string{"groupOfNames"})
	add.Attribute("member", []string{"uid=on,ou=people,dc=example,dc=com"})
	if err := admin.Add(add); err != nil {
		t.Fatal(err)
	}
	o.GroupBase, o.MemberOf = "", "memberOf"
	got = read(t, o)
	if d := cmp.Diff([]string{"support"}, got["on"].Groups); d != "" {
		t.Errorf("groups by memberOf: -want +got:\n%s", d)
	}

	// Locked by the server's own password policy attribute, set while it runs.
	lock := ldap.NewModifyRequest("uid=sam,ou=people,dc=example,dc=com", nil)
	lock.Replace("pwdAccountLockedTime", []string{"20260501000000Z"})
	if err := admin.Modify(lock); err != nil {
		t.Fatal(err)
	}
	if read(t, o)["sam"].Active {
		t.Error("sam is locked, and active")
	}
}

func TestEncrypted(t *testing.T) {
	slapd := dirtest.StartSlapd(t, people)
	for name, tt := range map[string]struct {
		url      string
		startTLS bool
		ca       string
		want     string
	}{
		"ldaps":                  {"ldaps://" + slapd.TLSAddr, false, slapd.CA, ""},
		"StartTLS":               {"ldap://" + slapd.Addr, true, slapd.CA, ""},
		"ldaps, unknown":         {"ldaps://" + slapd.TLSAddr, false, "", "unknown authority"},
		"StartTLS, unknown":      {"ldap://" + slapd.Addr, true, "", "unknown authority"},
		"ldaps, wrong CA":        {"ldaps://" + slapd.TLSAddr, false, slapd.OtherCA, "unknown authority"},
		"StartTLS, wrong CA":     {"ldap://" + slapd.Addr, true, slapd.OtherCA, "unknown authority"},
		"StartTLS, another name": {"ldap://" + strings.Replace(slapd.Addr, "127.0.0.1", "localhost", 1), true, slapd.CA, "localhost"},
		"another name":           {"ldaps://" + strings.Replace(slapd.TLSAddr, "127.0.0.1", "localhost", 1), false, slapd.CA, "localhost"},
		"ldaps to ldap":          {"ldaps://" + slapd.Addr, false, slapd.CA, "encrypting the connection"},
		"CA that is missing":     {"ldaps://" + slapd.TLSAddr, false, "not/there", "reading ca"},
		"CA that is none":        {"ldaps://" + slapd.TLSAddr, false, slapd.Dir + "/slapd.conf", "no certificate in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(slapd)
			o.URLs, o.StartTLS, o.CA = []string{tt.url}, tt.startTLS, tt.ca
			users, err := New(o).Users(t.Context())
			if tt.want == "" {
				if err != nil || len(users) != 5 {
					t.Fatalf("%d accounts, %v", len(users), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), o.Password) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFailsWhole(t *testing.T) {
	var many strings.Builder
	for i := range 1234 { // more than the server gives at once, and than a page
		fmt.Fprintf(&many, "dn: uid=u%d,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: u%d\ncn: Ü %d\nsn: U\n\n", i, i, i)
	}
	slapd := dirtest.StartSlapd(t, many.String())
	o := options(slapd)
	if n := len(read(t, o)); n != 1234 {
		t.Fatalf("%d accounts in pages", n)
	}
	for name, tt := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"limit":        {func(o *Options) { o.Limit = 1233 }, "more than 1233"},
		"password":     {func(o *Options) { o.Password = "wrong" }, "logging in as cn=reader,dc=example,dc=com: LDAP Result Code 49"},
		"nobody":       {func(o *Options) { o.BindDN = "" }, "searching for accounts below"},
		"no such base": {func(o *Options) { o.Base = "ou=nobody,dc=example,dc=com" }, "No Such Object"},
		"refused":      {func(o *Options) { o.URLs = []string{"ldap://127.0.0.1:1"} }, "connecting"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(slapd)
			tt.change(&o)
			users, err := New(o).Users(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || users != nil {
				t.Fatalf("%d accounts, error %v, want %q", len(users), err, tt.want)
			}
		})
	}

	// The next address is tried; and after the server was away, it is read again.
	o.URLs = []string{"ldap://127.0.0.1:1", "ldap://" + slapd.Addr}
	source := New(o)
	if users, err := source.Users(t.Context()); err != nil || len(users) != 1234 {
		t.Fatalf("%d accounts, %v", len(users), err)
	}
	slapd.Stop()
	if _, err := source.Users(t.Context()); err == nil {
		t.Fatal("read from a server that is down")
	}
	slapd.Start()
	if users, err := source.Users(t.Context()); err != nil || len(users) != 1234 {
		t.Fatalf("afterwards: %d accounts, %v", len(users), err)
	}
}

// A server that accepts and never answers is given up.
func TestSilentServer(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := Options{URLs: []string{"ldap://" + l.Addr().String()}, Base: "dc=x", Filter: "(uid=*)", Timeout: time.Minute, Limit: 1, BindDN: "cn=x", Password: "y", Clock: clock.System}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := New(o).Users(ctx); err == nil {
		t.Fatal("no error")
	}
	o.Timeout, o.BindDN = 100*time.Millisecond, ""
	if _, err := New(o).Users(t.Context()); err == nil || errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
}

func TestActive(t *testing.T) {
	s := New(Options{Clock: clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))})
	for _, tt := range []struct {
		attribute, value string
		want             bool
	}{
		{"userAccountControl", "512", true},
		{"useraccountcontrol", "514", false},
		{"userAccountControl", "66048", true}, // the password never expires
		{"userAccountControl", "66050", false},
		{"userAccountControl", "528", false}, // locked out
		{"userAccountControl", "x", false},
		{"accountExpires", "0", true},
		{"accountExpires", "9223372036854775807", true},
		{"accountExpires", "134116992000000000", false}, // 2026-01-01
		{"accountExpires", "134116992010000000", true},
		{"accountExpires", "", true},
		{"pwdAccountLockedTime", "20250101000000Z", false},
		{"nsAccountLock", "TRUE", false},
		{"nsAccountLock", "false", true},
		{"loginDisabled", "TRUE", false},
	} {
		e := ldap.NewEntry("uid=a", map[string][]string{tt.attribute: {tt.value}})
		if got := s.active(e); got != tt.want {
			t.Errorf("%s: %s: active %v", tt.attribute, tt.value, got)
		}
	}
}

func TestReadable(t *testing.T) {
	e := ldap.NewEntry("cn=a", map[string][]string{"objectGUID": {"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"}})
	if got := readable(e, "objectguid"); got != "33221100-5544-7766-8899-aabbccddeeff" {
		t.Error(got)
	}
	for dn, want := range map[string]string{`CN=a\,b,OU=x`: "a,b", "plain": "plain", "cn=a+sn=b,dc=x": "a"} {
		if got := nameOf(dn); got != want {
			t.Errorf("%s is called %q", dn, got)
		}
	}
	ranged := ldap.NewEntry("cn=g", map[string][]string{"member;range=0-1499": {"uid=a"}})
	if err := whole(ranged); err == nil {
		t.Error("a part of the members passed for all")
	}
}

func TestKey(t *testing.T) {
	a := New(Options{URLs: []string{"ldaps://a"}, Password: "secret", Attributes: map[string]string{"a": "1", "b": "2"}, Clock: clock.System})
	b := New(Options{URLs: []string{"ldaps://a"}, Password: "other", Attributes: map[string]string{"b": "2", "a": "1"}, Every: time.Hour})
	c := New(Options{URLs: []string{"ldaps://a"}, Password: "secret", Attributes: map[string]string{"a": "1"}})
	if a.Key() != b.Key() || a.Key() == c.Key() || strings.Contains(a.Key()+a.Name(), "secret") {
		t.Error(a.Key(), b.Key(), c.Key())
	}
}

func TestCheck(t *testing.T) {
	good := Options{Base: "dc=x", Filter: "(uid=*)", BindDN: `EXAMPLE\reader`}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	bad := Options{Base: "people", Filter: "uid=*)", BindDN: "reader", GroupBase: "x", GroupFilter: "("}
	err := bad.Check()
	for _, want := range []string{"base", "bind", "groups search", `filter "uid=*)"`, `filter "("`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
