package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

const (
	// maxNames bounds the groups and usernames in all rules together: whoever needs more means a group.
	maxNames = 10_000
	// maxPolicyName is in characters: the name is written into every audit event of a start.
	maxPolicyName = 100
)

// Set is a configuration's rules, compiled. It is immutable and safe for concurrent use.
type Set struct {
	terms    *terms
	protect  bits
	owner    bits
	auditor  bits
	withhold bits
	// actors are all that a policy names as such; powerful, those and who may approve.
	actors, powerful bits
	policies         []compiled
	stepUp           StepUp
	rules            Rules // as they were, for people to read
}

type compiled struct {
	actor, target bits
	approvers     bits
	who           Match // the actor, as it was written
	decision      Decision
	// What it asks for beside actor and target, and whether the answer hangs on time or request.
	conditional, now, request bool
	hours                     []Hours
	networks                  []netip.Prefix
	when                      *condition
	// What its power is told by: see [Set.morePower].
	text   string   // of when
	full   bool     // it offers full access
	by     *Match   // its targets hang on the actor's groups; nil: they don't
	groups []string // its targets
}

// Compile checks the rules and makes them ready to decide. The error names every mistake, one a line.
func Compile(r Rules) (*Set, error) {
	if err := validate(r); err != nil {
		return nil, err
	}
	t := newTerms()
	r = r.clone()
	s := &Set{terms: t, owner: t.compile(r.Roles[RoleOwner]), auditor: t.compile(r.Roles[RoleAuditor]), rules: r}
	s.protect, s.withhold = s.with(r.Protect), s.with(r.Withhold)
	s.stepUp = StepUp{r.StepUp.Within, slices.Clone(r.StepUp.ACR)}
	for _, p := range r.Policies {
		d := Decision{
			Policy: p.Name, Modes: slices.Clone(p.Modes), Duration: p.duration(), Idle: p.Idle, RequireReason: p.RequireReason,
			Extension: p.Extension, Extensions: p.Extensions, Color: p.Color, LimitActor: p.LimitActor, LimitTarget: p.LimitTarget,
			MinReason: cmp.Or(p.MinReason, MinReason), MaxReason: cmp.Or(p.MaxReason, MaxReason), RequireTicket: p.RequireTicket,
			RequireStepUp: p.RequireStepUp, RequireApproval: p.RequireApproval, RequireConsent: p.RequireConsent,
			RequestLife: cmp.Or(p.RequestLife, DefaultRequestLife), Emergency: p.Emergency,
			TellTarget: p.TellTarget, TellOwners: p.TellOwners, RequireNotice: p.RequireNotice, LockOnObjection: p.LockOnObjection,
		}
		if d.Extension > 0 && d.Extensions == 0 {
			d.Extensions = 1
		}
		if len(d.Modes) == 0 {
			d.Modes = []string{ModeFull}
		}
		var err error
		if d.ticket, err = compileTicket(p.Ticket); err != nil {
			return nil, err
		}
		c := compiled{
			who:   p.Actor,
			actor: t.compile(p.Actor), target: t.compile(p.Target), decision: d, hours: p.Hours, networks: p.Networks,
			text: p.When, full: slices.Contains(d.Modes, ModeFull), groups: p.Target.Groups,
		}
		if p.Target.supervises() {
			c.by = &p.Target
		}
		c.now, c.request = len(p.Hours) > 0, len(p.Networks) > 0
		c.conditional = c.now || c.request
		if c.approvers = t.compile(p.Approvers); p.Approvers.size() == 0 {
			c.approvers = s.owner
		}
		if p.When != "" {
			when, err := compileCondition(p.When)
			if err != nil {
				return nil, err
			}
			c.when, c.conditional, c.now, c.request = when, true, c.now || when.now, c.request || when.request
		}
		s.actors = s.actors.and(c.actor)
		s.powerful = s.powerful.and(c.actor)
		if d.RequireApproval {
			s.powerful = s.powerful.and(c.approvers)
		}
		s.policies = append(s.policies, c)
	}
	return s, nil
}

// with is what m names, and who has the roles it names.
func (s *Set) with(m Match) bits {
	b := s.terms.compile(m)
	for _, role := range m.Roles {
		switch role {
		case RoleOwner:
			b = b.and(s.owner)
		case RoleAuditor:
			b = b.and(s.auditor)
		}
	}
	return b
}

