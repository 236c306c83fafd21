package impersonation_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func TestApproval(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(approval))
	sue, amy, sam := w.login("sue"), w.login("amy"), w.login("sam")

	_, err := w.Start(t.Context(), request(sue, "sam"))
	wantCode(t, err, policy.RefusedApproval)
	if n := len(w.journal.of(audit.EventImpersonationRefused, "")); n != 0 {
		t.Errorf("%d refusals recorded of a start that only has to wait", n)
	}
	r := w.ask(sue, "SAM")
	if r.State != state.RequestPending || !r.NeedApproval || r.NeedConsent || r.TargetUsername != "sam" || r.Duration != 30*time.Minute || !r.ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v", r)
	}
	e := w.journal.of(audit.EventApprovalRequested, "")
	if len(e) != 1 || e[0].ActorUsername != "sue" || e[0].TargetUsername != "sam" || e[0].Ticket != "HD-7" || !strings.Contains(e[0].Detail, r.ID) {
		t.Errorf("%+v", e)
	}
	if got := strings.Join(w.post.to(), " "); got != "approval_requested:amy,stan" {
		t.Errorf("told %s", got)
	}
	// The same again is the same, and nobody is told twice.
	if again := w.ask(sue, "sam"); again.ID != r.ID || len(w.post.to()) != 1 {
		t.Errorf("asked twice: %s, %s; %v", r.ID, again.ID, w.post.to())
	}
	_, err = w.begin(sue, r.ID)
	wantCode(t, err, policy.RefusedApproval)
	if n, err := w.Waiting(t.Context(), amy); n != 1 || err != nil {
		t.Errorf("%d wait for amy, %v", n, err)
	}
	for who, want := range map[*session.Session]int{sue: 0, sam: 0, w.login("olga"): 0, w.login("nora"): 0, w.login("stan"): 1} {
		if n, _ := w.Waiting(t.Context(), who); n != want {
			t.Errorf("%d wait for %s", n, who.Claims.Username)
		}
	}
	// Neither the actor, nor the target, nor anybody who is not named.
	for who, want := range map[string]string{
		"sue": policy.RefusedApprover, "olga": policy.RefusedApprover, "sam": "not found", "nora": "not found", "fay": "not found",
	} {
		for _, f := range []func(context.Context, string, impersonation.Deciding) (*impersonation.Asked, error){w.Approve, w.Decline} {
			if _, err := f(t.Context(), r.ID, by(w.login(who))); !strings.HasSuffix(code(err), want) {
				t.Errorf("%s decides: %v", who, err)
			}
		}
	}
	if got := w.asked(r.ID); got.State != state.RequestPending || len(w.journal.of(audit.EventApprovalGranted, ""))+len(w.journal.of(audit.EventApprovalRefused, "")) != 0 {
		t.Fatalf("%+v", got)
	}

	a := w.approve(r.ID, amy)
	if a.State != state.RequestApproved || a.Approver.Username != "amy" || !a.StartBy.Equal(noon.Add(impersonation.StartWindow)) {
		t.Errorf("%+v", a.Request)
	}
	w.approve(r.ID, amy) // pressed twice
	e = w.journal.of(audit.EventApprovalGranted, "")
	if len(e) != 1 || e[0].ActorUsername != "sue" || e[0].ClientIP != "198.51.100.1" || !strings.Contains(e[0].Detail, `"by":"amy"`) || !strings.Contains(e[0].Detail, "as agreed") {
		t.Errorf("%+v", e)
	}
	if got := w.post.to(); got[len(got)-1] != "request_decided:sue:granted" {
		t.Errorf("told %v", got)
	}
	// Not by another, not for another, not elsewhere.
	_, err = w.begin(w.login("stan"), r.ID)
	wantCode(t, err, policy.RefusedRequestClosed)
	_, err = w.begin(amy, r.ID)
	wantCode(t, err, policy.RefusedRequestClosed)
	_, err = w.Start(t.Context(), request(sue, "fay"))
	wantCode(t, err, policy.RefusedApproval)
	elsewhere := request(sue, "sam")
	elsewhere.Request, elsewhere.Site = r.ID, "https://other.example.com"
	_, err = w.Start(t.Context(), elsewhere)
	wantCode(t, err, policy.RefusedRequestSite)

	// From any of the actor's browsers, with exactly what was approved.
	l, err := w.begin(w.login("sue"), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if l.TargetUsername != "sam" || l.Reason != "booking won't complete" || l.Mode != "full" || l.ExpiresAt.Sub(l.StartedAt) != 30*time.Minute ||
		l.ReturnTo != "/list?page=2" || l.Request != r.ID || l.ApprovedBy != "amy" || l.Emergency {
		t.Errorf("%+v", l.Impersonation)
	}
	if got := w.row(l.ID); got.ApprovedBy != "amy" || got.Request != r.ID {
		t.Errorf("stored: %+v", got)
	}
	started := w.journal.of(audit.EventImpersonationStarted, l.ID)
	if len(started) != 1 || !strings.Contains(started[0].Detail, `"approved_by":"amy"`) {
		t.Errorf("%+v", started)
	}
	if got := w.asked(r.ID); got.State != state.RequestStarted || got.Impersonation != l.ID {
		t.Errorf("%+v", got)
	}
	// Once.
	_, err = w.begin(sue, r.ID)
	wantCode(t, err, policy.RefusedRequestClosed)
	_, err = w.Decline(t.Context(), r.ID, by(amy))
	wantCode(t, err, policy.RefusedRequestClosed)
}

