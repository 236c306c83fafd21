package impersonation_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func TestStart(t *testing.T) {
	w := newWorld(t)
	s := w.login("Sue", "whatever")
	w.journal.before = func(e audit.Event) {
		if w.Of(t.Context(), s.ID) != nil {
			t.Error("in effect before it is recorded")
		}
		if _, err := w.disk.Impersonation(t.Context(), e.ImpersonationID); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("stored before it is recorded: %v", err)
		}
	}
	req := request(s, " SAM ")
	req.Mode, req.Duration, req.Reason = policy.ModeReadOnly, 20*time.Minute, "  why\u202e not "
	l, err := w.Start(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := state.Impersonation{
		ID: l.ID, Session: s.ID, Site: "https://app.example.com", ActorID: "u3", ActorUsername: "sue", ActorName: "Sue Support",
		TargetID: "u5", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "read_only", Policy: "support", Reason: "why not", Ticket: "HD-7",
		ReturnTo: "/list?page=2", StartedAt: noon, ExpiresAt: noon.Add(20 * time.Minute), Idle: 10 * time.Minute, LastSeen: noon,
	}
	if d := cmp.Diff(want, l.Impersonation); d != "" {
		t.Error("live:", d)
	}
	if d := cmp.Diff(&want, w.row(l.ID)); d != "" {
		t.Error("stored:", d)
	}
	if len(l.ID) != 32 || strings.ToLower(l.ID) != l.ID {
		t.Errorf("id %q", l.ID)
	}
	wantEvent := audit.Event{
		Time: noon, Type: "impersonation_started", ImpersonationID: l.ID, ActorID: "u3", ActorUsername: "sue", TargetID: "u5", TargetUsername: "sam",
		ClientIP: "192.0.2.7", Reason: "why not", Ticket: "HD-7",
		ActorName: "Sue Support", TargetName: "Sam Reed", Mode: "read_only",
		Detail: `{"policy":"support","mode":"read_only","duration_s":1200,"idle_s":600,"site":"https://app.example.com"}`,
	}
	if d := cmp.Diff([]audit.Event{wantEvent}, w.journal.events); d != "" {
		t.Error("event:", d)
	}
	if got := w.Of(t.Context(), s.ID); got != l || w.of(s) != "sam" || l.Target().ID != "u5" || !l.Live() {
		t.Errorf("live: %v", got)
	}
	if r := l.Remaining(noon.Add(time.Minute)); r != 19*time.Minute {
		t.Errorf("%s remain", r)
	}
	if w.of(w.login("sue")) != "" {
		t.Error("the actor's other browser impersonates too")
	}
}

