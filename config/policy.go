package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var (
	roles = []string{"owner", "auditor"}
	modes = []string{"full", "read_only"}
	// requirements a start can be made to meet.
	requirements = []string{RequireReason, RequireNotice, RequireTicket, RequireStepUp, RequireApproval, RequireConsent}
)

// What a start can be made to meet.
const (
	RequireReason   = "reason"   // the actor writes down why
	RequireTicket   = "ticket"   // and names a ticket
	RequireStepUp   = "step_up"  // they have just logged in again; see OIDC.StepUp
	RequireApproval = "approval" // one of the approvers agrees
	RequireConsent  = "consent"  // the target agrees
)

// Modes of an impersonation: everything the target may do, or only requests that change nothing.
const (
	ModeFull     = "full"
	ModeReadOnly = "read_only"
)

// Match selects people: those in any of the groups, those with any of the usernames, those with any of the values in an
// attribute.
type Match struct {
	Groups     []string            `json:"groups,omitempty"`
	Users      []string            `json:"users,omitempty"`
	Attributes map[string][]string `json:"attributes,omitempty"`

	// Roles are those who have one. For protect and withhold.
	Roles []string `json:"roles,omitempty"`

	// OwnGroups are whoever shares a group with the actor, of those whose names fit a pattern such as team-*; GroupsIn,
	// whoever is in a group that this attribute of the actor's names, with commas between them. For a policy's target.
	OwnGroups []string `json:"own_groups,omitempty"`
	GroupsIn  string   `json:"groups_in,omitempty"`
}

// Empty tells whether it selects nobody.
func (m Match) Empty() bool {
	return len(m.Groups) == 0 && len(m.Users) == 0 && len(m.Attributes) == 0 && len(m.Roles) == 0 && len(m.OwnGroups) == 0 && m.GroupsIn == ""
}

func (m Match) validate(what string) error {
	if m.Empty() {
		return fmt.Errorf("%s: selects nobody; write group NAME… or user NAME…", what)
	}
	var errs []error
	check := func(kind string, names []string) {
		for i, n := range names {
			if n == "" || len(n) > 256 || hasControl(n) {
				errs = append(errs, fmt.Errorf("%s %s %.80q: not a name; leave it out, or write up to 256 characters", what, kind, n))
			}
			if slices.Contains(names[:i], n) {
				errs = append(errs, fmt.Errorf("%s %s %q: already specified; remove one", what, kind, n))
			}
		}
	}
	check("group", m.Groups)
	check("user", m.Users)
	check("own_groups", m.OwnGroups)
	if m.GroupsIn != "" {
		check("groups_in", []string{m.GroupsIn})
	}
	for _, name := range sortedKeys(m.Attributes) {
		check("attribute", []string{name})
		if len(m.Attributes[name]) == 0 {
			errs = append(errs, fmt.Errorf("%s attribute %s: no value; write such as attribute department support", what, name))
		}
		check("attribute "+name, m.Attributes[name])
	}
	errs = append(errs, oneOf(what+" role", m.Roles, roles))
	if last := what[strings.LastIndexByte(what, ' ')+1:]; len(m.Roles) > 0 && last != "protect" && last != "withhold" {
		errs = append(errs, fmt.Errorf("%s role: roles are for protect and withhold; write groups or users", what))
	} else if (len(m.OwnGroups) > 0 || m.GroupsIn != "") && last != "target" {
		errs = append(errs, fmt.Errorf("%s: own_groups and groups_in are for the target of a policy", what))
	}
	return errors.Join(errs...)
}

// Policy lets the people Actor selects become the people Target selects.
type Policy struct {
	// Name is shown to the person refused or allowed, and recorded. Required, unique.
	Name string `json:"name"`

	// Actor selects who may impersonate under it, Target whom they may become. Both required.
	Actor  Match `json:"actor"`
	Target Match `json:"target"`

	// When is a condition both have to meet, in the Common Expression Language, over actor, target, request and now.
	// Default: none.
	When string `json:"when,omitempty"`

	Limits

	// Modes offered: full, read_only. The first is the default of a start. Default: full.
	Modes []string `json:"modes,omitempty"`

	// Duration is how long an impersonation may last. Default: 30m. At most 7d.
	Duration Duration `json:"duration,omitempty"`

	// Idle ends it after so long without a request. Default: never before Duration.
	Idle Duration `json:"idle,omitempty"`

	// Extension is what each press of "Extend" in the banner adds to the time. Default: none, not offered.
	Extension Duration `json:"extension,omitempty"`

	// Extensions is how often it can be pressed in one impersonation. Default, with an Extension: 1. At most 20, and
	// Duration with all extensions at most 7d.
	Extensions int `json:"extensions,omitempty"`

	// Color of the banner, #rgb or #rrggbb. Default: the site's.
	Color string `json:"color,omitempty"`

	// Require is what a start needs: reason, notice (the target is told for certain), step_up, approval, consent. Default: nothing.
	Require []string `json:"require,omitempty"`

	// Approvers may approve, where approval is required; never the actor or the target themselves. Default: the owners.
	Approvers Match `json:"approvers,omitzero"`

	// RequestExpires is how long a start waits for approval and consent. Default: 1h. At most 7d.
	RequestExpires Duration `json:"request_expires,omitempty"`

	// Emergency lets the actor start without approval and consent, with a reason; owners are told at once, and it is to be
	// reviewed. Default: false.
	Emergency bool `json:"emergency,omitempty"`

	// Notify are those who are told of a start and its end: target, owners, or nobody. Default: target.
	Notify []string `json:"notify,omitempty"`

	// Objection is what follows when a target says that they did not expect it: alert tells the owners, lock also ends
	// it and keeps the actor from starting again until an owner lifts that. Default: alert.
	Objection string `json:"objection,omitempty"`
}

