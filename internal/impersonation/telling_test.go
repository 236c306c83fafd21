package impersonation_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// letters keeps what it is given to deliver: to each recipient that has an address.
type letters struct{ got chan notify.Delivery }

func (letters) Name() string { return "email" }

func (letters) Carries(m *notify.Message) []notify.Recipient {
	return slices.DeleteFunc(slices.Clone(m.To), func(r notify.Recipient) bool { return r.Email == "" })
}

func (p letters) Deliver(_ context.Context, d *notify.Delivery) error {
	p.got <- *d
	return nil
}

// telling is a world in which notices go out.
type telling struct {
	*world
	queue   *notify.Queue
	letters letters
}

func newTelling(t *testing.T, edit func(*policy.Policy)) *telling {
	t.Helper()
	w := newWorld(t)
	tw := &telling{world: w, letters: letters{make(chan notify.Delivery, 100)}}
	tw.reopen()
	w.set = compile(t, func(r *policy.Rules) {
		r.Policies[0].TellTarget = true
		if edit != nil {
			edit(&r.Policies[0])
		}
	})
	w.use()
	return tw
}

// reopen is a new process, with a queue.
func (w *telling) reopen() {
	w.t.Helper()
	w.restart()
	q, err := notify.NewQueue(w.t.Context(), notify.Options{Store: w.disk.Store, Clock: w.clock, Report: func(context.Context, notify.Outcome) error { return nil }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.queue = q
	if err := q.Use(w.t.Context(), []notify.Notifier{w.letters}); err != nil {
		w.t.Fatal(err)
	}
	closeAll := func() { _ = q.Close(context.Background()) }
	w.t.Cleanup(closeAll)
	w.Manager = impersonation.NewPatientManager(impersonation.Options{Store: w.disk, Clock: w.clock, Notices: q})
	m := w.Manager
	w.t.Cleanup(func() { _ = m.Close(context.Background()) })
}

func (w *telling) next() notify.Delivery {
	w.t.Helper()
	select {
	case d := <-w.letters.got:
		return d
	case <-time.After(time.Minute):
		w.t.Fatal("nobody was told within a minute")
		panic("not reached")
	}
}

func (w *telling) flush() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := w.Flush(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func TestStartAndEndAreTold(t *testing.T) {
	w := newTelling(t, func(p *policy.Policy) { p.TellOwners = true })
	live := w.start(w.login("sue"), "sam")
	got := map[string]string{}
	for range 2 {
		d := w.next()
		got[d.To.Username] = string(d.Message.Kind) + " " + d.Message.ActorUsername + " " + d.Message.TargetUsername + " " + d.Message.Reason
	}
	want := map[string]string{"sam": "impersonation_started sue sam booking won't complete", "olga": "impersonation_started sue sam booking won't complete"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if ids := w.Bells().Claim("SAM"); !slices.Equal(ids, []string{live.ID}) {
		t.Errorf("the bell rings for %v", ids)
	}
	w.Bells().Told(t.Context(), "sam", true, func(string) bool { return true }, live.ID)
	if w.Bells().Due("sam") {
		t.Error("told, and told again while it lasts")
	}
	w.clock.Advance(3 * time.Minute)
	if err := w.End(t.Context(), live.ID, impersonation.CauseStopped, "sue"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if d := w.next(); d.Message.Kind != notify.KindEnded || d.Message.EndCause != "stopped" || d.Message.Duration != 3*time.Minute {
			t.Errorf("told %+v", d.Message)
		}
	}
	w.flush()
	if !w.Bells().Due("sam") {
		t.Error("how it ended is not told")
	}
	// Not told yet: a restart forgets nothing.
	w.reopen()
	w.use()
	if ids := w.Bells().Claim("sam"); !slices.Equal(ids, []string{live.ID}) {
		t.Errorf("after a restart the bell rings for %v", ids)
	}
	w.Bells().Told(t.Context(), "sam", true, nil, live.ID)
	w.reopen()
	w.use()
	if w.Bells().Any() {
		t.Error("told once more after a restart")
	}
	if len(w.letters.got) != 0 {
		t.Errorf("%d more notices", len(w.letters.got))
	}
}

func TestNobodyIsToldWhereThePolicySaysSo(t *testing.T) {
	w := newTelling(t, func(p *policy.Policy) { p.TellTarget = false })
	live := w.start(w.login("sue"), "sam")
	if err := w.End(t.Context(), live.ID, impersonation.CauseStopped, "sue"); err != nil {
		t.Fatal(err)
	}
	w.flush()
	counts, err := w.disk.Store.CountNotices(t.Context())
	if err != nil || len(counts) != 0 || len(w.letters.got) != 0 || w.Bells().Any() {
		t.Errorf("%v queued, %d sent, %v", counts, len(w.letters.got), err)
	}
}

func TestNoNoticeNoStart(t *testing.T) {
	for _, tt := range []struct {
		name  string
		upset func(*telling)
		want  string
	}{
		{"reached", func(*telling) {}, ""},
		{"no address", func(w *telling) {
			w.people.edit("sam", func(u *directory.User) { u.Email = "" })
			w.refresh()
		}, policy.RefusedUnreachable},
		{"no notifier", func(w *telling) {
			if err := w.queue.Use(w.t.Context(), nil); err != nil {
				w.t.Fatal(err)
			}
		}, policy.RefusedUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTelling(t, func(p *policy.Policy) { p.RequireNotice = true })
			s := w.login("sue")
			tt.upset(w)
			live, err := w.Start(t.Context(), impersonation.StartRequest{Session: s, Target: "sam", Reason: "why"})
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if d := w.next(); d.To.Username != "sam" || d.Message.ImpersonationID != live.ID {
					t.Errorf("told %+v", d)
				}
				return
			}
			if r := policy.AsRefusal(err); r == nil || r.Code != tt.want {
				t.Fatalf("error %v, want %s", err, tt.want)
			}
			e := w.journal.of(audit.EventImpersonationRefused, "")
			if len(e) != 1 || !strings.Contains(e[0].Detail, tt.want) || len(w.journal.of(audit.EventImpersonationStarted, "")) != 0 {
				t.Errorf("events %+v", e)
			}
			if w.Of(t.Context(), s.ID) != nil || w.Bells().Any() {
				t.Error("it started all the same")
			}
		})
	}
}

// TestFailedStartTellsNobody: what could not be stored has not happened, and nobody is told that it has.
func TestFailedStartTellsNobody(t *testing.T) {
	w := newTelling(t, nil)
	s := w.login("sue")
	w.disk.broken(errors.New("disk full"))
	if _, err := w.Start(t.Context(), impersonation.StartRequest{Session: s, Target: "sam", Reason: "why"}); err == nil {
		t.Fatal("started")
	}
	w.disk.broken(nil)
	w.clock.Advance(time.Minute)
	w.flush()
	if counts, err := w.disk.Store.CountNotices(t.Context()); err != nil || len(counts) != 0 || len(w.letters.got) != 0 || w.Bells().Any() {
		t.Errorf("%v queued, %d sent, %v", counts, len(w.letters.got), err)
	}
}

func person(w *telling, username string) *identity.Identity { return w.person(username) }

func (w *world) person(username string) *identity.Identity {
	w.t.Helper()
	u, ok := w.dir.Lookup(username)
	if !ok {
		w.t.Fatalf("no %s", username)
	}
	return &u.Identity
}

func TestObjection(t *testing.T) {
	for _, lock := range []bool{false, true} {
		w := newTelling(t, func(p *policy.Policy) { p.LockOnObjection = lock })
		live := w.start(w.login("sue"), "sam")
		second := w.start(w.login("sue"), "sam")
		other := w.start(w.login("stan"), "sam")
		for range 3 {
			w.next()
		}
		for _, who := range []string{"sue", "fay", "olga"} {
			if _, err := w.Object(t.Context(), live.ID, person(w, who), impersonation.From{}); !errors.Is(err, impersonation.ErrNotTheirs) {
				t.Errorf("%s objects: %v", who, err)
			}
		}
		if _, err := w.Object(t.Context(), "none", person(w, "sam"), impersonation.From{}); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("nothing is objected to: %v", err)
		}
		consequence, err := w.Object(t.Context(), live.ID, person(w, "sam"), impersonation.From{})
		if err != nil || (consequence == impersonation.ConsequenceLocked) != lock {
			t.Fatalf("%q, %v", consequence, err)
		}
		if _, err := w.Object(t.Context(), live.ID, person(w, "sam"), impersonation.From{}); err != nil {
			t.Fatal(err)
		}
		if e := w.journal.of(audit.EventObjectionRaised, live.ID); len(e) != 1 || e[0].TargetUsername != "sam" {
			t.Errorf("events %+v", e)
		}
		w.flush()
		objections, ends := 0, 0
		for objections < 1 || lock && ends < 2 {
			switch d := w.next(); d.Message.Kind {
			case notify.KindObjection:
				if objections++; d.To.Username != "olga" || d.Message.Consequence != consequence {
					t.Errorf("told %+v", d)
				}
			case notify.KindEnded:
				ends++
			}
		}
		if row, err := w.Get(t.Context(), live.ID); err != nil || row.ObjectedAt.IsZero() {
			t.Errorf("%+v, %v", row, err)
		}
		if live.Live() == lock || second.Live() == lock || !other.Live() {
			t.Errorf("lock %v: live %v, %v, the other's %v", lock, live.Live(), second.Live(), other.Live())
		}
		if !lock {
			continue
		}
		refused := func() string {
			_, err := w.Start(t.Context(), impersonation.StartRequest{Session: w.login("sue"), Target: "SAM", Reason: "why"})
			if r := policy.AsRefusal(err); r != nil {
				return r.Code
			}
			if err != nil {
				t.Fatal(err)
			}
			return ""
		}
		if code := refused(); code != policy.RefusedLocked {
			t.Errorf("refused with %q", code)
		}
		w.reopen()
		w.use()
		if code := refused(); code != policy.RefusedLocked {
			t.Errorf("after a restart refused with %q", code)
		}
		if err := w.Unlock(t.Context(), "sue", "sam", person(w, "olga"), impersonation.From{}, "a misunderstanding"); err != nil {
			t.Fatal(err)
		}
		if err := w.Unlock(t.Context(), "sue", "sam", person(w, "olga"), impersonation.From{}, ""); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("lifted twice: %v", err)
		}
		if code := refused(); code != "" {
			t.Errorf("lifted, and refused with %q", code)
		}
		if e := w.journal.of(audit.EventPairUnlocked, ""); len(e) != 1 || e[0].ActorUsername != "olga" || e[0].Reason != "a misunderstanding" {
			t.Errorf("events %+v", e)
		}
	}
}

func TestReview(t *testing.T) {
	w := newTelling(t, nil)
	live := w.start(w.login("sue"), "sam")
	got, err := w.Review(t.Context(), live.ID, person(w, "olga"), impersonation.From{}, " looked \n at it ")
	if err != nil || got.ReviewedBy != "olga" || !got.ReviewedAt.Equal(w.clock.Now()) || !strings.HasPrefix(got.ReviewNote, "looked") {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := w.End(t.Context(), live.ID, impersonation.CauseStopped, "sue"); err != nil {
		t.Fatal(err)
	}
	w.flush()
	w.reopen()
	w.use()
	if row, err := w.Get(t.Context(), live.ID); err != nil || row.ReviewedBy != "olga" || row.EndCause != "stopped" {
		t.Errorf("after a restart %+v, %v", row, err)
	}
	if e := w.journal.of(audit.EventReviewed, live.ID); len(e) != 1 || e[0].ActorUsername != "olga" || e[0].TargetUsername != "sam" {
		t.Errorf("events %+v", e)
	}
}
