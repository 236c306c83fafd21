package policy

import (
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
)

const (
	// maxTicketPattern is in characters.
	maxTicketPattern = 500
	maxTicketURL     = 2000
	// ticketPlace is where a ticket goes in a URL.
	ticketPlace = "{ticket}"
)

// Ticket is what tickets look like, and where they are. All of it may be left out.
type Ticket struct {
	// Pattern is a regular expression (RE2) that the whole ticket has to match.
	Pattern string
	// Example is one that does, for the person who wrote one that does not.
	Example string
	// URL is where one can be read, with {ticket} in its place.
	URL string
}

// ticketRule is a Ticket, ready to be asked.
type ticketRule struct {
	Ticket
	pattern *regexp.Regexp
}

// CheckTicket tells what is wrong with it; the place in a pattern counts from 1.
func CheckTicket(t Ticket) error {
	_, err := compileTicket(t)
	return err
}

func compileTicket(t Ticket) (*ticketRule, error) {
	r := &ticketRule{Ticket: t}
	if t.Pattern != "" {
		if len(t.Pattern) > maxTicketPattern {
			return nil, fmt.Errorf("pattern: it is longer than %d characters", maxTicketPattern)
		}
		if _, err := syntax.Parse(t.Pattern, syntax.Perl); err != nil {
			column := 1
			if e, ok := err.(*syntax.Error); ok { //nolint:errorlint // it is returned as it is
				column = max(0, strings.Index(t.Pattern, e.Expr)) + 1
				return nil, fmt.Errorf("pattern: column %d: %s: %s", column, e.Code, e.Expr)
			}
			return nil, fmt.Errorf("pattern: column %d: %w", column, err)
		}
		var err error
		if r.pattern, err = regexp.Compile(`\A(?:` + t.Pattern + `)\z`); err != nil {
			return nil, fmt.Errorf("pattern: %w", err)
		}
	}
	switch {
	case t.Example != "" && r.pattern != nil && !r.pattern.MatchString(t.Example):
		return nil, fmt.Errorf("example %q: it does not match the pattern", t.Example)
	case t.Example != CleanText(t.Example) || len(t.Example) > MaxTicket:
		return nil, fmt.Errorf("example %.80q: it is no ticket anybody could write", t.Example)
	case t.URL == "":
		return r, nil
	case len(t.URL) > maxTicketURL:
		return nil, fmt.Errorf("url: it is longer than %d characters", maxTicketURL)
	case !strings.Contains(t.URL, ticketPlace):
		return nil, fmt.Errorf("url %s: %s is missing in it; write such as https://tickets.example.com/browse/%s", t.URL, ticketPlace, ticketPlace)
	}
	u, err := url.Parse(strings.ReplaceAll(t.URL, ticketPlace, "x"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Contains(beforePath(t.URL), ticketPlace) {
		return nil, fmt.Errorf("url %s: not the address of a ticket; write such as https://tickets.example.com/browse/%s", t.URL, ticketPlace)
	}
	return r, nil
}

// beforePath is the part of a URL that says whose it is: no ticket may have a say in that.
func beforePath(u string) string {
	_, rest, _ := strings.Cut(u, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return rest[:i]
	}
	return rest
}

// fits tells whether a ticket looks as it should.
func (r *ticketRule) fits(ticket string) bool {
	return r == nil || r.pattern == nil || r.pattern.MatchString(ticket)
}

// link is where a ticket can be read; empty: nowhere that is known.
func (r *ticketRule) link(ticket string) string {
	if r == nil || r.URL == "" || ticket == "" || !r.fits(ticket) {
		return ""
	}
	path, query, hasQuery := strings.Cut(r.URL, "?")
	path = strings.ReplaceAll(path, ticketPlace, url.PathEscape(ticket))
	if !hasQuery {
		return path
	}
	return path + "?" + strings.ReplaceAll(query, ticketPlace, url.QueryEscape(ticket))
}

// TicketLink is where the ticket of a start under the policy of that name can be read; empty: nowhere that is known.
func (s *Set) TicketLink(policy, ticket string) string {
	for i := range s.policies {
		if p := &s.policies[i]; p.decision.Policy == policy {
			return p.decision.ticket.link(CleanText(ticket))
		}
	}
	return ""
}

// TicketLink is where a ticket can be read; empty: nowhere that is known.
func (d *Decision) TicketLink(ticket string) string { return d.ticket.link(CleanText(ticket)) }

// TicketExample is a ticket as one should look; may be empty.
func (d *Decision) TicketExample() string {
	if d.ticket == nil {
		return ""
	}
	return d.ticket.Example
}

// TicketPattern is the regular expression that a whole ticket has to match; may be empty.
func (d *Decision) TicketPattern() string {
	if d.ticket == nil {
		return ""
	}
	return d.ticket.Pattern
}
