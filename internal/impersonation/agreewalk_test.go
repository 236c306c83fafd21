package impersonation_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// asking is what the model knows of a request: what was said about it, and when.
type asking struct {
	id, actor, target string
	until             time.Time
	approvedBy        string
	approvedAt        time.Time
	consented         bool
	complete          time.Time // when the last had agreed; zero: not yet
	dead, used        bool
}

// TestAgreementWalk goes at random through requests, approvals, consents, refusals, starts with and without, time,
// changes of groups, deactivations, reloads and restarts, by everybody, and holds every start to a model that knows
// nothing of the code: who is in an account was let in by those who had to agree, and only then, and only once.
// AGREEMENT_SEED repeats a walk.
func TestAgreementWalk(t *testing.T) {
	seed := rand.Uint64()
	if v := os.Getenv("AGREEMENT_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("AGREEMENT_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	names := []string{"sue", "stan", "amy", "olga", "sam", "fay"}
	w := newWorld(t)
	w.people.edit("stan", func(u *directory.User) { u.Groups = []string{"support", "leads"} })
	w.people.edit("amy", func(u *directory.User) { u.Groups = []string{"leads"} })
	w.refresh()
	needApproval, needConsent, emergency := true, false, false
	rules := func() {
		w.reload(func(r *policy.Rules) {
			p := &r.Policies[0]
			p.RequireApproval, p.RequireConsent, p.Emergency = needApproval, needConsent, emergency
			if needApproval {
				p.Approvers = policy.Match{Groups: []string{"leads"}, Users: []string{"olga"}}
			}
			if needApproval || needConsent {
				p.RequestLife = 30 * time.Minute
			}
			r.Policies = r.Policies[:1]
		})
	}
	rules()
	facts := func(name string) (groups []string, active bool) {
		u, ok := w.dir.Lookup(name)
		return u.Groups, ok && u.Active
	}
	mayStart := func(actor, target string) bool {
		ag, aa := facts(actor)
		tg, ta := facts(target)
		approver := func(name string, groups []string) bool { return name == "olga" || slices.Contains(groups, "leads") }
		if needApproval && approver(target, tg) && !approver(actor, ag) && !slices.Contains(ag, "owners") {
			return false // who may approve has more power
		}
		return actor != target && aa && ta && slices.Contains(ag, "support") && slices.Contains(tg, "field") && !slices.Contains(tg, "owners")
	}
	mayApprove := func(who string, a *asking) bool {
		g, active := facts(who)
		return active && who != a.actor && who != a.target && (who == "olga" || slices.Contains(g, "leads"))
	}
	var all []*asking
	sessions := map[string]*session.Session{}
	of := func(name string) *session.Session {
		if sessions[name] == nil {
			sessions[name] = w.login(name)
		}
		return sessions[name]
	}
	some := func() *asking {
		if len(all) == 0 || r.IntN(10) == 0 {
			return &asking{id: "none", dead: true}
		}
		return all[max(0, len(all)-1-r.IntN(min(len(all), 6)))]
	}
	counts := map[string]int{}
	for step := range 10_000 {
		who, a := names[r.IntN(len(names))], some()
		now := w.clock.Now()
		did := ""
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("AGREEMENT_SEED=%d step %d (%s by %s): %s\n%+v", seed, step, did, who, fmt.Sprintf(format, args...), *a)
		}
		over := func() bool {
			return a.dead || a.used || (a.complete.IsZero() && !now.Before(a.until)) || (!a.complete.IsZero() && !now.Before(a.complete.Add(impersonation.StartWindow)))
		}
		n := r.IntN(100)
		if r.IntN(2) == 0 { // whoever it takes
			switch {
			case a.dead || a.used:
			case n < 18:
				who = []string{"sue", "stan", "olga"}[r.IntN(3)]
			case n < 45:
				who = []string{"amy", "stan", a.target}[r.IntN(3)]
			case n >= 52 && n < 75:
				who = a.actor
			}
		}
		switch {
		case n < 18:
			did = "ask"
			target := []string{"sam", "fay", names[r.IntN(len(names))]}[r.IntN(3)]
			req := request(of(who), target)
			req.Reason = fmt.Sprint("reason ", step)
			got, err := w.Ask(t.Context(), req)
			if (err == nil) != mayStart(who, target) && code(err) != policy.RefusedRequestsTooMany && code(err) != policy.RefusedNested {
				fail("for %s: %v", target, err)
			}
			if err == nil && got.State == state.RequestPending {
				all = append(all, &asking{id: got.ID, actor: who, target: target, until: now.Add(30 * time.Minute)})
				counts["asked"]++
			}
		case n < 45:
			did = "agree"
			row, rerr := w.disk.Request(t.Context(), a.id)
			got, err := w.Approve(t.Context(), a.id, by(of(who)))
			if err != nil || rerr != nil {
				break
			}
			after := got
			switch {
			case row.ApprovedAt.IsZero() && !after.ApprovedAt.IsZero():
				if !mayApprove(who, a) || over() || !mayStart(a.actor, a.target) {
					fail("approved")
				}
				a.approvedBy, a.approvedAt = who, now
				counts["approved"]++
			case row.ConsentedAt.IsZero() && !after.ConsentedAt.IsZero():
				if who != a.target || over() || !mayStart(a.actor, a.target) {
					fail("consented")
				}
				a.consented = true
				counts["consented"]++
			}
			if after.State == state.RequestApproved && a.complete.IsZero() {
				if needApproval && a.approvedBy == "" || needConsent && !a.consented {
					fail("complete without everybody")
				}
				a.complete = now
			}
		case n < 52:
			did = "refuse"
			f := w.Decline
			if r.IntN(2) == 0 {
				did, f = "cancel", w.Cancel
			}
			row, rerr := w.disk.Request(t.Context(), a.id)
			if _, err := f(t.Context(), a.id, by(of(who))); err == nil && rerr == nil && row.Open() {
				if did == "cancel" && who != a.actor && who != "olga" || did == "refuse" && !mayApprove(who, a) && who != a.target {
					fail("allowed")
				}
				a.dead = true
				counts[did]++
			}
		case n < 75:
			did = "start"
			s := of(who)
			l, err := w.begin(s, a.id)
			if err != nil {
				break
			}
			switch {
			case who != a.actor, l.TargetUsername != a.target, over(), !mayStart(a.actor, a.target), a.complete.IsZero():
				fail("started: %+v", l.Impersonation)
			case needApproval && (a.approvedBy == "" || !mayApprove(a.approvedBy, a)), needConsent && !a.consented:
				fail("started without an agreement that counts: %+v", l.Impersonation)
			}
			a.used = true
			counts["started"]++
			if err := w.End(t.Context(), l.ID, impersonation.CauseStopped, who); err != nil {
				fail("%v", err)
			}
		case n < 82:
			target := names[r.IntN(len(names))]
			req := request(of(who), target)
			req.Emergency = r.IntN(2) == 0
			did = fmt.Sprint("start alone, emergency ", req.Emergency)
			l, err := w.Start(t.Context(), req)
			free := !needApproval && !needConsent || req.Emergency && emergency
			if req.Emergency && !emergency {
				free = false
			}
			if (err == nil) != (free && mayStart(who, target)) {
				fail("for %s: %v", target, err)
			}
			if err == nil {
				counts["alone"]++
				if err := w.End(t.Context(), l.ID, impersonation.CauseStopped, who); err != nil {
					fail("%v", err)
				}
			}
		case n < 86:
			did = "time"
			w.clock.Advance([]time.Duration{time.Second, time.Second, time.Minute, time.Minute, 10 * time.Minute, impersonation.StartWindow, 30 * time.Minute}[r.IntN(7)])
		case n < 96:
			did = "facts"
			w.change(who, func(u *directory.User) {
				switch r.IntN(12) {
				case 0:
					u.Active = false
				case 1:
					u.Groups = [][]string{{"support"}, {"field"}, {"leads"}, {"support", "leads"}, {"field", "leads"}, {}}[r.IntN(6)]
				default: // mostly back to what they were
					u.Active = true
					u.Groups = map[string][]string{"sue": {"support"}, "stan": {"support", "leads"}, "amy": {"leads"}, "olga": {"owners", "support"}, "sam": {"field"}, "fay": {"field"}}[who]
				}
			})
		case n < 99:
			did = "rules"
			needApproval, needConsent = r.IntN(3) > 0, r.IntN(3) == 0
			emergency = (needApproval || needConsent) && r.IntN(2) == 0
			rules()
		default:
			did = "restart"
			w.restart()
			w.newDirectory()
			rules()
			clear(sessions)
		}
	}
	w.flush()
	for _, what := range []string{"asked", "approved", "consented", "refuse", "cancel", "started", "alone"} {
		if counts[what] < 2 { // they are some thirty, the rarest
			t.Errorf("the walk never came to much: %v", counts)
			break
		}
	}
	t.Log(counts)
	// Each start with a request is one of an approval recorded before it.
	for _, a := range all {
		row, err := w.disk.Request(t.Context(), a.id)
		if errors.Is(err, state.ErrNotFound) || err == nil && (row.State == state.RequestStarted) != a.used {
			t.Errorf("%+v is %+v, %v", a, row, err)
		}
	}
}
