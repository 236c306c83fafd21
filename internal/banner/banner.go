// Package banner marks the pages of an app as seen by somebody who is not their user: it decides which responses are
// documents, finds the place in a stream of HTML, and writes the banner there, adjusting headers and policies by the
// least that lets it work.
//
//	switch verdict, reason := banner.Decide(r, status, w.Header()); verdict {
//	case banner.Pass:       // write through
//	case banner.Mark:       // write through banner.NewWriter(w, status, &info)
//	case banner.Unmarkable: // withhold, or let through
//	}
//
// It knows nothing of sessions, policies or audits, and of time only what it is told: Info is all of it.
package banner

import "time"

// Info is what a banner says. Text from people and directories goes in as it is; it is escaped here.
type Info struct {
	// Origin is the site as the browser sees it, scheme://host[:port], without a slash at the end: URLs in the banner
	// must not follow a page's <base>, and a policy must name the banner's files exactly.
	Origin string
	// ImpersonationID is how the page's script recognizes its impersonation. It is public.
	ImpersonationID string

	// Actor is who really acts, Target whose account is used: names for people. Where one is empty, the username stands
	// in.
	Actor, ActorUsername   string
	Target, TargetUsername string

	// Mode is "full" or "read_only".
	Mode string
	// Reason is why it was started; may be empty.
	Reason string

	Now       time.Time
	ExpiresAt time.Time // zero: no countdown

	// Extension is how much time a press of "Extend" adds; 0: none is offered. Press tells which press it is, from 1 on,
	// so that a button pressed twice adds its time once.
	Extension time.Duration
	Press     int

	// Emergency: nobody agreed to it who should have. The bar says so before all else, in [EmergencyColor].
	Emergency bool

	// Text replaces the sentence naming actor and target; empty: that sentence, in the reader's language.
	Text string
	// Color is the bar's, as #rgb or #rrggbb; anything else is the default, #b91c1c. The text on it is black or
	// white, whichever is read better.
	Color string
	// Position is "top" (also when empty) or "bottom".
	Position string
	// Languages is the request's Accept-Language. The banner speaks en, de, fr, es and ja; else English.
	Languages string

	// Notice, when not empty, makes this a bar on the person's own page, shown once, that tells how the impersonation
	// of Target ended: the cause as in the audit (expired, idle, revoked, …), or one not known here. Nothing counts
	// down and nothing is to be returned from.
	Notice string

	// Bell, with a Notice, makes it tell that Actor used the person's account, or is using it.
	Bell *Bell
}

// Bell is what a person is told on their own page of somebody else's use of their account.
type Bell struct {
	// When is from when and until when, or since when, as people read it.
	When   string
	Live   bool
	Reason string // may be empty
	More   int    // how many other times there are to be told of
}

// DefaultColor is the bar's colour when none, or none that is one, is given.
const DefaultColor = "#b91c1c"

// EmergencyColor is the bar's in an emergency, whatever colour is given: yellow, with black on it.
const EmergencyColor = "#ffd60a"

// Verdict is what is to be done with a response.
type Verdict uint8

const (
	// Pass: not a page that is shown on its own. It goes out as it is.
	Pass Verdict = iota
	// Mark: a page that must carry the banner.
	Mark
	// Unmarkable: a page, but one that can't carry the banner.
	Unmarkable
)

func (v Verdict) String() string {
	switch v {
	case Mark:
		return "mark"
	case Unmarkable:
		return "unmarkable"
	}
	return "pass"
}
