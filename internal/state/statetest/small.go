package statetest

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func seen(t *testing.T, s state.Store) {
	ctx := t.Context()
	all := func() []*state.SeenUser {
		t.Helper()
		users := []*state.SeenUser{}
		check(t, s.EachSeen(ctx, func(u *state.SeenUser) error { users = append(users, u); return nil }))
		return users
	}
	same(t, all(), []*state.SeenUser{})
	sam := &state.SeenUser{
		Issuer: "i", Subject: "1", ID: "u1", Username: "sam", Name: "Sam Reed", Email: "sam@example.com",
		Groups: []string{"field"}, Attributes: map[string]string{"a": "b"}, FirstSeen: at(0), LastSeen: at(time.Minute),
	}
	amy := &state.SeenUser{Issuer: "i", Subject: "2", Username: "amy", FirstSeen: at(0), LastSeen: at(0)}
	elsewhere := &state.SeenUser{Issuer: "other", Subject: "1", Username: "bo", FirstSeen: at(0), LastSeen: at(0)}
	for _, u := range []*state.SeenUser{sam, amy, elsewhere} {
		check(t, s.PutSeen(ctx, u))
	}
	same(t, all(), []*state.SeenUser{amy, elsewhere, sam})

	// The next login replaces all but FirstSeen.
	again := &state.SeenUser{Issuer: "i", Subject: "1", ID: "u9", Username: "samuel", FirstSeen: at(time.Hour), LastSeen: at(time.Hour)}
	check(t, s.PutSeen(ctx, again))
	want := *again
	want.FirstSeen = sam.FirstSeen
	same(t, all(), []*state.SeenUser{amy, elsewhere, &want})

	since := func(d time.Duration) []string {
		t.Helper()
		names := []string{}
		check(t, s.SeenSince(ctx, base.Add(d), func(u *state.SeenUser) error { names = append(names, u.Username); return nil }))
		return names
	}
	same(t, since(0), []string{"amy", "bo", "samuel"})
	same(t, since(time.Microsecond), []string{"samuel"})
	same(t, since(time.Hour), []string{"samuel"})
	same(t, since(time.Hour+time.Microsecond), []string{})

	no := errors.New("no")
	calls := 0
	if err := s.EachSeen(ctx, func(*state.SeenUser) error { calls++; return no }); err != no || calls != 1 { //nolint:errorlint // as it is
		t.Fatalf("error %v after %d calls, want the function's own after 1", err, calls)
	}
}

func keys(t *testing.T, s state.Store) {
	ctx := t.Context()
	key := func(use, id string, d time.Duration) *state.Key {
		return &state.Key{Use: use, ID: id, PKCS8: []byte(use + id + "\x00"), CreatedAt: at(d)}
	}
	same(t, len(must[[]*state.Key](t)(s.Keys(ctx, "assertion"))), 0)
	old, young, other := key("assertion", "old", 0), key("assertion", "young", time.Hour), key("checkpoint", "old", 0)
	for _, k := range []*state.Key{young, old, other} {
		check(t, s.AddKey(ctx, k))
	}
	wantErr(t, s.AddKey(ctx, key("assertion", "old", time.Minute)), state.ErrConflict)
	same(t, must[[]*state.Key](t)(s.Keys(ctx, "assertion")), []*state.Key{young, old})
	check(t, s.RetireKey(ctx, "assertion", "old", base.Add(time.Minute)))
	old.RetiredAt = at(time.Minute)
	same(t, must[[]*state.Key](t)(s.Keys(ctx, "assertion")), []*state.Key{young, old})
	same(t, must[[]*state.Key](t)(s.Keys(ctx, "checkpoint")), []*state.Key{other})
	wantErr(t, s.RetireKey(ctx, "checkpoint", "young", base), state.ErrNotFound)
}

func settings(t *testing.T, s state.Store) {
	ctx := t.Context()
	_, err := s.Setting(ctx, "retention")
	wantErr(t, err, state.ErrNotFound)
	check(t, s.PutSetting(ctx, "retention", "400d"))
	check(t, s.PutSetting(ctx, "empty", ""))
	check(t, s.PutSetting(ctx, "retention", "30d"))
	same(t, must[string](t)(s.Setting(ctx, "retention")), "30d")
	same(t, must[string](t)(s.Setting(ctx, "empty")), "")

	// With notices: both or neither.
	check(t, s.PutSettingTelling(ctx, "digest", "1", notice(1), notice(2)))
	same(t, must[map[string]int](t)(s.CountNotices(ctx)), map[string]int{"email": 2})
	wantErr(t, s.PutSettingTelling(ctx, "digest", "2", notice(3), &state.Notice{ID: "bad"}), state.ErrInvalid)
	wantErr(t, s.PutSettingTelling(ctx, "digest", "\x00", notice(4)), state.ErrInvalid)
	same(t, must[string](t)(s.Setting(ctx, "digest")), "1")
	same(t, must[map[string]int](t)(s.CountNotices(ctx)), map[string]int{"email": 2})
}
