package policy

import (
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// Verdicts of a policy, beside the codes of refusals it can come to.
const (
	VerdictDecides     = "decides"
	VerdictActor       = "actor_not_named"
	VerdictTarget      = "target_not_named"
	VerdictNotReached  = "not_reached"  // it would decide, but an earlier one has
	VerdictNeverLooked = "not_asked"    // it would decide, but something that comes before policies refuses
	VerdictWouldRefuse = "would_refuse" // it is not looked at, and would not allow it either
)

// Explanation is a decision, rule by rule.
type Explanation struct {
	Decision Decision
	// Rules are those that come before any policy, in the order in which they decide.
	Rules    []RuleCheck
	Policies []PolicyCheck // in their order
	// Terms are sentences, in English, on how the policy that decides allows it; nil: none does.
	Terms []string
}

// PolicyCheck is what came of one policy.
type PolicyCheck struct {
	Policy string
	// Verdict is a Verdict or the code of a refusal.
	Verdict string
	// ActorBy and TargetBy are what of the rule the two fit, such as "group support"; empty: nothing.
	ActorBy, TargetBy []string
	// ActorWants and TargetWants are all that the rule names.
	ActorWants, TargetWants []string
	// Refusal is why it does not allow it, though it names both; else nil.
	Refusal *Refusal
}

// Explain decides as [Set.Decide], and tells of every policy why it does or does not.
func (s *Set) Explain(in Input) Explanation {
	e := Explanation{Decision: s.Decide(in), Rules: s.always(in)}
	if in.Actor.Identity == nil || in.Target.Identity == nil {
		return e
	}
	decided := false
	before := e.Decision.Refusal != nil && beforePolicies[e.Decision.Refusal.Code]
	for i := range s.policies {
		p, rule := &s.policies[i], &s.rules.Policies[i]
		c := PolicyCheck{
			Policy: rule.Name, ActorBy: rule.Actor.fits(in.Actor.Identity, nil), TargetBy: rule.Target.fits(in.Target.Identity, in.Actor.Identity),
			ActorWants: rule.Actor.names(), TargetWants: rule.Target.names(),
		}
		switch {
		case len(c.ActorBy) == 0:
			c.Verdict = VerdictActor
		case len(c.TargetBy) == 0:
			c.Verdict = VerdictTarget
		default:
			if c.Refusal = p.unmet(in); c.Refusal == nil {
				c.Refusal = p.settled(in, identity.Key(in.Actor.Username), identity.Key(in.Target.Username)).Refusal
			}
			switch final := c.Refusal == nil || c.Refusal.Code == RefusedConditionFailed || c.Refusal.Code == RefusedLimitActor || c.Refusal.Code == RefusedLimitTarget; {
			case c.Refusal == nil && before:
				c.Verdict = VerdictNeverLooked
			case c.Refusal == nil && decided:
				c.Verdict = VerdictNotReached
			case before || decided:
				c.Verdict = VerdictWouldRefuse
			case c.Refusal == nil:
				c.Verdict, decided = VerdictDecides, true
				e.Terms = rule.describe(languages.In("en"), &s.rules).Terms
			default:
				c.Verdict, decided = c.Refusal.Code, final
			}
		}
		e.Policies = append(e.Policies, c)
	}
	return e
}

// beforePolicies are refusals that come before any policy is looked at.
var beforePolicies = map[string]bool{
	RefusedActorInactive: true, RefusedUnknown: true, RefusedSelf: true, RefusedNested: true, RefusedInactive: true, RefusedProtected: true,
	RefusedWithheld: true, RefusedPowerful: true,
}

// fits is what of m somebody fits, in the words of a rule. By is the actor, for what hangs on them.
func (m *Match) fits(who, by *identity.Identity) []string {
	var all []string
	for _, g := range m.Groups {
		if slices.Contains(who.Groups, g) {
			all = append(all, "group "+g)
		}
	}
	for _, u := range m.Users {
		if identity.Key(u) == identity.Key(who.Username) {
			all = append(all, "user "+u)
		}
	}
	for _, name := range sortedNames(m.Attributes) {
		if v, ok := who.Attributes[name]; ok && slices.Contains(m.Attributes[name], v) {
			all = append(all, "attribute "+name+" "+v)
		}
	}
	if by != nil && m.supervises() {
		for _, g := range who.Groups {
			if m.reaches(by, g) {
				all = append(all, "shared group "+g)
			}
		}
	}
	return all
}

// names are what m names, in the words of a rule.
func (m *Match) names() []string {
	var all []string
	for _, g := range m.Groups {
		all = append(all, "group "+g)
	}
	for _, u := range m.Users {
		all = append(all, "user "+u)
	}
	for _, name := range sortedNames(m.Attributes) {
		all = append(all, "attribute "+name+" "+strings.Join(m.Attributes[name], " "))
	}
	for _, r := range m.Roles {
		all = append(all, "role "+r)
	}
	for _, g := range m.OwnGroups {
		all = append(all, "own_groups "+g)
	}
	if m.GroupsIn != "" {
		all = append(all, "groups_in "+m.GroupsIn)
	}
	return all
}

func sortedNames(m map[string][]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Standing is what the rules make of somebody, whoever the other is.
type Standing struct {
	Roles               []string
	Protected, Withheld bool
	// ActorOf and TargetOf are the names of the policies that name them so. For a target whose actors have to share a
	// group, it is enough that there can be some.
	ActorOf, TargetOf []string
}

// Standing tells what the rules make of somebody.
func (s *Set) Standing(who *identity.Identity) Standing {
	var buf [onStack]uint64
	is := s.terms.of(&buf, identity.Key(who.Username), who)
	st := Standing{Roles: s.Roles(who), Protected: is.meets(s.protect), Withheld: is.meets(s.withhold)}
	for i := range s.policies {
		p := &s.policies[i]
		if is.meets(p.actor) {
			st.ActorOf = append(st.ActorOf, p.decision.Policy)
		}
		if p.mayTarget(is, who) {
			st.TargetOf = append(st.TargetOf, p.decision.Policy)
		}
	}
	return st
}

// mayTarget tells whether somebody can be the policy's target, for some actor.
func (p *compiled) mayTarget(is bits, who *identity.Identity) bool {
	if is.meets(p.target) {
		return true
	}
	if p.by == nil {
		return false
	}
	return slices.ContainsFunc(who.Groups, func(g string) bool {
		return p.by.GroupsIn != "" || slices.ContainsFunc(p.by.OwnGroups, func(pattern string) bool { return fitsPattern(pattern, g) })
	})
}
