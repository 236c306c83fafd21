package policy

import (
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// terms numbers every group and username that the rules name, so that a person is looked up once ([terms.of]) and
// every match after that is a comparison of bits. People often have many groups that no rule names; those are
// dismissed by a small hash before any string is compared.
type terms struct {
	groups     []term
	buckets    [buckets]uint16 // hash → 1 + index of the first of groups; 0: none
	users      map[string]int
	attributes map[string]map[string]int // name → value
	n          int
}

type term struct {
	name string
	bit  int
	next uint16 // 1 + index of the next in the bucket
}

// buckets is a power of two, big enough that a group no rule names meets an empty bucket most of the time.
const buckets = 1024

// bits is a set of terms.
type bits []uint64

// onStack is how many words of a person's terms are kept without allocating: 512 names in the rules.
const onStack = 8

func newTerms() *terms { return &terms{users: make(map[string]int)} }

// hash need not be good, only cheap: groups differ in length, middle or end more often than at their beginning.
func hash(s string) uint {
	n := uint(len(s))
	if n == 0 {
		return 0
	}
	return (n*67 ^ uint(s[n-1])*29 ^ uint(s[n/2])*5) % buckets
}

func (t *terms) group(name string) int {
	if bit, ok := t.groupBit(name); ok {
		return bit
	}
	b := &t.buckets[hash(name)]
	t.groups = append(t.groups, term{name: name, bit: t.n, next: *b})
	*b = uint16(len(t.groups)) //nolint:gosec // Compile bounds the number of names
	t.n++
	return t.n - 1
}

// groupBit is the bit of a group that the rules name.
func (t *terms) groupBit(name string) (int, bool) {
	for i := t.buckets[hash(name)]; i != 0; i = t.groups[i-1].next {
		if t.groups[i-1].name == name {
			return t.groups[i-1].bit, true
		}
	}
	return 0, false
}

func (t *terms) user(key string) int {
	bit, ok := t.users[key]
	if !ok {
		bit = t.n
		t.users[key] = bit
		t.n++
	}
	return bit
}

func (t *terms) attribute(name, value string) int {
	values := t.attributes[name]
	if values == nil {
		if t.attributes == nil {
			t.attributes = make(map[string]map[string]int)
		}
		values = make(map[string]int)
		t.attributes[name] = values
	}
	bit, ok := values[value]
	if !ok {
		bit = t.n
		values[value] = bit
		t.n++
	}
	return bit
}

// compile numbers what m names.
func (t *terms) compile(m Match) bits {
	var b bits
	for _, g := range m.Groups {
		b = b.with(t.group(g))
	}
	for _, u := range m.Users {
		b = b.with(t.user(identity.Key(u)))
	}
	for name, values := range m.Attributes {
		for _, v := range values {
			b = b.with(t.attribute(name, v))
		}
	}
	return b
}

// of is what the rules name of a person, whose username has that key: into buf where it is big enough.
func (t *terms) of(buf *[onStack]uint64, key string, who *identity.Identity) bits {
	var b bits
	if words := (t.n + 63) / 64; words <= onStack {
		b = buf[:words]
	} else {
		b = make(bits, words)
	}
	if len(t.users) > 0 {
		if bit, ok := t.users[key]; ok {
			b[bit/64] |= 1 << (bit % 64)
		}
	}
	for name, values := range t.attributes {
		if bit, ok := values[who.Attributes[name]]; ok {
			b[bit/64] |= 1 << (bit % 64)
		}
	}
	for _, g := range who.Groups {
		for i := t.buckets[hash(g)]; i != 0; {
			e := &t.groups[i-1]
			if e.name == g {
				b[e.bit/64] |= 1 << (e.bit % 64)
				break
			}
			i = e.next
		}
	}
	return b
}

func (b bits) with(bit int) bits {
	for len(b) <= bit/64 {
		b = append(b, 0)
	}
	b[bit/64] |= 1 << (bit % 64)
	return b
}

func (b bits) has(bit int) bool { return bit/64 < len(b) && b[bit/64]&(1<<(bit%64)) != 0 }

func (b bits) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// and adds the terms of another set.
func (b bits) and(c bits) bits {
	for len(b) < len(c) {
		b = append(b, 0)
	}
	for i := range c {
		b[i] |= c[i]
	}
	return b
}

// meets tells whether the sets have a term in common.
func (b bits) meets(c bits) bool {
	for i := range min(len(b), len(c)) {
		if b[i]&c[i] != 0 {
			return true
		}
	}
	return false
}
