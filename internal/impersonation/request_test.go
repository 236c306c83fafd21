package impersonation_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// post is where notices go.
type post struct {
	prepared *notify.Message
	mu       sync.Mutex
	all      []*notify.Message
}

// Prepare keeps the message until it is stored with what it tells of, and Wake is called.
func (p *post) Prepare(_ context.Context, m *notify.Message) ([]*state.Notice, error) {
	p.prepared = m
	return []*state.Notice{{ID: m.ID, Via: "post", CreatedAt: m.At, DueAt: m.At}}, nil
}

func (p *post) Wake() { _ = p.Put(context.Background(), p.prepared) }

func (*post) Reaches(*notify.Message, string) bool { return true }

func (p *post) Put(_ context.Context, m *notify.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, m)
	return nil
}

// to is who was told, as kind:name,name.
func (p *post) to() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, m := range p.all {
		var names []string
		for _, r := range m.To {
			names = append(names, r.Username)
		}
		slices.Sort(names)
		out = append(out, strings.TrimSuffix(fmt.Sprint(m.Kind, ":", strings.Join(names, ","), ":", m.Decision), ":"))
	}
	return out
}

// needs makes the policy "support" need something.
func needs(edit func(*policy.Policy)) func(*policy.Rules) {
	return func(r *policy.Rules) {
		r.StepUp = policy.StepUp{Within: 5 * time.Minute}
		edit(&r.Policies[0])
	}
}

func approval(p *policy.Policy) {
	p.RequireApproval, p.Approvers = true, policy.Match{Groups: []string{"admins"}, Users: []string{"stan"}}
}

func by(s *session.Session) impersonation.Deciding {
	return impersonation.Deciding{Session: s, Note: "as agreed", IP: netip.MustParseAddr("198.51.100.1")}
}

func code(err error) string {
	if r := policy.AsRefusal(err); r != nil {
		return r.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// ask asks for sam's account and has it wait.
func (w *world) ask(s *session.Session, target string) *state.Request {
	w.t.Helper()
	r, err := w.Ask(w.t.Context(), request(s, target))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) approve(id string, s *session.Session) *impersonation.Asked {
	w.t.Helper()
	a, err := w.Approve(w.t.Context(), id, by(s))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// begin starts what was asked for.
func (w *world) begin(s *session.Session, id string) (*impersonation.Live, error) {
	req := request(s, "somebody else entirely")
	req.Request, req.Reason, req.Duration, req.Mode = id, "another reason", time.Second, "no mode"
	return w.Start(w.t.Context(), req)
}

func (w *world) asked(id string) *state.Request {
	w.t.Helper()
	r, err := w.disk.Request(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

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

// change edits an account, and has the directory know.
func (w *world) change(username string, f func(*directory.User)) {
	w.t.Helper()
	w.people.edit(username, f)
	w.refresh()
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

func wantingMore(err error) bool {
	c := code(err)
	return c == policy.RefusedApproval || c == policy.RefusedConsent
}

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

// loginAt is a session whose person proved who they are at that time.
func (w *world) loginAt(username string, at time.Time) *session.Session {
	w.t.Helper()
	s, _, err := w.sessions.Create(w.t.Context(), session.Login{
		Claims: identity.Identity{ID: "subject-" + username, Username: username, Name: "Login " + username}, Issuer: "https://idp.example", Subject: username, AuthTime: at,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
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
