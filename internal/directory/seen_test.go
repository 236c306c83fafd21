package directory

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

var t0 = time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)

func seenStore(t *testing.T) state.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func seenUser(subject, username string, at time.Duration) state.SeenUser {
	return state.SeenUser{Issuer: "i", Subject: subject, ID: "id-" + subject, Username: username, Name: "N " + username, FirstSeen: t0.Add(at), LastSeen: t0.Add(at)}
}

func TestSeen(t *testing.T) {
	ctx := t.Context()
	store := seenStore(t)
	open := func() *Directory {
		t.Helper()
		d := New(Options{Sources: []Source{&list{name: "empty", users: []User{}}, NewSeenSource(store)}})
		if err := d.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	note := func(u state.SeenUser) {
		t.Helper()
		if err := d.Note(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	want := func(d *Directory, want map[string]string) {
		t.Helper()
		if err := d.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		p, err := d.Search("", 0, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range p.Users {
			got[u.Username] = u.ID
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	full := seenUser("1", "Ann", 0)
	full.Email, full.Groups, full.Attributes = "ann@x", []string{"g"}, map[string]string{"a": "b"}
	note(full)
	u, ok := d.Lookup("ann")
	if diff := cmp.Diff(&User{Active: true, Source: "seen", Identity: identity.Identity{
		ID: "id-1", Username: "Ann", Name: "N Ann", Email: "ann@x", Groups: []string{"g"}, Attributes: map[string]string{"a": "b"},
	}}, u); diff != "" || !ok {
		t.Error(diff)
	}
	gen := d.Generation()
	full.LastSeen = t0.Add(time.Minute) // again, the same facts
	note(full)
	if d.Generation() != gen {
		t.Error("a login without news is a change")
	}
	noID := seenUser("2", "bob", 0)
	noID.ID = ""
	note(noID)
	want(d, map[string]string{"Ann": "id-1", "bob": "2"})
	want(open(), map[string]string{"Ann": "id-1", "bob": "2"})

	// Renamed at the provider: the old name is nobody's.
	note(seenUser("2", "robert", 2*time.Minute))
	want(d, map[string]string{"Ann": "id-1", "robert": "id-2"})
	want(open(), map[string]string{"Ann": "id-1", "robert": "id-2"})

	// Two accounts of one name: the last to log in.
	note(seenUser("3", "ANN", 3*time.Minute))
	want(d, map[string]string{"ANN": "id-3", "robert": "id-2"})
	want(open(), map[string]string{"ANN": "id-3", "robert": "id-2"})
	// Renamed as well: the name goes back.
	note(seenUser("3", "carl", 4*time.Minute))
	want(d, map[string]string{"Ann": "id-1", "carl": "id-3", "robert": "id-2"})

	// Logged in through another gateway, or the configuration before this one.
	old := open()
	other := seenUser("4", "dan", 4*time.Minute-seenMargin/2) // stored late
	if err := store.PutSeen(ctx, &other); err != nil {
		t.Fatal(err)
	}
	want(old, map[string]string{"Ann": "id-1", "carl": "id-3", "robert": "id-2", "dan": "id-4"})

	if err := d.Note(ctx, seenUser("5", "evil\nRemote-User: root", 0)); err == nil {
		t.Error("noted a username that can't be one")
	}
	if err := New(Options{}).Note(ctx, seenUser("6", "fay", 0)); err != nil {
		t.Errorf("without the source: %v", err)
	}
	want(open(), map[string]string{"Ann": "id-1", "carl": "id-3", "robert": "id-2", "dan": "id-4"})
}

// What follows from a login may be another one.
func TestNoteInOnChange(t *testing.T) {
	d := New(Options{Sources: []Source{NewSeenSource(seenStore(t))}})
	told := make(chan string, 2)
	d.OnChange(func(changes []Change) {
		for _, c := range changes {
			told <- string(c.Kind) + " " + c.After.Username
			if c.After.Username == "ann" {
				if err := d.Note(context.Background(), seenUser("2", "bob", 0)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if err := d.Note(t.Context(), seenUser("1", "ann", 0)); err != nil {
		t.Fatal(err)
	}
	if got := []string{<-told, <-told}; got[0] != "added ann" || got[1] != "added bob" {
		t.Errorf("told %v", got)
	}
}

func TestSeenWithoutAStore(t *testing.T) {
	store := seenStore(t)
	d := New(Options{Sources: []Source{NewSeenSource(store)}})
	if err := d.Note(t.Context(), seenUser("1", "ann", 0)); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Lookup("ann"); !ok {
		t.Error("not known before the first refresh")
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Refresh(context.Background()); err == nil || d.Status()[0].Err == nil {
		t.Errorf("refresh: %v", err)
	}
	if err := d.Note(t.Context(), seenUser("2", "bob", 0)); err == nil {
		t.Error("noted")
	}
	if _, ok := d.Lookup("ann"); !ok {
		t.Error("what was known is lost")
	}
}
