package statetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func end(t *testing.T, s state.Store, id string, at time.Time, recorded bool) {
	t.Helper()
	check(t, s.UpdateImpersonation(t.Context(), id, func(i *state.Impersonation) error {
		i.EndedAt, i.EndCause, i.EndRecorded = at, "stopped", recorded
		return nil
	}))
}

func impersonations(t *testing.T, s state.Store) {
	ctx := t.Context()
	_, err := s.Impersonation(ctx, "imp-1")
	wantErr(t, err, state.ErrNotFound)
	same(t, impIDs(must[[]*state.Impersonation](t)(s.LiveImpersonations(ctx))), []string{})
	with(t, s, 1, 2, 3)
	for _, n := range []int{2, 1, 3} {
		check(t, s.CreateImpersonation(ctx, Impersonation(n)))
	}
	same(t, must[*state.Impersonation](t)(s.Impersonation(ctx, "imp-1")), Impersonation(1))
	same(t, impIDs(must[[]*state.Impersonation](t)(s.LiveImpersonations(ctx))), []string{"imp-1", "imp-2", "imp-3"})
	end(t, s, "imp-2", at(time.Hour), true)
	same(t, impIDs(must[[]*state.Impersonation](t)(s.LiveImpersonations(ctx))), []string{"imp-1", "imp-3"})
}

func oneLive(t *testing.T, s state.Store) {
	ctx := t.Context()
	with(t, s, 1, 2)
	check(t, s.CreateImpersonation(ctx, Impersonation(1)))
	second := Impersonation(1)
	second.ID = "second"
	wantErr(t, s.CreateImpersonation(ctx, second), state.ErrConflict)
	same(t, must[*state.Impersonation](t)(s.Impersonation(ctx, "imp-1")), Impersonation(1))
	_, err := s.Impersonation(ctx, "second")
	wantErr(t, err, state.ErrNotFound)
	// Another session may; the same id may not.
	check(t, s.CreateImpersonation(ctx, Impersonation(2)))
	// After the end another may start; then the first can't come back to life.
	end(t, s, "imp-1", at(time.Minute), false)
	check(t, s.CreateImpersonation(ctx, second))
	wantErr(t, s.UpdateImpersonation(ctx, "imp-1", func(i *state.Impersonation) error { i.EndedAt = time.Time{}; return nil }), state.ErrConflict)
	end(t, s, "second", at(time.Minute), false)
	wantErr(t, s.CreateImpersonation(ctx, second), state.ErrConflict)
}

func ofNoSession(t *testing.T, s state.Store) {
	ctx := t.Context()
	wantErr(t, s.CreateImpersonation(ctx, Impersonation(1)), state.ErrNotFound)
	with(t, s, 1)
	check(t, s.DeleteSession(ctx, Session(1).ID))
	wantErr(t, s.CreateImpersonation(ctx, Impersonation(1)), state.ErrNotFound)
	_, err := s.Impersonation(ctx, "imp-1")
	wantErr(t, err, state.ErrNotFound)
}

func impersonationUpdate(t *testing.T, s state.Store) {
	ctx := t.Context()
	with(t, s, 1, 2)
	check(t, s.CreateImpersonation(ctx, Impersonation(1)))
	check(t, s.CreateImpersonation(ctx, Impersonation(2)))
	want := Impersonation(3)
	want.ID, want.Session = "imp-1", Session(1).ID
	want.EndedAt, want.EndCause, want.EndedBy, want.EndRecorded = at(time.Hour), "revoked", "owner", true
	check(t, s.UpdateImpersonation(ctx, "imp-1", func(i *state.Impersonation) error {
		same(t, i, Impersonation(1))
		*i = *want
		return nil
	}))
	same(t, must[*state.Impersonation](t)(s.Impersonation(ctx, "imp-1")), want)
	same(t, must[*state.Impersonation](t)(s.Impersonation(ctx, "imp-2")), Impersonation(2))

	no := errors.New("no")
	if err := s.UpdateImpersonation(ctx, "imp-1", func(i *state.Impersonation) error { i.Mode = "lost"; return no }); err != no { //nolint:errorlint // as it is
		t.Fatalf("error %v, want the function's own", err)
	}
	wantErr(t, s.UpdateImpersonation(ctx, "imp-1", func(i *state.Impersonation) error { i.ID = "x"; return nil }), state.ErrInvalid)
	wantErr(t, s.UpdateImpersonation(ctx, "imp-1", func(i *state.Impersonation) error { i.Session = state.HashID("x"); return nil }), state.ErrInvalid)
	wantErr(t, s.UpdateImpersonation(ctx, "none", func(*state.Impersonation) error { t.Error("called"); return nil }), state.ErrNotFound)
	same(t, must[*state.Impersonation](t)(s.Impersonation(ctx, "imp-1")), want)
}

