package statetest

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func sessions(t *testing.T, s state.Store) {
	ctx := t.Context()
	id := Session(1).ID
	_, err := s.Session(ctx, id)
	wantErr(t, err, state.ErrNotFound)
	with(t, s, 1, 2)
	same(t, must[*state.Session](t)(s.Session(ctx, id)), Session(1))
	wantErr(t, s.CreateSession(ctx, Session(1)), state.ErrConflict)

	check(t, s.DeleteSession(ctx, id))
	check(t, s.DeleteSession(ctx, id))
	_, err = s.Session(ctx, id)
	wantErr(t, err, state.ErrNotFound)
	same(t, must[*state.Session](t)(s.Session(ctx, Session(2).ID)), Session(2))
	wantErr(t, s.UpdateSession(ctx, id, func(*state.Session) error { t.Error("called"); return nil }), state.ErrNotFound)
}

func sessionTimes(t *testing.T, s state.Store) {
	// Only what must be there; nanoseconds and zone are dropped, empty lists come back nil.
	v := &state.Session{ID: state.HashID("x"), CreatedAt: base, Groups: []string{}, Attributes: map[string]string{}}
	check(t, s.CreateSession(t.Context(), v))
	same(t, must[*state.Session](t)(s.Session(t.Context(), v.ID)), &state.Session{ID: v.ID, CreatedAt: at(0), LastSeen: at(0)})
	if !v.CreatedAt.Equal(base) || !v.LastSeen.IsZero() {
		t.Error("the caller's record was changed")
	}
	// Before 1970.
	old := &state.Session{ID: state.HashID("y"), CreatedAt: time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)}
	check(t, s.CreateSession(t.Context(), old))
	same(t, must[*state.Session](t)(s.Session(t.Context(), old.ID)).CreatedAt, old.CreatedAt)
}

func sessionUpdate(t *testing.T, s state.Store) {
	ctx := t.Context()
	with(t, s, 1, 2)
	want := Session(3) // every field, but the id
	want.ID = Session(1).ID
	check(t, s.UpdateSession(ctx, want.ID, func(v *state.Session) error {
		same(t, v, Session(1))
		*v = *want
		return nil
	}))
	same(t, must[*state.Session](t)(s.Session(ctx, want.ID)), want)
	same(t, must[*state.Session](t)(s.Session(ctx, Session(2).ID)), Session(2))

	no := errors.New("no")
	err := s.UpdateSession(ctx, want.ID, func(v *state.Session) error { v.Notice = "lost"; return no })
	if err != no { //nolint:errorlint // as it is
		t.Fatalf("error %v, want the function's own", err)
	}
	wantErr(t, s.UpdateSession(ctx, want.ID, func(v *state.Session) error { v.ID = Session(9).ID; return nil }), state.ErrInvalid)
	wantErr(t, s.UpdateSession(ctx, want.ID, func(v *state.Session) error { v.Notice = "\x00"; return nil }), state.ErrInvalid)
	same(t, must[*state.Session](t)(s.Session(ctx, want.ID)), want)
}

func sessionTouch(t *testing.T, s state.Store) {
	ctx := t.Context()
	with(t, s, 1, 2, 3)
	check(t, s.TouchSessions(ctx, nil))
	check(t, s.TouchSessions(ctx, map[state.Hash]time.Time{
		Session(1).ID: base.Add(time.Hour),
		Session(2).ID: base.Add(-time.Hour), // late news
		Session(9).ID: base,                 // deleted meanwhile
	}))
	want := Session(1)
	want.LastSeen = at(time.Hour)
	same(t, must[*state.Session](t)(s.Session(ctx, want.ID)), want)
	same(t, must[*state.Session](t)(s.Session(ctx, Session(2).ID)), Session(2))
	same(t, must[*state.Session](t)(s.Session(ctx, Session(3).ID)), Session(3))
	_, err := s.Session(ctx, Session(9).ID)
	wantErr(t, err, state.ErrNotFound)
}