// clone copies what is kept of the rules.
func (r *Rules) clone() Rules {
	c := Rules{Roles: make(map[string]Match, len(r.Roles)), Protect: r.Protect.clone(), Withhold: r.Withhold.clone(), StepUp: r.StepUp}
	for role, m := range r.Roles {
		c.Roles[role] = m.clone()
	}
	c.StepUp.ACR = slices.Clone(r.StepUp.ACR)
	for _, p := range r.Policies {
		p.Actor, p.Target, p.Approvers = p.Actor.clone(), p.Target.clone(), p.Approvers.clone()
		p.Hours, p.Networks, p.Modes = slices.Clone(p.Hours), slices.Clone(p.Networks), slices.Clone(p.Modes)
		c.Policies = append(c.Policies, p)
	}
	return c
}

func (m Match) clone() Match {
	m.Groups, m.Users, m.Roles, m.OwnGroups = slices.Clone(m.Groups), slices.Clone(m.Users), slices.Clone(m.Roles), slices.Clone(m.OwnGroups)
	if m.Attributes != nil {
		attributes := make(map[string][]string, len(m.Attributes))
		for name, values := range m.Attributes {
			attributes[name] = slices.Clone(values)
		}
		m.Attributes = attributes
	}
	return m
}

func (p *Policy) duration() time.Duration {
	if p.Duration == 0 {
		return DefaultDuration
	}
	return p.Duration
}

func validate(r Rules) error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	names := r.Protect.size() + r.Withhold.size()

	for _, side := range []struct {
		name string
		m    Match
	}{{"protect", r.Protect}, {"withhold", r.Withhold}} {
		if side.m.blank() {
			add("%s: a group or username is empty", side.name)
		}
		for _, role := range side.m.Roles {
			if role != RoleOwner && role != RoleAuditor {
				add("%s: role %q: there are only the roles %s and %s", side.name, role, RoleOwner, RoleAuditor)
			}
		}
		if side.m.supervises() {
			add("%s: own_groups and groups_in are for the targets of policies", side.name)
		}
	}
	roles := make([]string, 0, len(r.Roles))
	for role := range r.Roles {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	for _, role := range roles {
		m := r.Roles[role]
		names += m.size()
		switch {
		case role != RoleOwner && role != RoleAuditor:
			add("role %q: there are only the roles %s and %s", role, RoleOwner, RoleAuditor)
		case m.size() == 0:
			add("role %s: names nobody; give it a group or a user", role)
		case m.blank():
			add("role %s: a group or username is empty", role)
		case m.supervises() || len(m.Roles) > 0:
			add("role %s: only groups, users and attributes have roles", role)
		}
	}

	seen := make(map[string]bool)
	for i, p := range r.Policies {
		names += p.Actor.size() + p.Target.size() + p.Approvers.size()
		where := fmt.Sprintf("policy %q", p.Name)
		if msg := checkName(p.Name); msg != "" {
			where = fmt.Sprintf("policy no. %d", i+1)
			add("%s: %s", where, msg)
		} else if seen[p.Name] {
			add("%s: there are two of this name; every policy needs its own", where)
		}
		seen[p.Name] = true
		for _, err := range p.problems() {
			add("%s: %w", where, err)
		}
		switch {
		case p.RequireStepUp && r.StepUp.Within <= 0:
			add("%s: require step_up: how recent the login has to be is not said; write step_up 5m into oidc", where)
		case p.RequireApproval && p.Approvers.size() == 0 && r.Roles[RoleOwner].size() == 0:
			add("%s: require approval: nobody can give it; name approvers, or give somebody the role owner", where)
		}
	}
	if names > maxNames {
		add("the rules name %d groups and users; at most %d are taken: put people into groups", names, maxNames)
	}
	return errors.Join(errs...)
}

