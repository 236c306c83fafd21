package impersonation_test

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// limit is how long a browser's impersonation may last by a policy.
func limit(p *policy.Policy, b *browser) time.Duration {
	times := p.Extensions
	if p.Extension > 0 && times == 0 {
		times = 1
	}
	return p.Duration + min(b.extended, time.Duration(times)*p.Extension)
}

func offers(p *policy.Policy, mode string) bool {
	return slices.Contains(p.Modes, mode) || len(p.Modes) == 0 && mode == policy.ModeFull
}

// room tells whether there may be one more by the policy.
func (w *walk) room(p *policy.Policy, b *browser, name string) bool {
	ofActor, ofTarget := 0, 0
	for _, o := range w.browsers {
		if o.id != "" && o.s.Claims.Username == b.s.Claims.Username {
			ofActor++
		}
		if o.id != "" && o.target == name {
			ofTarget++
		}
	}
	return (p.LimitActor == 0 || ofActor < p.LimitActor) && (p.LimitTarget == 0 || ofTarget < p.LimitTarget)
}

func isOneOf(groups []string, name string, m policy.Match) bool {
	return slices.Contains(m.Users, name) || slices.ContainsFunc(m.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

// reaches is whom the policies let somebody become, as the rules name them: full access or not.
func (w *walk) reaches(groups []string, name string) map[string]bool {
	all := map[string]bool{}
	if slices.Contains(groups, "owners") && len(w.rules.Withhold.Roles) > 0 || slices.Contains(w.rules.Withhold.Users, name) {
		return all
	}
	for i := range w.rules.Policies {
		p := &w.rules.Policies[i]
		if !isOneOf(groups, name, p.Actor) {
			continue
		}
		whom := append(slices.Clone(p.Target.Groups), p.Target.Users...)
		if len(p.Target.OwnGroups) > 0 && slices.Contains(groups, "field") { // the only one that begins with fi
			whom = append(whom, "field")
		}
		for _, g := range whom {
			all[g] = all[g] || offers(p, policy.ModeFull)
		}
	}
	return all
}

// allowed is the policy by which a browser's person may be somebody at a moment; nil: none.
func (w *walk) allowed(b *browser, name string, now time.Time) *policy.Policy {
	me := b.s.Claims.Username
	actor, target := w.user(me), w.user(name)
	groups := b.s.Claims.Groups
	if actor != nil {
		groups = actor.Groups
	}
	owner := slices.Contains(groups, "owners")
	switch {
	case actor != nil && !actor.Active, target == nil, !target.Active, name == me, w.locked[[2]string{me, name}]:
		return nil
	case isOneOf(target.Groups, name, w.rules.Protect):
		return nil
	case slices.Contains(w.rules.Withhold.Users, me), owner && len(w.rules.Withhold.Roles) > 0:
		return nil
	case slices.Contains(target.Groups, "owners") && !owner:
		return nil
	}
	if !owner {
		mine := w.reaches(groups, me)
		for whom, full := range w.reaches(target.Groups, name) {
			if had, ok := mine[whom]; !ok || full && !had {
				return nil
			}
		}
	}
	for i := range w.rules.Policies {
		p := &w.rules.Policies[i]
		own := len(p.Target.OwnGroups) > 0 && slices.Contains(groups, "field") && slices.Contains(target.Groups, "field")
		switch {
		case !isOneOf(groups, me, p.Actor) || !own && !isOneOf(target.Groups, name, p.Target):
		case len(p.Hours) > 0 && now.Minute() >= 40:
		case len(p.Networks) > 0 && b.from == netip.IPv6Loopback():
		default:
			return p
		}
	}
	return nil
}

func (w *walk) over(b *browser, cause string) {
	if b.id == "" {
		return
	}
	w.causes[cause]++
	b.ended = append(b.ended, b.id)
	b.id, b.target = "", ""
}

// everybody sends a request, so that it is known where they are.
func (w *walk) everybody() {
	for _, b := range w.browsers {
		if l := w.m.Of(w.t.Context(), b.s.ID); l != nil {
			w.m.CheckFrom(w.t.Context(), l, w.clock.Now(), impersonation.From{IP: b.from})
		}
	}
}

// compare lets the model catch up with time and facts, and holds every browser to it.
func (w *walk) compare() {
	w.t.Helper()
	now := w.clock.Now()
	// What hangs on the time is looked at each minute, though nobody asks.
	for at := w.last.Truncate(time.Minute).Add(time.Minute); at.Before(now); at = at.Add(time.Minute) {
		w.catchUp(at)
	}
	w.last = now
	w.catchUp(now)
	for _, b := range w.browsers {
		got, id := "", ""
		if l := w.m.Of(w.t.Context(), b.s.ID); l != nil && w.m.Check(w.t.Context(), l, now) == nil {
			got, id = l.TargetUsername, l.ID
		}
		if got != b.target || id != b.id {
			w.fatal(b.s.Claims.Username, " is ", strconv.Quote(got), ", the model says ", strconv.Quote(b.target))
		}
	}
}

// catchUp ends in the model what is over at a moment.
func (w *walk) catchUp(now time.Time) {
	w.t.Helper()
	for _, b := range w.browsers {
		if b.id == "" {
			continue
		}
		p := w.allowed(b, b.target, now)
		switch {
		case b.idle > 0 && now.Sub(b.lastSeen) >= b.idle && b.lastSeen.Add(b.idle).Before(b.expires):
			w.over(b, impersonation.CauseIdle)
		case !now.Before(b.expires):
			w.over(b, impersonation.CauseExpired)
		case p == nil && w.user(b.s.Claims.Username) != nil && !w.user(b.s.Claims.Username).Active:
			w.over(b, impersonation.CauseActorDeactivated)
		case p == nil && w.user(b.target) != nil && w.user(b.target).ID == b.targetID && !w.user(b.target).Active:
			w.over(b, impersonation.CauseTargetDeactivated)
		case p == nil, w.user(b.target).ID != b.targetID, !offers(p, b.mode), now.Sub(b.started) >= limit(p, b):
			w.over(b, impersonation.CausePolicyChanged)
		default:
			if e := b.started.Add(limit(p, b)); e.Before(b.expires) {
				b.expires = e
			}
			if p.Idle > 0 && (b.idle == 0 || p.Idle < b.idle) {
				if b.idle = p.Idle; now.Sub(b.lastSeen) >= b.idle { // unused for longer already
					w.over(b, impersonation.CauseIdle)
				}
			}
		}
	}
}

// settle holds store and journal to the model: each start has one end, unless it is live.
func (w *walk) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	if err := w.m.Flush(ctx); err != nil {
		w.fatal(err)
	}
	started, ended := map[string]int{}, map[string]string{}
	for _, e := range w.journal.of(audit.EventImpersonationStarted, "") {
		started[e.ImpersonationID]++
	}
	for _, e := range w.journal.of(audit.EventImpersonationEnded, "") {
		if ended[e.ImpersonationID] != "" {
			w.fatal("two ends of ", e.ImpersonationID)
		}
		ended[e.ImpersonationID], _, _ = strings.Cut(strings.TrimPrefix(e.Detail, `{"cause":"`), `"`)
	}
	extended := map[string]int{}
	for _, e := range w.journal.of(audit.EventImpersonationExtended, "") {
		extended[e.ImpersonationID]++
	}
	if !maps.Equal(extended, w.extended) {
		w.fatal("extensions on record: ", extended, ", in the model: ", w.extended)
	}
	live, causes := map[string]bool{}, map[string]int{}
	for _, b := range w.browsers {
		if b.id != "" {
			live[b.id] = true
		}
	}
	for id, n := range started {
		if n != 1 || live[id] == (ended[id] != "") {
			w.fatal(id, " started ", n, " times, live: ", live[id], ", ended: ", ended[id])
		}
		if ended[id] != "" {
			causes[ended[id]]++
		}
	}
	if !maps.Equal(causes, w.causes) {
		w.fatal("ended on record: ", causes, ", in the model: ", w.causes)
	}
	rows, err := w.store.LiveImpersonations(w.t.Context())
	if err != nil || len(rows) != len(live) {
		w.fatal(len(rows), " live in the store, ", len(live), " in the model: ", err)
	}
	if over, err := w.store.UnrecordedEnds(w.t.Context()); err != nil || len(over) > 0 {
		w.fatal(len(over), " unrecorded: ", err)
	}
}
