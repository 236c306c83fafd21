// Package policy decides who may become whom. It is pure: the same facts give the same answer; it reads no clock,
// no store, no network.
//
// What the operator wrote ([Rules]) is checked and compiled once into a [Set]; a Set is immutable and answers for
// as long as its configuration is in force: who may become whom now ([Set.Decide]), whether somebody who already
// is may go on ([Set.Continue]), what they may choose at the start ([Set.Settle]).
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

// DefaultDuration is a policy's duration where the operator names none.
const DefaultDuration = 30 * time.Minute

// Match selects people: by any of the groups, usernames or values of an attribute. Empty matches nobody. Groups and
// values are compared exactly, usernames as accounts are joined ([identity.Key]).
type Match struct {
	Groups []string
	Users  []string
	// Attributes are values of attributes that will do, by the attribute's name.
	Attributes map[string][]string
	// Roles are those who have one of them. Only in [Rules.Protect] and [Rules.Withhold].
	Roles []string
	// OwnGroups selects, by the actor, whoever is in a group with them whose name fits one of these patterns (* stands
	// for anything). GroupsIn selects whoever is in a group that this attribute of the actor's names, with commas
	// between them. Only in [Policy.Target].
	OwnGroups []string
	GroupsIn  string
}

// Rules are what the operator wrote.
type Rules struct {
	Roles    map[string]Match // role → who has it
	Protect  Match            // never a target
	Withhold Match            // never an actor
	Policies []Policy         // the first that matches decides
	StepUp   StepUp           // what RequireStepUp asks for
}

// Policy lets the people its Actor matches become those its Target matches.
type Policy struct {
	Name   string
	Actor  Match
	Target Match
	// When is a condition in the Common Expression Language over actor, target, request and now; empty: none.
	When string
	// Hours are when it may be used; empty: always. It ends with them.
	Hours []Hours
	// Networks are where requests may come from; empty: anywhere.
	Networks []netip.Prefix
	// Modes offered; the first is the default. Empty: full.
	Modes []string
	// Duration is how long it may last at most; 0: 30 minutes.
	Duration time.Duration
	// Idle ends it after this long without a request; 0: never.
	Idle time.Duration
	// Extension is what each press of "Extend" adds to the time; 0: none is offered. Extensions is how often it can be
	// pressed; 0 with an Extension: once.
	Extension  time.Duration
	Extensions int
	// Color of the banner, as #rgb or #rrggbb; empty: the site's.
	Color string
	// LimitActor is how many impersonations one actor may have at once, LimitTarget how many there may be of one target,
	// those under other policies counted in; 0: any number.
	LimitActor, LimitTarget int
	// RequireReason refuses a start without a reason.
	RequireReason bool
	// MinReason and MaxReason are how long a reason must and may be, in characters; 0: [MinReason], [MaxReason].
	MinReason, MaxReason int
	// RequireTicket refuses a start without a ticket. One that is given has to look like Ticket in any case.
	RequireTicket bool
	Ticket        Ticket
	// RequireStepUp refuses a start without a fresh login.
	RequireStepUp bool
	// RequireApproval refuses a start that none of the Approvers has agreed to; without any, the owners may.
	RequireApproval bool
	Approvers       Match
	// RequireConsent refuses a start that the target has not agreed to.
	RequireConsent bool
	// RequestLife is how long a start waits for that; 0: an hour.
	RequestLife time.Duration
	// Emergency lets the actor start without either, with a reason.
	Emergency bool
	// TellTarget and TellOwners are told of a start and its end. RequireNotice refuses a start of which the target can't
	// be told for certain.
	TellTarget, TellOwners, RequireNotice bool
	// LockOnObjection ends what the target says they did not expect, and locks the pair.
	LockOnObjection bool
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
	Nested bool
	// Locked: the target has objected to the actor, and nobody in charge has lifted that.
	Locked bool
	Now    time.Time
	// ClientIP and Host are of the request it is asked for; NoRequest: none is known, which is not the same as one
	// from nowhere.
	ClientIP  netip.Addr
	Host      string
	NoRequest bool
	// Live counts the impersonations there are now, of the actor and of the target, by the keys of their usernames; nil:
	// none. Only rules with a limit ask.
	Live func(actor, target string) (ofActor, ofTarget int)
}

// Decision is the answer. The other fields are set only when Refusal is nil. Modes is shared: not to be changed.
type Decision struct {
	Refusal *Refusal
	// NeedsRequest: it hangs on a request, and none was given. Whoever can wait for one, asks again then; for all
	// others it is the Refusal.
	NeedsRequest  bool
	Policy        string
	Modes         []string
	Duration      time.Duration
	Idle          time.Duration
	Extension     time.Duration
	Extensions    int
	Color         string
	RequireReason bool
	// MinReason and MaxReason are how long a reason must (where one is required) and may be, in characters.
	MinReason, MaxReason int
	RequireTicket        bool
	// LimitActor and LimitTarget are how many there may be at once; 0: any number. See [Decision.Full].
	LimitActor, LimitTarget int
	ticket                  *ticketRule
	// What else a start needs: see [Set.Missing].
	RequireStepUp, RequireApproval, RequireConsent bool
	// RequestLife is how long a start waits for an agreement. Emergency: it can do without.
	RequestLife time.Duration
	Emergency   bool
	// Who is told, and what follows an objection: as in [Policy].
	TellTarget, TellOwners, RequireNotice, LockOnObjection bool
}
