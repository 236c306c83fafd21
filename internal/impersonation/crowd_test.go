package impersonation_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// TestCrowd: 200 impersonations start, work and end at once, while facts and rules change. For the race detector, and
// for deadlocks; that everything ends exactly once is checked too.
func TestCrowd(t *testing.T) {
	w := newWorld(t)
	w.Manager = impersonation.NewPatientManager(impersonation.Options{Store: w.disk})
	t.Cleanup(func() { must(t, w.Close(context.Background())) })
	w.use()
	w.SetWriteTimeout(time.Minute)    // the race detector makes SQLite slow
	changes := make(chan struct{}, 1) // the crowd paces them
	var changing, crowd sync.WaitGroup
	changing.Go(func() {
		i := 0
		for range changes {
			i++
			switch i % 4 {
			case 0:
				w.people.edit("fay", func(u *directory.User) { u.Active = !u.Active })
				must(t, w.dir.Refresh(context.Background()))
			case 1:
				w.EndAllFor(context.Background(), "sue", impersonation.CauseRevoked, "olga")
			case 2:
				set, err := policy.Compile(rules)
				must(t, err)
				must(t, w.Use(context.Background(), impersonation.Rules{Policy: set, Directory: w.dir}, w.journal))
			case 3:
				w.Stats()
				_, err := w.List(context.Background(), "", "active", state.Place{}, 100)
				must(t, err)
			}
		}
	})
	for i := range 200 {
		crowd.Go(func() {
			s := w.login([]string{"amy", "sue", "stan"}[i%3])
			for n := range 3 {
				l, err := w.Start(context.Background(), request(s, []string{"sam", "fay"}[n%2]))
				if err != nil {
					var e *impersonation.Ended
					if policy.AsRefusal(err) == nil && !errors.As(err, &e) {
						t.Error(err)
					}
					continue
				}
				for range 20 {
					if l := w.Of(context.Background(), s.ID); l != nil && w.Check(context.Background(), l, time.Now()) == nil && l.Enter() {
						l.Touch(time.Now())
						l.Leave()
					}
				}
				select {
				case changes <- struct{}{}:
				default:
				}
				must(t, w.End(context.Background(), l.ID, impersonation.CauseStopped, "x"))
				if w.Of(context.Background(), s.ID) != nil {
					t.Error("live after its end")
				}
			}
		})
	}
	crowd.Wait()
	close(changes)
	changing.Wait()
	w.flush()
	started, ended := w.journal.of(audit.EventImpersonationStarted, ""), w.journal.of(audit.EventImpersonationEnded, "")
	if len(started) < 200 || len(started) != len(ended) {
		t.Errorf("%d starts, %d ends", len(started), len(ended))
	}
	once := map[string]bool{}
	for _, e := range ended {
		if once[e.ImpersonationID] {
			t.Errorf("%s ended twice", e.ImpersonationID)
		}
		once[e.ImpersonationID] = true
	}
	if rows, err := w.disk.LiveImpersonations(t.Context()); err != nil || len(rows) > 0 {
		t.Errorf("%d live in the store, %v", len(rows), err)
	}
}
