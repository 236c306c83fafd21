package statetest

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func scim(t *testing.T, s state.Store) {
	ctx := t.Context()
	all := func() []*state.SCIMResource {
		t.Helper()
		found := []*state.SCIMResource{}
		check(t, s.EachSCIM(ctx, func(r *state.SCIMResource) error { found = append(found, r); return nil }))
		return found
	}
	made := func(kind, id, name string) *state.SCIMResource {
		return &state.SCIMResource{Kind: kind, ID: id, Name: name, Body: []byte(`{"a":"Zoë"}`), Version: 1, CreatedAt: at(0), ModifiedAt: at(time.Second)}
	}
	same(t, all(), []*state.SCIMResource{})
	sam, amy, group := made("User", "1", "sam"), made("User", "2", "amy"), made("Group", "3", "sam")
	for _, r := range []*state.SCIMResource{sam, amy, group} {
		check(t, s.PutSCIM(ctx, r))
	}
	same(t, all(), []*state.SCIMResource{group, sam, amy})
	wantErr(t, s.PutSCIM(ctx, made("User", "4", "sam")), state.ErrConflict)
	wantErr(t, s.PutSCIM(ctx, made("User", "1", "else")), state.ErrConflict)

	// The next version takes the place of the last, and of no other.
	next := made("User", "1", "samuel")
	next.Version, next.Body, next.ModifiedAt = 2, []byte(`{}`), at(time.Hour)
	check(t, s.PutSCIM(ctx, next))
	wantErr(t, s.PutSCIM(ctx, next), state.ErrNotFound)
	same(t, all(), []*state.SCIMResource{group, next, amy})
	taken := made("User", "1", "amy")
	taken.Version = 3
	wantErr(t, s.PutSCIM(ctx, taken), state.ErrConflict)
	gone := made("User", "9", "gone")
	gone.Version = 2
	wantErr(t, s.PutSCIM(ctx, gone), state.ErrNotFound)
	for _, broken := range []*state.SCIMResource{{}, {Kind: "User", ID: "1", Name: "a\x00", Version: 1, CreatedAt: at(0)}} {
		wantErr(t, s.PutSCIM(ctx, broken), state.ErrInvalid)
	}

	check(t, s.DeleteSCIM(ctx, "User", "2"))
	wantErr(t, s.DeleteSCIM(ctx, "User", "2"), state.ErrNotFound)
	same(t, all(), []*state.SCIMResource{group, next})
	no := errors.New("no")
	if err := s.EachSCIM(ctx, func(*state.SCIMResource) error { return no }); err != no { //nolint:errorlint // as it is
		t.Fatalf("error %v, want the function's own", err)
	}
}
