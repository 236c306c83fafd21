package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// sweepBatch is how many expired sessions are read at once.
const sweepBatch = 200

// Sweep deletes the sessions whose lifetime is over, and those that could not be deleted when they should have
// been. Sessions end on time without it; this is what removes them from disk.
func (m *Manager) Sweep(ctx context.Context) error {
	var errs []error
	m.mu.Lock()
	condemned := maps.Clone(m.condemned)
	m.mu.Unlock()
	for id, cause := range condemned {
		if err := m.delete(ctx, id, cause); err != nil {
			errs = append(errs, err)
			break // the store is not well; the rest can wait
		}
	}
	l, now := m.lifetimes.Load(), m.clock.Now()
	var first state.Hash
	for {
		batch, err := m.store.ExpiredSessions(ctx, now.Add(-l.Absolute).Add(time.Microsecond), now.Add(-l.Idle).Add(time.Microsecond), sweepBatch)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("finding expired sessions: %w", err))...)
		}
		for _, v := range batch {
			// The store's times may be older than the cache's; those are brought up to date, so that the same
			// sessions don't come up in the next batch.
			if s := m.current(v); !s.expired(now, l) {
				m.touchLater(s)
				continue
			}
			if err := m.delete(ctx, v.ID, CauseExpired); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
		if err := m.flush(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(batch) < sweepBatch || batch[0].ID == first {
			return errors.Join(errs...)
		}
		first = batch[0].ID
	}
}

// current is a stored session with what is known of its last request here.
func (m *Manager) current(v *state.Session) *Session {
	if s := m.cache.get(&v.ID); s != nil {
		return s
	}
	s := m.fromState(v)
	if at, ok := m.touches.pendingOf(v.ID); ok {
		s.see(at)
	}
	return s
}
