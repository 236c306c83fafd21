package portal

import (
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// found is a piece of the list, each account with whether it may be had.
type found struct {
	rows  []foundRow
	next  string // cursor; empty: that was all
	total int    // all that match, mine or not; -1: not counted
}

type foundRow struct {
	user    *directory.User
	refusal *policy.Refusal // nil: they may
	needs   []string        // what a start needs
}

// nobody stands for any account that no rule names.
var nobody = policy.Person{Identity: &identity.Identity{Username: "\x00"}, Known: true, Active: true}

func (v *viewer) refusal(u *directory.User, now time.Time) *policy.Refusal {
	return v.rules.Policy.Decide(v.ask(policy.Person{Identity: &u.Identity, Known: true, Active: u.Active}, now)).Refusal
}

// byName lists in the directory's order.
func (v *viewer) byName(q string, only bool, cursor string, limit int, now time.Time) (found, error) {
	var filter func(*directory.User) bool
	if only {
		filter = func(u *directory.User) bool { return v.refusal(u, now) == nil }
	}
	return v.search(q, cursor, limit, now, filter)
}

func (v *viewer) search(q, cursor string, limit int, now time.Time, filter func(*directory.User) bool) (found, error) {
	var filters []func(*directory.User) bool
	if filter != nil {
		filters = append(filters, filter)
	}
	page, err := v.rules.Directory.Search(q, limit, cursor, filters...)
	if err != nil {
		return found{}, err
	}
	f := found{next: page.Next, total: page.Total, rows: make([]foundRow, 0, len(page.Users))}
	for _, u := range page.Users {
		f.rows = append(f.rows, v.judge(u, now, false))
	}
	return f, nil
}

// Which half of the list a cursor is in.
const (
	inMine   = "m."
	inOthers = "o."
)

// find lists for people: first those they may log in as, then (unless only those are asked for) the others. In a
// directory of thousands the few of one's own team would otherwise be pages away.
func (v *viewer) find(q string, only bool, cursor string, limit int, now time.Time) (found, error) {
	if !v.may || v.live != nil { // nobody is theirs
		return v.byName(q, false, cursor, limit, now)
	}
	mine := func(u *directory.User) bool { return v.refusal(u, now) == nil }
	others := func(u *directory.User) bool { return !mine(u) }

	all := found{total: -1}
	if cursor == "" && !only {
		counted, err := v.rules.Directory.Search(q, 1, "")
		if err != nil {
			return found{}, err
		}
		all.total = counted.Total
	}
	if rest, ok := strings.CutPrefix(cursor, inOthers); ok {
		f, err := v.search(q, rest, limit, now, others)
		f.next = prefixed(inOthers, f.next)
		return f, err
	}
	rest, ok := strings.CutPrefix(cursor, inMine)
	if cursor != "" && !ok {
		return found{}, directory.ErrCursor
	}
	f, err := v.search(q, rest, limit, now, mine)
	all.rows = f.rows
	if err != nil || f.next != "" || only {
		all.next = prefixed(inMine, f.next)
		return all, err
	}
	// No more of one's own: go on with the others, or see whether there are any.
	left := limit - len(all.rows)
	f, err = v.search(q, "", max(left, 1), now, others)
	if left == 0 {
		if len(f.rows) > 0 {
			all.next = inOthers
		}
		return all, err
	}
	all.rows = append(all.rows, f.rows...)
	all.next = prefixed(inOthers, f.next)
	return all, err
}

func prefixed(prefix, cursor string) string {
	if cursor == "" {
		return ""
	}
	return prefix + cursor
}
