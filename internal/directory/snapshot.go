package directory

import (
	"maps"
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// snapshot is what readers see: a large index, and beside it the few accounts that have changed since it was built.
// Immutable.
type snapshot struct {
	base       *index
	over       map[string]*entry // by key; those with no user have been removed
	sorted     []*entry          // the entries with a user, in order
	hidden     bitset            // positions in base that are out of date
	nHidden    int
	generation uint64
}

// entry is one account and what a search needs of it.
type entry struct {
	user  *User // nil: there is none any more
	order string
	words []string
}

func newEntry(u *User) *entry {
	if u == nil {
		return &entry{}
	}
	name := fold(u.Name)
	return &entry{user: u, order: orderOf(u, name), words: wordsOf(u, name)}
}

// with is the snapshot after the changes. It costs what the overlay is large, not what the index is.
func (s *snapshot) with(changes []change) *snapshot {
	n := &snapshot{base: s.base, over: maps.Clone(s.over), hidden: slices.Clone(s.hidden), nHidden: s.nHidden, generation: s.generation + 1}
	if n.over == nil {
		n.over = make(map[string]*entry, len(changes))
	}
	if n.hidden == nil {
		n.hidden = newBitset(len(n.base.users))
	}
	for _, c := range changes {
		n.over[c.key] = newEntry(c.After)
		if pos, ok := n.base.byKey[c.key]; ok && !n.hidden.has(int(pos)) {
			n.hidden.set(int(pos))
			n.nHidden++
		}
	}
	n.sorted = make([]*entry, 0, len(n.over))
	for _, e := range s.sorted { // those that stay are in order already
		if n.over[identity.Key(e.user.Username)] == e {
			n.sorted = append(n.sorted, e)
		}
	}
	for _, c := range changes {
		if e := n.over[c.key]; e.user != nil {
			n.sorted = append(n.sorted, e)
		}
	}
	slices.SortFunc(n.sorted, func(a, b *entry) int { return strings.Compare(a.order, b.order) })
	return n
}

func (s *snapshot) lookup(key string) (*User, bool) {
	if len(s.over) > 0 {
		if e, ok := s.over[key]; ok {
			return e.user, e.user != nil
		}
	}
	if pos, ok := s.base.byKey[key]; ok {
		return s.base.users[pos], true
	}
	return nil, false
}

func (s *snapshot) byID(id string) (*User, bool) {
	for _, e := range s.sorted {
		if e.user.ID == id {
			return e.user, true
		}
	}
	if pos, ok := s.base.byID[id]; ok {
		u := s.base.users[pos]
		if _, changed := s.over[identity.Key(u.Username)]; !changed {
			return u, true
		}
	}
	return nil, false
}

func (s *snapshot) len() int { return len(s.base.users) - s.nHidden + len(s.sorted) }
