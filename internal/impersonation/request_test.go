package impersonation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func TestRefusedAndCancelled(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(func(p *policy.Policy) { approval(p); p.RequireConsent = true }))
	sue, amy, stan, sam, olga := w.login("sue"), w.login("amy"), w.login("stan"), w.login("sam"), w.login("olga")
	for _, tt := range []struct {
		name     string
		before   []*session.Session // who agree first
		how      func(context.Context, string, impersonation.Deciding) (*impersonation.Asked, error)
		who      *session.Session
		want     string // state
		event    string
		decision string
	}{
		{"by an approver", nil, w.Decline, amy, state.RequestRefused, audit.EventApprovalRefused, "declined"},
		{"by the target", nil, w.Decline, sam, state.RequestRefused, audit.EventConsentRefused, "declined"},
		{"after half", []*session.Session{sam}, w.Decline, amy, state.RequestRefused, audit.EventApprovalRefused, "declined"},
		{"taken back", []*session.Session{sam, amy}, w.Decline, amy, state.RequestRefused, audit.EventApprovalRefused, "declined"},
		{"taken back by the other approver", []*session.Session{sam, amy}, w.Decline, stan, state.RequestRefused, audit.EventApprovalRefused, "declined"},
		{"cancelled", nil, w.Cancel, sue, state.RequestCancelled, audit.EventApprovalCancelled, ""},
		{"cancelled after all agreed", []*session.Session{amy, sam}, w.Cancel, sue, state.RequestCancelled, audit.EventConsentCancelled, ""},
		{"cancelled by an owner", nil, w.Cancel, olga, state.RequestCancelled, audit.EventApprovalCancelled, "declined"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := w.ask(sue, "sam")
			for _, s := range tt.before {
				w.approve(r.ID, s)
			}
			n := len(w.journal.of(tt.event, ""))
			for range 2 { // the second time changes nothing
				a, err := tt.how(t.Context(), r.ID, by(tt.who))
				if err != nil || a.State != tt.want || a.ClosedBy != tt.who.Claims.Username {
					t.Fatalf("%+v, %v", a, err)
				}
			}
			if got := len(w.journal.of(tt.event, "")) - n; got != 1 {
				t.Errorf("%d events", got)
			}
			if got := w.post.to(); tt.decision != "" && got[len(got)-1] != "request_decided:sue:"+tt.decision {
				t.Errorf("told %v", got)
			}
			for _, s := range []*session.Session{amy, sam} {
				_, err := w.Approve(t.Context(), r.ID, by(s))
				if err == nil {
					t.Errorf("%s agrees to what is over", s.Claims.Username)
				}
			}
			_, err := w.begin(sue, r.ID)
			wantCode(t, err, policy.RefusedRequestClosed)
		})
	}
	_, err := w.Cancel(t.Context(), w.ask(sue, "sam").ID, by(amy))
	wantCode(t, err, policy.RefusedApprover)
}