// TestInvariant3DefaultDeny: what is refused starts nothing, and is on record.
func TestInvariant3DefaultDeny(t *testing.T) {
	for name, row := range map[string]struct {
		actor  string
		groups []string
		target string
		edit   func(*world, *impersonation.StartRequest)
		want   string
	}{
		"actor inactive": {"sue", nil, "sam", func(w *world, _ *impersonation.StartRequest) {
			w.people.edit("sue", func(u *directory.User) { u.Active = false })
		}, policy.RefusedActorInactive},
		"target unknown": {"sue", nil, "who", nil, policy.RefusedUnknown},
		"oneself":        {"sue", nil, "SUE", nil, policy.RefusedSelf},
		"target inactive": {"sue", nil, "sam", func(w *world, _ *impersonation.StartRequest) {
			w.people.edit("sam", func(u *directory.User) { u.Active = false })
		}, policy.RefusedInactive},
		"protected": {"sue", nil, "vic", nil, policy.RefusedProtected},
		"an owner":  {"amy", nil, "olga", nil, policy.RefusedPowerful},
		"no policy": {"nora", nil, "sam", nil, policy.RefusedNoPolicy},
		// The directory knows nora, and knows that she has no groups; the login's claims don't add any.
		"claimed groups": {"nora", []string{"support"}, "sam", nil, policy.RefusedNoPolicy},
		"no such target": {"sue", nil, "stan", nil, policy.RefusedTargetNoPolicy},
		"mode":           {"amy", nil, "sam", func(_ *world, r *impersonation.StartRequest) { r.Mode = policy.ModeReadOnly }, policy.RefusedMode},
		"reason":         {"sue", nil, "sam", func(_ *world, r *impersonation.StartRequest) { r.Reason = " " }, policy.RefusedReason},
		"duration":       {"sue", nil, "sam", func(_ *world, r *impersonation.StartRequest) { r.Duration = time.Hour }, policy.RefusedDuration},
		"group lost since login": {"sue", []string{"support"}, "sam", func(w *world, _ *impersonation.StartRequest) {
			w.people.edit("sue", func(u *directory.User) { u.Groups = []string{} })
		}, policy.RefusedNoPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.login(row.actor, row.groups...)
			req := request(s, row.target)
			if row.edit != nil {
				row.edit(w, &req)
				w.refresh()
			}
			l, err := w.Start(t.Context(), req)
			if r := policy.AsRefusal(err); r == nil || r.Code != row.want || l != nil {
				t.Fatalf("got %v, %v; want %s", l, err, row.want)
			}
			if w.of(s) != "" || len(w.journal.of(audit.EventImpersonationStarted, "")) > 0 {
				t.Error("started all the same")
			}
			if _, err := w.disk.LastImpersonation(t.Context(), s.ID); !errors.Is(err, state.ErrNotFound) {
				t.Errorf("stored: %v", err)
			}
			events := w.journal.of(audit.EventImpersonationRefused, "")
			if len(events) != 1 || events[0].Detail != `{"refusal":"`+row.want+`"}` || events[0].ActorUsername != row.actor || events[0].ClientIP != "192.0.2.7" {
				t.Errorf("events: %+v", events)
			}
			if st := w.Stats(); st.Refused != 1 || st.Started != 0 || st.Live != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestRefusedEventIsBounded: what a hostile client types fills no record, and a broken journal delays no refusal.
func TestRefusedEventIsBounded(t *testing.T) {
	w := newWorld(t)
	req := request(w.login("sue"), strings.Repeat("x\x00", 50_000))
	req.Reason, req.Ticket = strings.Repeat("r", 100_000), strings.Repeat("t", 100_000)
	if _, err := w.Start(t.Context(), req); policy.AsRefusal(err) == nil {
		t.Fatal(err)
	}
	e := w.journal.events[0]
	if len(e.TargetUsername) > 200 || len(e.Reason) > 500 || len(e.Ticket) > 200 || strings.Contains(e.TargetUsername, "\x00") {
		t.Errorf("%d %d %d characters", len(e.TargetUsername), len(e.Reason), len(e.Ticket))
	}
	w.journal.broken(errors.New("disk full"))
	if _, err := w.Start(t.Context(), req); policy.AsRefusal(err) == nil {
		t.Errorf("the refusal became %v", err)
	}
	if !strings.Contains(w.log.String(), "disk full") {
		t.Error("nobody is told")
	}
}

// TestNested: gitlab #196028 let A become B become C, and a stop left an unmarked B.
func TestNested(t *testing.T) {
	w := newWorld(t)
	s := w.login("amy")
	first := w.start(s, "sue")
	_, err := w.Start(t.Context(), request(s, "sam"))
	if r := policy.AsRefusal(err); r == nil || r.Code != policy.RefusedNested {
		t.Fatal(err)
	}
	if w.of(s) != "sue" {
		t.Error("the first is gone")
	}
	if err := w.End(t.Context(), first.ID, impersonation.CauseStopped, "amy"); err != nil {
		t.Fatal(err)
	}
	if w.of(s) != "" {
		t.Error("after the stop it is not the actor")
	}
	second := w.start(s, "sam")
	if w.of(s) != "sam" || second.ActorUsername != "amy" {
		t.Error("a second one, after the first")
	}
	// One that is over, but was not looked at since, is in nobody's way.
	w.clock.Advance(2 * time.Hour)
	w.start(s, "fay")
	if w.of(s) != "fay" {
		t.Error("a third one, after the second's time")
	}
}

// TestConcurrentStarts: exactly one wins, whatever the timing; the others are told that one runs.
func TestConcurrentStarts(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		s := w.login("amy")
		var won, nested atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_, err := w.Start(t.Context(), request(s, []string{"sam", "fay", "sue", "stan"}[i%4]))
				switch r := policy.AsRefusal(err); {
				case err == nil:
					won.Add(1)
				case r != nil && r.Code == policy.RefusedNested:
					nested.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || nested.Load() != 7 {
			t.Fatalf("%d won, %d were told of another", won.Load(), nested.Load())
		}
	}
	if n := len(w.journal.of(audit.EventImpersonationStarted, "")); n != 20 {
		t.Errorf("%d starts on record", n)
	}
}

// TestTwoOfEverything: two actors on one target, one actor in two browsers, the target at work as well; each returns
// to their own self (devise_masquerade #94).
func TestTwoOfEverything(t *testing.T) {
	w := newWorld(t)
	amy1, amy2, sue, sam := w.login("amy"), w.login("amy"), w.login("sue"), w.login("sam")
	a := w.start(amy1, "sam")
	w.start(sue, "sam")
	w.start(amy2, "fay")
	check := func(want ...string) {
		t.Helper()
		if got := []string{w.of(amy1), w.of(amy2), w.of(sue), w.of(sam)}; !cmp.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("sam", "fay", "sam", "")
	if err := w.End(t.Context(), a.ID, impersonation.CauseStopped, "amy"); err != nil {
		t.Fatal(err)
	}
	check("", "fay", "sam", "")
}

// TestNoRecordNoStart: without a record there is no impersonation.
func TestNoRecordNoStart(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	w.journal.broken(errors.New("disk full"))
	_, err := w.Start(t.Context(), request(s, "sam"))
	if err == nil || policy.AsRefusal(err) != nil || !strings.Contains(err.Error(), "recording the start of an impersonation: disk full") {
		t.Fatal(err)
	}
	if w.of(s) != "" {
		t.Error("in effect")
	}
	if _, err := w.disk.LastImpersonation(t.Context(), s.ID); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("stored: %v", err)
	}
	w.journal.broken(nil)
	w.flush()
	if len(w.journal.events) > 0 || len(w.tellings()) > 0 {
		t.Errorf("%+v", w.journal.events)
	}
	w.start(s, "sam")
}

// TestStartNotStored: recorded but not stored is compensated by an end, also when the store did it after all.
func TestStartNotStored(t *testing.T) {
	for _, lost := range []bool{false, true} {
		w := newWorld(t)
		s := w.login("sue")
		w.disk.lost = lost
		w.disk.broken(errors.New("no space left"))
		_, err := w.Start(t.Context(), request(s, "sam"))
		if err == nil || policy.AsRefusal(err) != nil || !strings.Contains(err.Error(), "storing an impersonation: no space left") {
			t.Fatal(err)
		}
		if w.of(s) != "" || len(w.tellings()) > 0 {
			t.Error("in effect")
		}
		w.disk.broken(nil)
		w.tick(time.Second, func() bool { return w.Stats().Unwritten == 0 })
		id := w.journal.events[0].ImpersonationID
		ended := w.journal.of(audit.EventImpersonationEnded, id)
		if len(ended) != 1 || ended[0].Detail != `{"cause":"start_failed","requests":0,"duration_s":0}` {
			t.Errorf("lost=%t: %+v", lost, w.journal.events)
		}
		i, err := w.disk.Impersonation(t.Context(), id)
		if lost && (err != nil || i.Live() || !i.EndRecorded) || !lost && !errors.Is(err, state.ErrNotFound) {
			t.Errorf("lost=%t: stored %+v, %v", lost, i, err)
		}
		w.start(s, "sam")
	}
}

// TestStartUncertain: a start whose record came too late to be waited for may be on record; so is its end.
func TestStartUncertain(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	w.SetWriteTimeout(20 * time.Millisecond)
	w.journal.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the browser leaving does not abort it: it has a time of its own, which passes here
	done := make(chan error)
	go func() {
		_, err := w.Start(ctx, request(s, "sam"))
		done <- err
	}()
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	close(w.journal.hold)
	w.flush()
	if n := len(w.journal.of(audit.EventImpersonationEnded, "")); n != 1 || w.of(s) != "" {
		t.Errorf("%d ends", n)
	}
}

// TestStartOnAFailingDisk: a start that the journal took, and the disk not yet, gets its end when it gets there.
func TestStartOnAFailingDisk(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	fsys := faultfs.New()
	r, err := audit.Open(audit.Options{Dir: t.TempDir(), FS: fsys, Clock: w.clock})
	if err == nil {
		err = w.Use(t.Context(), impersonation.Rules{Policy: w.set, Directory: w.dir}, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	fsys.Fail(faultfs.Sync, -1, syscall.EIO)
	if _, err := w.Start(t.Context(), request(s, "sam")); !errors.Is(err, audit.ErrUnconfirmed) {
		t.Fatal(err)
	}
	fsys.Heal()
	w.tick(time.Second, func() bool { return r.Healthy() == nil && w.Stats().Unwritten == 0 })
	if n := r.Stats().Events; n != 2 || w.of(s) != "" {
		t.Errorf("%d events", n)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEndOnAFailingDisk: an end that the journal took, and the disk not yet, is waited for, not recorded a second time.
func TestEndOnAFailingDisk(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	fsys, dir := faultfs.New(), t.TempDir()
	r, err := audit.Open(audit.Options{Dir: dir, FS: fsys, Clock: w.clock})
	if err == nil {
		err = w.Use(t.Context(), impersonation.Rules{Policy: w.set, Directory: w.dir}, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	live, err := w.Start(t.Context(), request(s, "sam"))
	if err != nil {
		t.Fatal(err)
	}
	fsys.Fail(faultfs.Sync, -1, syscall.EIO)
	if err := w.End(t.Context(), live.ID, impersonation.CauseStopped, "sue"); err != nil {
		t.Fatal(err)
	}
	w.tick(time.Second, func() bool { return w.Stats().Retries > 3 })
	fsys.Heal()
	w.tick(time.Second, func() bool { return r.Healthy() == nil && w.Stats().Unwritten == 0 })
	if n := r.Stats().Events; n != 2 {
		t.Errorf("%d events, want the start and the end", n)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestChangedWhileStarting: a deactivation or a logout that comes while the start is being written wins.
func TestChangedWhileStarting(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*world, *session.Session)
		cause  string
		code   string
	}{
		"target deactivated": {func(w *world, _ *session.Session) {
			w.people.edit("sam", func(u *directory.User) { u.Active = false })
			w.refresh()
		}, impersonation.CauseTargetDeactivated, policy.RefusedInactive},
		"logout": {func(w *world, s *session.Session) {
			if err := w.EndSession(w.t.Context(), s.ID, impersonation.CauseLogout, ""); err != nil {
				w.t.Error(err)
			}
		}, impersonation.CauseLogout, ""},
		"rules": {func(w *world, _ *session.Session) {
			w.reload(func(r *policy.Rules) { r.Policies = r.Policies[1:] })
		}, impersonation.CausePolicyChanged, policy.RefusedNoPolicy},
		"by name": {func(w *world, _ *session.Session) {
			w.EndAllFor(w.t.Context(), "Sam", impersonation.CauseRevoked, "olga")
		}, impersonation.CauseRevoked, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.login("sue")
			w.journal.before = func(e audit.Event) {
				if e.Type == audit.EventImpersonationStarted {
					row.change(w, s)
				}
			}
			_, err := w.Start(t.Context(), request(s, "sam"))
			var e *impersonation.Ended
			if !errors.As(err, &e) || e.Cause != row.cause {
				t.Fatal(err)
			}
			if r := policy.AsRefusal(err); row.code != "" && (r == nil || r.Code != row.code) || row.code == "" && r != nil {
				t.Errorf("refusal %v", r)
			}
			if w.of(s) != "" || len(w.tellings()) > 0 {
				t.Error("in effect")
			}
			w.flush()
			id := w.journal.of(audit.EventImpersonationStarted, "")[0].ImpersonationID
			if i := w.row(id); i.Live() || i.EndCause != row.cause || !i.EndRecorded {
				t.Errorf("stored %+v", i)
			}
			if n := len(w.journal.of(audit.EventImpersonationEnded, id)); n != 1 {
				t.Errorf("%d ends on record", n)
			}
			if st := w.Stats(); st.Live != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestSessionGone: a session deleted under the start gets none.
func TestSessionGone(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	if err := w.sessions.Delete(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Start(t.Context(), request(s, "sam")); !errors.Is(err, state.ErrNotFound) {
		t.Fatal(err)
	}
	w.flush()
	if w.of(s) != "" {
		t.Error("in effect")
	}
}

func TestReturnTo(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	for in, want := range map[string]string{
		"": "/", "/": "/", "/a?b=c#d": "/a?b=c#d", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/", "/a\nb": "/",
		"a": "/", "/" + strings.Repeat("x", 2048): "/", "/ü": "/ü", "/\xff": "/",
	} {
		req := request(s, "sam")
		req.ReturnTo = in
		req.ClientIP = netip.Addr{}
		l, err := w.Start(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if l.ReturnTo != want {
			t.Errorf("%.40q became %q", in, l.ReturnTo)
		}
		if err := w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStartNotReady(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	m := impersonation.NewPatientManager(impersonation.Options{Store: w.disk, Clock: w.clock})
	if _, err := m.Start(t.Context(), request(s, "sam")); !errors.Is(err, impersonation.ErrNotReady) {
		t.Error(err)
	}
	if m.Of(t.Context(), s.ID) != nil {
		t.Error("one out of nowhere")
	}
	if err := m.Use(t.Context(), impersonation.Rules{}, nil); err == nil {
		t.Error("used nothing")
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.Use(t.Context(), impersonation.Rules{Policy: w.set, Directory: w.dir}, w.journal); !errors.Is(err, impersonation.ErrNotReady) {
		t.Error(err)
	}
	if _, err := w.Start(t.Context(), impersonation.StartRequest{Target: "sam"}); err == nil {
		t.Error("started without a session")
	}
}
