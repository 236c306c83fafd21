package session

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	// touchEvery is how often a session's LastSeen is written at most; oftener where the idle lifetime is short.
	touchEvery = time.Minute
	// flushAfter gathers the touches of many sessions into one transaction.
	flushAfter   = time.Second
	flushTimeout = 30 * time.Second
)

// touches are what is still to be written of LastSeen. Requests only add to it. There is at most one for each
// session that exists.
type touches struct {
	mu      sync.Mutex
	pending map[state.Hash]int64 // microseconds
	timer   clock.Timer          // the flush to come
	failing bool                 // the last one failed, and was reported
	closed  bool
}

// touch notes a request; once a minute it has it written, later and elsewhere.
func (m *Manager) touch(s *Session, now time.Time, l *Lifetimes) {
	micros := now.UnixMicro()
	s.see(micros)
	if micros-s.persisted.Load() >= min(touchEvery, l.Idle/4).Microseconds() {
		m.touchLater(s)
	}
}

// touchLater has LastSeen written unless it has been.
func (m *Manager) touchLater(s *Session) {
	seen, was := s.lastSeen.Load(), s.persisted.Load()
	if seen <= was || !s.persisted.CompareAndSwap(was, seen) {
		return
	}
	t := &m.touches
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(s.ID, seen)
	if t.timer == nil && !t.closed {
		t.timer = m.clock.AfterFunc(flushAfter, func() {
			ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
			defer cancel()
			t.mu.Lock()
			t.timer = nil
			t.mu.Unlock()
			_ = m.flush(ctx) // reported there
		})
	}
}

// add is called with mu held.
func (t *touches) add(id state.Hash, at int64) {
	if t.pending == nil {
		t.pending = map[state.Hash]int64{}
	}
	t.pending[id] = max(at, t.pending[id])
}

func (t *touches) pendingOf(id state.Hash) (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.pending[id]
	return at, ok
}

func (t *touches) forget(id state.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pending, id)
}

// flush writes what is pending. What the store refuses stays pending.
func (m *Manager) flush(ctx context.Context) error {
	t := &m.touches
	t.mu.Lock()
	seen := make(map[state.Hash]time.Time, len(t.pending))
	for id, at := range t.pending {
		seen[id] = time.UnixMicro(at)
	}
	t.mu.Unlock()
	if len(seen) == 0 {
		return nil
	}
	err := m.store.TouchSessions(ctx, seen)
	t.mu.Lock()
	report := err != nil && !t.failing
	t.failing = err != nil
	if err == nil {
		for id, at := range seen {
			if t.pending[id] == at.UnixMicro() {
				delete(t.pending, id)
			}
		}
	}
	t.mu.Unlock()
	if report {
		m.log.WarnContext(ctx, "the times sessions were last used can't be written; after a restart some may end early", "error", err)
	}
	if err != nil {
		return fmt.Errorf("writing when sessions were last used: %w", err)
	}
	return nil
}

// Close writes when each session was last used, and leaves no timer behind. Call it before the store is closed.
func (m *Manager) Close(ctx context.Context) error {
	m.touches.mu.Lock()
	m.touches.closed = true
	if m.touches.timer != nil {
		m.touches.timer.Stop()
	}
	m.touches.mu.Unlock()
	m.cache.each(m.touchLater)
	return m.flush(ctx)
}