func lastImpersonation(t *testing.T, s state.Store) {
	ctx := t.Context()
	with(t, s, 1, 2)
	_, err := s.LastImpersonation(ctx, Session(1).ID)
	wantErr(t, err, state.ErrNotFound)
	for n := range 3 {
		i := Impersonation(1)
		i.ID, i.StartedAt = fmt.Sprint("i", n), at(time.Duration(n)*time.Minute)
		check(t, s.CreateImpersonation(ctx, i))
		same(t, must[*state.Impersonation](t)(s.LastImpersonation(ctx, i.Session)).ID, i.ID)
		end(t, s, i.ID, i.StartedAt.Add(time.Second), false)
		same(t, must[*state.Impersonation](t)(s.LastImpersonation(ctx, i.Session)).ID, i.ID)
	}
	// The clock was put back: the live one counts, though it seems to be older.
	i := Impersonation(1)
	i.ID, i.StartedAt = "back", at(-time.Hour)
	check(t, s.CreateImpersonation(ctx, i))
	same(t, must[*state.Impersonation](t)(s.LastImpersonation(ctx, i.Session)).ID, "back")
	_, err = s.LastImpersonation(ctx, Session(2).ID)
	wantErr(t, err, state.ErrNotFound)
}

func listImpersonations(t *testing.T, s state.Store) {
	ctx := t.Context()
	for n, v := range []struct{ actor, target string }{{"alice", "sam"}, {"alice", "kim"}, {"bob", "sam"}, {"alice", "sam"}} {
		with(t, s, n)
		i := Impersonation(n)
		i.ActorUsername, i.TargetUsername = v.actor, v.target
		check(t, s.CreateImpersonation(ctx, i))
	}
	end(t, s, "imp-1", at(time.Hour), true)
	for _, tt := range []struct {
		actor, target string
		before        time.Time
		limit         int
		want          []string
	}{
		{"", "", time.Time{}, 10, []string{"imp-3", "imp-2", "imp-1", "imp-0"}},
		{"", "", time.Time{}, 2, []string{"imp-3", "imp-2"}},
		{"", "", at(2 * time.Second), 2, []string{"imp-1", "imp-0"}},
		{"alice", "", time.Time{}, 10, []string{"imp-3", "imp-1", "imp-0"}},
		{"", "sam", time.Time{}, 10, []string{"imp-3", "imp-2", "imp-0"}},
		{"alice", "sam", at(3 * time.Second), 10, []string{"imp-0"}},
		{"Alice", "", time.Time{}, 10, []string{}},
		{"", "", time.Time{}, 0, []string{}},
		{"", "", time.Time{}, 1 << 40, []string{"imp-3", "imp-2", "imp-1", "imp-0"}},
	} {
		same(t, impIDs(must[[]*state.Impersonation](t)(s.ListImpersonations(ctx, tt.actor, tt.target, state.Place{At: tt.before}, tt.limit))), tt.want)
	}
}

