package audit

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Filter narrows what a [Reader] lists. Empty fields narrow nothing.
type Filter struct {
	Actor         string // username, as it was recorded or in lower case
	Target        string // likewise
	Impersonation string // id
	// Outcome is a request's outcome; an impersonation's cause of end, or "active" while it goes on; the cause,
	// refusal or reason in an event's detail.
	Outcome string
	Type    string // of an event
	Log     string // id of a log
	// Q is looked for anywhere in what people typed, in names and addresses, ASCII letters without regard to case.
	Q string
	// From is in it, To is not.
	From, To time.Time
}

// OutcomeActive is the outcome of impersonations that go on.
const OutcomeActive = "active"

// maxQ bounds a search, in bytes.
const maxQ = 200

var wordForm = regexp.MustCompile(`^[A-Za-z0-9_]{0,64}$`)

// BadQuestion is the error for what can't be asked, whatever the sink holds. It names the field.
type BadQuestion string

func (b BadQuestion) Error() string { return string(b) }

// Check says which field can't be asked for, as a [BadQuestion].
func (f Filter) Check() error {
	for _, t := range []struct {
		name, value string
		limit       int
	}{
		{"actor", f.Actor, maxName},
		{"target", f.Target, maxName},
		{"impersonation", f.Impersonation, maxID},
		{"log", f.Log, maxID},
		{"q", f.Q, maxQ},
	} {
		if !utf8.ValidString(t.value) || strings.ContainsRune(t.value, 0) || len(t.value) > t.limit {
			return BadQuestion(fmt.Sprintf("%s: give UTF-8 of at most %d bytes", t.name, t.limit))
		}
	}
	if !wordForm.MatchString(f.Outcome) {
		return BadQuestion("outcome: give one word, such as refused")
	}
	if !wordForm.MatchString(f.Type) {
		return BadQuestion("type: give one word, such as impersonation_started")
	}
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"from", f.From}, {"to", f.To}} {
		if !t.at.IsZero() && (t.at.Before(earliest) || t.at.After(latest)) {
			return BadQuestion(t.name + ": give a time from 1970 to 2261")
		}
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return BadQuestion("from: give a time before to")
	}
	return nil
}

// ParseFrom and ParseTo read a bound of time: RFC 3339; a day (2026-03-01) in zone, which is in it whole, also as the
// end; or how long before now, such as 90m, 12h or 7d. Nothing is no bound.
func ParseFrom(s string, now time.Time, zone *time.Location) (time.Time, error) {
	return parseBound(s, now, zone, 0)
}

// ParseTo is [ParseFrom] for the end.
func ParseTo(s string, now time.Time, zone *time.Location) (time.Time, error) {
	return parseBound(s, now, zone, 1)
}

func parseBound(s string, now time.Time, zone *time.Location, days int) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, zone); err == nil {
		return t.AddDate(0, 0, days), nil
	}
	n, unit := 0, ""
	if _, err := fmt.Sscanf(s, "%d%s", &n, &unit); err == nil && n >= 0 && n < 100_000 {
		switch unit {
		case "m":
			return now.Add(-time.Duration(n) * time.Minute), nil
		case "h":
			return now.Add(-time.Duration(n) * time.Hour), nil
		case "d":
			return now.AddDate(0, 0, -n), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time: give 2026-03-01, 2026-03-01T09:30:00Z, or how long ago, such as 12h or 7d", s)
}
