package impersonation_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// TestRestart: what runs goes on as it was, with the times it had; what may not, ends.
func TestRestart(t *testing.T) {
	for name, row := range map[string]struct {
		down  time.Duration
		while func(*world, *impersonation.Live)
		cause string
		after time.Duration
	}{
		"goes on":        {time.Minute, nil, "", 0},
		"over meanwhile": {25 * time.Minute, nil, impersonation.CauseIdle, 15 * time.Minute},
		"long over":      {24 * time.Hour, func(w *world, l *impersonation.Live) { update(w, l.ID, func(i *state.Impersonation) { i.Idle = 0 }) }, impersonation.CauseExpired, 30 * time.Minute},
		"session gone":   {time.Minute, func(w *world, l *impersonation.Live) { must(w.t, w.disk.DeleteSession(w.t.Context(), l.Session)) }, impersonation.CauseLogout, 6 * time.Minute},
		"policy gone": {time.Minute, func(w *world, _ *impersonation.Live) {
			w.set = compile(w.t, func(r *policy.Rules) { r.Policies = nil })
		}, impersonation.CausePolicyChanged, 6 * time.Minute},
		"target inactive": {time.Minute, func(w *world, _ *impersonation.Live) {
			w.people.edit("sam", func(u *directory.User) { u.Active = false })
			w.refresh()
		}, impersonation.CauseTargetDeactivated, 6 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.login("sue")
			l := w.start(s, "sam")
			w.clock.Advance(5 * time.Minute)
			l.Touch(w.clock.Now())
			w.restart()
			if !w.row(l.ID).LastSeen.Equal(w.clock.Now()) {
				t.Error("the last request is forgotten")
			}
			if row.while != nil {
				row.while(w, l)
			}
			w.clock.Advance(row.down)
			w.counts[l.ID] = 4
			w.use()
			if row.cause == "" {
				if w.of(s) != "sam" {
					t.Fatal("gone")
				}
				again := w.Of(t.Context(), s.ID)
				want := l.Impersonation
				want.LastSeen = noon.Add(5 * time.Minute)
				if d := cmp.Diff(want, again.Impersonation); d != "" {
					t.Error(d)
				}
				if r := again.Remaining(w.clock.Now()); r != 24*time.Minute {
					t.Errorf("%s remain", r)
				}
				w.clock.Advance(9 * time.Minute)
				w.mustEnd(again, impersonation.CauseIdle)
				return
			}
			if w.of(s) != "" {
				t.Error("live")
			}
			w.flush()
			i := w.row(l.ID)
			if i.EndCause != row.cause || !i.EndedAt.Equal(noon.Add(row.after)) || !i.EndRecorded {
				t.Errorf("stored %+v", i)
			}
			if n := len(w.journal.of(audit.EventImpersonationEnded, l.ID)); n != 1 {
				t.Errorf("%d ends on record", n)
			}
			if told := w.tellings(); len(told) != 1 || told[0].ended.Cause != row.cause || told[0].live.Session != s.ID {
				t.Errorf("told %+v", told)
			}
		})
	}
}

func update(w *world, id string, f func(*state.Impersonation)) {
	w.t.Helper()
	must(w.t, w.disk.UpdateImpersonation(w.t.Context(), id, func(i *state.Impersonation) error {
		f(i)
		return nil
	}))
}

// TestUnrecordedEnd: an end that was stored, but whose event the journal never took, is recorded at the next start.
func TestUnrecordedEnd(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	l := w.start(s, "sam")
	w.journal.broken(errors.New("disk full"))
	w.clock.Advance(time.Minute)
	must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
	w.restart()
	w.journal.broken(nil)
	w.clock.Advance(time.Hour)
	w.use()
	w.flush()
	ended := w.journal.of(audit.EventImpersonationEnded, l.ID)
	if len(ended) != 1 || ended[0].Detail != `{"cause":"stopped","requests":0,"duration_s":60,"by":"sue","recovered":true}` || ended[0].TargetID != "u5" {
		t.Errorf("%+v", ended)
	}
	if i := w.row(l.ID); !i.EndRecorded || i.EndCause != impersonation.CauseStopped || !i.EndedAt.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v", i)
	}
	if len(w.tellings()) > 0 {
		t.Error("told of what they did themselves, in another life")
	}
	w.restart()
	w.use()
	w.flush()
	if n := len(w.journal.of(audit.EventImpersonationEnded, l.ID)); n != 1 {
		t.Errorf("%d ends on record", n)
	}
}

// TestEndBeforeUse: return works before any configuration is in force, and what is loaded later agrees.
func TestEndBeforeUse(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	l := w.start(s, "sam")
	w.restart()
	must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"))
	if i := w.row(l.ID); i.EndCause != impersonation.CauseStopped {
		t.Errorf("%+v", i)
	}
	must(t, w.End(t.Context(), l.ID, impersonation.CauseRevoked, "olga"))
	w.use()
	if w.of(s) != "" {
		t.Error("back to life")
	}
	w.tick(time.Second, func() bool { return w.Stats().Unwritten == 0 })
	ended := w.journal.of(audit.EventImpersonationEnded, l.ID)
	if len(ended) != 1 || ended[0].Detail != `{"cause":"stopped","requests":0,"duration_s":0,"by":"sue"}` {
		t.Errorf("%+v", ended)
	}
	w.start(s, "fay")
}

