package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func TestNotice(t *testing.T) {
	w := newWorld(t)
	s, raw := w.login(alice)
	take := func(want string) {
		t.Helper()
		got, err := w.get(raw).TakeNotice(t.Context())
		w.check(err)
		if got != want {
			t.Fatalf("notice %q, want %q", got, want)
		}
	}
	take("")
	w.check(w.SetNotice(t.Context(), s.ID, "older"))
	w.check(w.get(raw).SetNotice(t.Context(), "newer"))
	w.restart()
	if got := w.get(raw).Notice(); got != "newer" {
		t.Errorf("notice %q after a restart", got)
	}
	take("newer")
	take("")
	w.restart()
	take("")

	// Ten pages load at once: one tells it.
	w.check(w.SetNotice(t.Context(), s.ID, "ended"))
	var wg sync.WaitGroup
	told := make(chan string, 10)
	for range 10 {
		wg.Go(func() {
			if n, err := w.get(raw).TakeNotice(context.Background()); n != "" || err != nil {
				told <- n
			}
		})
	}
	wg.Wait()
	close(told)
	if n := len(told); n != 1 || <-told != "ended" {
		t.Errorf("told %d times", n)
	}

	w.check(w.Delete(t.Context(), s.ID))
	if err := w.SetNotice(t.Context(), s.ID, "x"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("to nobody: error %v", err)
	}
}

func TestNoticeStaysWhenItCannotBeTaken(t *testing.T) {
	w := newWorld(t)
	s, _ := w.login(alice)
	w.check(s.SetNotice(t.Context(), "ended"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := s.TakeNotice(ctx); n != "" || err == nil {
		t.Errorf("took %q, %v", n, err)
	}
	if n, err := s.TakeNotice(t.Context()); n != "ended" || err != nil {
		t.Errorf("took %q, %v", n, err)
	}
}

func TestValue(t *testing.T) {
	w := newWorld(t)
	s, raw := w.login(alice)
	type key1 struct{}
	type key2 struct{}
	var made [2]int
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s := w.get(raw)
			one := s.Value(key1{}, func() any { made[0]++; return &made[0] })
			two := s.Value(key2{}, func() any { made[1]++; return &made[1] })
			if one != any(&made[0]) || two != any(&made[1]) {
				t.Error("another's value")
			}
		})
	}
	wg.Wait()
	if made != [2]int{1, 1} {
		t.Errorf("made %v times", made)
	}
	other, _ := w.login(alice)
	if other.Value(key1{}, func() any { return "own" }) != "own" || s.Value(key1{}, nil) != any(&made[0]) {
		t.Error("sessions share values")
	}
}

func TestNoticeDuringALookup(t *testing.T) {
	w := newWorld(t)
	s, raw := w.login(alice)
	w.restart()
	w.store.afterRead = func() { w.check(w.SetNotice(context.Background(), s.ID, "ended")) }
	if got := w.get(raw).Notice(); got != "ended" {
		t.Errorf("notice %q", got)
	}
}
