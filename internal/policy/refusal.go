package policy

import (
	"cmp"
	"errors"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// Refusal says why not. Code is stable, for programs; Message is a sentence for the person refused.
type Refusal struct {
	Code    string
	Message string
	// args are what the sentence hangs on, for other languages.
	args []any
	// sentence is said instead of the code's own; empty: that.
	sentence string
	// Cause is for the operator's log: why a condition could not be evaluated. Nil for all other refusals.
	Cause error
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
	RefusedWithheld       = "actor_withheld"       // the actor is one of those who may not impersonate, whatever a policy says
	RefusedNoPolicy       = "no_policy"            // the actor is named by no policy
	RefusedPowerful       = "target_more_powerful" // see [Set.morePower]
	RefusedTargetNoPolicy = "target_no_policy"     // policies name the actor, but none this target
	// What the first policy that names both asks for, and does not get.
	RefusedHours   = "outside_hours"
	RefusedNetwork = "network_not_allowed"
	// RefusedCondition: a policy names both, but asks for something more that does not hold.
	RefusedCondition = "condition_not_met"
	// RefusedConditionFailed: whether a policy's condition holds can't be told, so neither that policy nor one after
	// it decides.
	RefusedConditionFailed = "condition_failed"
	// As many as the policy allows are under way.
	RefusedLimitActor  = "actor_limit_reached"
	RefusedLimitTarget = "target_limit_reached"
	// RefusedLocked: the target has objected to the actor.
	RefusedLocked = "pair_locked"
	// RefusedUnreachable: the target has to be told, but no notice can reach them. RefusedNotice: none can be queued now.
	RefusedUnreachable    = "target_unreachable"
	RefusedNotice         = "notice_unavailable"
	RefusedMode           = "mode_not_offered"
	RefusedReason         = "reason_required"
	RefusedReasonLong     = "reason_too_long"
	RefusedTicketLong     = "ticket_too_long"
	RefusedTicket         = "ticket_required"
	RefusedTicketForm     = "ticket_malformed"
	RefusedDuration       = "duration_too_long"
	RefusedDurationShort  = "duration_too_short"
	RefusedExtension      = "extension_not_offered"
	RefusedExtensionsUsed = "extensions_used_up"
	// What a start can be given yet.
	RefusedApproval = "approval_required"
	RefusedConsent  = "consent_required"
	RefusedStepUp   = "step_up_required"
	// Of emergencies, and of starts that waited for somebody.
	RefusedEmergency       = "emergency_not_offered"
	RefusedApprover        = "approver_not_allowed"
	RefusedApprovalVoid    = "approval_void" // given, but by somebody who may not give it any more
	RefusedRequestClosed   = "request_closed"
	RefusedRequestExpired  = "request_expired"
	RefusedRequestSite     = "request_other_site"
	RefusedRequestsTooMany = "requests_too_many"
)

// pointless is the sentence of [Refusal.Pointless].
const pointless = "pointless"

// Pointless is the refusal as it is said to somebody who would agree to what is refused all the same: its own sentence
// is for the actor.
func (r *Refusal) Pointless() *Refusal {
	p := &Refusal{Code: r.Code, Cause: r.Cause, sentence: pointless}
	p.Message = p.In(lang.Default)
	return p
}

// Refuse is the refusal of a code that needs no more than its sentence.
func Refuse(code string) *Refusal { return refuse(code) }

func refuse(code string, args ...any) *Refusal {
	r := &Refusal{Code: code, args: args}
	r.Message = r.In(lang.Default)
	return r
}

// In is the sentence in a language, as [lang] names them.
func (r *Refusal) In(language string) string {
	w := languages.In(language)
	sentence, ok := w.Refusals[cmp.Or(r.sentence, r.Code)]
	if !ok {
		return r.Message
	}
	if len(r.args) == 0 {
		return sentence
	}
	return w.say(sentence, r.args...)
}

// AsRefusal finds the refusal in an error; nil when it is something else.
func AsRefusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// IsRefusal tells whether a code is one of a refusal.
func IsRefusal(code string) bool {
	_, ok := english.Refusals[code]
	return ok && code != pointless
}