// MaxImpersonation is the longest a policy may let an impersonation last.
const MaxImpersonation = Duration(7 * day)

// maxExtensions is how often one can be prolonged: whoever needs more needs a longer duration.
const maxExtensions = 20

// SetDefaults fills in what was left out.
func (p *Policy) SetDefaults() {
	if len(p.Modes) == 0 {
		p.Modes = []string{ModeFull}
	}
	if len(p.Notify) == 0 {
		p.Notify = []string{NotifyTarget}
	}
	if p.Duration == 0 {
		p.Duration = Duration(30 * time.Minute)
	}
	if p.Extension != 0 && p.Extensions == 0 {
		p.Extensions = 1
	}
}

// Validate reports everything that is wrong, after [Policy.SetDefaults].
func (p *Policy) Validate() error {
	what := "policy " + p.Name
	var errs []error
	if !isName(p.Name) {
		what = fmt.Sprintf("policy %.80q", p.Name)
		errs = append(errs, fmt.Errorf("%s: this is not a name; use letters, digits and . _ -", what))
	}
	errs = append(errs, p.Actor.validate(what+": actor"), p.Target.validate(what+": target"),
		oneOf(what+": mode", p.Modes, modes), oneOf(what+": require", p.Require, requirements))
	errs = append(errs, p.Limits.validate(what))
	if p.MinReason+p.MaxReason > 0 && !slices.Contains(p.Require, RequireReason) && !p.Emergency {
		errs = append(errs, fmt.Errorf("%s: reason_length: nothing asks for a reason; add require reason", what))
	}
	if p.Duration < Duration(time.Second) || p.Duration > MaxImpersonation {
		errs = append(errs, fmt.Errorf("%s: duration %s: must be from 1s to %s; write such as 30m", what, p.Duration, MaxImpersonation))
	} else if p.Idle < 0 || p.Idle > p.Duration {
		errs = append(errs, fmt.Errorf("%s: idle %s: must be shorter than the duration, %s, or it ends nothing; write such as 10m", what, p.Idle, p.Duration))
	}
	errs = append(errs, p.validateNotify(what), p.validateExtension(what), p.validateAgreement(what))
	if p.Color != "" && !isColor(p.Color) {
		errs = append(errs, fmt.Errorf("%s: color %.40q: not a colour; write \"#b91c1c\", in quotes", what, p.Color))
	}
	return errors.Join(errs...)
}

func (p *Policy) validateAgreement(what string) error {
	approval, consent := slices.Contains(p.Require, RequireApproval), slices.Contains(p.Require, RequireConsent)
	switch {
	case !p.Approvers.Empty() && !approval:
		return fmt.Errorf("%s: approvers: nothing asks for them; add require approval", what)
	case !approval && !consent && p.Emergency:
		return fmt.Errorf("%s: emergency: there is nothing to go without; add require approval or consent, or remove it", what)
	case !approval && !consent && p.RequestExpires != 0:
		return fmt.Errorf("%s: request_expires: nobody is asked; add require approval or consent, or remove it", what)
	case p.RequestExpires != 0 && (p.RequestExpires < Duration(time.Minute) || p.RequestExpires > Duration(7*day)):
		return fmt.Errorf("%s: request_expires %s: must be from 1m to 7d; write such as 1h", what, p.RequestExpires)
	case !p.Approvers.Empty():
		return p.Approvers.validate(what + ": approvers")
	}
	return nil
}

func (p *Policy) validateExtension(what string) error {
	switch {
	case p.Extension == 0 && p.Extensions == 0:
	case p.Extension < Duration(time.Minute) || p.Extension > Duration(day):
		return fmt.Errorf("%s: extension %s: must be from 1m to 1d; write such as extension 15m 2", what, p.Extension)
	case p.Extensions < 1 || p.Extensions > maxExtensions:
		return fmt.Errorf("%s: extension %s %d: how often must be from 1 to %d; write such as extension 15m 2", what, p.Extension, p.Extensions, maxExtensions)
	case p.Duration+p.Extension*Duration(p.Extensions) > MaxImpersonation:
		return fmt.Errorf("%s: extension %s %d: with the duration, %s, this is longer than %s; shorten one of them", what, p.Extension, p.Extensions, p.Duration, MaxImpersonation)
	}
	return nil
}