func sessionsOf(t *testing.T, s state.Store) {
	ctx := t.Context()
	for n, v := range []struct{ issuer, subject, sid string }{
		{"i", "alice", "s1"},
		{"i", "alice", "s2"},
		{"i", "bob", "s1"},
		{"other", "alice", "s1"},
		{"i", "", ""},
		{"i", "carol", ""},
	} {
		x := Session(n)
		x.Issuer, x.Subject, x.SID = v.issuer, v.subject, v.sid
		x.Username = v.issuer + "/" + v.subject + "/" + v.sid
		check(t, s.CreateSession(ctx, x))
	}
	for _, tt := range []struct {
		issuer, subject, sid string
		want                 []string
	}{
		{"i", "alice", "", []string{"i/alice/s1", "i/alice/s2"}},
		{"i", "", "s1", []string{"i/alice/s1", "i/bob/s1"}},
		{"i", "alice", "s2", []string{"i/alice/s2"}},
		{"other", "alice", "", []string{"other/alice/s1"}},
		{"i", "carol", "", []string{"i/carol/"}},
		{"i", "ALICE", "", []string{}},
		{"i", "", "", []string{}}, // an empty subject is nobody's
		{"none", "alice", "", []string{}},
	} {
		got := must[[]*state.Session](t)(s.SessionsOf(ctx, tt.issuer, tt.subject, tt.sid))
		same(t, ids(func(s *state.Session) string { return s.Username }, got), tt.want)
	}
}

func expiredSessions(t *testing.T, s state.Store) {
	ctx := t.Context()
	for n := range 5 { // created at 0…4 s, seen at 10…6 s
		v := Session(n)
		v.CreatedAt, v.LastSeen = at(time.Duration(n)*time.Second), at(time.Duration(10-n)*time.Second)
		check(t, s.CreateSession(ctx, v))
	}
	sec := func(n int) time.Time { return at(time.Duration(n) * time.Second) }
	for _, tt := range []struct {
		created, seen time.Time
		limit         int
		want          []string
	}{
		{sec(0), sec(6), 10, []string{}}, // strictly before
		{sec(2), sec(0), 10, []string{"sub-0", "sub-1"}},
		{sec(0), sec(8), 10, []string{"sub-3", "sub-4"}},
		{sec(1), sec(7), 10, []string{"sub-0", "sub-4"}},
		{sec(9), sec(99), 10, []string{"sub-0", "sub-1", "sub-2", "sub-3", "sub-4"}},
		{sec(9), sec(99), 2, []string{"sub-0", "sub-1"}},
		{sec(9), sec(99), 0, []string{}},
		{sec(9), sec(99), -1, []string{}},
		{time.Time{}, time.Time{}, 10, []string{}},
	} {
		same(t, subjects(must[[]*state.Session](t)(s.ExpiredSessions(ctx, tt.created, tt.seen, tt.limit))), tt.want)
	}
}

func jars(t *testing.T, s state.Store) {
	ctx := t.Context()
	_, err := s.Jar(ctx, "a", "h1")
	wantErr(t, err, state.ErrNotFound)
	put := func(owner, host, sealed string) {
		t.Helper()
		check(t, s.PutJar(ctx, &state.Jar{Owner: owner, Host: host, Sealed: []byte(sealed)}))
	}
	put("a", "h1", "old")
	put("a", "h1", "a1\x00")
	put("a", "h2", "a2")
	put("b", "h1", "b1")
	same(t, must[*state.Jar](t)(s.Jar(ctx, "a", "h1")), &state.Jar{Owner: "a", Host: "h1", Sealed: []byte("a1\x00")})
	check(t, s.DeleteJars(ctx, "a"))
	check(t, s.DeleteJars(ctx, "a"))
	for _, host := range []string{"h1", "h2"} {
		_, err = s.Jar(ctx, "a", host)
		wantErr(t, err, state.ErrNotFound)
	}
	same(t, string(must[*state.Jar](t)(s.Jar(ctx, "b", "h1")).Sealed), "b1")
}

