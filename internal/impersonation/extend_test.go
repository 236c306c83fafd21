package impersonation_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

var here = netip.MustParseAddr("192.0.2.7")

// extendable lets the support policy add 15 minutes twice.
func extendable(r *policy.Rules) {
	r.Policies[0].Idle, r.Policies[0].Extension, r.Policies[0].Extensions = 0, 15*time.Minute, 2
}

func newExtendable(t *testing.T) (*world, *impersonation.Live) {
	t.Helper()
	w := newWorld(t)
	w.reload(extendable)
	return w, w.start(w.login("sue"), "sam")
}

func (w *world) extend(l *impersonation.Live, press int) *impersonation.Live {
	w.t.Helper()
	got, err := w.Extend(w.t.Context(), l, press, here)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) refused(l *impersonation.Live, code string) {
	w.t.Helper()
	_, err := w.Extend(w.t.Context(), l, 0, here)
	if r := policy.AsRefusal(err); r == nil || r.Code != code {
		w.t.Errorf("%v, want %s", err, code)
	}
}

func TestExtend(t *testing.T) {
	w, l := newExtendable(t)
	if left, by := l.Extension(); left != 2 || by != 15*time.Minute {
		t.Errorf("%d left, by %s", left, by)
	}
	w.clock.Advance(29 * time.Minute)
	got := w.extend(l, 1)
	if want := noon.Add(45 * time.Minute); !got.ExpiresAt.Equal(want) || !w.row(l.ID).ExpiresAt.Equal(want) || w.row(l.ID).Extensions != 1 || w.row(l.ID).Extended != 15*time.Minute {
		t.Errorf("extended to %s, stored %+v", got.ExpiresAt, w.row(l.ID))
	}
	if r := l.Remaining(w.clock.Now()); r != 16*time.Minute {
		t.Errorf("%s remain", r)
	}
	if left, by := got.Extension(); left != 1 || by != 15*time.Minute {
		t.Errorf("%d left, by %s", left, by)
	}
	events := w.journal.of(audit.EventImpersonationExtended, l.ID)
	if len(events) != 1 || events[0].Detail != `{"press":1,"extension_s":900,"old_end":"2025-03-03T12:30:00Z","new_end":"2025-03-03T12:45:00Z"}` ||
		events[0].ActorUsername != "sue" || events[0].TargetUsername != "sam" || events[0].ClientIP != "192.0.2.7" || events[0].Mode != policy.ModeFull {
		t.Errorf("events: %+v", events)
	}

	// The same press again is the same press.
	if again := w.extend(l, 1); !again.ExpiresAt.Equal(got.ExpiresAt) {
		t.Errorf("pressed twice: %s", again.ExpiresAt)
	}
	w.clock.Advance(15 * time.Minute) // the old time has passed
	if w.Of(t.Context(), l.Session) == nil {
		t.Fatal("ended at its old time")
	}
	if got = w.extend(got, 0); !got.ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("second: %s", got.ExpiresAt)
	}
	w.refused(got, policy.RefusedExtensionsUsed)
	if left, by := got.Extension(); left != 0 || by != 0 {
		t.Errorf("%d left, by %s", left, by)
	}
	if n := w.Stats().Extended; n != 2 {
		t.Errorf("%d counted", n)
	}
	w.clock.Advance(16 * time.Minute)
	w.mustEnd(l, impersonation.CauseExpired)
	if e := l.Ended(); !e.At.Equal(noon.Add(time.Hour)) {
		t.Errorf("ended at %s", e.At)
	}
	if _, err := w.Extend(t.Context(), got, 0, here); err == nil || policy.AsRefusal(err) != nil {
		t.Errorf("extended after its end: %v", err)
	}
}

func TestExtendNotOffered(t *testing.T) {
	w := newWorld(t)
	l := w.start(w.login("sue"), "sam")
	w.refused(l, policy.RefusedExtension)
	if n := len(w.journal.of(audit.EventImpersonationExtended, "")); n > 0 || !w.row(l.ID).ExpiresAt.Equal(noon.Add(30*time.Minute)) {
		t.Errorf("%d events, %+v", n, w.row(l.ID))
	}
}

// TestExtendCountsAsUse: who presses is there.
func TestExtendCountsAsUse(t *testing.T) {
	w := newWorld(t)
	w.reload(func(r *policy.Rules) { extendable(r); r.Policies[0].Idle = 10 * time.Minute })
	l := w.start(w.login("sue"), "sam")
	w.clock.Advance(9 * time.Minute)
	w.extend(l, 0)
	w.clock.Advance(9 * time.Minute)
	if !l.Live() {
		t.Error("idle, right after a press")
	}
	w.clock.Advance(2 * time.Minute)
	w.mustEnd(l, impersonation.CauseIdle)
}

