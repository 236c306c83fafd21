package login

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// once remembers values that must not be used a second time, at most max of them: past that the oldest is forgotten
// first. It holds hashes, so a value's length does not matter.
type once struct {
	mu    sync.Mutex
	max   int
	until map[[32]byte]time.Time
	order [][32]byte // the keys of until, oldest first
}

func newOnce(limit int) *once { return &once{max: limit, until: map[[32]byte]time.Time{}} }

// use marks the value as used until the time given; false when it was used before.
func (o *once) use(value string, now, until time.Time) bool {
	key := sha256.Sum256([]byte(value))
	o.mu.Lock()
	defer o.mu.Unlock()
	if t, ok := o.until[key]; ok {
		if now.Before(t) {
			return false
		}
		o.drop(key)
	}
	for len(o.order) > 0 && (len(o.order) >= o.max || !now.Before(o.until[o.order[0]])) {
		delete(o.until, o.order[0])
		o.order = o.order[1:]
	}
	o.until[key] = until
	o.order = append(o.order, key)
	return true
}

// forget makes the value usable again: what it was used for did not happen.
func (o *once) forget(value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(sha256.Sum256([]byte(value)))
}

func (o *once) drop(key [32]byte) {
	if _, ok := o.until[key]; ok {
		delete(o.until, key)
		o.order = slices.DeleteFunc(o.order, func(k [32]byte) bool { return k == key })
	}
}
