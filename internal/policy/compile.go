package policy

import (
	"cmp"
	"errors"
	"fmt"
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
	policies []compiled
	stepUp   StepUp
}

type compiled struct {
	actor, target bits
	approvers     bits
	decision      Decision
	// What it asks for beside actor and target, and whether the answer hangs on time or request.
	conditional, now, request bool
	when                      *condition
}

// Compile checks the rules and makes them ready to decide. The error names every mistake, one a line.
func Compile(r Rules) (*Set, error) {
	if err := validate(r); err != nil {
		return nil, err
	}
	t := newTerms()
	s := &Set{terms: t, protect: t.compile(r.Protect), owner: t.compile(r.Roles[RoleOwner]), auditor: t.compile(r.Roles[RoleAuditor])}
	s.stepUp = StepUp{r.StepUp.Within, slices.Clone(r.StepUp.ACR)}
	for _, p := range r.Policies {
		d := Decision{
			Policy: p.Name, Modes: slices.Clone(p.Modes), Duration: p.duration(), Idle: p.Idle, RequireReason: p.RequireReason,
			Extension: p.Extension, Extensions: p.Extensions, Color: p.Color,
			RequireStepUp: p.RequireStepUp, RequireApproval: p.RequireApproval, RequireConsent: p.RequireConsent,
			RequestLife: cmp.Or(p.RequestLife, DefaultRequestLife), Emergency: p.Emergency,
		}
		if d.Extension > 0 && d.Extensions == 0 {
			d.Extensions = 1
		}
		if len(d.Modes) == 0 {
			d.Modes = []string{ModeFull}
		}
		c := compiled{actor: t.compile(p.Actor), target: t.compile(p.Target), decision: d}
		if c.approvers = t.compile(p.Approvers); p.Approvers.size() == 0 {
			c.approvers = s.owner
		}
		if p.When != "" {
			when, err := compileCondition(p.When)
			if err != nil {
				return nil, err
			}
			c.when, c.conditional, c.now, c.request = when, true, when.now, when.request
		}
		s.policies = append(s.policies, c)
	}
	return s, nil
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
	names := r.Protect.size()

	if r.Protect.blank() {
		add("protect: a group or username is empty")
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
		}
	}
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

func (m Match) size() int { return len(m.Groups) + len(m.Users) }

func (m Match) blank() bool {
	return slices.ContainsFunc(m.Groups, func(g string) bool { return strings.TrimSpace(g) == "" }) ||
		slices.ContainsFunc(m.Users, func(u string) bool { return identity.Key(u) == "" })
}
