package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

func TestMerge(t *testing.T) {
	ctx := t.Context()
	full := User{Active: true, Identity: identity.Identity{ID: "f1", Username: "Sam", Name: "Sam Reed", Groups: []string{"field"}}}
	later := User{Active: true, Identity: identity.Identity{ID: "s1", Username: "sam", Name: "S", Email: "sam@x", Groups: []string{"admins"}, Attributes: map[string]string{"a": "b"}}}
	emptied := full
	emptied.Groups = []string{}
	off := later
	off.Active = false
	for name, tt := range map[string]struct {
		first, second []User
		want          *User
	}{
		"one":                  {[]User{full}, []User{}, &User{Active: true, Source: "first", Identity: full.Identity}},
		"only the second":      {[]User{}, []User{later}, &User{Active: true, Source: "second", Identity: later.Identity}},
		"filled":               {[]User{full}, []User{later}, &User{Active: true, Source: "first", Identity: identity.Identity{ID: "f1", Username: "Sam", Name: "Sam Reed", Email: "sam@x", Groups: []string{"field"}, Attributes: map[string]string{"a": "b"}}}},
		"no groups is a fact":  {[]User{emptied}, []User{later}, &User{Active: true, Source: "first", Identity: identity.Identity{ID: "f1", Username: "Sam", Name: "Sam Reed", Email: "sam@x", Groups: []string{}, Attributes: map[string]string{"a": "b"}}}},
		"inactive in any":      {[]User{full}, []User{off}, &User{Source: "first", Identity: identity.Identity{ID: "f1", Username: "Sam", Name: "Sam Reed", Email: "sam@x", Groups: []string{"field"}, Attributes: map[string]string{"a": "b"}}}},
		"nobody":               {[]User{}, []User{}, nil},
		"the first of a pair":  {[]User{full, later}, []User{}, &User{Active: true, Source: "first", Identity: full.Identity}},
		"no username, no user": {[]User{{Active: true}, {Active: true, Identity: identity.Identity{Username: "a\nb"}}}, []User{}, nil},
	} {
		d := New(Options{Sources: []Source{&list{name: "first", users: tt.first}, &list{name: "second", users: tt.second}}})
		if err := d.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		got, ok := d.Lookup(" SAM ")
		if ok != (tt.want != nil) {
			t.Errorf("%s: found %v", name, ok)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if tt.want != nil {
			if byID, ok := d.ByID(tt.want.ID); !ok || byID != got {
				t.Errorf("%s: by id %v", name, byID)
			}
		}
		if n := d.Len(); n != 0 && tt.want == nil || n > 1 {
			t.Errorf("%s: %d accounts", name, n)
		}
	}
}

func TestPerson(t *testing.T) {
	claims := &identity.Identity{ID: "sub", Username: "sam", Name: "From Login", Email: "login@x", Groups: []string{"login"}, Attributes: map[string]string{"l": "1"}}
	some := person("Sam", "Sam Reed", "")
	none := some
	none.Groups, none.Active = []string{}, false
	for name, tt := range map[string]struct {
		users []User
		want  User
		known bool
	}{
		"unknown":   {nil, User{Active: true, Identity: *claims}, false},
		"known":     {[]User{some}, User{Active: true, Source: "list", Identity: identity.Identity{ID: "Sam", Username: "Sam", Name: "Sam Reed", Email: "login@x", Groups: []string{"login"}, Attributes: map[string]string{"l": "1"}}}, true},
		"no groups": {[]User{none}, User{Source: "list", Identity: identity.Identity{ID: "Sam", Username: "Sam", Name: "Sam Reed", Email: "login@x", Groups: []string{}, Attributes: map[string]string{"l": "1"}}}, true},
	} {
		d, _, _ := of(t, append([]User{person("other", "", "")}, tt.users...)...)
		got, known := d.Person(claims)
		if diff := cmp.Diff(&tt.want, got); diff != "" || known != tt.known {
			t.Errorf("%s: known %v\n%s", name, known, diff)
		}
		if u, ok := d.Lookup("sam"); ok && u.Email != "" {
			t.Errorf("%s: the directory's account was changed", name)
		}
	}
}

func TestChanges(t *testing.T) {
	d, l, _ := of(t, person("a", "A", ""), person("b", "B", ""), person("c", "C", ""), person("d", "D", ""))
	var got []string
	d.OnChange(func(changes []Change) {
		for _, c := range changes {
			who := c.After
			if who == nil {
				who = c.Before
			}
			if u, ok := d.Lookup(who.Username); ok != (c.After != nil) || ok && u != c.After {
				t.Errorf("told of %v before it was in force", c.Kind)
			}
			got = append(got, string(c.Kind)+" "+who.Username)
		}
	})
	step := func(name string, moves bool, want ...string) {
		t.Helper()
		gen := d.Generation()
		got = nil
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		sorted := map[string]bool{}
		for _, g := range got {
			sorted[g] = true
		}
		wanted := map[string]bool{}
		for _, w := range want {
			wanted[w] = true
		}
		if diff := cmp.Diff(wanted, sorted); diff != "" || len(got) != len(want) {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if (d.Generation() != gen) != moves {
			t.Errorf("%s: generation %d, then %d", name, gen, d.Generation())
		}
	}
	step("nothing new", false)
	off := person("b", "B", "")
	off.Active = false
	moved := person("c", "C", "")
	moved.Groups = []string{"g"}
	l.users = []User{person("a", "A", ""), off, moved, person("e", "E", "")}
	step("all kinds", true, "deactivated b", "changed c", "removed d", "added e")
	l.users = []User{moved, person("e", "E", ""), off, person("a", "A", "")}
	step("the same, in another order", false)
	moved.Groups = []string{}
	l.users = []User{person("a", "A", ""), person("b", "B", ""), moved, person("e", "E", "")}
	step("back", true, "reactivated b", "changed c")
	l.users = []User{}
	step("nobody", true, "removed a", "removed b", "removed c", "removed e")
	if d.Len() != 0 || len(find(t, d, "")) != 0 {
		t.Error("somebody is left")
	}
}

// Many changes at once take the way of a new index; what is told is the same.
func TestManyChanges(t *testing.T) {
	d, l, _ := of(t, crowd(1500)[:1000]...)
	counts := map[Kind]int{}
	d.OnChange(func(changes []Change) {
		for _, c := range changes {
			counts[c.Kind]++
		}
	})
	gen := d.Generation()
	next := crowd(1500)[400:]
	for i := range next {
		next[i].Active = i%2 == 0
	}
	l.users = next
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[Kind]int{Removed: 400, Deactivated: 300, Added: 500}, counts); diff != "" {
		t.Error(diff)
	}
	if d.Generation() == gen || d.Len() != 1100 || len(d.now.Load().over) != 0 {
		t.Errorf("generation %d, %d accounts, %d beside the index", d.Generation(), d.Len(), len(d.now.Load().over))
	}
	if u, ok := d.Lookup("u401"); !ok || u.Active {
		t.Error("u401 is not as it was made")
	}
}

func TestBrokenSource(t *testing.T) {
	var logged bytes.Buffer
	var told []string
	l := &list{name: "file x", users: []User{person("a", "", "")}}
	ok := &list{name: "other", users: []User{person("z", "", "")}}
	c := clock.NewManual(time.Unix(1_800_000_000, 0))
	d := New(Options{
		Clock: c, Log: slog.New(slog.NewTextHandler(&logged, nil)), Sources: []Source{l, ok},
		Broken: func(_ context.Context, source string, err error) { told = append(told, source+": "+err.Error()) },
	})
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := c.Now()
	gen := d.Generation()
	boom := errors.New("x:3: users: boom")
	l.err = boom
	for range 3 {
		c.Advance(time.Minute)
		if err := d.Refresh(t.Context()); !errors.Is(err, boom) {
			t.Errorf("refresh: %v", err)
		}
	}
	if d.Len() != 2 || d.Generation() != gen {
		t.Error("the last good accounts were lost")
	}
	want := []SourceStatus{{Name: "file x", Users: 1, LastGood: good, Err: boom}, {Name: "other", Users: 1, LastGood: c.Now()}}
	if diff := cmp.Diff(want, d.Status(), cmp.Comparer(errors.Is)); diff != "" {
		t.Error(diff)
	}
	l.err = errors.New("x:4: users: bang")
	_ = d.Refresh(t.Context())
	l.err, l.users = nil, []User{person("b", "", "")}
	if err := d.Refresh(t.Context()); err != nil || d.Status()[0].Err != nil {
		t.Error("it did not recover", err)
	}
	l.err = boom // again, after it was well: news
	_ = d.Refresh(t.Context())
	if diff := cmp.Diff([]string{"file x: x:3: users: boom", "file x: x:4: users: bang", "file x: x:3: users: boom"}, told); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n != 3 || strings.Count(logged.String(), "can be read again") != 1 {
		t.Errorf("logged:\n%s", logged.String())
	}
	// Leaving is not the source's fault.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.err = context.Canceled
	_ = d.Refresh(ctx)
	if len(told) != 3 {
		t.Errorf("told %v", told)
	}
}

type stuck struct{ list }

func (s *stuck) Users(ctx context.Context) ([]User, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestStuckSource(t *testing.T) {
	d := New(Options{Sources: []Source{&stuck{list{name: "stuck"}}, &list{name: "ok", users: []User{person("a", "", "")}}}, SourceTimeout: time.Millisecond})
	if err := d.Refresh(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if _, ok := d.Lookup("a"); !ok {
		t.Error("the other source was not asked")
	}
}

func TestRun(t *testing.T) {
	d, l, c := of(t, person("a", "", ""))
	told := make(chan []Change)
	d.OnChange(func(changes []Change) { told <- changes })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		d.Run(ctx, 5*time.Second)
		close(done)
	}()
	l.users = []User{}
	for waiting := true; waiting; {
		c.Advance(5 * time.Second) // the timer may not be set yet
		select {
		case changes := <-told:
			if len(changes) != 1 || changes[0].Kind != Removed {
				t.Errorf("told %v", changes)
			}
			waiting = false
		default:
		}
	}
	cancel()
	<-done
}

// A login costs no index, is found at once, and ends up in the index.
func TestLiveSource(t *testing.T) {
	d, l, c := of(t, crowd(5000)...)
	base := d.now.Load().base
	for i := range 2 * maxOverlay {
		u := person(fmt.Sprintf("new%d", i), fmt.Sprintf("Brandnew Person%d", i), "")
		gen := d.Generation()
		l.tell(u)
		if _, ok := d.Lookup(u.Username); !ok || d.Generation() == gen {
			t.Fatal("not there at once")
		}
		if got := find(t, d, fmt.Sprintf("brandnew person%d", i)); len(got) == 0 || !strings.HasPrefix(got[0], "new") {
			t.Fatalf("not found: %v", got)
		}
		gen = d.Generation()
		l.tell(u)
		if d.Generation() != gen {
			t.Fatal("the same again is a change")
		}
	}
	if d.now.Load().base != base {
		t.Error("an index was built")
	}
	c.Advance(rebuildAfter)
	if now := d.now.Load(); now.base == base || len(now.over) != 0 || d.Len() != 5000+2*maxOverlay {
		t.Errorf("%d beside the index, %d in all", len(now.over), d.Len())
	}
	l.tell(User{Active: true}) // nobody
	if d.Len() != 5000+2*maxOverlay {
		t.Error("a user without a name")
	}
}

// An account given while its source is being asked is newer than the answer.
func TestLiveDuringRefresh(t *testing.T) {
	l := &list{name: "l"}
	d := New(Options{Sources: []Source{&during{l, func() { l.tell(person("b", "New", "")) }}}})
	l.users = []User{person("a", "", ""), person("b", "Old", "")}
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u, ok := d.Lookup("b"); !ok || u.Name != "New" {
		t.Errorf("b is %v", u)
	}
}

type during struct {
	*list
	then func()
}

func (s *during) Users(ctx context.Context) ([]User, error) {
	users, err := s.list.Users(ctx)
	s.then()
	return users, err
}

// Readers, logins, refreshes and rebuilds all at once; at the end everybody is there.
func TestConcurrent(t *testing.T) {
	d, l, c := of(t, crowd(2000)...)
	d.OnChange(func([]Change) {})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, ok := d.Lookup("u1"); !ok {
					t.Error("u1 is not there")
					return
				}
				if p, err := d.Search("u1", 20, ""); err != nil || len(p.Users) != 20 {
					t.Error(len(p.Users), err)
					return
				}
			}
		})
	}
	var work sync.WaitGroup
	for w := range 3 {
		work.Go(func() {
			for i := range 300 {
				l.tell(person(fmt.Sprintf("w%d-%d", w, i), "W", ""))
			}
		})
	}
	work.Go(func() {
		for range 20 {
			c.Advance(rebuildAfter)
		}
	})
	work.Go(func() {
		for range 20 {
			if err := d.Refresh(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	close(stop)
	wg.Wait()
	c.Advance(rebuildAfter)
	if d.Len() != 2000+900 {
		t.Errorf("%d accounts", d.Len())
	}
	for w := range 3 {
		for i := range 300 {
			if _, ok := d.Lookup(fmt.Sprintf("w%d-%d", w, i)); !ok {
				t.Fatalf("w%d-%d is lost", w, i)
			}
		}
	}
}
