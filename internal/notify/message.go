// Package notify tells people what was done, or is asked of them: by email, by webhook, whatever a [Notifier] carries.
//
// A [Message] is put into the [Queue], which keeps it in the state, so that it outlives a crash; it is delivered once
// for each address, tried again with pauses that grow, and given up when it is too late. What became of each
// delivery is reported, for the audit. A delivery may be made twice when the gateway dies in the very moment of it;
// it then has the same id.
package notify

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind is what a message is about.
type Kind string

// Kinds of messages.
const (
	KindStarted          Kind = "impersonation_started"
	KindEnded            Kind = "impersonation_ended"
	KindApprovalRequest  Kind = "approval_requested" // to those who may approve
	KindConsentRequest   Kind = "consent_requested"  // to the target
	KindRequestDecided   Kind = "request_decided"    // to the actor who asked
	KindEmergencyStarted Kind = "emergency_started"  // to the owners
	KindObjection        Kind = "objection"          // to the owners: the target did not expect it
	KindDigest           Kind = "digest"             // to owners and auditors
)

// Kinds are all there are.
var Kinds = []Kind{
	KindStarted, KindEnded, KindApprovalRequest, KindConsentRequest, KindRequestDecided, KindEmergencyStarted, KindObjection, KindDigest,
}

// Recipient is somebody who is to be told. Lang is the language they read; empty: the one last seen of their browser,
// else the default.
type Recipient struct {
	ID       string `json:"id,omitempty"`
	Username string `json:"username"`
	Name     string `json:"name,omitempty"`
	Email    string `json:"email,omitempty"`
	Lang     string `json:"lang,omitempty"`
}

// Display is the name, or the username where there is none.
func (r *Recipient) Display() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Username
}

// Message is one thing to be told. Fields that mean nothing for its kind stay empty. Text from people and directories
// goes in as it is: whoever writes it down escapes it.
type Message struct {
	// ID names the message; [Queue.Put] makes one when it is empty. Putting the same again changes nothing while it
	// is still queued.
	ID   string      `json:"id"`
	Kind Kind        `json:"kind"`
	At   time.Time   `json:"at"` // when it happened
	To   []Recipient `json:"to,omitempty"`

	ImpersonationID string `json:"impersonation_id,omitempty"`
	RequestID       string `json:"request_id,omitempty"` // of an approval or consent
	ActorID         string `json:"actor_id,omitempty"`
	ActorUsername   string `json:"actor_username,omitempty"`
	ActorName       string `json:"actor_name,omitempty"`
	TargetID        string `json:"target_id,omitempty"`
	TargetUsername  string `json:"target_username,omitempty"`
	TargetName      string `json:"target_name,omitempty"`

	Reason   string        `json:"reason,omitempty"`
	Ticket   string        `json:"ticket,omitempty"`
	Mode     string        `json:"mode,omitempty"`
	Policy   string        `json:"policy,omitempty"`
	Duration time.Duration `json:"duration,omitempty"` // asked for, or how long it may last; once ended, how long it took

	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	EndCause  string    `json:"end_cause,omitempty"`
	Emergency bool      `json:"emergency,omitempty"`

	// Decision is "granted", "declined" or "expired", By the username of who decided, Note what they wrote.
	Decision string `json:"decision,omitempty"`
	By       string `json:"by,omitempty"`
	Note     string `json:"note,omitempty"`
	// Consequence is what followed an objection: "", "ended" or "locked".
	Consequence string `json:"consequence,omitempty"`

	// Site is scheme://host of the site it is about; Link the path there, or a whole URL, that leads on.
	Site string `json:"site,omitempty"`
	Link string `json:"link,omitempty"`
	// OwnLink is where it leads the target; empty: as all others.
	OwnLink string `json:"own_link,omitempty"`
	// Expires is when telling it makes no sense any more; zero: after three days without success.
	Expires time.Time `json:"expires,omitzero"`

	Digest *Digest `json:"digest,omitempty"`
}

// Digest is a week of impersonations, the unusual first.
type Digest struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	Zone  string    `json:"zone"`
	Total int       `json:"total"`
	// Unusual is how many of them are; Unreviewed how many emergency starts nobody has reviewed, of any age.
	Unusual    int `json:"unusual"`
	Unreviewed int `json:"unreviewed"`
	// Lines are emergency starts that nobody has reviewed, also those of before, and then the week's, the unusual first;
	// not all, if they are many.
	Lines []DigestLine `json:"lines,omitempty"`
}

// DigestLine is one impersonation of a digest.
type DigestLine struct {
	ImpersonationID string        `json:"impersonation_id"`
	Actor           string        `json:"actor"`
	Target          string        `json:"target"`
	Reason          string        `json:"reason,omitempty"`
	StartedAt       time.Time     `json:"started_at"`
	Duration        time.Duration `json:"duration"`
	// Unusual are the codes of what is unusual about it.
	Unusual []string `json:"unusual,omitempty"`
}

// Actor is who acted, as a person names them.
func (m *Message) Actor() string { return display(m.ActorName, m.ActorUsername) }

// Target is whose account it is about, as a person names them.
func (m *Message) Target() string { return display(m.TargetName, m.TargetUsername) }

// URL is the whole of Link; empty: there is none.
func (m *Message) URL() string { return m.whole(m.Link) }

func (m *Message) whole(link string) string {
	if strings.HasPrefix(link, "/") && !strings.HasPrefix(link, "//") && m.Site != "" {
		return m.Site + link
	}
	if strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://") {
		return link
	}
	return ""
}

func display(name, username string) string {
	if name != "" {
		return name
	}
	return username
}

// ErrPermanent marks a failure that no later try can mend.
var ErrPermanent = errors.New("refused for good")

// Notifier carries messages one way. It is safe for concurrent use.
type Notifier interface {
	// Name tells it from others, and is in the audit: it must hold no secret, and stay the same as long as what was
	// queued for it can go by it.
	Name() string
	// Carries tells for which of the message's recipients a delivery is to be made: one for each, or one for all
	// (the empty username); nil: the message does not go this way.
	Carries(m *Message) []Recipient
	// Deliver delivers once. An error that wraps [ErrPermanent] is final; any other is tried again.
	Deliver(ctx context.Context, d *Delivery) error
}

// Delivery is a message on its way to one recipient, or by one notifier for all.
type Delivery struct {
	// ID is the same for every try.
	ID      string
	Attempt int // from 1
	Message *Message
	// To is whom it is for; without a username: for whoever listens.
	To Recipient
}

// Line is text from people on one line: control and invisible formatting characters become blanks, and it is cut to
// most characters.
func Line(s string, most int) string {
	var b strings.Builder
	n, blank := 0, false
	for _, r := range strings.ToValidUTF8(s, "�") {
		if unicode.IsControl(r) || unicode.IsSpace(r) || bidi(r) || r == utf8.RuneError && n == 0 {
			blank = n > 0
			continue
		}
		if n >= most {
			b.WriteString("…")
			break
		}
		if blank {
			b.WriteByte(' ')
			n++
			blank = false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// bidi are the characters that turn text around, so that a name could be made to read as something else.
func bidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c || r == 0xfeff
}
