package caddymodule

import (
	"sync"
	"sync/atomic"
)

// inflight counts a configuration's requests under way. A reload does not wait for the old configuration's requests (an
// upload, a WebSocket); what they work with is kept until the last has left.
type inflight struct {
	// n is how many there are, and draining once drain was called.
	n     atomic.Int64
	once  sync.Once
	empty chan struct{} // closed when the last has left, after drain
}

const draining = 1 << 62

func newInflight() *inflight { return &inflight{empty: make(chan struct{})} }

func (i *inflight) enter() { i.n.Add(1) }

func (i *inflight) leave() {
	if i.n.Add(-1) == draining {
		// A connection kept alive may bring a straggler, and the last leaves twice.
		i.once.Do(func() { close(i.empty) })
	}
}

// drain returns a channel that is closed when no request is under way. It is called after the servers were told to take
// no more.
func (i *inflight) drain() <-chan struct{} {
	if i.n.Add(draining) == draining {
		i.once.Do(func() { close(i.empty) })
	}
	return i.empty
}
