package proof

import (
	"fmt"
	"strconv"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// maxOdd bounds how many rows of a segment are kept to find out where they belong.
const maxOdd = 2000

// segment is the rows between two checkpoints.
type segment struct {
	from  uint64 // place of its first row
	rows  []entry
	odd   []*Row // whose leaf hash is not that of their values
	extra []*Row // further rows for a place
}

type entry struct {
	seq          uint64
	leaf, stored [32]byte
}

func (s *segment) add(r *Row) {
	if n := len(s.rows); r.Seq < s.from || n > 0 && s.rows[n-1].seq == r.Seq {
		s.extra = append(s.extra, r)
		return
	}
	s.rows = append(s.rows, entry{r.Seq, r.leaf, r.Stored})
	if r.leaf != r.Stored && len(s.odd) < maxOdd {
		s.odd = append(s.odd, r)
	}
}

// root builds the tree up to a checkpoint; leaf says what is at a place.
func (s *segment) root(anchor *audit.Tree, to uint64, leaf func(seq uint64) ([32]byte, bool)) ([32]byte, bool) {
	t := anchor.Clone()
	for seq := s.from; seq <= to; seq++ {
		l, ok := leaf(seq)
		if !ok {
			return [32]byte{}, false
		}
		t.Append(l)
	}
	return t.Root(), true
}

// at makes a leaf function: rows first, then what the journal lost.
func (s *segment) at(gaps []audit.Gap, pick func(entry) [32]byte) func(uint64) ([32]byte, bool) {
	i := 0
	return func(seq uint64) ([32]byte, bool) {
		if inGap(gaps, seq) {
			return audit.PlaceholderLeaf(seq), true
		}
		for i < len(s.rows) && s.rows[i].seq < seq {
			i++
		}
		if i < len(s.rows) && s.rows[i].seq == seq {
			return pick(s.rows[i]), true
		}
		return [32]byte{}, false
	}
}

func inGap(gaps []audit.Gap, seq uint64) bool {
	for _, g := range gaps {
		if seq >= g.From && seq <= g.To {
			return true
		}
	}
	return false
}

// missing are the places that have no row and were not lost.
func (s *segment) missing(to uint64, gaps []audit.Gap) (list []audit.Gap) {
	free := func(from, to uint64) {
		for _, g := range gaps {
			if g.To < from || g.From > to {
				continue
			}
			if g.From > from {
				list = append(list, audit.Gap{From: from, To: g.From - 1})
			}
			if g.To >= to {
				return
			}
			from = g.To + 1
		}
		if from <= to {
			list = append(list, audit.Gap{From: from, To: to})
		}
	}
	next := s.from
	for _, e := range s.rows {
		if e.seq > next {
			free(next, e.seq-1)
		}
		next = e.seq + 1
	}
	if next <= to && next != 0 {
		free(next, to)
	}
	return list
}

// check compares the segment with the checkpoint at its end. anchor is the tree before it; nil: not known. It tells
// whether every row is the one recorded.
func (s *segment) check(anchor *audit.Tree, c *audit.Checkpoint, t *audit.Tree, missing []audit.Gap, found func(kind string, r *Row, from, to uint64, what string)) bool {
	for _, r := range s.extra {
		found(KindDuplicate, r, r.Seq, r.Seq, "another row has this place too; only one of them was recorded")
	}
	good := len(s.extra) == 0 && len(missing) == 0
	gaps := t.Gaps()
	root := func(pick func(entry) [32]byte) bool {
		if anchor == nil || len(missing) > 0 {
			return false
		}
		got, ok := s.root(anchor, c.Size, s.at(gaps, pick))
		return ok && got == c.RootHash
	}
	if root(func(e entry) [32]byte { return e.leaf }) {
		for _, r := range s.odd {
			found(KindHashChanged, r, r.Seq, r.Seq, "the row is the one recorded, but its leaf_hash was changed")
		}
		return good && len(s.odd) == 0
	}
	places := s.places(missing)
	stored := map[uint64][32]byte{} // leaves at the places that odd rows belong to
	moved := map[*Row]bool{}
	for _, r := range s.odd {
		for _, seq := range append(places, r.Seq-1, r.Seq+1) {
			if seq != r.Seq && r.leafAt(seq) == r.Stored {
				found(KindReordered, r, r.Seq, r.Seq, "it was recorded at place "+strconv.FormatUint(seq, 10))
				stored[seq], moved[r] = r.Stored, true
				break
			}
		}
	}
	for _, r := range s.odd {
		if !moved[r] {
			found(KindChanged, r, r.Seq, r.Seq, "its values are not those that were recorded"+r.whom())
		}
	}
	if anchor == nil || len(missing) > 0 {
		return false
	}
	if !root(func(e entry) [32]byte {
		if l, ok := stored[e.seq]; ok {
			return l
		}
		return e.stored
	}) {
		found(KindRewritten, nil, s.from, c.Size, fmt.Sprintf("the rows are not those that checkpoint %d was signed for: one or more were changed, added or moved, with a leaf hash made anew", c.Size))
	}
	return false
}

func (s *segment) places(missing []audit.Gap) (list []uint64) {
	for _, r := range s.odd {
		list = append(list, r.Seq)
	}
	for _, g := range missing {
		for seq := g.From; seq <= g.To && len(list) < maxOdd; seq++ {
			list = append(list, seq)
		}
	}
	if len(list) > 200 { // each is tried for each row
		list = list[:200]
	}
	return list
}

// whom says whose row it is, as it stands now.
func (r *Row) whom() string {
	for i, c := range columns[r.Table] {
		if c.Name == "impersonation_id" && r.Values[i] != "" {
			return fmt.Sprintf(" (impersonation %.128q)", r.Values[i])
		}
	}
	return ""
}
