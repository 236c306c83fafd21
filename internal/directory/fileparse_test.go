package directory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

func TestParseUsers(t *testing.T) {
	sam := User{Active: true, Identity: identity.Identity{
		ID: "17", Username: "sam", Name: "Sam Reed", Email: "sam@example.com", Groups: []string{"field", "north"},
		Attributes: map[string]string{"department": "north", "level": "3", "since": "2020-01-01", "on-call": "true", "none": ""},
	}}
	const full = `
  - id: 17
    username: sam
    name: "Sam Reed"
    email: sam@example.com
    groups: [field, north, field]
    active: true
    attributes: {department: north, level: 3, since: 2020-01-01, on-call: true, none: null}
`
	min := func(name string) User {
		return User{Active: true, Identity: identity.Identity{ID: name, Username: name}}
	}
	off := min("kim")
	off.Active = false
	none := min("lee")
	none.Groups, none.Attributes = []string{}, map[string]string{}
	shared := []User{min("a"), min("b")}
	for i := range shared {
		shared[i].Groups, shared[i].Attributes = []string{"x"}, map[string]string{"k": "v"}
	}
	for name, tt := range map[string]struct {
		in   string
		want []User
	}{
		"under users":     {"users:" + full, []User{sam}},
		"list":            {full, []User{sam}},
		"document marks":  {"---\n# people\nusers:" + full + "...\n", []User{sam}},
		"BOM and CRLF":    {"\ufeffusers:" + strings.ReplaceAll(full, "\n", "\r\n"), []User{sam}},
		"JSON":            {`{"users": [{"username": "ann", "active": true}]}`, []User{min("ann")}},
		"defaults":        {"- username: ann\n- {username: kim, active: false}", []User{min("ann"), off}},
		"nobody":          {"users: []", []User{}},
		"nobody, a list":  {"[]", []User{}},
		"known empty":     {"- {username: lee, groups: [], attributes: {}}", []User{none}},
		"unknown":         {"- {username: ann, groups: , attributes: ~, name: null, email: , id: }", []User{min("ann")}},
		"scripts":         {"- username: 王小明\n- username: Zoë\n- username: оля", []User{min("王小明"), min("Zoë"), min("оля")}},
		"numbers as text": {"- username: 0017\n- username: 1e3\n- username: true", []User{min("0017"), min("1e3"), min("true")}},
		"anchors":         {"- {username: a, groups: &g [x], attributes: &t {k: v}}\n- {username: b, groups: *g, attributes: *t}", shared},
	} {
		got, err := parseUsers("users.yaml", []byte(tt.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
	}
}

func TestParseUsersRefuses(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, tt := range map[string]struct{ in, want string }{
		"empty":                 {"", `users.yaml:1: it is empty; write "users: []" if nobody is meant`},
		"only a comment":        {"# nobody\n", `users.yaml:1: it is empty; write "users: []" if nobody is meant`},
		"null":                  {"~", `users.yaml:1: users: must be a list; write "users: []"`},
		"users without a list":  {"\nusers:\n", `users.yaml:2: users: must be a list; write "users: []"`},
		"text":                  {"hello", "users.yaml:1: users: must be a list"},
		"another field":         {"users: []\ngroups: []\n", "users.yaml:2: groups: unknown; the file has one field, users"},
		"no users":              {"people: []\n", "users.yaml:1: people: unknown"},
		"users twice":           {"users: []\nusers: []\n", "users.yaml:2: users: given twice; keep one"},
		"two documents":         {"users: []\n---\nusers: []\n", "users.yaml:2: a second YAML document; keep all users in one list"},
		"a name, not a mapping": {"users:\n  - sam\n", "users.yaml:2: users: each must have fields"},
		"no username":           {"- username: a\n- name: B\n", "users.yaml:2: username: missing; every user needs one"},
		"empty username":        {"- username: ''\n", `users.yaml:1: username: "" is empty; correct it`},
		"null username":         {"- username:\n", `users.yaml:1: username: "" is empty; correct it`},
		"username a list":       {"- username: [a]\n", "users.yaml:1: username: must be a text"},
		"space":                 {"- username: ' a'\n", `username: " a" begins or ends with a space; correct it`},
		"invisible":             {"- username: \"sa\u200bm\"\n", "has an invisible character; correct it"},
		"newline":               {"- username: \"a\\nRemote-User: root\"\n", "has a control character; correct it"},
		"C1 control":            {"- {username: a, name: \"\\x85\"}\n", "users.yaml:1: name: \"\\u0085\" has a control character"},
		"reversed name":         {"- {username: a, name: \"\\u202Enimda\"}\n", "a character that changes the direction of text"},
		"long username":         {"- username: " + long, "is too long; correct it"},
		"long name":             {"- {username: a, name: " + long + "}", "name: \"xxxxx"},
		"email a mapping":       {"- {username: a, email: {x: y}}", "users.yaml:1: email: must be a text"},
		"unknown field":         {"- username: a\n  mail: a@b\n", "users.yaml:2: mail: unknown; the fields are id, username, name"},
		"field twice":           {"- username: a\n  name: b\n  name: c\n", "users.yaml:3: name: given twice; keep one"},
		"duplicate id":          {"- {username: a, id: 1}\n- {username: b, id: 1}\n", `users.yaml:2: id: "1" is the id of the user in line 1 too; give each their own`},
		"id of a username":      {"- {username: a}\n- {username: b, id: a}\n", "users.yaml:2: id: \"a\" is the id of the user in line 1 too"},
		"duplicate username":    {"- {username: Sam, id: 1}\n\n- {username: sAM, id: 2}\n", `users.yaml:3: username: "sAM" is the username in line 1 too (case does not count); remove one`},
		"active no":             {"- {username: a, active: no}", "users.yaml:1: active: must be true or false"},
		"active text":           {"- {username: a, active: 'false'}", "active: must be true or false"},
		"active 0":              {"- {username: a, active: 0}", "active: must be true or false"},
		"active empty":          {"- {username: a, active: }", "active: must be true or false"},
		"group not a list":      {"- {username: a, groups: admins}", "users.yaml:1: groups: must be a list"},
		"empty group":           {"- {username: a, groups: [x, ' ']}", "groups: an empty name"},
		"group a list":          {"- {username: a, groups: [[x]]}", "groups: must be a text"},
		"many groups":           {"- {username: a, groups: [" + strings.Repeat("x,", maxGroups+1) + "]}", "groups: 1001 of them; at most 1000"},
		"attributes a list":     {"- {username: a, attributes: [x]}", "attributes: must be names and values"},
		"attribute a list":      {"- {username: a, attributes: {x: [1]}}", "attributes.x: must be a text"},
		"attribute long":        {"- {username: a, attributes: {x: " + long + "}}", "attributes.x: "},
		"attribute of a field":  {"- {username: a, attributes: {email: x}}", "attributes.email: is a field of its own"},
		"attribute name":        {"- {username: a, attributes: {'a b}': x}}", `attributes: the name "a b}"; use up to 64 letters`},
		"attribute twice":       {"- {username: a, attributes: {x: 1, x: 2}}", "attributes.x: given twice"},
		"merge":                 {"- &d {username: a}\n- {<<: *d}\n", "users.yaml:2: <<: merging is not supported"},
		"tag":                   {"- {username: !!binary aGk=}", "username: must be a text"},
		"custom tag":            {"- {username: !me hi}", "username: must be a text"},
		"syntax":                {"users:\n  - username: a\n name: b\n", "users.yaml:2: YAML: did not find expected key; check the indentation"},
		"tab":                   {"users:\n\t- username: a\n", "users.yaml:2: YAML: found character that cannot start any token"},
		"open quote":            {"- username: \"a\n", "users.yaml:"},
		"unknown anchor":        {"- username: *x\n", "users.yaml: YAML: unknown anchor 'x' referenced"},
		"control byte":          {"- username: a\n- username: \x00\n", "users.yaml:2: a control character (0x00); remove it"},
		"Latin-1":               {"- username: a\n- username: Zo\xeb\n", "users.yaml:2: not UTF-8; save the file as UTF-8"},
		"UTF-16":                {"\xff\xfeu\x00s\x00", "users.yaml:1: not UTF-8"},
		"several":               {"- {}\n- {}\n- {}\n", "users.yaml:1: username: missing; every user needs one (and 2 more mistakes)"},
		"itself":                {"- &a {username: b, groups: [*a]}", "users.yaml:"},
	} {
		got, err := parseUsers("users.yaml", []byte(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: %d users, error\n\t%v\nwant\n\t%s", name, len(got), err, tt.want)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
		}
	}
}

// Whatever the file, there is no panic, and either an error or users that can be used.
func FuzzParseUsers(f *testing.F) {
	f.Add([]byte("users:\n  - id: 17\n    username: sam\n    groups: [a]\n    active: false\n    attributes: {x: 1}\n"))
	f.Add([]byte("- &a {username: a, groups: &g [x]}\n- {username: b, groups: *g}\n- *a\n"))
	f.Add([]byte("{users: [{\"username\": \"\\u202e\"}]}"))
	f.Add([]byte("- username: |\n   a\n- ? [x]\n  : y\n--- !!map\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := parseUsers("f", data)
		pieces(t, data, users)
		if err != nil {
			if users != nil {
				t.Error("an error, and users")
			}
			return
		}
		if users == nil {
			t.Error("neither users nor an error")
		}
		ids, keys := map[string]bool{}, map[string]bool{}
		for _, u := range users {
			key := identity.Key(u.Username)
			if CheckUsername(u.Username) != nil || u.ID == "" || ids[u.ID] || keys[key] {
				t.Errorf("a user that should have been refused: %+v", u)
			}
			ids[u.ID], keys[key] = true, true
			for _, s := range append([]string{u.ID, u.Name, u.Email}, u.Groups...) {
				if checkText(s, maxName) != nil {
					t.Errorf("a text that should have been refused: %q", s)
				}
			}
		}
	})
}

// pieces checks that a file read in pieces is the file read as a whole.
func pieces(t *testing.T, data []byte, want []User) {
	t.Helper()
	if plain("f", data) != nil {
		return
	}
	for _, size := range []int{1, 60} {
		p := newParser("f")
		if !p.pieces(data, size) {
			continue
		}
		got, err := p.result()
		w := newParser("f")
		if werr := w.whole(data); werr != nil {
			t.Fatalf("in pieces of %d bytes: %d users, %v; as a whole: %v", size, len(got), err, werr)
		}
		_, werr := w.result()
		if d := cmp.Diff(fmt.Sprint(werr), fmt.Sprint(err)); d != "" {
			t.Errorf("errors: -whole +pieces:\n%s", d)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("users: -whole +pieces:\n%s", d)
		}
	}
}

func TestPieces(t *testing.T) {
	for name, tt := range map[string]struct {
		in string
		ok bool // can be read in pieces
	}{
		"plain":        {"users:\n  - username: a\n    groups:\n      - x\n      - y\n  - username: b\n", true},
		"no indent":    {"# us\n---\nusers: # all\n\n# a\n- username: a\n  groups:\n  - x\n- username: b\n", true},
		"list":         {"- username: a\n- username: b\n-\n  username: c\n", true},
		"CRLF":         {"users:\r\n  - username: a\r\n  - username: b\r\n", true},
		"block text":   {"- username: a\n  name: >-\n    x\n    - y\n- username: b\n", true},
		"plain text":   {"- username: a\n  name: x\n    - y\n- username: b\n", true},
		"quoted":       {"- username: a\n  name: \"x\n- username: z\n- y\"\n- username: b\n", false},
		"flow":         {"- username: a\n  groups: [x,\n- y]\n- username: b\n", false},
		"anchors":      {"- username: a\n  groups: &g [x]\n- username: b\n  groups: *g\n", false},
		"own anchors":  {"- username: a\n  groups: &g [x]\n- {username: b, id: &g 2, name: *g}\n", true},
		"more fields":  {"users:\n- username: a\n- username: b\nother: c\n", false},
		"two lists":    {"- username: a\n---\n- username: b\n", false},
		"deeper":       {"users:\n  - username: a\n    - username: b\n", false},
		"shallower":    {"users:\n    - username: a\n  - username: b\n", false},
		"JSON":         {"[{username: a}]", false},
		"mistake":      {"users:\n  - username: a\n\n  - username: b\n    mail: x\n  - username: A\n    id: q\n", true},
		"users quoted": {"\"users\":\n- username: a\n", false},
	} {
		if p := newParser("f"); p.pieces([]byte(tt.in), 1) != tt.ok {
			t.Errorf("%s: in pieces: %v, want %v", name, !tt.ok, tt.ok)
		}
		users, _ := parseUsers("f", []byte(tt.in))
		pieces(t, []byte(tt.in), users)
	}
	// As a large file is read.
	data := append(manyUsers(4_000), "  - username: user7\n    id: x\n"...)
	if _, err := parseUsers("f", data); err == nil || !strings.Contains(err.Error(), `f:24002: username: "user7" is the username in line 45 too`) {
		t.Error(err)
	}
}

// manyUsers is a file of n users with names from several scripts.
func manyUsers(n int) []byte {
	var b strings.Builder
	b.WriteString("users:\n")
	for i := range n {
		first, last := firsts[i%len(firsts)], lasts[i/len(firsts)%len(lasts)]
		fmt.Fprintf(&b, "  - id: %d\n    username: user%d\n    name: %s %s %d\n    email: user%d@example.com\n    groups: [field, region-%d]\n    attributes: {department: d%d}\n",
			i, i, first, last, i/(len(firsts)*len(lasts)), i, i%40, i%7)
	}
	return []byte(b.String())
}

var (
	firsts = []string{"José", "Anna", "Sam", "Zoë", "Łukasz", "Björn", "Alice", "Chloé", "Наталья", "Дмитрий", "Γιώργος", "小明", "さくら", "김철수", "محمد", "Müge", "Ian", "Åsa", "Noor", "Priya"}
	lasts  = []string{"Reed", "O'Brien", "Ångström", "García", "Smith", "Иванова", "王", "田中", "Nguyễn", "Müller", "van Dijk", "Petrov", "Schmidt", "Kowalski", "Sørensen", "D’Angelo", "Lee", "Kim", "İnce", "Brown"}
)

func BenchmarkParse100k(b *testing.B) {
	data := manyUsers(100_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseUsers("f", data); err != nil {
			b.Fatal(err)
		}
	}
}
