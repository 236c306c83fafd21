// Package policy decides who may become whom. It is pure: the same facts give the same answer; it reads no clock,
// no store, no network.
package policy

import (
	"net/netip"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// Modes of an impersonation.
const (
	ModeFull     = "full"
	ModeReadOnly = "read_only"
)

// Roles over the gateway itself.
const (
	RoleOwner   = "owner"
	RoleAuditor = "auditor"
)

// Match selects people: by any of the groups or usernames. Empty matches nobody.
type Match struct {
	Groups []string
	Users  []string
}

// Rules are what the operator wrote.
type Rules struct {
	Roles    map[string]Match // role → who has it
	Protect  Match            // never a target
	Policies []Policy         // the first that matches decides
}

// Policy lets the people its Actor matches become those its Target matches.
type Policy struct {
	Name   string
	Actor  Match
	Target Match
	// Modes offered; the first is the default. Empty: full.
	Modes []string
	// Duration is how long it may last at most; default 30 minutes.
	Duration time.Duration
	// Idle ends it after this long without a request; 0: never.
	Idle time.Duration
	// RequireReason refuses a start without a reason.
	RequireReason bool
}

// Person is somebody and what is known of them now.
type Person struct {
	*identity.Identity
	// Known: some directory source has the account. An actor may be unknown (their login vouches for them); a
	// target may not.
	Known  bool
	Active bool
}

// Input is one question: may the actor be (or go on being) the target?
type Input struct {
	Actor, Target Person
	// Nested: the actor is impersonating already (set when deciding a start, never when re-deciding).
	Nested   bool
	Now      time.Time
	ClientIP netip.Addr
}

// Refusal says why not. Code is stable, for programs; Message is a sentence for the person refused.
type Refusal struct {
	Code    string
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// Codes of refusals, in the order they are checked.
const (
	RefusedActorInactive  = "actor_inactive"
	RefusedUnknown        = "target_unknown"
	RefusedSelf           = "self"
	RefusedNested         = "nested"
	RefusedInactive       = "target_inactive"
	RefusedProtected      = "target_protected"
	RefusedNoPolicy       = "no_policy"        // the actor is named by no policy
	RefusedTargetNoPolicy = "target_no_policy" // policies name the actor, but none this target
	RefusedMode           = "mode_not_offered"
	RefusedReason         = "reason_required"
	RefusedDuration       = "duration_too_long"
)

// Decision is the answer. The other fields are set only when Refusal is nil.
type Decision struct {
	Refusal       *Refusal
	Policy        string
	Modes         []string
	Duration      time.Duration
	Idle          time.Duration
	RequireReason bool
}