func (p *Policy) problems() []error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, side := range []struct {
		name string
		m    Match
	}{{"actor", p.Actor}, {"target", p.Target}} {
		switch {
		case side.m.size() == 0:
			add("%s names nobody; give it a group or a user", side.name)
		case side.m.blank():
			add("%s: a group or username is empty", side.name)
		case len(side.m.Roles) > 0:
			add("%s: roles are for protect and withhold", side.name)
		}
	}
	if p.Actor.supervises() || p.Approvers.supervises() || len(p.Approvers.Roles) > 0 {
		add("own_groups and groups_in are for targets, roles for protect and withhold")
	}
	errs = append(errs, p.limitProblems()...)
	for i, m := range p.Modes {
		if m != ModeFull && m != ModeReadOnly {
			add("unknown mode %q: there are %s and %s", m, ModeFull, ModeReadOnly)
		} else if slices.Contains(p.Modes[:i], m) {
			add("mode %s is named twice", m)
		}
	}
	switch {
	case p.Duration < 0:
		add("duration %s: must be positive", p.Duration)
	case p.duration() < MinDuration:
		add("duration %s: must be at least %s", p.Duration, MinDuration)
	}
	switch {
	case p.Idle < 0:
		add("idle %s: must be positive, or 0 for never", p.Idle)
	case p.Duration >= 0 && p.Idle > p.duration():
		add("idle %s is longer than the duration %s, so it would never end anything; shorten it", p.Idle, p.duration())
	}
	if p.When != "" {
		if err := CheckWhen(p.When); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				add("when: %s", line)
			}
		}
	}
	switch {
	case !p.RequireApproval && p.Approvers.size() > 0:
		add("approvers: nothing asks for them; add require approval")
	case p.Approvers.blank():
		add("approvers: a group or username is empty")
	case p.RequestLife < 0:
		add("request_expires %s: must be positive", p.RequestLife)
	case !p.RequireApproval && !p.RequireConsent && (p.Emergency || p.RequestLife > 0):
		add("emergency and request_expires: nobody is asked for anything; add require approval or consent")
	}
	switch {
	case p.Extension < 0 || p.Extensions < 0:
		add("extension %s %d: must be positive", p.Extension, p.Extensions)
	case p.Extension == 0 && p.Extensions > 0:
		add("extension: how much time it adds is missing")
	}
	return errs
}

// checkName tells what is wrong with a policy's name. It is written into audit details as policy=NAME.
func checkName(name string) string {
	switch {
	case name == "":
		return "has no name"
	case !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxPolicyName:
		return fmt.Sprintf("its name is longer than %d characters, or not UTF-8", maxPolicyName)
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }):
		return fmt.Sprintf("its name %q contains blanks or characters that can't be seen", name)
	}
	return ""
}

// limitProblems are those of when, from where, how many, and what has to be written.
func (p *Policy) limitProblems() []error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i := range p.Hours {
		if msg := p.Hours[i].problem(); msg != "" {
			add("hours: %s", msg)
		}
	}
	for _, n := range p.Networks {
		if !n.IsValid() {
			add("network: one is none")
		}
	}
	if p.LimitActor < 0 || p.LimitTarget < 0 {
		add("limit actor %d, target %d: must be positive, or 0 for none", p.LimitActor, p.LimitTarget)
	}
	switch low, high := cmp.Or(p.MinReason, MinReason), cmp.Or(p.MaxReason, MaxReason); {
	case low < 1 || high > MaxReason || low > high:
		add("reason_length %d %d: must be from 1 to %d, the first not more than the second", low, high, MaxReason)
	case p.MinReason > 0 && !p.RequireReason && !p.Emergency:
		add("reason_length: nothing asks for a reason; add require reason")
	}
	if err := CheckTicket(p.Ticket); err != nil {
		add("ticket: %w", err)
	}
	return errs
}

func (m Match) size() int {
	n := len(m.Groups) + len(m.Users) + len(m.OwnGroups) + len(m.Roles)
	for _, values := range m.Attributes {
		n += len(values)
	}
	if m.GroupsIn != "" {
		n++
	}
	return n
}

func (m Match) blank() bool {
	blank := func(s string) bool { return strings.TrimSpace(s) == "" }
	for name, values := range m.Attributes {
		if blank(name) || slices.Contains(values, "") {
			return true
		}
	}
	return slices.ContainsFunc(m.Groups, blank) || slices.ContainsFunc(m.OwnGroups, blank) ||
		slices.ContainsFunc(m.Users, func(u string) bool { return identity.Key(u) == "" })
}
