package config

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	roles = []string{"owner", "auditor"}
	modes = []string{"full", "read_only"}
	// requirements a start can be made to meet.
	requirements = []string{RequireReason}
)

// RequireReason makes the actor write down why, at the start.
const RequireReason = "reason"

// Modes of an impersonation: everything the target may do, or only requests that change nothing.
const (
	ModeFull     = "full"
	ModeReadOnly = "read_only"
)

// Match selects people: those in any of the groups, and those with any of the usernames.
type Match struct {
	Groups []string `json:"groups,omitempty"`
	Users  []string `json:"users,omitempty"`
}

// Empty tells whether it selects nobody.
func (m Match) Empty() bool { return len(m.Groups) == 0 && len(m.Users) == 0 }

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
	return errors.Join(errs...)
}

// Policy lets the people Actor selects become the people Target selects.
type Policy struct {
	// Name is shown to the person refused or allowed, and recorded. Required, unique.
	Name string `json:"name"`

	// Actor selects who may impersonate under it, Target whom they may become. Both required.
	Actor  Match `json:"actor"`
	Target Match `json:"target"`

	// Modes offered: full, read_only. The first is the default of a start. Default: full.
	Modes []string `json:"modes,omitempty"`

	// Duration is how long an impersonation may last. Default: 30m. At most 7d.
	Duration Duration `json:"duration,omitempty"`

	// Idle ends it after so long without a request. Default: never before Duration.
	Idle Duration `json:"idle,omitempty"`

	// Require is what the actor has to give at the start: reason. Default: nothing.
	Require []string `json:"require,omitempty"`
}

// MaxImpersonation is the longest a policy may let an impersonation last.
const MaxImpersonation = Duration(7 * day)

// SetDefaults fills in what was left out.
func (p *Policy) SetDefaults() {
	if len(p.Modes) == 0 {
		p.Modes = []string{ModeFull}
	}
	if p.Duration == 0 {
		p.Duration = Duration(30 * time.Minute)
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
	if p.Duration < Duration(time.Second) || p.Duration > MaxImpersonation {
		errs = append(errs, fmt.Errorf("%s: duration %s: must be from 1s to %s; write such as 30m", what, p.Duration, MaxImpersonation))
	} else if p.Idle < 0 || p.Idle > p.Duration {
		errs = append(errs, fmt.Errorf("%s: idle %s: must be shorter than the duration, %s, or it ends nothing; write such as 10m", what, p.Idle, p.Duration))
	}
	return errors.Join(errs...)
}
