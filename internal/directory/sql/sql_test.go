package sql

import (
	"database/sql"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/test/dirtest"
)

func open(t *testing.T, o Options) *Source {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Limit == 0 {
		o.Limit = 10_000
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func read(t *testing.T, o Options) map[string]directory.User {
	t.Helper()
	users, err := open(t, o).Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]directory.User{}
	for _, u := range users {
		m[u.Username] = u
	}
	return m
}

// fails reads what must not be read, and tells no password.
func fails(t *testing.T, o Options, want string) {
	t.Helper()
	users, err := open(t, o).Users(t.Context())
	if err == nil || !strings.Contains(err.Error(), want) || users != nil {
		t.Errorf("%s\n%d accounts, error %v, want %q", o.Query, len(users), err, want)
	}
	if err != nil && (strings.Contains(err.Error(), "re@der") || strings.Contains(err.Error(), "re%40der")) {
		t.Errorf("the password is in the error %v", err)
	}
}

// createSQLite makes a database of an app that goes on writing to it.
func createSQLite(t *testing.T, statements ...string) (file string, db *sql.DB) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "app ü.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(s, err)
		}
	}
	return file, db
}

// conforms is what holds for each database; they differ in how they write things.
func conforms(t *testing.T, o Options, exec func(...string)) {
	t.Helper()
	exec("CREATE TABLE users (id INTEGER PRIMARY KEY, login VARCHAR(100) NOT NULL, full_name VARCHAR(100), mail VARCHAR(100), live BOOLEAN, department VARCHAR(100), teams VARCHAR(100))",
		"CREATE TABLE members (user_id INTEGER, team VARCHAR(100))",
		"INSERT INTO users VALUES (1, 'sam', 'Sam Reed ü 王', 'sam@example.com', true, 'north', 'field, team-north,,field'), (2, 'off', NULL, NULL, false, NULL, NULL), (3, 'null', NULL, NULL, NULL, NULL, '')",
		"INSERT INTO members VALUES (1, 'a'), (1, 'b'), (1, 'a'), (2, 'c'), (99, 'd'), (1, NULL)")
	const columns = "id, login AS username, full_name AS name, mail AS email, live AS active, department"
	o.Query = "SELECT " + columns + ", teams AS " + quoted(o.URL, "groups") + " FROM users"
	want := map[string]directory.User{
		"sam": {Active: true, Identity: identity.Identity{
			ID: "1", Username: "sam", Name: "Sam Reed ü 王", Email: "sam@example.com",
			Groups: []string{"field", "team-north"}, Attributes: map[string]string{"department": "north"},
		}},
		"off":  {Identity: identity.Identity{ID: "2", Username: "off", Attributes: map[string]string{}}},
		"null": {Identity: identity.Identity{ID: "3", Username: "null", Groups: []string{}, Attributes: map[string]string{}}},
	}
	if d := cmp.Diff(want, read(t, o)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}

	o.Query, o.GroupsQuery = "SELECT "+columns+" FROM users", "SELECT user_id, team FROM members ORDER BY team"
	got := read(t, o)
	if d := cmp.Diff([]string{"a", "b"}, got["sam"].Groups); d != "" {
		t.Errorf("groups of the second query: %s", d)
	}
	if g := got["null"].Groups; g == nil || len(g) != 0 {
		t.Errorf("in no group: %#v", g)
	}
	o.Query, o.GroupsQuery = "SELECT login AS username FROM users", "SELECT login, 'x' FROM users"
	if d := cmp.Diff([]string{"x"}, read(t, o)["sam"].Groups); d != "" {
		t.Errorf("groups by username: %s", d)
	}

	with := func(query, groups string) Options {
		o := o
		o.Query, o.GroupsQuery = query, groups
		return o
	}
	fails(t, with("SELECT id FROM users", ""), "no column is called username; the columns are id")
	fails(t, with("SELECT login AS username, id AS Username FROM users", ""), "username")
	fails(t, with("SELECT login AS username, 'perhaps' AS active FROM users", ""), `column active: "perhaps" is neither true nor false`)
	fails(t, with("SELECT login AS username FROM nothing_there", ""), "nothing_there")
	fails(t, with("SELECT login AS username FROM users", "SELECT 1"), "groups_query: 1 columns")
	few := with("SELECT login AS username FROM users", "")
	few.Limit = 2
	fails(t, few, "more than 2 accounts")

	// Whatever the query says, nothing is written.
	for _, write := range []string{
		"DELETE FROM users", "INSERT INTO members VALUES (1, 'admins')", "UPDATE users SET live = true WHERE id = 2",
		"SELECT login AS username FROM users; DELETE FROM users", "SELECT login AS username FROM users; COMMIT; DELETE FROM users; COMMIT",
	} {
		o := with(write, "")
		if _, err := open(t, o).Users(t.Context()); err == nil {
			t.Errorf("%s: no error", write)
		}
	}
	if got := read(t, with("SELECT "+columns+" FROM users", "")); len(got) != 3 || got["off"].Active {
		t.Errorf("something was written: %v", got)
	}
}

