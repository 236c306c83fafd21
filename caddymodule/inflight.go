package caddymodule

import (
	"context"
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

// drain returns once no request is under way, or with ctx's error. It is called once, after the servers were told to
// take no more.
func (i *inflight) drain(ctx context.Context) error {
	if i.n.Add(draining) == draining {
		return nil
	}
	select {
	case <-i.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