// TestApprovalHasToHold: whatever was approved, it is started on the facts and rules of that moment.
func TestApprovalHasToHold(t *testing.T) {
	for _, tt := range []struct {
		name string
		// change what is so after the approval, or before it.
		change func(*world)
		start  string // the refusal of a start
		agree  string // of an approval
	}{
		{"the approver is deactivated", func(w *world) { w.change("amy", func(u *directory.User) { u.Active = false }) }, policy.RefusedApprovalVoid, "not found"},
		{"the approver leaves the group", func(w *world) { w.change("amy", func(u *directory.User) { u.Groups = []string{} }) }, policy.RefusedApprovalVoid, "not found"},
		{"the approver's name is another's", func(w *world) { w.change("amy", func(u *directory.User) { u.ID = "u99" }) }, policy.RefusedApprovalVoid, ""},
		{"others may approve", func(w *world) {
			w.reload(needs(func(p *policy.Policy) { approval(p); p.Approvers = policy.Match{Groups: []string{"owners"}} }))
		}, policy.RefusedApprovalVoid, "not found"},
		{"the actor is deactivated", func(w *world) { w.change("sue", func(u *directory.User) { u.Active = false }) }, policy.RefusedActorInactive, policy.RefusedActorInactive},
		{"the actor leaves the group", func(w *world) { w.change("sue", func(u *directory.User) { u.Groups = []string{} }) }, policy.RefusedNoPolicy, policy.RefusedNoPolicy},
		{"the target is deactivated", func(w *world) { w.change("sam", func(u *directory.User) { u.Active = false }) }, policy.RefusedInactive, policy.RefusedInactive},
		{"the target is protected", func(w *world) { w.change("sam", func(u *directory.User) { u.Groups = []string{"field", "vip"} }) }, policy.RefusedProtected, policy.RefusedProtected},
		{"the target's name is another's", func(w *world) { w.change("sam", func(u *directory.User) { u.ID = "u99" }) }, policy.RefusedUnknown, "not found"},
		{"the target is gone", func(w *world) { w.people.remove("sam"); w.refresh() }, policy.RefusedUnknown, "not found"},
		{"the mode is not offered", func(w *world) {
			w.reload(needs(func(p *policy.Policy) { approval(p); p.Modes = []string{policy.ModeReadOnly} }))
		}, policy.RefusedMode, policy.RefusedMode},
		{"the time is shorter", func(w *world) {
			w.reload(needs(func(p *policy.Policy) { approval(p); p.Duration, p.Idle = time.Minute, 0 }))
		}, policy.RefusedDuration, policy.RefusedDuration},
		{"the target has to agree too", func(w *world) {
			w.reload(needs(func(p *policy.Policy) { approval(p); p.RequireConsent = true }))
		}, policy.RefusedConsent, ""},
		{"a fresh login is needed", func(w *world) {
			w.reload(needs(func(p *policy.Policy) { approval(p); p.RequireStepUp = true }))
		}, policy.RefusedStepUp, ""},
		{"too late", func(w *world) { w.clock.Advance(impersonation.StartWindow) }, policy.RefusedRequestExpired, ""},
		{"just in time", func(w *world) { w.clock.Advance(impersonation.StartWindow - time.Second) }, "", ""},
		{"far too late", func(w *world) { w.clock.Advance(time.Hour) }, policy.RefusedRequestExpired, policy.RefusedRequestExpired},
		{"taken back", func(w *world) {}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.reload(needs(approval))
			sue, amy := w.login("sue"), w.login("amy")
			approved, pending := w.ask(sue, "sam"), request(sue, "sam")
			pending.Reason = "yet another reason"
			second, err := w.Ask(t.Context(), pending)
			if err != nil {
				t.Fatal(err)
			}
			w.approve(approved.ID, amy)
			tt.change(w)
			if _, err := w.Approve(t.Context(), second.ID, by(amy)); !strings.HasSuffix(code(err), tt.agree) || (tt.agree == "") != (err == nil) {
				t.Errorf("agreeing now: %v, want %q", err, tt.agree)
			}
			_, err = w.begin(sue, approved.ID)
			wantCode(t, err, tt.start)
			if (w.of(sue) != "") != (tt.start == "") {
				t.Errorf("sue is in the account of %q", w.of(sue))
			}
		})
	}
}

