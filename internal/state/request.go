package state

import (
	"fmt"
	"time"
)

// Party is an account as it was when something was asked for or decided: what its login said.
type Party struct {
	ID         string            `json:"id,omitempty"`
	Username   string            `json:"username,omitempty"`
	Name       string            `json:"name,omitempty"`
	Email      string            `json:"email,omitempty"`
	Groups     []string          `json:"groups,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// States of a [Request].
const (
	RequestPending   = "pending"   // it waits for whoever has to agree
	RequestApproved  = "approved"  // all have agreed; the actor may start, once, until StartBy
	RequestStepUp    = "step_up"   // nobody has to agree; it waits for a fresh login of the actor's
	RequestStarted   = "started"   // it became the impersonation it names
	RequestRefused   = "refused"   // somebody did not agree
	RequestCancelled = "cancelled" // the actor withdrew it
	RequestExpired   = "expired"   // nobody agreed in time, or the actor did not start in time
)

// Request is a start that waits: for somebody's approval, for the target's consent, for a fresh login.
type Request struct {
	// ID is random and public: it is in links, notices and the audit. It opens nothing.
	ID    string
	State string
	Site  string // scheme://host it is to be started on

	Actor                                Party
	TargetID, TargetUsername, TargetName string

	// What is asked for, and is started with.
	Mode           string
	Policy         string // the policy that asked for an agreement
	Reason, Ticket string
	Duration       time.Duration
	ReturnTo, Next string // same-origin paths: where the end and the start lead
	ClientIP       string // where it was asked from
	Emergency      bool   // a start without anybody's agreement; only in RequestStepUp

	NeedApproval, NeedConsent bool

	CreatedAt time.Time
	ExpiresAt time.Time // until when it waits
	StartBy   time.Time // until when it can be started, once all have agreed; zero before

	Approver    Party     // who approved; empty: nobody yet
	ApprovedAt  time.Time // zero: not yet
	ConsentedAt time.Time // zero: not yet

	// ClosedBy is the username of who refused or cancelled it, ClosedAt when it came to its end; Note is what they said.
	ClosedBy, Note string
	ClosedAt       time.Time
	// Impersonation is the id of the one it became.
	Impersonation string
}

// Open tells whether anything can still come of it.
func (r *Request) Open() bool {
	return r.State == RequestPending || r.State == RequestApproved || r.State == RequestStepUp
}

// Check tells whether the request can be stored.
func (r *Request) Check() error {
	if r.ID == "" || r.State == "" || r.CreatedAt.IsZero() {
		return fmt.Errorf("request: %w: no ID, State or CreatedAt", ErrInvalid)
	}
	for _, p := range []*Party{&r.Actor, &r.Approver} {
		c := checks{{"id", p.ID}, {"username", p.Username}, {"name", p.Name}, {"email", p.Email}}
		if err := c.check("request", p.Groups, p.Attributes, nil); err != nil {
			return err
		}
	}
	return checks{
		{"id", r.ID},
		{"state", r.State},
		{"site", r.Site},
		{"target id", r.TargetID},
		{"target username", r.TargetUsername},
		{"target name", r.TargetName},
		{"mode", r.Mode},
		{"policy", r.Policy},
		{"reason", r.Reason},
		{"ticket", r.Ticket},
		{"return to", r.ReturnTo},
		{"next", r.Next},
		{"client ip", r.ClientIP},
		{"closed by", r.ClosedBy},
		{"note", r.Note},
		{"impersonation", r.Impersonation},
	}.check("request", nil, nil, nil)
}