func jarsGo(t *testing.T, s state.Store) {
	ctx := t.Context()
	with(t, s, 1, 2)
	check(t, s.CreateImpersonation(ctx, Impersonation(1)))
	check(t, s.CreateImpersonation(ctx, Impersonation(2)))
	owners := func(n int) []string {
		id := Session(n).ID
		return []string{hex.EncodeToString(id[:]), Impersonation(n).ID}
	}
	for _, o := range append(owners(1), owners(2)...) {
		check(t, s.PutJar(ctx, &state.Jar{Owner: o, Host: "app", Sealed: []byte("x")}))
	}
	check(t, s.DeleteSession(ctx, Session(1).ID))
	for _, o := range owners(1) {
		_, err := s.Jar(ctx, o, "app")
		wantErr(t, err, state.ErrNotFound)
	}
	for _, o := range owners(2) {
		must[*state.Jar](t)(s.Jar(ctx, o, "app"))
	}
	// The impersonation stays: its end is still to be recorded.
	same(t, must[*state.Impersonation](t)(s.Impersonation(ctx, "imp-1")), Impersonation(1))
}

func limits(t *testing.T, s state.Store) {
	ctx := t.Context()
	for name, breakIt := range map[string]func(*state.Session){
		"long":           func(v *state.Session) { v.Name = strings.Repeat("x", state.MaxText+1) },
		"not UTF-8":      func(v *state.Session) { v.Username = "\xff" },
		"NUL":            func(v *state.Session) { v.Email = "a\x00b" },
		"many groups":    func(v *state.Session) { v.Groups = make([]string, state.MaxGroups+1) },
		"NUL in a group": func(v *state.Session) { v.Groups = []string{"\x00"} },
		"bad attribute":  func(v *state.Session) { v.Attributes = map[string]string{"a": "\xff"} },
		"large groups": func(v *state.Session) {
			v.Groups = nil
			for range state.MaxSealed/state.MaxText + 1 {
				v.Groups = append(v.Groups, strings.Repeat("g", state.MaxText))
			}
		},
		"large blob":  func(v *state.Session) { v.Sealed = make([]byte, state.MaxSealed+1) },
		"no creation": func(v *state.Session) { v.CreatedAt = time.Time{} },
	} {
		v := Session(1)
		breakIt(v)
		if err := s.CreateSession(ctx, v); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: error %v, want %v", name, err, state.ErrInvalid)
		}
	}
	v := Session(1)
	v.Name, v.Sealed = strings.Repeat("x", state.MaxText), make([]byte, state.MaxSealed)
	check(t, s.CreateSession(ctx, v))
	same(t, must[*state.Session](t)(s.Session(ctx, v.ID)), v)

	wantErr(t, s.CreateImpersonation(ctx, &state.Impersonation{Session: v.ID}), state.ErrInvalid)
	wantErr(t, s.PutSeen(ctx, &state.SeenUser{Issuer: "i", Subject: "s"}), state.ErrInvalid)
	wantErr(t, s.PutJar(ctx, &state.Jar{Host: "h"}), state.ErrInvalid)
	wantErr(t, s.PutJar(ctx, &state.Jar{Owner: "a", Host: "h", Sealed: make([]byte, state.MaxSealed+1)}), state.ErrInvalid)
	wantErr(t, s.AddKey(ctx, &state.Key{Use: "u"}), state.ErrInvalid)
	wantErr(t, s.PutSetting(ctx, "a", "\x00"), state.ErrInvalid)
	wantErr(t, s.PutSetting(ctx, "a\xff", ""), state.ErrInvalid)
}

func nothingShared(t *testing.T, s state.Store) {
	ctx := t.Context()
	in := Session(1)
	check(t, s.CreateSession(ctx, in))
	in.Groups[0], in.Attributes["department"], in.Sealed[0] = "changed", "changed", 9
	out := must[*state.Session](t)(s.Session(ctx, in.ID))
	out.Groups[1], out.Attributes["x"], out.Sealed[1] = "changed", "changed", 9
	var kept *state.Session
	check(t, s.UpdateSession(ctx, in.ID, func(v *state.Session) error { kept = v; return nil }))
	kept.Groups[2] = "changed"
	same(t, must[*state.Session](t)(s.Session(ctx, in.ID)), Session(1))
}
