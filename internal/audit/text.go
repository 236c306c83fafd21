package audit

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/fields"
)

// Bounds of columns, in bytes. A longer value is cut, and the cut value ends in "…".
const (
	maxPath      = 2048
	maxQuery     = 2048
	maxReason    = 2048
	maxDetail    = 8192
	maxUserAgent = 512
	maxHost      = 255 // RFC 1035, section 2.3.4
	maxName      = 256 // ids, usernames, names, actions, tickets
	maxID        = 128 // our own ids and the client's X-Request-Id
	maxWord      = 64  // values of small sets: mode, outcome, type of an event
	maxMedia     = 128
	maxIP        = 64
)

const (
	ellipsis    = "…"
	replacement = "\uFFFD"
)

// clean makes s fit for a row: valid UTF-8 of at most limit bytes on one line, without control characters and
// without the characters that make a terminal or a page show text in another order than it is (bidirectional
// overrides: CVE-2021-42574). Line breaks and tabs become spaces, the others U+FFFD. Clean values come back as they
// are, without a copy.
func clean(s string, limit int) string {
	if len(s) <= limit {
		i := 0
		for i < len(s) && s[i] >= 0x20 && s[i] < 0x7f {
			i++
		}
		if i == len(s) {
			return s
		}
	}
	return cleanSlowly(s, limit)
}

func cleanSlowly(s string, limit int) string {
	var b strings.Builder
	b.Grow(min(len(s), limit))
	// fits is the length up to which text still leaves room for the ellipsis.
	fits := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			piece = replacement
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			piece = " "
		case hidden(r):
			piece = replacement
		}
		if b.Len()+len(piece) > limit {
			return b.String()[:fits] + ellipsis
		}
		b.WriteString(piece)
		if b.Len() <= limit-len(ellipsis) {
			fits = b.Len()
		}
		i += n
	}
	return b.String()
}

// hidden tells control characters (C0, DEL, C1), bidirectional embeddings, overrides and isolates, and what no
// interchange of text allows (noncharacters).
func hidden(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 ||
		r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
}

// cleanIP writes addresses in their one canonical form; what is none is kept as text.
func cleanIP(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return clean(a.Unmap().String(), maxIP)
	}
	return clean(s, maxIP)
}

// Times outside these can't be held by every sink (ClickHouse: nanoseconds in 64 bits).
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC)
)

// cleanTime is t in UTC to the microsecond; now where t is zero.
func cleanTime(t time.Time, now func() time.Time) time.Time {
	if t.IsZero() {
		t = now()
	}
	t = t.UTC().Truncate(time.Microsecond)
	if t.Before(earliest) {
		return earliest
	}
	if t.After(latest) {
		return latest
	}
	return t
}

// clean makes every column fit for the tables. Path and Query are redacted before.
func (r *Request) clean(now func() time.Time) {
	r.Time = cleanTime(r.Time, now)
	r.LogID = clean(r.LogID, maxID)
	r.RequestID = clean(r.RequestID, maxID)
	r.ImpersonationID = clean(r.ImpersonationID, maxID)
	r.ActorID = clean(r.ActorID, maxName)
	r.ActorUsername = clean(r.ActorUsername, maxName)
	r.ActorName = clean(r.ActorName, maxName)
	r.TargetID = clean(r.TargetID, maxName)
	r.TargetUsername = clean(r.TargetUsername, maxName)
	r.TargetName = clean(r.TargetName, maxName)
	r.Mode = clean(r.Mode, maxWord)
	r.ClientIP = cleanIP(r.ClientIP)
	r.UserAgent = clean(r.UserAgent, maxUserAgent)
	r.Method = clean(r.Method, maxWord)
	r.Scheme = clean(r.Scheme, maxWord)
	r.Host = clean(r.Host, maxHost)
	r.Path = clean(r.Path, maxPath)
	r.Query = clean(r.Query, maxQuery)
	r.cleanOutcome()
}

// cleanOutcome does the columns that come at the end.
func (r *Request) cleanOutcome() {
	r.Action = clean(r.Action, maxName)
	r.Status = min(max(r.Status, 0), 999)
	r.Outcome = clean(r.Outcome, maxWord)
	r.Refusal = clean(r.Refusal, maxWord)
	r.Banner = clean(r.Banner, maxWord)
	r.Duration = max(r.Duration, 0).Truncate(time.Microsecond)
	r.RequestBytes = max(r.RequestBytes, 0)
	r.ResponseBytes = max(r.ResponseBytes, 0)
	r.ContentType = clean(r.ContentType, maxMedia)
	r.Fields = clean(r.Fields, fields.MaxBytes)
}

func (e *Event) clean(now func() time.Time) {
	e.Time = cleanTime(e.Time, now)
	e.LogID = clean(e.LogID, maxID)
	e.Type = clean(e.Type, maxWord)
	e.ImpersonationID = clean(e.ImpersonationID, maxID)
	e.ActorID = clean(e.ActorID, maxName)
	e.ActorUsername = clean(e.ActorUsername, maxName)
	e.ActorName = clean(e.ActorName, maxName)
	e.TargetID = clean(e.TargetID, maxName)
	e.TargetUsername = clean(e.TargetUsername, maxName)
	e.TargetName = clean(e.TargetName, maxName)
	e.Mode = clean(e.Mode, maxWord)
	e.ClientIP = cleanIP(e.ClientIP)
	e.Reason = clean(e.Reason, maxReason)
	e.Ticket = clean(e.Ticket, maxName)
	e.Detail = clean(e.Detail, maxDetail)
}
