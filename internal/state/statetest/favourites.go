package statetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// favourite is one of alice's.
func favourite(target string, d time.Duration) *state.Favourite {
	return &state.Favourite{ActorUsername: "alice", TargetUsername: target, TargetID: "id-" + target, CreatedAt: at(d)}
}

func favourites(t *testing.T, s state.Store) {
	ctx := t.Context()
	list := func(actor string) []*state.Favourite {
		t.Helper()
		return must[[]*state.Favourite](t)(s.Favourites(ctx, actor))
	}
	same(t, len(list("alice")), 0)
	sam, kim := favourite("sam", time.Minute), favourite("kim", 0)
	kim.TargetID = ""
	others := favourite("sam", 0)
	others.ActorUsername = "bob"
	for _, f := range []*state.Favourite{sam, kim, others} {
		check(t, s.PutFavourite(ctx, f))
	}
	again := favourite("sam", time.Hour)
	again.TargetID = "another"
	check(t, s.PutFavourite(ctx, again))
	same(t, list("alice"), []*state.Favourite{kim, sam})
	same(t, list("bob"), []*state.Favourite{others})
	same(t, len(list("Alice")), 0)
	check(t, s.DeleteFavourite(ctx, "alice", "kim"))
	check(t, s.DeleteFavourite(ctx, "alice", "kim"))
	same(t, list("alice"), []*state.Favourite{sam})
	same(t, list("bob"), []*state.Favourite{others})

	for n := range state.MaxFavourites - 1 {
		check(t, s.PutFavourite(ctx, favourite(fmt.Sprint("t", n), time.Duration(n)*time.Hour)))
	}
	wantErr(t, s.PutFavourite(ctx, favourite("more", 0)), state.ErrFull)
	check(t, s.PutFavourite(ctx, sam)) // it is there
	same(t, len(list("alice")), state.MaxFavourites)
	check(t, s.DeleteFavourite(ctx, "alice", "t0"))
	check(t, s.PutFavourite(ctx, favourite("more", 0)))

	for name, breakIt := range map[string]func(*state.Favourite){
		"no actor":  func(f *state.Favourite) { f.ActorUsername = "" },
		"no target": func(f *state.Favourite) { f.TargetUsername = "" },
		"no time":   func(f *state.Favourite) { f.CreatedAt = time.Time{} },
		"NUL":       func(f *state.Favourite) { f.TargetID = "a\x00b" },
		"long":      func(f *state.Favourite) { f.TargetUsername = strings.Repeat("x", state.MaxText+1) },
	} {
		f := favourite("x", 0)
		breakIt(f)
		if err := s.PutFavourite(ctx, f); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: error %v, want %v", name, err, state.ErrInvalid)
		}
	}
}

// concurrentFavourites: of many at once no more are kept than one may have.
func concurrentFavourites(t *testing.T, s state.Store) {
	const workers = state.MaxFavourites + 8
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() { errs[n] = s.PutFavourite(t.Context(), favourite(fmt.Sprint("t", n), 0)) })
	}
	wg.Wait()
	full := 0
	for _, err := range errs {
		if err != nil {
			wantErr(t, err, state.ErrFull)
			full++
		}
	}
	same(t, full, 8)
	same(t, len(must[[]*state.Favourite](t)(s.Favourites(t.Context(), "alice"))), state.MaxFavourites)
}
