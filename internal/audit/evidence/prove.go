package evidence

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// span is the rows between two checkpoints, as leaves of the tree of the later one.
type span struct {
	after  uint64 // size of the earlier; 0: none
	size   uint64
	known  map[[2]uint64][]byte // hashes of the earlier tree's subtrees, by the leaves they reach from and to
	leaves map[uint64][32]byte  // by seq
	gaps   []audit.Gap
}

// newSpan checks that the leaves lead from one checkpoint to the other.
func newSpan(s *audit.Sealed) (*span, error) {
	c, tree, err := parsed(s.Checkpoint)
	if err != nil {
		return nil, err
	}
	p := &span{size: c.Size, known: map[[2]uint64][]byte{}, leaves: s.Leaves, gaps: tree.Gaps()}
	if s.Before != nil {
		before, t, err := parsed(s.Before)
		if err != nil {
			return nil, err
		}
		p.after = before.Size
		from := uint64(0)
		for _, h := range t.Hashes() {
			width := uint64(1)
			for left := before.Size - from; width*2 <= left; {
				width *= 2
			}
			p.known[[2]uint64{from, from + width}] = h
			from += width
		}
	}
	root, err := p.hash(0, c.Size)
	if err != nil {
		return nil, err
	}
	if [32]byte(root) != c.RootHash {
		return nil, fmt.Errorf("rows %d to %d are not those that checkpoint %d was signed for; audit verify says more", p.after+1, c.Size, c.Size)
	}
	return p, nil
}

// parsed is a checkpoint's note, if it is of as many rows of the log as it was asked for by: a larger one would be worked on for
// as long as it says.
func parsed(c *audit.Checkpoint) (*audit.Checkpoint, *audit.Tree, error) {
	said, tree, err := audit.ParseCheckpoint(c.Note)
	if err == nil && (said.Size != c.Size || said.LogID != c.LogID) {
		err = fmt.Errorf("checkpoint %d of log %s is not what its note says", c.Size, c.LogID)
	}
	return said, tree, err
}

// hash is MTH of RFC 6962, section 2.1, of the leaves from one up to another.
func (p *span) hash(from, to uint64) ([]byte, error) {
	if h, ok := p.known[[2]uint64{from, to}]; ok {
		return h, nil
	}
	if to-from == 1 {
		seq := to
		if p.lost(seq) {
			l := audit.PlaceholderLeaf(seq)
			return l[:], nil
		}
		if l, ok := p.leaves[seq]; ok {
			return l[:], nil
		}
		return nil, fmt.Errorf("row %d is not there, or the checkpoints before it are not", seq)
	}
	k := split(to - from)
	left, err := p.hash(from, from+k)
	if err != nil {
		return nil, err
	}
	right, err := p.hash(from+k, to)
	if err != nil {
		return nil, err
	}
	h := rfc6962.DefaultHasher.HashChildren(left, right)
	p.known[[2]uint64{from, to}] = h // asked for again by the next proof
	return h, nil
}

// lost tells whether the checkpoint says that the journal lost a place: the tree has no row there, even if a sink does.
func (p *span) lost(seq uint64) bool {
	at, _ := slices.BinarySearchFunc(p.gaps, seq, func(g audit.Gap, seq uint64) int { return cmp.Compare(g.To, seq) })
	return at < len(p.gaps) && p.gaps[at].From <= seq
}

// split is the largest power of two below n.
func split(n uint64) uint64 {
	k := uint64(1)
	for k*2 < n {
		k *= 2
	}
	return k
}

// path is PATH of RFC 6962, section 2.1.1: the inclusion proof of a row.
func (p *span) path(seq uint64) ([][]byte, error) {
	index, from, to := seq-1, uint64(0), p.size
	var list [][]byte
	for to-from > 1 {
		k := split(to - from)
		var h []byte
		var err error
		if index < from+k {
			h, err = p.hash(from+k, to)
			to = from + k
		} else {
			h, err = p.hash(from, from+k)
			from += k
		}
		if err != nil {
			return nil, err
		}
		list = append([][]byte{h}, list...)
	}
	return list, nil
}

// included tells whether a proof leads from a row's leaf to a root.
func included(seq, size uint64, leaf [32]byte, path [][]byte, root [32]byte) bool {
	return seq > 0 && seq <= size && proof.VerifyInclusion(rfc6962.DefaultHasher, seq-1, size, leaf[:], path, root[:]) == nil
}
