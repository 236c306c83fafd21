package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// Decide answers by default deny: the refusals in the order of their codes, then the first policy that matches both.
// When it allows, it does not allocate.
func (s *Set) Decide(in Input) Decision {
	if in.Actor.Identity == nil || !in.Actor.Active {
		return Decision{Refusal: refuse(RefusedActorInactive)}
	}
	if in.Target.Identity == nil || !in.Target.Known {
		return Decision{Refusal: refuse(RefusedUnknown)}
	}
	actorKey, targetKey := identity.Key(in.Actor.Username), identity.Key(in.Target.Username)
	if actorKey == "" { // no account can be told by it, so nothing may be granted to it
		return Decision{Refusal: refuse(RefusedActorInactive)}
	}
	if targetKey == "" {
		return Decision{Refusal: refuse(RefusedUnknown)}
	}
	if actorKey == targetKey || in.Actor.Known && in.Actor.ID != "" && in.Actor.ID == in.Target.ID {
		return Decision{Refusal: refuse(RefusedSelf)}
	}
	if in.Nested {
		return Decision{Refusal: refuse(RefusedNested)}
	}
	if !in.Target.Active {
		return Decision{Refusal: refuse(RefusedInactive)}
	}

	var actorBuf, targetBuf [onStack]uint64
	target := s.terms.of(&targetBuf, targetKey, in.Target.Identity)
	if target.meets(s.protect) {
		return Decision{Refusal: refuse(RefusedProtected)}
	}
	actor := s.terms.of(&actorBuf, actorKey, in.Actor.Identity)
	switch {
	case actor.meets(s.withhold):
		return Decision{Refusal: refuse(RefusedWithheld)}
	case !actor.meets(s.actors):
		return Decision{Refusal: refuse(RefusedNoPolicy)}
	case s.morePower(actor, target, in.Actor.Identity, in.Target.Identity):
		return Decision{Refusal: refuse(RefusedPowerful)}
	}
	var first *Refusal // of a policy that names both
	for i := range s.policies {
		p := &s.policies[i]
		if !actor.meets(p.actor) || !p.selects(target, in.Actor.Identity, in.Target.Identity) {
			continue
		}
		if !p.conditional {
			return p.settled(in, actorKey, targetKey)
		}
		r := p.unmet(in)
		switch {
		case r == nil:
			return p.settled(in, actorKey, targetKey)
		case r.Code == RefusedConditionFailed: // the first that matches decides, so what it says has to be known
			return Decision{Refusal: r, NeedsRequest: r.Cause == errNoRequest}
		case first == nil:
			first = r
		}
	}
	if first != nil {
		return Decision{Refusal: first}
	}
	return Decision{Refusal: refuse(RefusedTargetNoPolicy)}
}

// settled is the policy's answer, unless there are as many impersonations as it allows already. That is no reason to
// look at the next policy: a limit would be none.
func (p *compiled) settled(in Input, actor, target string) Decision {
	if in.Locked {
		return Decision{Refusal: refuse(RefusedLocked)}
	}
	if d := &p.decision; in.Live != nil && (d.LimitActor > 0 || d.LimitTarget > 0) {
		if r := d.Full(in.Live(actor, target)); r != nil {
			return Decision{Refusal: r}
		}
	}
	return p.decision
}

// Full tells why there may not be another one, beside so many of the actor and of the target; nil: there may.
func (d *Decision) Full(ofActor, ofTarget int) *Refusal {
	switch {
	case d.LimitActor > 0 && ofActor >= d.LimitActor:
		return refuse(RefusedLimitActor, d.LimitActor)
	case d.LimitTarget > 0 && ofTarget >= d.LimitTarget:
		return refuse(RefusedLimitTarget, d.LimitTarget)
	}
	return nil
}

// errNoRequest is the cause of a refusal for want of a request.
var errNoRequest = errors.New("no request is known")

// unmet is what a policy asks for beside actor and target, and does not hold; nil: it holds.
func (p *compiled) unmet(in Input) *Refusal {
	failed := func(err error) *Refusal {
		r := refuse(RefusedConditionFailed)
		r.Cause = err
		return r
	}
	if len(p.hours) > 0 && !within(p.hours, in.Now) {
		return refuse(RefusedHours, p.hours)
	}
	if in.NoRequest && p.request {
		return failed(errNoRequest)
	}
	if len(p.networks) > 0 && !from(p.networks, in.ClientIP) {
		return refuse(RefusedNetwork)
	}
	if p.when != nil {
		yes, err := p.when.holds(in)
		switch {
		case err != nil:
			return failed(fmt.Errorf("policy %q: when: %w", p.decision.Policy, err))
		case !yes:
			return refuse(RefusedCondition)
		}
	}
	return nil
}

// Named is what the policy of that name says to whom it lets through; false: there is none.
func (s *Set) Named(name string) (Decision, bool) {
	for i := range s.policies {
		if s.policies[i].decision.Policy == name {
			return s.policies[i].decision, true
		}
	}
	return Decision{}, false
}

// AsksTime tells whether an answer may change with the time alone.
func (s *Set) AsksTime() bool {
	return slices.ContainsFunc(s.policies, func(p compiled) bool { return p.now })
}

// AsksRequest tells whether an answer may change with where a request comes from, or the host it is for.
func (s *Set) AsksRequest() bool {
	return slices.ContainsFunc(s.policies, func(p compiled) bool { return p.request })
}

// Running is what an impersonation under way was started with, and what was added to it.
type Running struct {
	Mode      string
	StartedAt time.Time
	// Extensions is how often it was prolonged, Extended by how much in all.
	Extensions int
	Extended   time.Duration
}

// Continue decides again whether an impersonation under way may go on: as [Set.Decide] on today's facts, and the
// mode in use must still be offered and the duration not be used up already. Whether a reason was given is asked
// at the start only. [Decision.Limit] counts from the start: the caller shortens to it, and never prolongs.
func (s *Set) Continue(in Input, r Running) Decision {
	in.Nested, in.Live = false, nil // limits are for those who start
	d := s.Decide(in)
	switch {
	case d.Refusal != nil:
		return d
	case !slices.Contains(d.Modes, r.Mode):
		return Decision{Refusal: d.modeRefusal()}
	case in.Now.Sub(r.StartedAt) >= d.Limit(r):
		return Decision{Refusal: d.longRefusal()}
	}
	return d
}

// MayImpersonate tells whether any policy names the actor: whether there is anything for them in the portal.
func (s *Set) MayImpersonate(actor Person) bool {
	if actor.Identity == nil || !actor.Active {
		return false
	}
	var buf [onStack]uint64
	b := s.terms.of(&buf, identity.Key(actor.Username), actor.Identity)
	return b.meets(s.actors) && !b.meets(s.withhold)
}

// Roles are the roles somebody has over the gateway; nil for most. It does not ask whether they are active.
func (s *Set) Roles(id *identity.Identity) []string {
	if id == nil {
		return nil
	}
	var buf [onStack]uint64
	b := s.terms.of(&buf, identity.Key(id.Username), id)
	var roles []string
	if b.meets(s.owner) {
		roles = append(roles, RoleOwner)
	}
	if b.meets(s.auditor) {
		roles = append(roles, RoleAuditor)
	}
	return roles
}
