package impersonation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// onEndTimeout is the deadline of OnEnd's context.
const onEndTimeout = 5 * time.Second

// End ends an impersonation: by is the username of who ends it, if somebody does. It takes effect at once, whatever
// is broken; the first cause wins, and ending what has ended is no error. Before it returns, the store has been
// asked once to keep it; what could not be written is tried again in the background until it is. The error is
// [state.ErrNotFound] for an unknown id, or the store's when only it could know.
func (m *Manager) End(ctx context.Context, id, cause, by string) error {
	m.mu.RLock()
	c, over := m.byID[id], m.pending[id]
	m.mu.RUnlock()
	if c == nil && over == nil {
		return m.endStored(ctx, id, cause, by)
	}
	if c == nil {
		c = over
	}
	m.end(c, &Ended{Cause: cause, By: by, At: stored(m.clock.Now())})
	c.settled(ctx)
	return nil
}

// EndSession ends what the session impersonates, if anything; see [Manager.End]. It is for a logout from wherever.
func (m *Manager) EndSession(ctx context.Context, session state.Hash, cause, by string) error {
	m.mu.RLock()
	c := m.bySession[session]
	m.mu.RUnlock()
	if c != nil {
		m.end(c, &Ended{Cause: cause, By: by, At: stored(m.clock.Now())})
		c.settled(ctx)
	}
	return nil
}

// EndAllFor ends all that the account is the actor or the target of, and counts them; see [Manager.End].
func (m *Manager) EndAllFor(ctx context.Context, username, cause, by string) int {
	key, at := identity.Key(username), stored(m.clock.Now())
	var ended []*core
	for _, c := range m.all() {
		l := c.view.Load()
		if identity.Key(l.ActorUsername) != key && identity.Key(l.TargetUsername) != key {
			continue
		}
		if m.end(c, &Ended{Cause: cause, By: by, At: at}) {
			ended = append(ended, c)
		}
	}
	for _, c := range ended { // all are ended before any is waited for
		c.settled(ctx)
	}
	return len(ended)
}

// settled waits until the end is told and the store has been asked to keep it: so that a restart right after a
// "stop" does not bring the impersonation back. While it is still starting, Start sees to that.
func (c *core) settled(ctx context.Context) {
	if !c.effective.Load() {
		return
	}
	c.wait(ctx)
	select {
	case <-c.rowTried:
	case <-ctx.Done():
	}
}

// end is the one place where impersonations end. False: it had ended already, or is not over by the clock any more.
func (m *Manager) end(c *core, e *Ended) bool {
	c.mu.Lock() // Start either sees ended, or has set effective; Extend, or has prolonged it
	if byClock := e.Cause == CauseExpired || e.Cause == CauseIdle; byClock && c.dueEnd(m.clock.Now()) == nil {
		c.mu.Unlock()
		return false // prolonged, or used, since it was looked at
	}
	first, effective := c.ended.CompareAndSwap(nil, e), c.effective.Load()
	c.mu.Unlock()
	if !first {
		return false
	}
	c.cancel(e)
	c.stopTimer()
	if effective {
		m.stats.end(e.Cause)
		m.record(c)
		m.background(func() { m.tell(c, e) })
	}
	return true
}

// tell leaves word with OnEnd, and then frees the session.
func (m *Manager) tell(c *core, e *Ended) {
	ctx, cancel := context.WithTimeout(m.ctx, onEndTimeout)
	defer cancel()
	defer m.forget(c)
	m.onEnd(ctx, c.view.Load(), e)
}

// forget frees the place of one that has ended.
func (m *Manager) forget(c *core) {
	l := c.view.Load()
	m.mu.Lock()
	if m.bySession[l.Session] == c {
		delete(m.bySession, l.Session)
	}
	delete(m.byID, l.ID)
	m.places.remove(c)
	m.count.Store(int64(len(m.bySession)))
	m.mu.Unlock()
	close(c.told)
}

// endStored ends one that only the store knows: there is none while this process owns it, except before the first
// Use, and returning must work even then.
func (m *Manager) endStored(ctx context.Context, id, cause, by string) error {
	row, err := m.store.Impersonation(ctx, id)
	if err != nil {
		return fmt.Errorf("ending an impersonation: %w", err)
	}
	if !row.Live() {
		return nil
	}
	claims, err := m.claimsOf(ctx, row.Session)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return fmt.Errorf("ending an impersonation: %w", err)
	}
	c := m.adopt(row, claims, true)
	if c == nil {
		return nil
	}
	m.end(c, &Ended{Cause: cause, By: by, At: stored(m.clock.Now())})
	c.settled(ctx)
	return nil
}
