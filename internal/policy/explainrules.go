package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// RuleCheck is what came of one of the rules that hold whatever a policy says.
type RuleCheck struct {
	// Rule is its name: active, known, self, protect, withhold, power.
	Rule string
	OK   bool
	Why  string
}

// always looks at the rules that come before policies, all of them, in the order in which they decide.
func (s *Set) always(in Input) []RuleCheck {
	actor, target := in.Actor.Identity, in.Target.Identity
	var checks []RuleCheck
	add := func(rule string, ok bool, whyNot, why string) {
		if !ok {
			why = whyNot
		}
		checks = append(checks, RuleCheck{rule, ok, why})
	}
	add("active", actor != nil && in.Actor.Active, "the actor is deactivated", "the actor is active")
	add("known", target != nil && in.Target.Known, "no source of the directory has the target", "the directory has the target")
	if actor == nil || target == nil {
		return checks
	}
	itself := identity.Key(actor.Username) == identity.Key(target.Username) || in.Actor.Known && actor.ID != "" && actor.ID == target.ID
	add("self", !itself, "both are the same account", "they are two accounts")
	add("active", in.Target.Active, "the target is deactivated", "the target is active")
	named, all := s.meant(&s.rules.Protect, target)
	add("protect", named == "", "protect names the target: "+named, "the target is not of "+all)
	named, all = s.meant(&s.rules.Withhold, actor)
	add("withhold", named == "", "withhold names the actor: "+named, "the actor is not of "+all)
	why := s.whyPower(actor, target)
	add("power", why == "", why, "the target has no power over the gateway that the actor lacks")
	return checks
}

// meant is what of a rule somebody fits, and all that it names.
func (s *Set) meant(m *Match, who *identity.Identity) (fits, all string) {
	by := m.fits(who, nil)
	for _, role := range s.Roles(who) {
		if slices.Contains(m.Roles, role) {
			by = append(by, "role "+role)
		}
	}
	all = strings.Join(m.names(), ", ")
	if all == "" {
		all = "those it names: it names nobody"
	}
	return strings.Join(by, ", "), all
}

// whyPower tells what power the target has that the actor lacks; empty: none. See [Set.morePower].
func (s *Set) whyPower(actor, target *identity.Identity) string {
	var actorBuf, targetBuf [onStack]uint64
	actorIs := s.terms.of(&actorBuf, identity.Key(actor.Username), actor)
	targetIs := s.terms.of(&targetBuf, identity.Key(target.Username), target)
	gain, i := s.powerGained(actorIs, targetIs, actor, target)
	switch gain {
	case gainsOwner:
		return "the target is an owner, and the actor is not"
	case gainsAuditor:
		return "the target is an auditor, and the actor is not"
	case gainsApproval:
		return fmt.Sprintf("the target may approve under policy %s, and the actor may not", s.rules.Policies[i].Name)
	case gainsTargets:
		p := &s.rules.Policies[i]
		return fmt.Sprintf("policy %s lets the target become %s: the actor's policies don't name all of these, with the same access and the same condition", p.Name, strings.Join(p.Target.names(), ", "))
	}
	return ""
}