// TestRequestExpires: by itself, once, with an event; over a restart too.
// TestRequestsAreCounted: what waits, and what became of all that did.
func TestRequestsAreCounted(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(approval))
	sue, stan := w.login("sue"), w.login("stan")
	check := func(waiting, asked int, closed string) {
		t.Helper()
		n, err := w.CountWaiting(t.Context())
		st := w.Stats()
		if got := fmt.Sprint(st.Closed); err != nil || n != waiting || st.Asked != uint64(asked) || got != "map["+closed+"]" {
			t.Errorf("%d wait, %d asked, %s, %v; want %d, %d, %s", n, st.Asked, got, err, waiting, asked, closed)
		}
	}
	ask := func(reason string) string {
		t.Helper()
		req := request(sue, "sam")
		req.Reason = reason
		r, err := w.Ask(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	check(0, 0, "cancelled:0 expired:0 refused:0 started:0")
	first, second, third, fourth := ask("first"), ask("second"), ask("third"), ask("fourth")
	check(4, 4, "cancelled:0 expired:0 refused:0 started:0")
	w.approve(first, stan)
	check(3, 4, "cancelled:0 expired:0 refused:0 started:0")
	if _, err := w.begin(sue, first); err != nil {
		t.Fatal(err)
	}
	check(3, 4, "cancelled:0 expired:0 refused:0 started:1")
	if _, err := w.Decline(t.Context(), second, by(stan)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // pressed twice
		if _, err := w.Cancel(t.Context(), third, by(sue)); err != nil {
			t.Fatal(err)
		}
	}
	check(1, 4, "cancelled:1 expired:0 refused:1 started:1")
	w.clock.Advance(policy.DefaultRequestLife)
	w.tick(time.Second, func() bool { return w.Stats().Closed[state.RequestExpired] == 1 })
	check(0, 4, "cancelled:1 expired:1 refused:1 started:1")
	if a, err := w.Asked(t.Context(), fourth, sue); err != nil || a.Now != state.RequestExpired {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestRequestExpires(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(func(p *policy.Policy) { approval(p); p.RequestLife = 20 * time.Minute }))
	sue, amy := w.login("sue"), w.login("amy")
	first := w.ask(sue, "sam")
	w.clock.Advance(20*time.Minute - time.Second)
	second := w.ask(sue, "fay")
	if got := w.asked(first.ID); got.State != state.RequestPending {
		t.Fatalf("%+v", got)
	}
	w.clock.Advance(time.Second)
	if got := w.asked(first.ID); got.State != state.RequestExpired || !got.ClosedAt.Equal(noon.Add(20*time.Minute)) {
		t.Fatalf("%+v", got)
	}
	e := w.journal.of(audit.EventApprovalExpired, "")
	if len(e) != 1 || !strings.Contains(e[0].Detail, first.ID) {
		t.Errorf("%+v", e)
	}
	if got := w.post.to(); got[len(got)-1] != "request_decided:sue:expired" {
		t.Errorf("told %v", got)
	}
	w.approve(second.ID, amy)
	w.restart()
	w.newDirectory()
	w.clock.Advance(impersonation.StartWindow) // nobody ran
	w.use()
	sue = w.login("sue")
	_, err := w.begin(sue, second.ID)
	wantCode(t, err, policy.RefusedRequestExpired)
	w.tick(time.Second, func() bool { return w.asked(second.ID).State == state.RequestExpired })
	if n := len(w.journal.of(audit.EventApprovalExpired, "")); n != 2 {
		t.Errorf("%d events", n)
	}
	// A journal that takes nothing: it is over all the same, and written down later.
	third := w.ask(sue, "sam")
	w.journal.broken(errors.New("disk full"))
	w.clock.Advance(20 * time.Minute)
	_, err = w.Approve(t.Context(), third.ID, by(w.login("amy")))
	wantCode(t, err, policy.RefusedRequestExpired)
	if got := w.asked(third.ID); got.State != state.RequestPending {
		t.Errorf("closed, and not recorded: %+v", got)
	}
	w.journal.broken(nil)
	w.clock.Advance(time.Minute)
	if got := w.asked(third.ID); got.State != state.RequestExpired {
		t.Errorf("%+v", got)
	}
}

// TestNoRecordNoAgreement: what can't be recorded has not happened.
func TestNoRecordNoAgreement(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(approval))
	sue, amy := w.login("sue"), w.login("amy")
	full := errors.New("disk full")
	w.journal.broken(full)
	if _, err := w.Ask(t.Context(), request(sue, "sam")); !errors.Is(err, full) {
		t.Fatalf("asked without a record: %v", err)
	}
	w.journal.broken(nil)
	r := w.ask(sue, "sam")
	w.journal.broken(full)
	for _, f := range []func(context.Context, string, impersonation.Deciding) (*impersonation.Asked, error){w.Approve, w.Decline} {
		if _, err := f(t.Context(), r.ID, by(amy)); !errors.Is(err, full) {
			t.Fatalf("decided without a record: %v", err)
		}
	}
	if got := w.asked(r.ID); got.State != state.RequestPending || len(w.post.to()) != 1 {
		t.Fatalf("%+v, %v", got, w.post.to())
	}
	w.journal.broken(nil)
	w.approve(r.ID, amy)
	w.journal.broken(full)
	if _, err := w.begin(sue, r.ID); !errors.Is(err, full) {
		t.Fatalf("started without a record: %v", err)
	}
	w.journal.broken(nil)
	// A start that failed has not used it up.
	if _, err := w.begin(sue, r.ID); err != nil {
		t.Fatal(err)
	}
}

func TestTooManyRequests(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(approval))
	sue := w.login("sue")
	var last *state.Request
	for n := range 10 {
		req := request(sue, "sam")
		req.Reason = fmt.Sprint("reason ", n)
		r, err := w.Ask(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		last = r
	}
	_, err := w.Ask(t.Context(), request(sue, "sam"))
	wantCode(t, err, policy.RefusedRequestsTooMany)
	if _, err := w.Cancel(t.Context(), last.ID, by(sue)); err != nil {
		t.Fatal(err)
	}
	w.ask(sue, "sam")
	w.ask(w.login("stan"), "sam") // others have their own
	if _, err := w.Ask(t.Context(), request(w.login("nora"), "sam")); code(err) != policy.RefusedNoPolicy {
		t.Errorf("nora asks: %v", err)
	}
}

func TestStepUp(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(func(p *policy.Policy) { p.RequireStepUp = true }))
	sue := w.login("sue")
	_, err := w.Start(t.Context(), request(sue, "sam"))
	wantCode(t, err, policy.RefusedStepUp)
	r := w.ask(sue, "sam")
	if r.State != state.RequestStepUp || len(w.post.to())+len(w.journal.of(audit.EventApprovalRequested, "")) != 0 {
		t.Errorf("%+v", r)
	}
	_, err = w.begin(sue, r.ID)
	wantCode(t, err, policy.RefusedStepUp)
	// Nobody else sees it.
	for _, who := range []string{"olga", "sam", "stan"} {
		if _, err := w.Asked(t.Context(), r.ID, w.login(who)); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%s sees it: %v", who, err)
		}
		_, err := w.begin(w.loginAt(who, w.clock.Now()), r.ID)
		wantCode(t, err, policy.RefusedRequestClosed)
	}
	_, err = w.begin(w.loginAt("sue", noon.Add(-6*time.Minute-time.Second)), r.ID)
	wantCode(t, err, policy.RefusedStepUp)
	fresh := w.loginAt("sue", noon)
	a, err := w.Asked(t.Context(), r.ID, fresh)
	if err != nil || !a.Ready || !a.Fresh {
		t.Fatalf("%+v, %v", a, err)
	}
	l, err := w.begin(fresh, r.ID)
	if err != nil || l.Reason != "booking won't complete" || l.Request != "" {
		t.Fatalf("%+v, %v", l, err)
	}
	_, err = w.begin(fresh, r.ID)
	wantCode(t, err, policy.RefusedRequestClosed)
	// It does not wait for long.
	r = w.ask(sue, "sam")
	w.clock.Advance(15 * time.Minute)
	_, err = w.begin(w.loginAt("sue", w.clock.Now()), r.ID)
	wantCode(t, err, policy.RefusedRequestClosed)
	// Nor can a browser pile them up.
	for range 20 {
		w.ask(sue, "sam")
	}
	if open, err := w.disk.OpenRequests(t.Context()); err != nil || len(open) > 5 {
		t.Errorf("%d wait for a login, %v", len(open), err)
	}
}