func quoted(url, name string) string {
	if strings.HasPrefix(url, "m") {
		return "`" + name + "`"
	}
	return `"` + name + `"`
}

func TestSQLite(t *testing.T) {
	file, db := createSQLite(t)
	exec := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				t.Fatal(s, err)
			}
		}
	}
	o := Options{URL: "sqlite://" + file}
	conforms(t, o, exec)
	o.Query = `SELECT login AS username, '["a","b,c"]' AS groups FROM users`
	if d := cmp.Diff([]string{"a", "b,c"}, read(t, o)["sam"].Groups); d != "" {
		t.Error(d)
	}
	o.Query, o.Timeout = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT max(x) AS username FROM c", 100*time.Millisecond
	fails(t, o, "no answer within 100ms")
	o.URL, o.Query = "sqlite:///not/there.db", "SELECT 1 AS username"
	fails(t, o, "unable to open")
}

func TestPostgres(t *testing.T) {
	db := dirtest.StartPostgres(t)
	o := Options{URL: db.URL}
	conforms(t, o, db.Exec)
	o.Query = `SELECT login AS username, ARRAY['a', 'b,c', NULL] AS groups, now() AS since, 1.5::numeric AS n, '{"k": 1}'::jsonb AS doc, '{x}'::varchar[] AS list FROM users`
	fails(t, o, "not an array of text")
	o.Query = `SELECT login AS username, ARRAY['a', 'b,c'] AS groups, timestamptz '2026-01-02 03:04:05+01' AS since, 1.5::numeric AS n FROM users`
	sam := read(t, o)["sam"]
	if d := cmp.Diff([]string{"a", "b,c"}, sam.Groups); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"since": "2026-01-02T02:04:05Z", "n": "1.5"}, sam.Attributes); d != "" {
		t.Error(d)
	}
	o.Query, o.Timeout = "SELECT pg_sleep(30)::text AS username", time.Second
	if _, err := open(t, o).Users(t.Context()); err == nil {
		t.Error("a query that takes too long: no error")
	}
	o.URL, o.Query = "postgres://reader:re%40der@"+db.Addr+"/postgres?sslmode=disable", "SELECT login AS username FROM users"
	fails(t, o, "permission denied")
	o.URL = "postgres://reader:re%40der@" + db.Addr + "/nowhere?sslmode=disable"
	fails(t, o, "nowhere")
	again(t, db, Options{URL: db.URL, Query: "SELECT login AS username FROM users"})
}

func TestMariaDB(t *testing.T) {
	db := dirtest.StartMariaDB(t)
	o := Options{URL: db.URL}
	conforms(t, o, db.Exec)
	db.Exec("CREATE TABLE bits (login VARCHAR(10), live BIT(1), doc JSON)", `INSERT INTO bits VALUES ('on', b'1', '["a","b"]'), ('off', b'0', NULL)`)
	o.Query = "SELECT login AS username, live AS active, doc AS `groups` FROM bits"
	got := read(t, o)
	if !got["on"].Active || got["off"].Active {
		t.Errorf("bits: %+v", got)
	}
	if d := cmp.Diff([]string{"a", "b"}, got["on"].Groups); d != "" {
		t.Error(d)
	}
	o.Query, o.Timeout = "SELECT SLEEP(30) AS username", time.Second
	if _, err := open(t, o).Users(t.Context()); err == nil {
		t.Error("a query that takes too long: no error")
	}
	o.URL, o.Query = strings.Replace(db.URL, "re%40der", "re%40der2", 1), "SELECT 1 AS username"
	fails(t, o, "Access denied")
	again(t, db, Options{URL: db.URL, Query: "SELECT login AS username FROM users"})
}