// TestUseFails: a store that can't be read is no empty store.
func TestUseFails(t *testing.T) {
	w := newWorld(t)
	w.start(w.login("sue"), "sam")
	w.restart()
	must(t, w.disk.Close())
	if err := w.Use(t.Context(), impersonation.Rules{Policy: w.set, Directory: w.dir}, w.journal); err == nil {
		t.Error("no error")
	}
}

// TestLastSeenIsSavedSeldom: at most every ten seconds, and only where it moved.
func TestLastSeenIsSavedSeldom(t *testing.T) {
	w := newWorld(t)
	l := w.start(w.login("sue"), "sam")
	for range 95 {
		l.Touch(w.clock.Now())
		w.clock.Advance(time.Second)
	}
	if n := w.disk.writes(l.ID); n != 9 {
		t.Errorf("%d writes in 95 s", n)
	}
	if seen := w.row(l.ID).LastSeen; !seen.Equal(noon.Add(89 * time.Second)) {
		t.Errorf("last seen %s", seen)
	}
	w.clock.Advance(5 * time.Minute)
	if n := w.disk.writes(l.ID); n != 10 {
		t.Errorf("%d writes after a silence", n)
	}
	l.Touch(w.clock.Now())
	l.Touch(noon) // a request that was slow to get here
	w.disk.broken(errors.New("busy"))
	w.clock.Advance(10 * time.Second)
	w.disk.broken(nil)
	w.clock.Advance(10 * time.Second)
	if seen := w.row(l.ID).LastSeen; !seen.Equal(w.clock.Now().Add(-20 * time.Second)) {
		t.Errorf("last seen %s, now %s", seen, w.clock.Now())
	}
	w.clock.Advance(time.Hour)
	w.mustEnd(l, impersonation.CauseIdle)
}

func TestListGetLast(t *testing.T) {
	w := newWorld(t)
	amy, sue, stan := w.login("amy"), w.login("sue"), w.login("stan")
	var all []string
	add := func(l *impersonation.Live) *impersonation.Live {
		all = append([]string{l.ID}, all...)
		w.clock.Advance(time.Second)
		return l
	}
	for range 3 {
		l := add(w.start(amy, "sam"))
		must(t, w.End(t.Context(), l.ID, impersonation.CauseStopped, "amy"))
	}
	add(w.start(amy, "fay"))
	live := add(w.start(sue, "sam"))
	add(w.start(stan, "sam"))
	w.flush()
	list := func(actor, which string, before time.Time, limit int) []string {
		t.Helper()
		found, err := w.List(t.Context(), actor, which, state.Place{At: before}, limit)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, i := range found {
			out = append(out, i.ID)
			if i.Live() != slices.Contains(all[:3], i.ID) {
				t.Errorf("%s: live %t", i.ID, i.Live())
			}
		}
		return out
	}
	for name, row := range map[string]struct {
		actor, which string
		before       time.Time
		limit        int
		want         []string
	}{
		"all":         {"", "all", time.Time{}, 10, all},
		"default":     {"", "", time.Time{}, 10, all},
		"active":      {"", "active", time.Time{}, 10, all[:3]},
		"ended":       {"", "ended", time.Time{}, 10, all[3:]},
		"amy's":       {"amy", "all", time.Time{}, 10, all[2:]},
		"amy active":  {"amy", "active", time.Time{}, 10, all[2:3]},
		"two":         {"", "all", time.Time{}, 2, all[:2]},
		"two active":  {"", "active", time.Time{}, 2, all[:2]},
		"next two":    {"", "all", noon.Add(4 * time.Second), 2, all[2:4]},
		"next active": {"", "active", noon.Add(4 * time.Second), 2, all[2:3]},
		"two ended":   {"", "ended", time.Time{}, 2, all[3:5]},
		"nobody's":    {"vic", "all", time.Time{}, 2, []string{}},
	} {
		if got := list(row.actor, row.which, row.before, row.limit); !cmp.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
	}

	live.Touch(w.clock.Now())
	got, err := w.Get(t.Context(), live.ID)
	if err != nil || !got.LastSeen.Equal(w.clock.Now()) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := w.Last(t.Context(), sue.ID); err != nil || got.ID != live.ID || !got.Live() {
		t.Errorf("%+v, %v", got, err)
	}
	w.disk.broken(errors.New("busy"))
	must(t, w.End(t.Context(), live.ID, impersonation.CauseStopped, "sue"))
	if got, err := w.Last(t.Context(), sue.ID); err != nil || got.ID != live.ID || got.Live() {
		t.Errorf("the store's word counts more than memory's: %+v, %v", got, err)
	}
	if found, err := w.List(t.Context(), "", "active", state.Place{}, 10); err != nil || len(found) != 2 {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := w.Get(t.Context(), "nonsense"); !errors.Is(err, state.ErrNotFound) {
		t.Error(err)
	}
	w.disk.broken(nil)
	w.tick(time.Second, func() bool { return w.Stats().Unwritten == 0 })
	w.clock.Advance(100 * 24 * time.Hour)
	w.flush()
	must(t, w.Sweep(t.Context(), 90*24*time.Hour))
	if found, err := w.List(t.Context(), "", "all", state.Place{}, 10); err != nil || len(found) != 0 {
		t.Errorf("%d remain, %v", len(found), err)
	}
}
