package audit

import (
	"cmp"
	"strconv"
)

// Line is the request as the view actions has it: "Alice Ng (impersonating Sam Reed): Completed booking".
func (r *Request) Line() string {
	who := cmp.Or(r.ActorName, r.ActorUsername, r.ActorID)
	if r.ImpersonationID != "" {
		who += " (impersonating " + cmp.Or(r.TargetName, r.TargetUsername, r.TargetID) + ")"
	}
	return who + ": " + r.AsAction().What + r.Aside()
}

// Aside says in brackets what else became of the request than that it was done; empty: nothing.
func (r *Request) Aside() string {
	switch {
	case r.Outcome == OutcomeRefused && r.Refusal != "":
		return " (refused: " + r.Refusal + ")"
	case r.Outcome != OutcomeCompleted:
		return " (" + r.Outcome + ")"
	case r.Status >= 400:
		return " (status " + strconv.Itoa(r.Status) + ")"
	}
	return ""
}

// Line is the event on one line: "Alice Ng, Sam Reed: impersonation_started". What it says beside is in Reason and Detail.
func (e *Event) Line() string {
	line := cmp.Or(e.ActorName, e.ActorUsername, e.ActorID)
	if target := cmp.Or(e.TargetName, e.TargetUsername, e.TargetID); target != "" {
		if line != "" {
			line += ", "
		}
		line += target
	}
	if line != "" {
		line += ": "
	}
	return line + e.Type
}