// listSameMoment: rows of one microsecond are listed by their ids, and a page that ends among them goes on among them.
func listSameMoment(t *testing.T, s state.Store) {
	ctx := t.Context()
	want := []string{}
	for n := 6; n >= 0; n-- {
		want = append(want, fmt.Sprint("imp-", n))
	}
	for _, n := range []int{3, 0, 6, 2, 5, 1, 4} {
		with(t, s, n)
		i := Impersonation(n)
		i.StartedAt = at(0)
		check(t, s.CreateImpersonation(ctx, i))
		r := Request(n)
		r.CreatedAt = at(0)
		check(t, s.CreateRequest(ctx, r))
	}
	for _, limit := range []int{1, 2, 3, 7, 8} {
		got, asked := []string{}, []string{}
		var behind state.Place
		for {
			some := must[[]*state.Impersonation](t)(s.ListImpersonations(ctx, "alice", "", behind, limit))
			got = append(got, impIDs(some)...)
			if len(some) < limit {
				break
			}
			behind = state.Place{At: some[limit-1].StartedAt, ID: some[limit-1].ID}
		}
		same(t, got, want)
		behind = state.Place{}
		for {
			some := must[[]*state.Request](t)(s.ListRequests(ctx, "", behind, limit))
			for _, r := range some {
				asked = append(asked, "imp"+r.ID[len("req"):])
			}
			if len(some) < limit {
				break
			}
			behind = state.Place{At: some[limit-1].CreatedAt, ID: some[limit-1].ID}
		}
		same(t, asked, want)
	}
	same(t, impIDs(must[[]*state.Impersonation](t)(s.ListImpersonations(ctx, "", "", state.Place{At: at(0)}, 10))), []string{})
}

func unrecordedEnds(t *testing.T, s state.Store) {
	ctx := t.Context()
	with(t, s, 1, 2, 3, 4)
	for n := 1; n <= 4; n++ {
		check(t, s.CreateImpersonation(ctx, Impersonation(n)))
	}
	end(t, s, "imp-2", at(2*time.Hour), false)
	end(t, s, "imp-3", at(time.Hour), false)
	end(t, s, "imp-4", at(time.Hour), true)
	same(t, impIDs(must[[]*state.Impersonation](t)(s.UnrecordedEnds(ctx))), []string{"imp-3", "imp-2"})
	end(t, s, "imp-3", at(time.Hour), true)
	same(t, impIDs(must[[]*state.Impersonation](t)(s.UnrecordedEnds(ctx))), []string{"imp-2"})
}

func prune(t *testing.T, s state.Store) {
	ctx := t.Context()
	for n := range 5 {
		with(t, s, n)
		check(t, s.CreateImpersonation(ctx, Impersonation(n)))
		check(t, s.PutJar(ctx, &state.Jar{Owner: Impersonation(n).ID, Host: "app"}))
	}
	end(t, s, "imp-0", at(time.Minute), true)
	end(t, s, "imp-1", at(time.Minute), false) // its end is not in the journal yet
	end(t, s, "imp-2", at(3*time.Minute), true)
	end(t, s, "imp-3", at(2*time.Minute), true)
	// imp-4 lives.
	cut := at(3 * time.Minute)
	same(t, must[int](t)(s.PruneImpersonations(ctx, cut, 0)), 0)
	same(t, must[int](t)(s.PruneImpersonations(ctx, cut, 1)), 1)
	_, err := s.Impersonation(ctx, "imp-0") // the oldest end first
	wantErr(t, err, state.ErrNotFound)
	_, err = s.Jar(ctx, "imp-0", "app")
	wantErr(t, err, state.ErrNotFound)
	same(t, must[int](t)(s.PruneImpersonations(ctx, cut, 10)), 1)
	same(t, must[int](t)(s.PruneImpersonations(ctx, cut, 10)), 0)
	same(t, impIDs(must[[]*state.Impersonation](t)(s.ListImpersonations(ctx, "", "", state.Place{}, 10))), []string{"imp-4", "imp-2", "imp-1"})
	must[*state.Jar](t)(s.Jar(ctx, "imp-1", "app"))
}
