package notify

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// Text is a message as its recipient reads it, in their language: plain text, nothing of it escaped, each on one line.
type Text struct {
	Lang     string
	Subject  string
	Greeting string
	// Lead is the one sentence that matters, More what there is to know beside it.
	Lead, More string
	Facts      []Fact
	Lines      []Item // of a digest
	// Action and URL are where to go next; empty: nowhere.
	Action, URL string
	// Footer tells why they get this.
	Footer string
	Urgent bool
}

// Fact is a line of a list of facts.
type Fact struct{ Label, Value string }

// Item is an impersonation of a digest: what it was, and what is unusual about it.
type Item struct{ What, Why string }

// How long what people wrote may be in a notice.
const (
	maxName = 120
	maxText = 600
)

// TextFor writes the message for its recipient; without a username, for whoever listens. Times are in the zone.
func (m *Message) TextFor(to *Recipient, zone *time.Location) *Text {
	if zone == nil {
		zone = time.UTC
	}
	l := to.Lang
	if _, ok := allWords[l]; !ok {
		l = lang.Default
	}
	w := allWords.In(l)
	mine := to.Username != "" && strings.EqualFold(to.Username, m.TargetUsername)
	t := &Text{Lang: l, Urgent: m.Kind == KindEmergencyStarted || m.Kind == KindObjection}
	site := strings.TrimPrefix(strings.TrimPrefix(m.Site, "https://"), "http://")
	fill := strings.NewReplacer(
		"{actor}", Line(m.Actor(), maxName), "{target}", Line(m.Target(), maxName), "{site}", Line(site, maxName),
		"{by}", Line(m.By, maxName), "{expires}", clockTime(m.Expires, zone), "{to}", Line(to.Display(), maxName),
	)
	say := fill.Replace
	c := w.of(m, mine)
	t.Subject, t.Lead, t.More, t.Action = say(c.subject), say(c.lead), say(c.more), c.action
	if to.Username != "" {
		t.Greeting = say(w.greeting)
	}
	t.Footer = say(w.footer)
	t.URL = m.URL()
	if mine && m.OwnLink != "" {
		t.URL = m.whole(m.OwnLink)
	}
	if t.URL == "" {
		t.Action = ""
	}
	fact := func(label, value string, most int) {
		if value = Line(value, most); value != "" {
			t.Facts = append(t.Facts, Fact{label, value})
		}
	}
	if m.Kind == KindDigest {
		m.digestText(t, w, zone)
		return t
	}
	fact(w.actor, who(m.ActorName, m.ActorUsername), maxName)
	if !mine {
		fact(w.target, who(m.TargetName, m.TargetUsername), maxName)
	}
	fact(w.reason, m.Reason, maxText)
	fact(w.ticket, m.Ticket, maxName)
	fact(w.access, w.modes[m.Mode], maxName)
	switch {
	case !m.EndedAt.IsZero():
		fact(w.when, clockTime(m.StartedAt, zone)+" – "+clockTime(m.EndedAt, zone), maxText)
		fact(w.endedLabel, w.causes[m.EndCause], maxText)
	case !m.StartedAt.IsZero():
		fact(w.when, clockTime(m.StartedAt, zone), maxText)
		fact(w.atMost, w.length(m.Duration), maxText)
	default:
		fact(w.when, clockTime(m.At, zone), maxText)
		fact(w.atMost, w.length(m.Duration), maxText)
	}
	fact(w.decidedBy, m.By, maxName)
	fact(w.note, m.Note, maxText)
	fact(w.site, site, maxName)
	return t
}

func (m *Message) digestText(t *Text, w *words, zone *time.Location) {
	d := m.Digest
	if d == nil {
		d = new(Digest)
	}
	t.Facts = []Fact{
		{w.week, d.From.In(zone).Format("2006-01-02") + " – " + d.Until.In(zone).Add(-time.Second).Format("2006-01-02")},
		{w.total, strconv.Itoa(d.Total)},
		{w.unusual, strconv.Itoa(d.Unusual)},
		{w.unreviewed, strconv.Itoa(d.Unreviewed)},
	}
	t.Urgent = d.Unreviewed > 0
	others := d.Total
	for _, l := range d.Lines {
		if !l.StartedAt.Before(d.From) { // else an emergency of before
			others--
		}
		what := Line(l.Actor, maxName) + " → " + Line(l.Target, maxName) + ", " + clockTime(l.StartedAt, zone) + ", " + w.length(l.Duration)
		if r := Line(l.Reason, maxText); r != "" {
			what += ": " + r
		}
		var why []string
		for _, code := range l.Unusual {
			if s := w.oddities[code]; s != "" {
				why = append(why, s)
			}
		}
		t.Lines = append(t.Lines, Item{what, strings.Join(why, ", ")})
	}
	if others > 0 && len(d.Lines) > 0 {
		t.Lines = append(t.Lines, Item{What: strings.ReplaceAll(w.others, "{n}", strconv.Itoa(others))})
	}
}

// Oddities are the codes of what can be unusual about an impersonation.
const (
	OddEmergency  = "emergency"
	OddObjection  = "objection"
	OddOutOfHours = "out_of_hours"
	OddFirst      = "first_time"
	OddLong       = "very_long"
	OddMany       = "many_targets"
	OddRefusals   = "many_refusals"
	OddUnreviewed = "not_reviewed" // an emergency
)

func who(name, username string) string {
	if name == "" || name == username {
		return username
	}
	return name + " (" + username + ")"
}

func clockTime(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format("2006-01-02 15:04 MST")
}

// Languages are those a message can be written in.
func Languages() []string { return slices.Clone(lang.All[:]) }

// Oddity is what is unusual, in a language; Cause is how an impersonation ended.
func Oddity(language, code string) string { return allWords.In(language).oddities[code] }

// Cause is how an impersonation ended, in a language; empty for a cause not known here.
func Cause(language, cause string) string { return allWords.In(language).causes[cause] }

// Length is a length of time, in a language.
func Length(language string, d time.Duration) string { return allWords.In(language).length(d) }
