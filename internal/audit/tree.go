package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Gap is a run of places, inclusive, whose rows the journal lost: the tree has [PlaceholderLeaf] there.
type Gap struct{ From, To uint64 }

// placeholderEncoding names the rows that stand for lost ones; like a row's, with column 3 (seq) alone.
const placeholderEncoding = "lost/1"

// PlaceholderLeaf is the leaf hash at a place whose row the journal lost.
func PlaceholderLeaf(seq uint64) [32]byte {
	b := append([]byte{byte(len(placeholderEncoding))}, placeholderEncoding...)
	return LeafHash(appendNumber(b, 3, seq))
}

// Tree is the Merkle tree of a log (RFC 6962) as far as appending to it needs: the roots of its perfect subtrees. The
// zero Tree is empty. The leaf of a row has the index Seq-1.
type Tree struct {
	r    *compact.Range
	gaps []Gap
}

var ranges = &compact.RangeFactory{Hash: hashChildren}

// hashChildren is [rfc6962.Hasher.HashChildren] in half the time: it is done once a row, on the request's path.
func hashChildren(left, right []byte) []byte {
	var b [1 + 2*sha256.Size]byte
	b[0] = rfc6962.RFC6962NodeHashPrefix
	copy(b[1:], left)
	copy(b[1+sha256.Size:], right)
	sum := sha256.Sum256(b[:])
	return sum[:]
}

// NewTree is the tree of a size with these subtrees, the largest first, and these gaps.
func NewTree(size uint64, hashes [][]byte, gaps []Gap) (*Tree, error) {
	for _, h := range hashes {
		if len(h) != sha256.Size {
			return nil, fmt.Errorf("a hash of %d bytes", len(h))
		}
	}
	// Appending changes the list.
	r, err := ranges.NewRange(0, size, slices.Clone(hashes))
	if err != nil {
		return nil, err
	}
	for i, g := range gaps {
		if g.From == 0 || g.From > g.To || g.To > size || i > 0 && g.From <= gaps[i-1].To {
			return nil, fmt.Errorf("gap %d-%d is out of order", g.From, g.To)
		}
	}
	return &Tree{r, slices.Clone(gaps)}, nil
}

// Size is the number of leaves.
func (t *Tree) Size() uint64 {
	if t.r == nil {
		return 0
	}
	return t.r.End()
}

// Append adds the leaf of the next row.
func (t *Tree) Append(leaf [32]byte) {
	if t.r == nil {
		t.r = ranges.NewEmptyRange(0)
	}
	// It fails only for ranges that do not meet.
	_ = t.r.Append(leaf[:], nil)
}

// Skip adds placeholders up to and including a place, as a gap.
func (t *Tree) Skip(to uint64) {
	from := t.Size() + 1
	if from > to {
		return
	}
	for seq := from; seq <= to; seq++ {
		t.Append(PlaceholderLeaf(seq))
	}
	if n := len(t.gaps); n > 0 && t.gaps[n-1].To == from-1 {
		t.gaps[n-1].To = to
		return
	}
	t.gaps = append(t.gaps, Gap{from, to})
}

// Gaps are the places without a row, in order.
func (t *Tree) Gaps() []Gap { return slices.Clone(t.gaps) }

// Hashes are the roots of the perfect subtrees, the largest first.
func (t *Tree) Hashes() [][]byte {
	if t.r == nil {
		return nil
	}
	return slices.Clone(t.r.Hashes())
}

// Root is the tree's root hash; of the empty tree, the hash of nothing.
func (t *Tree) Root() [32]byte {
	if t.Size() == 0 {
		return sha256.Sum256(nil)
	}
	// It fails only for ranges that do not begin at 0.
	root, _ := t.r.GetRootHash(nil)
	return [32]byte(root)
}

// Clone is a copy that can be appended to by itself.
func (t *Tree) Clone() *Tree {
	c, err := NewTree(t.Size(), t.Hashes(), t.gaps)
	if err != nil {
		return new(Tree) // not for a tree that was made here
	}
	return c
}

var errRoot = errors.New("its subtrees do not make its root")

// rooted is a tree that must have this root.
func rooted(size uint64, hashes [][]byte, gaps []Gap, root []byte) (*Tree, error) {
	t, err := NewTree(size, hashes, gaps)
	if err != nil {
		return nil, err
	}
	if got := t.Root(); !bytes.Equal(got[:], root) {
		return nil, errRoot
	}
	return t, nil
}
