package directory

import (
	"maps"
	"math/bits"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// index finds accounts by words. Accounts are numbered in the order they are listed in, so a set of positions is a
// page in waiting. Immutable.
type index struct {
	users  []*User  // in order
	orders []string // of the same position; no two alike
	byKey  map[string]int32
	byID   map[string]int32

	words []string // sorted, each once
	// The accounts of words[i] are positions[starts[i]:starts[i+1]], so those of all words with one beginning lie
	// together. Words that many accounts have are not there but in common.
	starts    []int32
	positions []int32
	common    []common // in the order of words
}

// common is a word that many accounts have.
type common struct {
	word int32 // in words
	has  bitset
}

// orderOf is where an account stands in a listing: by name, then by username. It is never the same for two.
func orderOf(u *User, foldedName string) string {
	if foldedName == "" {
		foldedName = fold(u.Username)
	}
	return cut(foldedName, 128) + "\x00" + identity.Key(u.Username)
}

// buildIndex makes an index of the accounts, by key.
func buildIndex(all map[string]*User) *index {
	entries := make([]*entry, 0, len(all))
	for u := range maps.Values(all) {
		entries = append(entries, &entry{user: u})
	}
	eachPart(len(entries), func(from, to int) {
		for _, e := range entries[from:to] {
			*e = *newEntry(e.user)
		}
	})
	slices.SortFunc(entries, func(a, b *entry) int { return strings.Compare(a.order, b.order) })

	ix := &index{
		users: make([]*User, len(entries)), orders: make([]string, len(entries)),
		byKey: make(map[string]int32, len(entries)), byID: make(map[string]int32, len(entries)),
	}
	lists := make(map[string]*[]int32, 2*len(entries))
	for i, e := range entries {
		pos := int32(i)
		ix.users[i], ix.orders[i] = e.user, e.order
		ix.byKey[identity.Key(e.user.Username)] = pos
		if _, taken := ix.byID[e.user.ID]; !taken {
			ix.byID[e.user.ID] = pos
		}
		for _, w := range e.words {
			l := lists[w]
			if l == nil {
				l = new([]int32)
				lists[strings.Clone(w)] = l // not a piece of some account's longer text
			}
			*l = append(*l, pos)
		}
	}
	ix.words = slices.Sorted(maps.Keys(lists))
	ix.starts = make([]int32, len(ix.words)+1)
	for i, w := range ix.words {
		l := *lists[w]
		if len(l) > 1024 && len(l) > len(entries)/32 {
			c := common{int32(i), newBitset(len(entries))}
			for _, pos := range l {
				c.has.set(int(pos))
			}
			ix.common = append(ix.common, c)
		} else {
			ix.positions = append(ix.positions, l...)
		}
		ix.starts[i+1] = int32(len(ix.positions))
	}
	ix.positions = slices.Clip(ix.positions)
	return ix
}

// eachPart divides n things among the processors, leaving one to the requests.
func eachPart(n int, f func(from, to int)) {
	parts := max(1, runtime.GOMAXPROCS(0)-1)
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() { f(n*p/parts, n*(p+1)/parts) })
	}
	wg.Wait()
}

// match sets in out the positions of the accounts that have a word beginning with each of the query's. Out and tmp
// are all zero, and of the index's length.
func (ix *index) match(query []string, out, tmp bitset) {
	for i, prefix := range query {
		into := tmp
		if i == 0 {
			into = out
		}
		lo, _ := slices.BinarySearch(ix.words, prefix)
		hi := lo + sort.Search(len(ix.words)-lo, func(i int) bool { return !strings.HasPrefix(ix.words[lo+i], prefix) })
		for _, pos := range ix.positions[ix.starts[lo]:ix.starts[hi]] {
			into.set(int(pos))
		}
		c, _ := slices.BinarySearchFunc(ix.common, int32(lo), func(c common, lo int32) int { return int(c.word - lo) })
		for ; c < len(ix.common) && int(ix.common[c].word) < hi; c++ {
			into.or(ix.common[c].has)
		}
		if i > 0 {
			out.and(tmp)
			clear(tmp)
		}
	}
}

// matches is the same for one account.
func (e *entry) matches(query []string) bool {
	for _, prefix := range query {
		if !slices.ContainsFunc(e.words, func(w string) bool { return strings.HasPrefix(w, prefix) }) {
			return false
		}
	}
	return true
}

type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }

func (b bitset) or(c bitset) {
	for i := range c {
		b[i] |= c[i]
	}
}

func (b bitset) and(c bitset) {
	for i := range c {
		b[i] &= c[i]
	}
}

func (b bitset) andNot(c bitset) {
	for i := range c {
		b[i] &^= c[i]
	}
}

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// next is the first set position from i on; -1: there is none.
func (b bitset) next(i int) int {
	if i >= len(b)*64 {
		return -1
	}
	w := i / 64
	word := b[w] >> (i % 64) << (i % 64)
	for word == 0 {
		w++
		if w == len(b) {
			return -1
		}
		word = b[w]
	}
	return w*64 + bits.TrailingZeros64(word)
}
