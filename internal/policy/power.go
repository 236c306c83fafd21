package policy

import (
	"slices"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// Power over the gateway is what its rules give somebody: a role, whom they may become, what they may approve. Nobody
// may become somebody who has more of it (a helper who could become the realm's admin was keycloak #52838). So along a
// chain of impersonations, through whatever an account can do in the apps, nobody's power grows:
//
//   - An owner has all of it: nobody has more than an owner, and nobody but an owner has as much.
//   - An auditor has more than whoever is neither auditor nor owner.
//   - Whoever may approve under a policy has more than whoever may not.
//   - Whoever may become people has more than whoever may not become all of these. What is compared is what policies
//     name as targets: each group, username and value of an attribute (and each group that supervising comes to) has to
//     be named by one of the other's policies too, which offers full access if the first does, and has no condition
//     (when) or the same. Hours, networks, requirements and time are not compared: they say how, not whom.
//
// Policies give nothing to people from whom the permission is withheld.

// gain is a power over the gateway that an actor would get.
type gain int

const (
	gainsNothing  gain = iota
	gainsOwner         // the role
	gainsAuditor       // the role
	gainsApproval      // to approve under a policy
	gainsTargets       // to become whom a policy names
)

// morePower tells whether the target has power over the gateway that the actor does not have.
func (s *Set) morePower(actorIs, targetIs bits, actor, target *identity.Identity) bool {
	g, _ := s.powerGained(actorIs, targetIs, actor, target)
	return g != gainsNothing
}

// powerGained is the first such power, and the policy it comes from.
func (s *Set) powerGained(actorIs, targetIs bits, actor, target *identity.Identity) (g gain, policy int) {
	switch {
	case actorIs.meets(s.owner):
		return gainsNothing, 0
	case targetIs.meets(s.owner):
		return gainsOwner, 0
	case targetIs.meets(s.auditor) && !actorIs.meets(s.auditor):
		return gainsAuditor, 0
	case !targetIs.meets(s.powerful):
		return gainsNothing, 0
	}
	withheld := targetIs.meets(s.withhold)
	for i := range s.policies {
		p := &s.policies[i]
		if p.decision.RequireApproval && targetIs.meets(p.approvers) && !actorIs.meets(p.approvers) {
			return gainsApproval, i
		}
		if !withheld && targetIs.meets(p.actor) && !s.reachesAll(actorIs, actor, p, target) {
			return gainsTargets, i
		}
	}
	return gainsNothing, 0
}

// reachesAll tells whether all that the policy gives the target, the actor's policies give the actor.
func (s *Set) reachesAll(actorIs bits, actor *identity.Identity, p *compiled, target *identity.Identity) bool {
	// What the names alone tell.
	var buf [onStack]uint64
	left := bits(buf[:0])
	left = append(left, p.target...)
	supervisor := false
	for i := range s.policies {
		q := &s.policies[i]
		if !actorIs.meets(q.actor) || !q.asWide(p) {
			continue
		}
		supervisor = supervisor || q.by != nil
		for w := range min(len(left), len(q.target)) {
			left[w] &^= q.target[w]
		}
	}
	named := func(group string) bool {
		bit, ok := s.terms.groupBit(group)
		for i := range s.policies {
			q := &s.policies[i]
			if actorIs.meets(q.actor) && q.asWide(p) && (ok && q.target.has(bit) || q.by != nil && q.by.reaches(actor, group)) {
				return true
			}
		}
		return false
	}
	if !left.empty() {
		if !supervisor {
			return false
		}
		for _, g := range p.groups {
			if bit, ok := s.terms.groupBit(g); ok && left.has(bit) {
				if !named(g) {
					return false
				}
				left[bit/64] &^= 1 << (bit % 64)
			}
		}
		if !left.empty() { // usernames and attributes: supervising comes to groups only
			return false
		}
	}
	return p.by == nil || !slices.ContainsFunc(p.by.given(target), func(g string) bool { return !named(g) })
}

// asWide tells whether p's targets are had under q as they are under p.
func (q *compiled) asWide(p *compiled) bool {
	return (q.text == "" || q.text == p.text) && (q.full || !p.full)
}
