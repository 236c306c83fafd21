package directory

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	defaultLimit = 50
	maxLimit     = 200
	// maxExamined bounds the accounts one search with a filter looks at; the page may be short then, with more to
	// come.
	maxExamined = 100_000
	maxCursor   = 2 << 10
)

// Search lists the accounts that have, for each word of q, a word in their name, username or email that begins with
// it; in any case, with accents or without. An empty q matches all. The order is by name, then by username.
//
// Limit is the length of the page at most; 50 when it is not positive, and never more than 200. Cursor is the Next
// of the page before, or empty; it names a place in the order, so accounts that come and go meanwhile neither shift
// nor repeat others. [ErrCursor] is returned when it can't be one.
//
// Accounts for which a filter says no are left out. It is asked only about those the page needs: up to limit+1 that
// pass.
func (d *Directory) Search(q string, limit int, cursor string, filter ...func(*User) bool) (Page, error) {
	after, err := decodeCursor(cursor)
	if err != nil {
		return Page{}, err
	}
	if limit <= 0 {
		limit = defaultLimit
	}
	filter = slices.DeleteFunc(slices.Clone(filter), func(f func(*User) bool) bool { return f == nil })
	return d.now.Load().search(queryWords(q), strings.TrimSpace(q) == "", min(limit, maxLimit), after, filter), nil
}

func (s *snapshot) search(query []string, all bool, limit int, after string, filter []func(*User) bool) Page {
	page := Page{Total: -1}
	if len(query) == 0 && !all {
		// Nothing but punctuation: no word begins with it.
		page.Total = 0
		return page
	}
	var found bitset // nil: all of base
	if len(query) > 0 {
		sets := make(bitset, 2*((len(s.base.users)+63)/64))
		half := len(sets) / 2
		found = sets[:half]
		s.base.match(query, found, sets[half:])
		if s.hidden != nil {
			found.andNot(s.hidden)
		}
	}
	over := s.sorted
	if len(query) > 0 && len(over) > 0 {
		over = nil
		for _, e := range s.sorted {
			if e.matches(query) {
				over = append(over, e)
			}
		}
	}
	if len(filter) == 0 {
		if found != nil {
			page.Total = found.count() + len(over)
		} else {
			page.Total = s.len()
		}
	}

	// Two ordered lists become one.
	pos, _ := slices.BinarySearch(s.base.orders, after)
	if after != "" && pos < len(s.base.orders) && s.base.orders[pos] == after {
		pos++
	}
	pos = s.nextIn(found, pos)
	o, there := slices.BinarySearchFunc(over, after, func(e *entry, after string) int { return strings.Compare(e.order, after) })
	if there {
		o++
	}
	last := after
	for examined := 0; ; examined++ {
		var u *User
		var order string
		switch {
		case pos >= 0 && (o >= len(over) || s.base.orders[pos] < over[o].order):
			u, order = s.base.users[pos], s.base.orders[pos]
			pos = s.nextIn(found, pos+1)
		case o < len(over):
			u, order = over[o].user, over[o].order
			o++
		default:
			return page
		}
		if examined == maxExamined {
			page.Next = encodeCursor(last)
			return page
		}
		if slices.ContainsFunc(filter, func(f func(*User) bool) bool { return !f(u) }) {
			last = order
			continue
		}
		if len(page.Users) == limit {
			page.Next = encodeCursor(last)
			return page
		}
		page.Users = append(page.Users, u)
		last = order
	}
}

// nextIn is the first position from i on that is found (nil: all are) and not hidden; -1: none.
func (s *snapshot) nextIn(found bitset, i int) int {
	if found != nil {
		return found.next(i)
	}
	for ; i < len(s.base.users); i++ {
		if s.hidden == nil || !s.hidden.has(i) {
			return i
		}
	}
	return -1
}

// A cursor is the place of the last account listed. It is no secret to who may list it.

func encodeCursor(order string) string { return base64.RawURLEncoding.EncodeToString([]byte(order)) }

func decodeCursor(c string) (string, error) {
	if c == "" {
		return "", nil
	}
	if len(c) > maxCursor {
		return "", fmt.Errorf("reading cursor: %w", ErrCursor)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(c)
	if err != nil || !utf8.Valid(b) || !strings.Contains(string(b), "\x00") {
		return "", fmt.Errorf("reading cursor: %w", ErrCursor)
	}
	return string(b), nil
}
