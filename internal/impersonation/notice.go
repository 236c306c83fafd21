package impersonation

import "strings"

// Notice is what a person is told after an end they did not ask for.
type Notice struct {
	// Cause is the end's, such as CauseExpired.
	Cause string
	// Target is whose account it was, as a person names them.
	Target string
}

// String is how a session keeps the notice.
func (n Notice) String() string { return n.Cause + " " + n.Target }

// ParseNotice is String's reverse.
func ParseNotice(s string) Notice {
	cause, target, _ := strings.Cut(s, " ")
	return Notice{cause, target}
}

// Text is the notice in English.
func (n Notice) Text() string {
	why := map[string]string{
		CauseExpired:           "the time was up",
		CauseIdle:              "nothing was done for a while",
		CauseRevoked:           "someone in charge ended it",
		CauseTargetDeactivated: "that account was deactivated",
		CauseActorDeactivated:  "your account was deactivated",
		CausePolicyChanged:     "the rules that allowed it have changed",
		CauseObjection:         "the person did not expect it",
	}[n.Cause]
	text := "You are no longer using " + n.Target + "’s account"
	if why != "" {
		text += ": " + why
	}
	return text + ". You are in your own account again."
}