func TestConsent(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(func(p *policy.Policy) { p.RequireConsent = true }))
	sue, sam := w.login("sue"), w.login("sam")
	_, err := w.Start(t.Context(), request(sue, "sam"))
	wantCode(t, err, policy.RefusedConsent)
	r := w.ask(sue, "sam")
	if got := w.post.to(); len(got) != 1 || got[0] != "consent_requested:sam" {
		t.Errorf("told %v", got)
	}
	for _, who := range []string{"amy", "fay"} {
		if _, err := w.Approve(t.Context(), r.ID, by(w.login(who))); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%s consents: %v", who, err)
		}
	}
	// Somebody who uses the target's account is still themselves.
	amy := w.login("amy")
	w.start(amy, "sam")
	if _, err := w.Approve(t.Context(), r.ID, by(amy)); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("consent in the target's name: %v", err)
	}
	// Nor does another account under that name consent.
	w.change("sam", func(u *directory.User) { u.ID = "u99" })
	if _, err := w.Approve(t.Context(), r.ID, by(sam)); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("another sam consents: %v", err)
	}
	w.change("sam", func(u *directory.User) { u.ID = "u5" })
	w.approve(r.ID, sam)
	if e := w.journal.of(audit.EventConsentGranted, ""); len(e) != 1 || !strings.Contains(e[0].Detail, `"by":"sam"`) {
		t.Errorf("%+v", e)
	}
	l, err := w.begin(sue, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if e := w.journal.of(audit.EventImpersonationStarted, l.ID); !strings.Contains(e[0].Detail, `"consented":true`) || strings.Contains(e[0].Detail, "approved_by") {
		t.Errorf("%+v", e)
	}
}

func TestApprovalAndConsent(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(func(p *policy.Policy) { approval(p); p.RequireConsent = true }))
	sue, amy, sam := w.login("sue"), w.login("amy"), w.login("sam")
	for _, order := range [][]*session.Session{{amy, sam}, {sam, amy}} {
		r := w.ask(sue, "sam")
		a := w.approve(r.ID, order[0])
		if a.State != state.RequestPending || a.Waits() {
			t.Fatalf("%+v", a)
		}
		if _, err := w.begin(sue, r.ID); !wantingMore(err) {
			t.Fatalf("started with half of it: %v", err)
		}
		w.approve(r.ID, order[1])
		l, err := w.begin(sue, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"); err != nil {
			t.Fatal(err)
		}
	}
	for typ, n := range map[string]int{audit.EventApprovalRequested: 2, audit.EventConsentRequested: 2, audit.EventApprovalGranted: 2, audit.EventConsentGranted: 2} {
		if got := len(w.journal.of(typ, "")); got != n {
			t.Errorf("%d of %s", got, typ)
		}
	}
}

// TestApprovalOutlivesRestart: what was asked and agreed is in the store.
func TestApprovalOutlivesRestart(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(approval))
	r := w.ask(w.login("sue"), "sam")
	again := func() {
		t.Helper()
		w.restart()
		w.newDirectory()
		w.use()
	}
	again()
	w.approve(r.ID, w.login("amy"))
	again()
	sue := w.login("sue")
	l, err := w.begin(sue, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"); err != nil {
		t.Fatal(err)
	}
	w.flush()
	again()
	_, err = w.begin(sue, r.ID)
	wantCode(t, err, policy.RefusedRequestClosed)
}

// TestApprovalRaces: two approvers at once, a start from several browsers at once, an approval against its being taken
// back: one thing happens, and what is recorded as started was approved.
func TestApprovalRaces(t *testing.T) {
	for round := range 10 {
		w := newWorld(t)
		w.reload(needs(approval))
		sue, amy, stan := w.login("sue"), w.login("amy"), w.login("stan")
		r := w.ask(sue, "sam")
		var wg sync.WaitGroup
		for _, s := range []*session.Session{amy, stan, amy, stan} {
			wg.Go(func() { _, _ = w.Approve(t.Context(), r.ID, by(s)) })
		}
		wg.Wait()
		if n := len(w.journal.of(audit.EventApprovalGranted, "")); n != 1 {
			t.Fatalf("round %d: approved %d times", round, n)
		}
		var mu sync.Mutex
		var lives []*impersonation.Live
		browsers := []*session.Session{sue, w.login("sue"), w.login("sue"), w.login("sue")}
		withdrawn := errors.New("not asked")
		for _, s := range browsers {
			wg.Go(func() {
				if l, err := w.begin(s, r.ID); err == nil {
					mu.Lock()
					defer mu.Unlock()
					lives = append(lives, l)
				}
			})
		}
		if round%2 == 1 {
			wg.Go(func() { _, withdrawn = w.Decline(t.Context(), r.ID, by(stan)) })
		}
		wg.Wait()
		got := w.asked(r.ID)
		switch {
		case len(lives) > 1:
			t.Fatalf("round %d: one approval started %d", round, len(lives))
		case len(lives) == 1 && (got.State != state.RequestStarted || got.Impersonation != lives[0].ID || withdrawn == nil):
			t.Fatalf("round %d: started, and %+v, %v", round, got, withdrawn)
		case len(lives) == 0 && (withdrawn != nil || got.State != state.RequestRefused):
			t.Fatalf("round %d: nothing happened: %+v, %v", round, got, withdrawn)
		}
	}
}
