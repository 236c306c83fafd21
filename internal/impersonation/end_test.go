package impersonation_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// TestInvariant9EndingEnds: for whatever reason it ends, what is under way is cut, it is stored, recorded and told
// once, and the next request is the actor's.
func TestInvariant9EndingEnds(t *testing.T) {
	for cause, row := range map[string]struct {
		end    func(*world, *impersonation.Live)
		after  time.Duration // that it ended, since its start
		detail string
		asked  bool
	}{
		impersonation.CauseStopped: {func(w *world, l *impersonation.Live) {
			w.clock.Advance(time.Minute)
			must(w.t, w.End(w.t.Context(), l.ID, impersonation.CauseStopped, "sue"))
		}, time.Minute, `{"cause":"stopped","requests":3,"duration_s":60,"by":"sue"}`, true},
		impersonation.CauseRevoked: {func(w *world, l *impersonation.Live) {
			must(w.t, w.End(w.t.Context(), l.ID, impersonation.CauseRevoked, `Olga "O" Ø`))
		}, 0, `{"cause":"revoked","requests":3,"duration_s":0,"by":"Olga \"O\" Ø"}`, false},
		impersonation.CauseLogout: {func(w *world, l *impersonation.Live) {
			must(w.t, w.EndSession(w.t.Context(), l.Session, impersonation.CauseLogout, ""))
		}, 0, `{"cause":"logout","requests":3,"duration_s":0}`, true},
		impersonation.CauseExpired: {func(w *world, l *impersonation.Live) {
			for range 30 {
				l.Touch(w.clock.Now())
				w.clock.Advance(time.Minute)
			}
		}, 30 * time.Minute, `{"cause":"expired","requests":3,"duration_s":1800}`, false},
		impersonation.CauseIdle: {func(w *world, l *impersonation.Live) {
			w.clock.Advance(9 * time.Minute)
			l.Touch(w.clock.Now())
			w.clock.Advance(time.Hour)
		}, 19 * time.Minute, `{"cause":"idle","requests":3,"duration_s":1140}`, false},
		impersonation.CauseTargetDeactivated: {func(w *world, _ *impersonation.Live) {
			w.people.edit("sam", func(u *directory.User) { u.Active = false })
			w.refresh()
		}, 0, `{"cause":"target_deactivated","requests":3,"duration_s":0,"refusal":"target_inactive"}`, false},
		impersonation.CauseActorDeactivated: {func(w *world, _ *impersonation.Live) {
			w.people.edit("sue", func(u *directory.User) { u.Active = false })
			w.refresh()
		}, 0, `{"cause":"actor_deactivated","requests":3,"duration_s":0,"refusal":"actor_inactive"}`, false},
		impersonation.CausePolicyChanged: {func(w *world, _ *impersonation.Live) {
			w.reload(func(r *policy.Rules) { r.Protect.Users = []string{"sam"} })
		}, 0, `{"cause":"policy_changed","requests":3,"duration_s":0,"refusal":"target_protected"}`, false},
	} {
		t.Run(cause, func(t *testing.T) {
			w := newWorld(t)
			s := w.login("sue")
			l := w.start(s, "sam")
			w.counts[l.ID] = 3
			row.end(w, l) // nobody asks for the session: connections that are silent are cut too
			<-l.Context().Done()
			w.mustEnd(l, cause)
			if at := l.Ended().At; !at.Equal(noon.Add(row.after)) {
				t.Errorf("ended at %s", at)
			}
			if got := w.journal.of(audit.EventImpersonationEnded, l.ID)[0]; got.Detail != row.detail || got.ActorID != "u3" || got.TargetUsername != "sam" {
				t.Errorf("%+v", got)
			}
			if l.Ended().Unasked() == row.asked {
				t.Errorf("unasked: %t", l.Ended().Unasked())
			}
			if st := w.Stats(); st.Ended[cause] != 1 || st.Live != 0 || st.Unwritten != 0 || st.Started != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// TestDueOnRequest: a request after the time is over never finds it, although no timer has fired.
func TestDueOnRequest(t *testing.T) {
	for name, end := range map[string]func(*world, *session.Session, *impersonation.Live){
		"of": func(w *world, s *session.Session, _ *impersonation.Live) {
			if w.Of(w.t.Context(), s.ID) != nil {
				w.t.Error("live")
			}
		},
		"check": func(w *world, _ *session.Session, l *impersonation.Live) {
			if e := w.Check(w.t.Context(), l, w.clock.Now()); e == nil || e.Cause != impersonation.CauseIdle {
				w.t.Errorf("%v", e)
			}
		},
		"recheck": func(w *world, _ *session.Session, _ *impersonation.Live) { w.Recheck(w.t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.login("sue")
			l := w.start(s, "sam")
			if w.of(s) != "sam" {
				t.Fatal("not live")
			}
			w.StopTimers()
			w.clock.Advance(10*time.Minute - time.Nanosecond)
			if w.of(s) != "sam" {
				t.Fatal("over too early")
			}
			w.clock.Advance(time.Nanosecond)
			end(w, s, l)
			w.mustEnd(l, impersonation.CauseIdle)
		})
	}
}

// TestClockSteppedBack: a timer that finds the clock before its time waits on.
func TestClockSteppedBack(t *testing.T) {
	w := newWorld(t)
	s := w.login("amy")
	l := w.start(s, "sam")
	w.clock.Advance(-3 * time.Hour)
	if w.of(s) != "sam" {
		t.Error("ended by a clock that went back")
	}
	w.clock.Advance(4*time.Hour - time.Second)
	if w.of(s) != "sam" || l.Remaining(w.clock.Now()) != time.Second {
		t.Errorf("%s remain", l.Remaining(w.clock.Now()))
	}
	w.clock.Advance(time.Second)
	w.mustEnd(l, impersonation.CauseExpired)
}

func TestFirstCauseWins(t *testing.T) {
	w := newWorld(t)
	l := w.start(w.login("sue"), "sam")
	must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
	must(t, w.End(t.Context(), l.ID, impersonation.CauseRevoked, "olga"))
	must(t, w.EndSession(t.Context(), l.Session, impersonation.CauseLogout, "sue"))
	w.flush()
	must(t, w.End(t.Context(), l.ID, impersonation.CauseRevoked, "olga")) // now only the store knows it
	w.clock.Advance(time.Hour)
	w.mustEnd(l, impersonation.CauseStopped)
}

func TestEndUnknown(t *testing.T) {
	w := newWorld(t)
	if err := w.End(t.Context(), "nonsense", impersonation.CauseStopped, "sue"); !errors.Is(err, state.ErrNotFound) {
		t.Error(err)
	}
	must(t, w.EndSession(t.Context(), state.HashID("x"), impersonation.CauseLogout, ""))
}

func TestEndAllFor(t *testing.T) {
	w := newWorld(t)
	amy, sue, stan := w.login("amy"), w.login("sue"), w.login("stan")
	a, b, c := w.start(amy, "sue"), w.start(sue, "sam"), w.start(stan, "fay")
	if n := w.EndAllFor(t.Context(), " SUE", impersonation.CauseRevoked, "olga"); n != 2 {
		t.Errorf("ended %d", n)
	}
	w.mustEnd(a, impersonation.CauseRevoked)
	w.mustEnd(b, impersonation.CauseRevoked)
	if w.of(stan) != "fay" || !c.Live() {
		t.Error("the third has ended too")
	}
}

// TestToldBeforeNextRequest: the session's next request waits until the notice is left, so that a form of the
// target's is not carried out in the actor's name; connections don't wait, nor do other sessions.
func TestToldBeforeNextRequest(t *testing.T) {
	w := newWorld(t)
	sue, amy := w.login("sue"), w.login("amy")
	l := w.start(sue, "sam")
	w.start(amy, "fay")
	entered, leave := make(chan struct{}), make(chan struct{})
	w.onEnd = func(*impersonation.Live, *impersonation.Ended) {
		close(entered)
		<-leave
	}
	w.people.edit("sam", func(u *directory.User) { u.Active = false })
	w.refresh()
	<-l.Context().Done()
	<-entered
	if w.of(amy) != "fay" {
		t.Error("the other session")
	}
	early, cancel := context.WithCancel(t.Context())
	cancel()
	if w.Of(early, sue.ID) != nil || w.Check(early, l, w.clock.Now()) == nil { // a request that gives up does not wait
		t.Error("still live")
	}
	var left atomic.Bool
	var asking sync.WaitGroup
	for _, ask := range []func() bool{
		func() bool { return w.Check(t.Context(), l, w.clock.Now()) == nil },
		func() bool { return w.Of(t.Context(), sue.ID) != nil },
		func() bool { return w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue") != nil },
	} {
		asking.Go(func() {
			if ask() || !left.Load() {
				t.Error("still live, or answered before the notice is left")
			}
		})
	}
	for range 1000 { // let them run into it
		runtime.Gosched()
	}
	left.Store(true)
	close(leave)
	asking.Wait()
	w.mustEnd(l, impersonation.CauseTargetDeactivated)
}

// TestInvariant10ReturnAlwaysWorks: with neither store nor journal, a stop takes effect at once; once they are back,
// it is stored and recorded, exactly once.
func TestInvariant10ReturnAlwaysWorks(t *testing.T) {
	down := errors.New("input/output error")
	for name, row := range map[string]struct{ store, journal bool }{"store": {true, false}, "journal": {false, true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.login("sue")
			l := w.start(s, "sam")
			// The actor's right is gone as well.
			if row.store {
				w.disk.broken(down)
			}
			if row.journal {
				w.journal.broken(down)
			}
			must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
			if w.of(s) != "" {
				t.Fatal("still the target")
			}
			i, err := w.Get(t.Context(), l.ID)
			if err != nil || i.Live() || i.EndCause != impersonation.CauseStopped {
				t.Errorf("%+v, %v", i, err)
			}
			if row.store {
				if _, err := w.Start(t.Context(), request(s, "fay")); err == nil {
					t.Error("started another although the first is live in the store")
				}
			}
			w.tick(time.Second, func() bool { return w.Stats().Retries >= 3 })
			if st := w.Stats(); st.Unwritten == 0 {
				t.Errorf("%+v", st)
			}
			if row.store && !w.row(l.ID).Live() {
				t.Error("stored by a broken store")
			}
			w.disk.broken(nil)
			w.journal.broken(nil)
			w.tick(time.Second, func() bool { return w.Stats().Unwritten == 0 })
			w.mustEnd(l, impersonation.CauseStopped)
			if !strings.Contains(w.log.String(), "input/output error") {
				t.Error("nobody is told")
			}
			w.start(s, "fay")
		})
	}
}

// TestRestartBeforeRetry: what could not be stored before the next start is stored for it.
func TestRestartBeforeRetry(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	l := w.start(s, "sam")
	w.disk.broken(errors.New("busy"))
	must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
	w.disk.broken(nil)
	w.start(s, "fay") // no clock has moved, so nothing was tried again until now
	if w.row(l.ID).Live() {
		t.Error("the first is not stored as ended")
	}
	if w.of(s) != "fay" {
		t.Error("the second is not live")
	}
	w.tick(time.Second, func() bool { return w.Stats().Unwritten == 0 })
	w.mustEnd(l, impersonation.CauseStopped)
}

// TestHangingJournal: nobody waits for it, and the store has the end all the same.
func TestHangingJournal(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	l := w.start(s, "sam")
	w.journal.mu.Lock()
	w.journal.hold = make(chan struct{})
	w.journal.mu.Unlock()
	must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
	if w.of(s) != "" || w.row(l.ID).Live() || w.row(l.ID).EndRecorded {
		t.Errorf("stored %+v", w.row(l.ID))
	}
	close(w.journal.hold)
	w.mustEnd(l, impersonation.CauseStopped)
}

// TestEndCountsRequestsCutShort: the event of the end waits for the outcomes of what it cut, but not for ever; the end
// itself does not wait.
func TestEndCountsRequestsCutShort(t *testing.T) {
	t.Run("all leave", func(t *testing.T) {
		w := newWorld(t)
		s := w.login("sue")
		l := w.start(s, "sam")
		for range 2 {
			if !l.Enter() {
				t.Fatal("not let in")
			}
		}
		must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
		if w.of(s) != "" || w.row(l.ID).Live() || l.Enter() {
			t.Error("the end waits")
		}
		l.Leave()
		if len(w.journal.of(audit.EventImpersonationEnded, l.ID)) > 0 {
			t.Error("recorded before all have left")
		}
		w.counts[l.ID] = 2
		l.Leave()
		w.mustEnd(l, impersonation.CauseStopped) // without the clock moving
	})
	t.Run("one stays", func(t *testing.T) {
		w := newWorld(t)
		l := w.start(w.login("sue"), "sam")
		if !l.Enter() {
			t.Fatal("not let in")
		}
		must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
		from := w.clock.Now()
		w.tick(10*time.Millisecond, func() bool { return len(w.journal.of(audit.EventImpersonationEnded, l.ID)) > 0 })
		if d := w.clock.Now().Sub(from); d < 240*time.Millisecond {
			t.Errorf("waited %s", d)
		}
		w.mustEnd(l, impersonation.CauseStopped)
		l.Leave()
	})
}

// TestDetailIsOneLine: a hostile name can't forge fields of the detail.
func TestDetailIsOneLine(t *testing.T) {
	w := newWorld(t)
	l := w.start(w.login("sue"), "sam")
	must(t, w.End(t.Context(), l.ID, impersonation.CauseRevoked, "x requests=0\nby=amy"))
	w.flush()
	if d := w.journal.of(audit.EventImpersonationEnded, l.ID)[0].Detail; d != `{"cause":"revoked","requests":0,"duration_s":0,"by":"x requests=0\nby=amy"}` {
		t.Error(d)
	}
}

func TestCloseWritesDown(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	l := w.start(s, "sam")
	must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
	must(t, w.Close(t.Context()))
	if i := w.row(l.ID); i.Live() || !i.EndRecorded {
		t.Errorf("%+v", i)
	}
	must(t, w.Close(t.Context()))

	w = newWorld(t)
	l = w.start(w.login("sue"), "sam")
	w.journal.broken(fmt.Errorf("disk full"))
	must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
	if err := w.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "1 ended impersonations are not written down everywhere") {
		t.Error(err)
	}
	if _, err := w.Start(t.Context(), request(w.login("sue"), "sam")); !errors.Is(err, impersonation.ErrNotReady) {
		t.Error(err)
	}
	w.clock.Advance(24 * time.Hour)
}
