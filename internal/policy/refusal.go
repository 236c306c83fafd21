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
	RefusedExtensionsUsed:  "The time in this account can't be extended any further. Return to your own account, and start again if you need longer.",
}

func refuse(code string) *Refusal { return &Refusal{Code: code, Message: messages[code]} }

// AsRefusal finds the refusal in an error; nil when it is something else.
func AsRefusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}