func TestExtendOutlivesARestart(t *testing.T) {
	w, l := newExtendable(t)
	s := w.login("stan")
	w.extend(l, 0)
	w.restart()
	w.use()
	again := w.Of(t.Context(), l.Session)
	if again == nil || !again.ExpiresAt.Equal(noon.Add(45*time.Minute)) || again.Extensions != 1 {
		t.Fatalf("%+v", again)
	}
	if left, _ := again.Extension(); left != 1 {
		t.Errorf("%d left", left)
	}
	w.clock.Advance(44 * time.Minute)
	w.extend(again, 2)
	w.refused(again, policy.RefusedExtensionsUsed)
	if w.of(s) != "" {
		t.Error("another session is somebody")
	}
}

// TestExtendRecordBeforeEffect: while it can't be recorded it is not granted; while the store is down, it is, and
// stored when that is back.
func TestExtendRecordBeforeEffect(t *testing.T) {
	w, l := newExtendable(t)
	w.journal.broken(errors.New("disk full"))
	if _, err := w.Extend(t.Context(), l, 0, here); err == nil || policy.AsRefusal(err) != nil {
		t.Errorf("granted without a record: %v", err)
	}
	if left, _ := l.Extension(); left != 2 || l.Remaining(w.clock.Now()) != 30*time.Minute {
		t.Errorf("%d left, %s remain", left, l.Remaining(w.clock.Now()))
	}
	w.journal.broken(nil)
	w.journal.mu.Lock()
	w.journal.before = func(e audit.Event) {
		if r := l.Remaining(w.clock.Now()); r != 30*time.Minute {
			t.Errorf("in effect before it was recorded: %s", r)
		}
	}
	w.journal.mu.Unlock()
	w.disk.broken(errors.New("no disk"))
	w.extend(l, 0)
	if !w.row(l.ID).ExpiresAt.Equal(noon.Add(30*time.Minute)) || !strings.Contains(w.log.String(), "an extension can't be stored yet") {
		t.Error("stored on no disk")
	}
	w.disk.broken(nil)
	w.tick(time.Second, func() bool { return w.row(l.ID).ExpiresAt.Equal(noon.Add(45 * time.Minute)) })
	if w.row(l.ID).Extensions != 1 {
		t.Errorf("stored %+v", w.row(l.ID))
	}
}

// TestExtendOnCurrentFacts: what may not go on is not prolonged but ended; also when that becomes so while the press is
// being recorded.
func TestExtendOnCurrentFacts(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*world)
		cause  string
		end    time.Duration // after noon, where it goes on
		code   string
	}{
		"target deactivated": {
			change: func(w *world) { w.people.edit("sam", func(u *directory.User) { u.Active = false }); w.refresh() },
			cause:  impersonation.CauseTargetDeactivated,
		},
		"actor loses group": {
			change: func(w *world) {
				w.people.edit("sue", func(u *directory.User) { u.Groups = []string{"x"} })
				w.refresh()
			},
			cause: impersonation.CausePolicyChanged,
		},
		"policy gone": {
			change: func(w *world) { w.reload(func(r *policy.Rules) { r.Policies = r.Policies[1:] }) },
			cause:  impersonation.CausePolicyChanged,
		},
		"no more extensions": {change: func(w *world) { w.reload(nil) }, end: 30 * time.Minute, code: policy.RefusedExtension},
		"shorter ones": {
			change: func(w *world) {
				w.reload(func(r *policy.Rules) { r.Policies[0].Extension, r.Policies[0].Extensions = 5*time.Minute, 1 })
			},
			end: 35 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := newExtendable(t)
			row.change(w)
			switch {
			case row.cause != "":
				if _, err := w.Extend(t.Context(), l, 0, here); err == nil {
					t.Error("prolonged")
				}
				w.mustEnd(l, row.cause)
			case row.code != "":
				w.refused(l, row.code)
			default:
				if got := w.extend(l, 0); !got.ExpiresAt.Equal(noon.Add(row.end)) {
					t.Errorf("to %s", got.ExpiresAt)
				}
			}
		})
		t.Run(name+" meanwhile", func(t *testing.T) {
			w, l := newExtendable(t)
			var once sync.Once
			w.journal.mu.Lock()
			w.journal.before = func(e audit.Event) {
				if e.Type == audit.EventImpersonationExtended {
					once.Do(func() { row.change(w) })
				}
			}
			w.journal.mu.Unlock()
			got, err := w.Extend(t.Context(), l, 0, here)
			if row.cause != "" {
				if ended := new(impersonation.Ended); !errors.As(err, &ended) || ended.Cause != row.cause {
					t.Errorf("prolonged: %v", err)
				}
				w.mustEnd(l, row.cause)
				return
			}
			if err != nil || !got.ExpiresAt.Equal(noon.Add(row.end)) {
				t.Fatalf("%v, %+v", err, got)
			}
			w.clock.Advance(row.end)
			if l.Live() {
				t.Error("goes on beyond what the rules allow")
			}
		})
	}
}

