package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// Description is the rules as people read them, in one language.
type Description struct {
	// General are sentences about roles, who is protected, and from whom the permission is withheld.
	General  []string
	Policies []PolicyText // in their order
}

// PolicyText is a policy as people read it.
type PolicyText struct {
	Name string
	// Who may log in as whom: a sentence.
	Who string
	// Terms are sentences: how, for how long, when, from where, and what is required.
	Terms []string
}

// describeWords are those of descriptions. %[1]s and so on stand for what they are about.
type describeWords struct {
	Who string // actor, target
	// People of a rule.
	Groups, Users, Attribute, OwnGroups, GroupsIn string
	Roles                                         map[string]string
	// General.
	HasRole                      map[string]string
	Protected, Withheld, NoPower string
	// Terms.
	Modes, Duration, Idle, Extension, Hours, Networks, LimitActor, LimitTarget, When string
	Reason, Ticket, TicketLike, StepUp, Approval, Consent, Emergency                 string
	Told, MustBeTold, Objection                                                      string
}

// Describe writes the rules for people to read, in a language as [lang] names them.
func (s *Set) Describe(language string) Description {
	w := languages.In(language)
	var d Description
	for _, role := range []string{RoleOwner, RoleAuditor} {
		if m := s.rules.Roles[role]; m.size() > 0 {
			d.General = append(d.General, fmt.Sprintf(w.describe.HasRole[role], w.people(&m)))
		}
	}
	if m := &s.rules.Protect; m.size() > 0 {
		d.General = append(d.General, fmt.Sprintf(w.describe.Protected, w.people(m)))
	}
	if m := &s.rules.Withhold; m.size() > 0 {
		d.General = append(d.General, fmt.Sprintf(w.describe.Withheld, w.people(m)))
	}
	d.General = append(d.General, w.describe.NoPower)
	for i := range s.rules.Policies {
		d.Policies = append(d.Policies, s.rules.Policies[i].describe(w, &s.rules))
	}
	return d
}

// About are the policies by which somebody may be impersonated, in a language: who may do it to them.
func (s *Set) About(target *identity.Identity, language string) []PolicyText {
	w := languages.In(language)
	var buf [onStack]uint64
	is := s.terms.of(&buf, identity.Key(target.Username), target)
	if is.meets(s.protect) {
		return nil
	}
	var all []PolicyText
	for i := range s.policies {
		if s.policies[i].mayTarget(is, target) {
			all = append(all, s.rules.Policies[i].describe(w, &s.rules))
		}
	}
	return all
}

func (p *Policy) describe(w *words, r *Rules) PolicyText {
	t := PolicyText{Name: p.Name, Who: fmt.Sprintf(w.describe.Who, capital(w.people(&p.Actor)), w.people(&p.Target))}
	add := func(sentence string, args ...any) {
		if len(args) == 0 {
			t.Terms = append(t.Terms, sentence)
			return
		}
		t.Terms = append(t.Terms, w.say(sentence, args...))
	}
	d := &w.describe
	modes := p.Modes
	if len(modes) == 0 {
		modes = []string{ModeFull}
	}
	add(d.Modes, modesArg(modes))
	add(d.Duration, p.duration())
	if p.Idle > 0 {
		add(d.Idle, p.Idle)
	}
	if p.Extension > 0 {
		add(d.Extension, p.Extension, max(1, p.Extensions))
	}
	if len(p.Hours) > 0 {
		add(d.Hours, p.Hours)
	}
	if len(p.Networks) > 0 {
		add(d.Networks, networksText(p.Networks))
	}
	if p.When != "" {
		add(d.When, p.When)
	}
	if p.LimitActor > 0 {
		add(d.LimitActor, p.LimitActor)
	}
	if p.LimitTarget > 0 {
		add(d.LimitTarget, p.LimitTarget)
	}
	if p.RequireReason {
		add(d.Reason, cmp.Or(p.MinReason, MinReason))
	}
	if p.RequireTicket {
		if like := cmp.Or(p.Ticket.Example, p.Ticket.Pattern); like != "" {
			add(d.TicketLike, like)
		} else {
			add(d.Ticket)
		}
	}
	if p.RequireStepUp {
		add(d.StepUp, r.StepUp.Within)
	}
	if p.RequireApproval {
		approvers := p.Approvers
		if approvers.size() == 0 {
			approvers = Match{Roles: []string{RoleOwner}}
		}
		add(d.Approval, w.people(&approvers))
	}
	if p.RequireConsent {
		add(d.Consent)
	}
	if p.Emergency {
		add(d.Emergency)
	}
	switch {
	case p.RequireNotice:
		add(d.MustBeTold)
	case p.TellTarget:
		add(d.Told)
	}
	if p.LockOnObjection {
		add(d.Objection)
	}
	return t
}

func networksText(networks []netip.Prefix) string {
	all := make([]string, len(networks))
	for i, n := range networks {
		if all[i] = n.String(); n.IsSingleIP() {
			all[i] = n.Addr().String()
		}
	}
	return strings.Join(all, ", ")
}

// people are those of a rule, as part of a sentence.
func (w *words) people(m *Match) string {
	var all []string
	some := func(sentence string, names []string) {
		if len(names) > 0 {
			all = append(all, fmt.Sprintf(sentence, w.list(names, w.Or)))
		}
	}
	some(w.describe.Groups, m.Groups)
	some(w.describe.Users, m.Users)
	for _, name := range sortedNames(m.Attributes) {
		all = append(all, fmt.Sprintf(w.describe.Attribute, name, w.list(m.Attributes[name], w.Or)))
	}
	for _, role := range m.Roles {
		all = append(all, w.describe.Roles[role])
	}
	some(w.describe.OwnGroups, m.OwnGroups)
	if m.GroupsIn != "" {
		all = append(all, fmt.Sprintf(w.describe.GroupsIn, m.GroupsIn))
	}
	return w.list(all, w.And)
}

// capital begins a sentence.
func capital(s string) string {
	for i, r := range s {
		return strings.ToUpper(string(r)) + s[i+len(string(r)):]
	}
	return s
}
