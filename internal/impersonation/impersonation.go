// Package impersonation starts, finds and ends impersonations, and is the only writer of that state.
//
// A start is decided on the facts of its moment, recorded, stored, and only then takes effect; a running one is
// decided again on each request ([Manager.Check]) and whenever rules or directory change. An end is the other way
// round: it takes effect at once, in memory, cutting what is under way, and is then written down for as long as it
// takes. So whatever is broken, nobody is kept in another's account, and nobody enters one unseen.
//
// The way back is here, on the server, keyed to the actor's own session: the browser holds nothing that could name
// an identity, and nobody becomes the actor by pressing the target's exit (MAIF/daikoku #1102).
package impersonation

import (
	"errors"
	"net/netip"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// Causes of an end, as they are in the event's detail.
const (
	CauseStopped           = "stopped"            // by the actor
	CauseExpired           = "expired"            // its time was over
	CauseIdle              = "idle"               // no request for as long as the policy allows
	CauseRevoked           = "revoked"            // by an owner
	CauseTargetDeactivated = "target_deactivated" //
	CauseActorDeactivated  = "actor_deactivated"  //
	CausePolicyChanged     = "policy_changed"     // rules, groups or accounts are such that it may not go on
	CauseLogout            = "logout"             // the actor's session is over
	// CauseStartFailed: its start was recorded, but could not be completed; it never took effect.
	CauseStartFailed = "start_failed"
)

// ErrNotReady is returned by Start before the first [Manager.Use] and after Close.
var ErrNotReady = errors.New("the gateway is not ready to start impersonations")

// Rules are what decides: the newest configuration's policy, on the newest facts.
type Rules struct {
	Policy    *policy.Set
	Directory *directory.Directory
}

// StartRequest is what a person asks for. Who they are comes from their session, and what they may from the
// directory and policy at the time of the call.
type StartRequest struct {
	Session  *session.Session
	Target   string // username, in any spelling
	Reason   string
	Ticket   string
	Mode     string        // empty: the policy's default
	Duration time.Duration // 0: the policy's
	// ReturnTo is the path to land on at the end; anything but a path on the same site becomes "/".
	ReturnTo string
	// Next is the path a start that waited leads to; it is kept for the pages, and means nothing here.
	Next     string
	Site     string // scheme://host it is started on
	ClientIP netip.Addr
	// Emergency asks for a start without the agreement of others that the policy requires.
	Emergency bool
	// Request is the id of the request that is to be started, just as it was agreed to: Target, Reason, Ticket, Mode,
	// Duration, ReturnTo and Emergency are then taken from it. Empty: none.
	Request string
}

// Ended is how and why an impersonation ended. It is the cause of [Live.Context], and never changes.
type Ended struct {
	Cause string
	// By is the username of the person who ended it; empty when nobody did.
	By string
	// At is when it ended: for an expiry, when its time was over, not when that was noticed.
	At time.Time
	// Refusal says why it may not go on, for the causes that come of a decision; else nil.
	Refusal *policy.Refusal
}

func (e *Ended) Error() string { return "impersonation ended: " + e.Cause }

// Unwrap is the refusal, so that [policy.AsRefusal] finds it.
func (e *Ended) Unwrap() error {
	if e.Refusal == nil {
		return nil
	}
	return e.Refusal
}

// Unasked tells whether it ended without the person's doing, so that they must be told, and a form of the target's
// page that their browser still shows must not be carried out in their own name.
func (e *Ended) Unasked() bool {
	switch e.Cause {
	case CauseStopped, CauseLogout, CauseStartFailed:
		return false
	}
	return true
}
