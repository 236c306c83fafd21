package policy

import "errors"

// Refusal says why not. Code is stable, for programs; Message is a sentence for the person refused.
type Refusal struct {
	Code    string
	Message string
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
	RefusedNoPolicy       = "no_policy"        // the actor is named by no policy
	RefusedTargetNoPolicy = "target_no_policy" // policies name the actor, but none this target
	// RefusedCondition: a policy names both, but asks for something more that does not hold.
	RefusedCondition = "condition_not_met"
	// RefusedConditionFailed: whether a policy's condition holds can't be told, so neither that policy nor one after
	// it decides.
	RefusedConditionFailed = "condition_failed"
	RefusedMode            = "mode_not_offered"
	RefusedReason          = "reason_required"
	RefusedReasonLong      = "reason_too_long"
	RefusedTicketLong      = "ticket_too_long"
	RefusedDuration        = "duration_too_long"
	RefusedDurationShort   = "duration_too_short"
	RefusedExtension       = "extension_not_offered"
	RefusedExtensionsUsed  = "extensions_used_up"
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

// messages of the refusals that are the same for everybody. They name no account, group or policy: whoever may not
// become someone is told nothing about them beyond that.
var messages = map[string]string{
	RefusedActorInactive:   "Your account is deactivated, so you can't impersonate anyone. Ask an administrator to reactivate it.",
	RefusedUnknown:         "There is no account with that username. Check the spelling, or ask an administrator to add it.",
	RefusedSelf:            "This is your own account. Choose somebody else's.",
	RefusedNested:          "You are impersonating someone already. Return to your own account first.",
	RefusedInactive:        "This account is deactivated and can't be impersonated. Ask an administrator to reactivate it first.",
	RefusedProtected:       "Owners and other protected accounts can't be impersonated. Ask the person to do it themselves.",
	RefusedNoPolicy:        "You may not impersonate anyone. Ask an administrator if your work needs it.",
	RefusedTargetNoPolicy:  "You may impersonate some accounts, but not this one. Ask an administrator if your work needs it.",
	RefusedCondition:       "You may not use this account at this moment, or from where you are. Try again when that has changed, or ask an administrator.",
	RefusedConditionFailed: "Whether you may use this account can’t be told, because of a mistake in the rules or something missing in an account. Tell an administrator: the gateway’s log says what it is.",
	RefusedExtension:       "The time in this account can't be extended. Return to your own account, and start again if you need longer.",
	RefusedApproval:        "Somebody else has to approve this first. Ask for it; you can start as soon as they have.",
	RefusedConsent:         "The person whose account this is has to agree first. Ask them; you can start as soon as they have.",
	RefusedStepUp:          "This account may only be used right after a fresh login. Log in again, then start.",
	RefusedEmergency:       "This account can't be used without the agreement it needs, not even in an emergency. Ask for it.",
	RefusedApprover:        "This is not yours to decide. Leave it to those who may, or ask an administrator.",
	RefusedApprovalVoid:    "Whoever approved this may not approve it any more. Ask again.",
	RefusedRequestClosed:   "This request has been dealt with: nothing can be started or decided by it any more. Ask again if you need to.",
	RefusedRequestExpired:  "This request has expired. Ask again if you still need it.",
	RefusedRequestSite:     "This was asked for at another site. Open it there.",
	RefusedRequestsTooMany: "Too many of your requests are open. Wait until they are decided, or cancel some.",
	RefusedExtensionsUsed:  "The time in this account can't be extended any further. Return to your own account, and start again if you need longer.",
}

// Refuse is the refusal of a code that needs no more than its sentence.
func Refuse(code string) *Refusal { return refuse(code) }

func refuse(code string) *Refusal { return &Refusal{Code: code, Message: messages[code]} }

// AsRefusal finds the refusal in an error; nil when it is something else.
func AsRefusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}
