package impersonation_test

import (
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// TestRequestOfALockedPair: what waits when the target objects is not agreed to any more, by whoever does not know of it.
func TestRequestOfALockedPair(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(func(p *policy.Policy) { approval(p); p.LockOnObjection = true }))
	sue, amy := w.login("sue"), w.login("amy")
	first := w.ask(sue, "sam")
	w.approve(first.ID, amy)
	live, err := w.begin(sue, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	waiting := w.ask(w.login("sue"), "sam")
	if _, err := w.Object(t.Context(), live.ID, w.person("sam"), impersonation.From{}); err != nil {
		t.Fatal(err)
	}
	_, err = w.Approve(t.Context(), waiting.ID, by(amy))
	wantCode(t, err, policy.RefusedLocked)
	if err := w.Unlock(t.Context(), "sue", "sam", w.person("olga"), impersonation.From{}, "a misunderstanding"); err != nil {
		t.Fatal(err)
	}
	w.approve(waiting.ID, amy)
}