// TestExtendRacesWithTheEnd: a press in the last moment either prolongs it, and it goes on, or comes too late, and it
// has ended; and so while its record is being written.
func TestExtendRacesWithTheEnd(t *testing.T) {
	t.Run("ends meanwhile", func(t *testing.T) {
		for name, end := range map[string]func(*world, *impersonation.Live){
			impersonation.CauseExpired: func(w *world, _ *impersonation.Live) { w.clock.Advance(time.Minute) },
			impersonation.CauseStopped: func(w *world, l *impersonation.Live) {
				must(w.t, w.End(w.t.Context(), l.ID, impersonation.CauseStopped, "sue"))
			},
		} {
			w, l := newExtendable(t)
			w.clock.Advance(29*time.Minute + 30*time.Second)
			w.journal.mu.Lock()
			w.journal.before = func(e audit.Event) {
				if e.Type == audit.EventImpersonationExtended {
					end(w, l)
				}
			}
			w.journal.mu.Unlock()
			ended := new(impersonation.Ended)
			if _, err := w.Extend(t.Context(), l, 0, here); !errors.As(err, &ended) || ended.Cause != name {
				t.Errorf("%s: %v", name, err)
			}
			w.mustEnd(l, name)
			if w.Stats().Extended != 0 {
				t.Errorf("%s: counted", name)
			}
		}
	})
	t.Run("at once", func(t *testing.T) {
		prolonged, late := 0, 0
		for range 30 {
			w, l := newExtendable(t)
			w.clock.Advance(30*time.Minute - time.Nanosecond)
			var wg sync.WaitGroup
			var err error
			wg.Go(func() { _, err = w.Extend(t.Context(), l, 0, here) })
			wg.Go(func() { w.clock.Advance(2 * time.Nanosecond) })
			wg.Go(func() { w.Of(t.Context(), l.Session) })
			wg.Wait()
			ended := new(impersonation.Ended)
			switch {
			case err == nil:
				prolonged++
				if w.ofLive(l) != "sam" {
					t.Fatal("told it was prolonged, and it has ended")
				}
			case errors.As(err, &ended) && ended.Cause == impersonation.CauseExpired:
				late++
				w.mustEnd(l, impersonation.CauseExpired)
			default:
				t.Fatal(err)
			}
			closeAll(w.Manager, w.disk)
		}
		t.Logf("%d prolonged, %d too late", prolonged, late)
	})
	t.Run("many presses", func(t *testing.T) {
		w, l := newExtendable(t)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				_, err := w.Extend(t.Context(), l, i%2, here) // half of them say: the first
				if r := policy.AsRefusal(err); err != nil && (r == nil || r.Code != policy.RefusedExtensionsUsed) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(w.journal.of(audit.EventImpersonationExtended, l.ID)); n != 2 || !w.row(l.ID).ExpiresAt.Equal(noon.Add(time.Hour)) {
			t.Errorf("%d on record, %+v", n, w.row(l.ID))
		}
	})
}

// ofLive is of, by what was started.
func (w *world) ofLive(l *impersonation.Live) string {
	got := w.Of(w.t.Context(), l.Session)
	if got == nil || w.Check(w.t.Context(), got, w.clock.Now()) != nil {
		return ""
	}
	return got.TargetUsername
}

// TestReportBanner: a page's word on its banner is recorded, ten at once and then one in ten seconds.
func TestReportBanner(t *testing.T) {
	w, l := newExtendable(t)
	report := func(path, why string) bool {
		ok, err := w.ReportBanner(t.Context(), l, path, why, here)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	n := 0
	for i := range 25 {
		if report(fmt.Sprint("/bookings/", i, "\n"), "covered") {
			n++
		}
	}
	if n != 10 {
		t.Errorf("%d of 25 at once", n)
	}
	events := w.journal.of(audit.EventBannerMissing, l.ID)
	if len(events) != 10 || events[0].Detail != `{"why":"covered","path":"/bookings/0"}` || events[0].ActorUsername != "sue" || events[0].ClientIP != "192.0.2.7" {
		t.Errorf("%d events, %+v", len(events), events[0])
	}
	w.clock.Advance(9 * time.Second)
	if report("/", "hidden") {
		t.Error("after 9 seconds")
	}
	w.clock.Advance(time.Second)
	if !report("/"+strings.Repeat("x", 10_000), "hidden") || report("/", "hidden") {
		t.Error("after 10 seconds: one")
	}
	if got := w.journal.of(audit.EventBannerMissing, l.ID)[10].Detail; len(got) > 600 {
		t.Errorf("%d bytes", len(got))
	}
	if w.Stats().BannerMissing != 28 {
		t.Errorf("%d counted", w.Stats().BannerMissing)
	}
	if _, err := w.ReportBanner(t.Context(), l, "/", "because", here); err == nil {
		t.Error("any word goes")
	}
}
