package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// paced is a server elsewhere.
type paced struct {
	list
	key string
}

func (*paced) Every() time.Duration { return time.Minute }
func (*paced) Keep() time.Duration  { return time.Hour }
func (p *paced) Key() string        { return p.key }

// A source that is down keeps its last facts up to a limit; then its accounts are unknown, even to those who know them
// from a source it corrects. Whom it had called inactive stays inactive.
func TestLapse(t *testing.T) {
	off := person("off", "Off", "")
	off.Active = false
	first := &paced{list: list{name: "ldap", users: []User{person("sam", "Sam", ""), person("both", "B", ""), off}}, key: "k"}
	second := &list{name: "file", users: []User{person("both", "B", ""), person("off", "Off", ""), person("own", "Own", "")}}
	var broken []string
	c := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	d := New(Options{Clock: c, Sources: []Source{first, second}, Broken: func(_ context.Context, source string, err error) { broken = append(broken, err.Error()) }})
	kinds := map[Kind]int{}
	d.OnChange(func(changes []Change) {
		for _, c := range changes {
			kinds[c.Kind]++
		}
	})
	check := func(step string, lapsed bool, want string) {
		t.Helper()
		_ = d.Refresh(t.Context())
		got := []string{}
		for _, name := range []string{"sam", "both", "off", "own"} {
			if u, ok := d.Lookup(name); ok {
				if !u.Active {
					name = "!" + name
				}
				got = append(got, name)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", step, s, want)
		}
		if s := d.Status()[0]; s.Lapsed != lapsed || lapsed && s.Users > 0 {
			t.Errorf("%s: %+v", step, s)
		}
	}
	check("up", false, "sam both !off own")
	first.err = errors.New("down")
	c.Advance(time.Hour)
	check("down for as long as it may", false, "sam both !off own")
	c.Advance(time.Second)
	check("down for longer", true, "!off own")
	check("and still", true, "!off own")
	if d := cmp.Diff(map[Kind]int{Lapsed: 2}, kinds); d != "" {
		t.Errorf("told: %s", d)
	}
	if len(broken) != 2 || !strings.Contains(broken[1], "no good answer since 2026-01-01T00:00:00Z: its 3 accounts count as unknown") {
		t.Errorf("broken: %q", broken)
	}
	second.users = []User{person("both", "B", ""), person("off", "Off", ""), person("own", "Own", ""), person("sam", "Sam", "")} // who would be another's facts
	check("the other has more", true, "!off own")

	// Taken over by a new configuration, it is as lapsed as it was.
	next := New(Options{Clock: c, Sources: []Source{first, second}, Previous: d})
	_ = next.Refresh(t.Context())
	if _, ok := next.Lookup("sam"); ok || !next.Status()[0].Lapsed {
		t.Error("the lapse was forgotten")
	}

	first.err = nil
	check("up again", false, "sam both !off own")
	first.users = []User{}
	check("all gone there", false, "sam both off own")
}

// What a source said to the Directory before is taken over, and not asked again before it is due.
func TestInherit(t *testing.T) {
	c := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	made := func(previous *Directory, key string, users ...User) (*Directory, *paced) {
		p := &paced{list: list{name: "ldap", users: users}, key: key}
		return New(Options{Clock: c, Sources: []Source{p}, Previous: previous}), p
	}
	first, _ := made(nil, "a", person("sam", "Sam", ""))
	if err := first.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	same, p := made(first, "a", person("new", "New", ""))
	p.err = errors.New("down")
	if err := same.Refresh(t.Context()); err != nil {
		t.Errorf("asked before it is due: %v", err)
	}
	if _, ok := same.Lookup("sam"); !ok || same.Len() != 1 {
		t.Error("not taken over")
	}
	c.Advance(time.Minute)
	late, p := made(same, "a")
	p.err = errors.New("down")
	if err := late.Refresh(t.Context()); err == nil {
		t.Error("not asked although it is due")
	}
	if _, ok := late.Lookup("sam"); !ok {
		t.Error("what it said before is forgotten")
	}
	other, _ := made(late, "b", person("new", "New", ""))
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := other.Lookup("sam"); ok || other.Len() != 1 {
		t.Error("taken over from a source of another key")
	}
}

// An account that can't be used is left out; but inactive it stays, and a duplicate can't make it active.
func TestUnusable(t *testing.T) {
	named := func(username string, change func(*User)) User {
		u := person(username, "N", "")
		if change != nil {
			change(&u)
		}
		return u
	}
	l := &list{name: "ldap", users: []User{
		named("a\nb", nil),
		named("groups", func(u *User) { u.Groups = slices.Repeat([]string{"g"}, maxGroups+1) }),
		named("group", func(u *User) { u.Groups = []string{"a\x00", "g"} }),
		named("id", func(u *User) { u.ID = strings.Repeat("x", 300) }),
		named("off", func(u *User) { u.ID, u.Active = "a\x00", false }),
		named("name", func(u *User) {
			u.Name, u.Email, u.Attributes = "a\x07", strings.Repeat("x", 400), map[string]string{"a b": "c", "ok": "v", "bad": "\x00"}
		}),
		named("twice", nil),
		named("TWICE", func(u *User) { u.Active = false }),
	}}
	d := New(Options{Sources: []Source{l, &list{name: "file", users: []User{named("off", nil)}}}})
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u, _ := d.Lookup("group"); u == nil || !slices.Equal(u.Groups, []string{"g"}) {
		t.Errorf("a group that can't be used: %+v", u)
	}
	if d.Len() != 4 {
		t.Errorf("%d accounts", d.Len())
	}
	for name, want := range map[string]bool{"off": false, "name": true, "twice": false} {
		if u, ok := d.Lookup(name); !ok || u.Active != want {
			t.Errorf("%s: %+v", name, u)
		}
	}
	u, _ := d.Lookup("name")
	if diff := cmp.Diff(identity.Identity{ID: "name", Username: "name", Attributes: map[string]string{"ok": "v"}}, u.Identity); diff != "" {
		t.Error(diff)
	}
}
