package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a person may choose and write at a start; lengths in characters.
const (
	MinReason   = 3
	MaxReason   = 500
	MaxTicket   = 200
	MinDuration = time.Second
)

// Choice is what the person asks for at a start. Zero values ask for the policy's defaults.
type Choice struct {
	Mode     string
	Reason   string
	Ticket   string
	Duration time.Duration
	// Emergency asks for a start without the agreement of others that the policy requires.
	Emergency bool
}

// Check tells why a choice is not within what was decided; nil: it is.
func (s *Set) Check(d Decision, want Choice) *Refusal {
	_, r := s.Settle(d, want)
	return r
}

// Settle fills in the defaults and cleans what was written ([CleanText]), or tells why the choice can't be had.
// The duration may be shorter than the policy's, never longer.
func (s *Set) Settle(d Decision, want Choice) (Choice, *Refusal) {
	if d.Refusal != nil {
		return Choice{}, d.Refusal
	}
	got := Choice{Mode: want.Mode, Reason: CleanText(want.Reason), Ticket: CleanText(want.Ticket), Duration: want.Duration, Emergency: want.Emergency}
	if got.Mode == "" {
		got.Mode = d.Modes[0]
	}
	if got.Duration == 0 {
		got.Duration = d.Duration
	}
	switch {
	case !slices.Contains(d.Modes, got.Mode):
		return Choice{}, d.modeRefusal()
	case got.Emergency && !d.Emergency:
		return Choice{}, refuse(RefusedEmergency)
	case (d.RequireReason || got.Emergency) && visible(got.Reason) < d.minReason():
		return Choice{}, refuse(RefusedReason, d.minReason())
	case utf8.RuneCountInString(got.Reason) > d.maxReason():
		return Choice{}, refuse(RefusedReasonLong, d.maxReason())
	case utf8.RuneCountInString(got.Ticket) > MaxTicket:
		return Choice{}, refuse(RefusedTicketLong, MaxTicket)
	case d.RequireTicket && visible(got.Ticket) == 0:
		return Choice{}, refuse(RefusedTicket)
	case got.Ticket != "" && !d.ticket.fits(got.Ticket):
		return Choice{}, d.ticketRefusal()
	case got.Duration > d.Duration:
		return Choice{}, d.longRefusal()
	case got.Duration < MinDuration:
		return Choice{}, refuse(RefusedDurationShort, MinDuration, d.Duration)
	}
	return got, nil
}

func (d *Decision) minReason() int { return cmp.Or(d.MinReason, MinReason) }

func (d *Decision) maxReason() int { return cmp.Or(d.MaxReason, MaxReason) }

func (d *Decision) modeRefusal() *Refusal { return refuse(RefusedMode, modesArg(d.Modes)) }

func (d *Decision) longRefusal() *Refusal { return refuse(RefusedDuration, d.Duration) }

// ticketRefusal shows a ticket as they should be, or the pattern where the operator gave no example.
func (d *Decision) ticketRefusal() *Refusal {
	return refuse(RefusedTicketForm, cmp.Or(d.TicketExample(), d.TicketPattern()))
}

// ModeName is a mode as people read it.
func ModeName(mode string) string { return english.mode(mode) }

// CleanText makes what a person wrote fit for records and pages: trimmed, valid UTF-8, line ends as \n, other
// controls as blanks, and without invisible format characters, which can turn the direction of a whole line around
// (U+202E) or hide text. The joiners that scripts and emoji need stay.
func CleanText(s string) string {
	if len(s) > 16*MaxReason { // longer than anything taken; the rest only has to be seen to be too long
		s = s[:16*MaxReason]
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\u200c', r == '\u200d':
			return r
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s))
}

// visible counts the characters one can see, so that a reason of nothing but joiners is none.
func visible(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsGraphic(r) && !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// Words is a duration as people say it: "1 hour 30 minutes".
func Words(d time.Duration) string { return english.duration(d) }

// WordsIn is a duration as people say it in a language, as [lang] names them.
func WordsIn(language string, d time.Duration) string { return languages.In(language).duration(d) }