// encrypts checks who is let in, and that what is sent can't be read on the way. Plain is the address without options; ask is a
// query whose username is empty on a connection that is not encrypted.
func encrypts(t *testing.T, db *dirtest.Database, plain, verified, ask string) {
	t.Helper()
	named := func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }
	certified := regexp.MustCompile(`//[^@]*@`).ReplaceAllString(plain, "//"+dirtest.ClientName+"@")
	for name, tt := range map[string]struct {
		o    Options
		want string // of the error; empty: it is read
	}{
		"ca":                          {Options{URL: plain, CA: db.CA}, ""},
		"ca, whatever the address":    {Options{URL: strings.NewReplacer("verify-full", "disable", "true", "false").Replace(verified), CA: db.CA}, ""},
		"wrong ca":                    {Options{URL: plain, CA: db.OtherCA}, "unknown authority"},
		"the system's":                {Options{URL: verified}, "unknown authority"},
		"another name":                {Options{URL: named(plain), CA: db.CA}, "localhost"},
		"certificate":                 {Options{URL: certified, CA: db.CA, ClientCert: db.ClientCert, ClientKey: db.ClientKey}, ""},
		"certificate without the ca":  {Options{URL: certified, ClientCert: db.ClientCert, ClientKey: db.ClientKey}, "unknown authority"},
		"the account without one":     {Options{URL: certified, CA: db.CA}, dirtest.ClientName},
		"the account, not encrypted":  {Options{URL: certified}, dirtest.ClientName},
		"certificate of another name": {Options{URL: named(certified), CA: db.CA, ClientCert: db.ClientCert, ClientKey: db.ClientKey}, "localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			o := tt.o
			o.Query = ask
			if tt.want != "" {
				fails(t, o, tt.want)
				return
			}
			for username := range read(t, o) {
				if username == "" || username == "false" {
					t.Error("not encrypted")
				}
				return
			}
			t.Error("nothing was read")
		})
	}
	for want, o := range map[string]Options{
		"reading ca: ":           {URL: plain, CA: "not/there"},
		"no certificate in PEM":  {URL: plain, CA: db.ClientKey},
		"reading client_cert: ":  {URL: plain, ClientCert: db.ClientCert, ClientKey: db.CA},
		"reading client_cert: o": {URL: plain, ClientCert: "not/there", ClientKey: db.ClientKey},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestPostgresEncrypted(t *testing.T) {
	db := dirtest.StartPostgres(t)
	plain := strings.TrimSuffix(db.URL, "?sslmode=disable")
	encrypts(t, db, plain, plain+"?sslmode=verify-full", "SELECT ssl::text AS username FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
	// As the address alone says it.
	o := Options{URL: "postgres://" + dirtest.ClientName + "@" + db.Addr + "/postgres?sslmode=verify-full&sslrootcert=" + db.CA + "&sslcert=" + db.ClientCert + "&sslkey=" + db.ClientKey, Query: "SELECT current_user::text AS username"}
	if _, ok := read(t, o)[dirtest.ClientName]; !ok {
		t.Error("not the account of the certificate")
	}
}

func TestMariaDBEncrypted(t *testing.T) {
	db := dirtest.StartMariaDB(t)
	encrypts(t, db, db.URL, db.URL+"?tls=true", "SELECT variable_value AS username FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'")
}

// again: after the server was away, accounts are read as before.
func again(t *testing.T, db *dirtest.Database, o Options) {
	t.Helper()
	s := open(t, o)
	for _, step := range []string{"before", "after"} {
		if users, err := s.Users(t.Context()); err != nil || len(users) != 3 {
			t.Fatalf("%s: %d accounts, %v", step, len(users), err)
		}
		if step == "before" {
			db.Stop()
			if _, err := s.Users(t.Context()); err == nil {
				t.Fatal("read from a server that is down")
			}
			db.Start()
		}
	}
}

// A server that accepts and never answers is given up.
func TestSilentServer(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"postgres", "mysql"} {
		o := Options{URL: scheme + "://reader:re%40der@" + l.Addr().String() + "/app", Query: "SELECT 1 AS username", Timeout: 200 * time.Millisecond}
		fails(t, o, "")
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"http://db/app":                   "starts with none of",
		"postgres://a:re@der%zz@db/app":   "can't be read",
		"postgres://db:port/app":          "can't be read",
		"postgres://db/app?sslmode=never": "none that PostgreSQL knows",
		"mysql://db/app?tls=perhaps":      "none that MySQL knows",
		"mysql:///app":                    "none that MySQL knows",
		"sqlite://app.db":                 "absolute path",
		"sqlite:///app.db?mode=rwc":       "absolute path",
		"sqlite:app.db":                   "absolute path",
	} {
		_, err := New(Options{URL: address})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "re@der") {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	for address, name := range map[string]string{
		"postgres://reader:re%40der@db:5433/app?sslmode=disable": "sql postgres://db:5433/app",
		"mysql://reader:re%40der@db/app?tls=true":                "sql mysql://db/app",
		"sqlite:///var/lib/app.db":                               "sql sqlite:///var/lib/app.db",
	} {
		s := open(t, Options{URL: address, Query: "SELECT 1"})
		if s.Name() != name || strings.Contains(s.Key(), "der") {
			t.Errorf("%s is called %s, %s", address, s.Name(), s.Key())
		}
		if other := open(t, Options{URL: address, Query: "SELECT 2"}); other.Key() == s.Key() {
			t.Error("another query has the same key")
		}
	}
}

func TestBoolOf(t *testing.T) {
	for _, tt := range []struct {
		v    any
		want string
	}{
		{true, "true"},
		{int64(1), "true"},
		{"t", "true"},
		{[]byte("Enabled"), "true"},
		{[]byte{1}, "true"},
		{float64(1), "true"},
		{nil, "false"},
		{int64(0), "false"},
		{"no", "false"},
		{"", "false"},
		{[]byte{0}, "false"},
		{int64(2), "error"},
		{"ok", "error"},
		{"null", "error"},
	} {
		got, err := boolOf(tt.v)
		s := fmt.Sprint(got)
		if err != nil {
			s = "error"
		}
		if s != tt.want || err != nil && got {
			t.Errorf("%v: %s (%v), want %s", tt.v, s, err, tt.want)
		}
	}
}
