package policy

import (
	"fmt"
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
	case (d.RequireReason || got.Emergency) && visible(got.Reason) < MinReason:
		return Choice{}, &Refusal{Code: RefusedReason, Message: fmt.Sprintf("Write down why you need this account, in at least %d characters.", MinReason)}
	case utf8.RuneCountInString(got.Reason) > MaxReason:
		return Choice{}, &Refusal{Code: RefusedReasonLong, Message: fmt.Sprintf("The reason is too long. Shorten it to %d characters.", MaxReason)}
	case utf8.RuneCountInString(got.Ticket) > MaxTicket:
		return Choice{}, &Refusal{Code: RefusedTicketLong, Message: fmt.Sprintf("The ticket is too long. Shorten it to %d characters.", MaxTicket)}
	case got.Duration > d.Duration:
		return Choice{}, d.longRefusal()
	case got.Duration < MinDuration:
		return Choice{}, &Refusal{Code: RefusedDurationShort, Message: fmt.Sprintf("That is too short. Choose between %s and %s.", Words(MinDuration), Words(d.Duration))}
	}
	return got, nil
}

func (d *Decision) modeRefusal() *Refusal {
	offered := make([]string, len(d.Modes))
	for i, m := range d.Modes {
		offered[i] = ModeName(m)
	}
	return &Refusal{Code: RefusedMode, Message: fmt.Sprintf("That mode is not offered for this account. Choose %s.", strings.Join(offered, " or "))}
}

func (d *Decision) longRefusal() *Refusal {
	return &Refusal{Code: RefusedDuration, Message: fmt.Sprintf("That is longer than this account may be used. Choose %s or less.", Words(d.Duration))}
}

// ModeName is a mode as people read it.
func ModeName(mode string) string {
	switch mode {
	case ModeFull:
		return "full access"
	case ModeReadOnly:
		return "read only"
	}
	return mode
}

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
func Words(d time.Duration) string {
	d = d.Truncate(time.Second)
	var parts []string
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.d; n > 0 {
			d -= n * u.d
			s := fmt.Sprintf("%d %s", n, u.name)
			if n > 1 {
				s += "s"
			}
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return "0 seconds"
	}
	return strings.Join(parts, " ")
}