func TestEmergency(t *testing.T) {
	w := newWorld(t)
	w.reload(needs(func(p *policy.Policy) { approval(p); p.RequireConsent, p.RequireReason = true, false }))
	sue := w.login("sue")
	req := request(sue, "sam")
	req.Emergency = true
	_, err := w.Start(t.Context(), req)
	wantCode(t, err, policy.RefusedEmergency)
	w.reload(needs(func(p *policy.Policy) {
		approval(p)
		p.RequireConsent, p.RequireReason, p.Emergency = true, false, true
	}))
	none := req
	none.Reason = " "
	_, err = w.Start(t.Context(), none)
	wantCode(t, err, policy.RefusedReason)
	_, err = w.Start(t.Context(), request(sue, "sam"))
	wantCode(t, err, policy.RefusedApproval)
	w.journal.broken(errors.New("disk full"))
	if _, err := w.Start(t.Context(), req); err == nil {
		t.Fatal("an emergency without a record")
	}
	w.journal.broken(nil)
	l, err := w.Start(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Emergency || !w.row(l.ID).Emergency || l.ApprovedBy != "" {
		t.Errorf("%+v", l.Impersonation)
	}
	if e := w.journal.of(audit.EventEmergencyStarted, l.ID); len(e) != 1 || e[0].Reason != req.Reason || e[0].TargetUsername != "sam" {
		t.Errorf("%+v", e)
	}
	if e := w.journal.of(audit.EventImpersonationStarted, l.ID); len(e) != 1 || !strings.Contains(e[0].Detail, `"emergency":true`) {
		t.Errorf("%+v", e)
	}
	if got := w.post.to(); len(got) != 1 || got[0] != "emergency_started:olga" {
		t.Errorf("told %v", got)
	}
}
