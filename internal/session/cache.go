package session

import (
	"sync"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const shards = 256

// cache keeps the sessions used last. An id picks its shard by its first byte, which is as good as random.
type cache struct {
	shard [shards]shard
	// perShard bounds each shard; the one unseen for longest goes first.
	perShard int
}

type shard struct {
	mu sync.RWMutex // guards what is below; never held over I/O
	by map[state.Hash]*Session
	// gen moves when a session of this shard is changed in the store. What was read from the store before is not
	// put into the cache after: a deleted session must not come back to life in it.
	gen uint64
	_   [24]byte // keeps neighbours' locks out of each other's cache line
}

func newCache(size int) *cache {
	c := &cache{perShard: max(1, size/shards)}
	for i := range c.shard {
		c.shard[i].by = map[state.Hash]*Session{}
	}
	return c
}

func (c *cache) of(id *state.Hash) *shard { return &c.shard[id[0]] }

func (c *cache) get(id *state.Hash) *Session {
	sh := c.of(id)
	sh.mu.RLock()
	s := sh.by[*id]
	sh.mu.RUnlock()
	return s
}

// gen is to be read before the store is, and handed to put.
func (c *cache) gen(id *state.Hash) uint64 {
	sh := c.of(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.gen
}

// put adds s, unless another copy is there already (then that one is returned) or the shard has moved on from gen
// (then false). Evicted is the session that had to make room, if one had to.
func (c *cache) put(s *Session, gen uint64) (cached, evicted *Session, ok bool) {
	sh := c.of(&s.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.gen != gen {
		return s, nil, false
	}
	if there := sh.by[s.ID]; there != nil {
		return there, nil, true
	}
	if len(sh.by) >= c.perShard {
		for _, o := range sh.by {
			if evicted == nil || o.lastSeen.Load() < evicted.lastSeen.Load() {
				evicted = o
			}
		}
		delete(sh.by, evicted.ID)
	}
	sh.by[s.ID] = s
	return s, evicted, true
}

// changed is called after the store was: loads under way start over.
func (c *cache) changed(id *state.Hash) {
	sh := c.of(id)
	sh.mu.Lock()
	sh.gen++
	sh.mu.Unlock()
}

// remove takes the session out, after it was deleted from the store.
func (c *cache) remove(id *state.Hash) {
	sh := c.of(id)
	sh.mu.Lock()
	sh.gen++
	delete(sh.by, *id)
	sh.mu.Unlock()
}

// each calls f for every session cached, with no lock held.
func (c *cache) each(f func(*Session)) {
	var all []*Session
	for i := range c.shard {
		sh := &c.shard[i]
		all = all[:0]
		sh.mu.RLock()
		for _, s := range sh.by {
			all = append(all, s)
		}
		sh.mu.RUnlock()
		for _, s := range all {
			f(s)
		}
	}
}

func (c *cache) len() int {
	n := 0
	for i := range c.shard {
		sh := &c.shard[i]
		sh.mu.RLock()
		n += len(sh.by)
		sh.mu.RUnlock()
	}
	return n
}
