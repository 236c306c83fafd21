package impersonation

import (
	"context"
	"errors"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// saveEvery is how often the store learns when impersonations were last used.
const saveEvery = 10 * time.Second

// arm sets the timer to when it would be over if no further request came. Requests don't move the timer: when it
// fires early, it is set again.
func (m *Manager) arm(c *core) {
	now := m.clock.Now()
	_, after := c.due(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.ended.Load() != nil {
		return
	}
	c.timer = m.clock.AfterFunc(max(after-now.Sub(c.base), time.Millisecond), func() { m.fire(c) })
}

// fire is the timer's: connections that send no request are cut by it.
func (m *Manager) fire(c *core) {
	if c.ended.Load() != nil || m.isClosed() {
		return
	}
	if e := c.dueEnd(m.clock.Now()); e != nil && m.end(c, e) {
		return
	}
	m.arm(c)
}

func (c *core) stopTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// armSaving keeps saveSeen going while anything lives.
func (m *Manager) armSaving() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.saving != nil || m.closed || len(m.byID) == 0 {
		return
	}
	m.saving = m.clock.AfterFunc(saveEvery, func() {
		m.saveSeen(m.ctx)
		m.mu.Lock()
		m.saving = nil
		m.mu.Unlock()
		m.armSaving()
	})
}

// errOver leaves a row alone that has ended meanwhile.
var errOver = errors.New("it has ended")

// saveSeen stores when each was last used, where that has moved, and limits that have. What fails is
// tried again the next time: at worst an idle time ends a little early after a restart.
func (m *Manager) saveSeen(ctx context.Context) {
	m.saveMu.Lock()
	defer m.saveMu.Unlock()
	failed := 0
	var last error
	for _, c := range m.all() {
		if !c.effective.Load() || c.ended.Load() != nil {
			continue
		}
		seen := time.Duration(c.lastSeen.Load())
		c.mu.Lock()
		moved := c.unsaved || seen > c.persisted
		c.unsaved = false
		c.mu.Unlock()
		if !moved {
			continue
		}
		if err := m.save(ctx, c); err != nil {
			failed, last = failed+1, err
			c.mu.Lock()
			c.unsaved = true
			c.mu.Unlock()
			continue
		}
		c.mu.Lock()
		c.persisted = seen
		c.mu.Unlock()
	}
	if failed > 0 {
		m.log.Warn("when impersonations were last used could not be stored", "impersonations", failed, "error", last)
	}
}

func (m *Manager) save(ctx context.Context, c *core) error {
	ctx, cancel := context.WithTimeout(ctx, m.rowTimeout)
	defer cancel()
	err := m.store.UpdateImpersonation(ctx, c.view.Load().ID, func(i *state.Impersonation) error {
		if !i.Live() {
			return errOver
		}
		now := c.row() // not before: of two that save at once, the later must not write older
		i.LastSeen, i.ExpiresAt, i.Idle = now.LastSeen, now.ExpiresAt, now.Idle
		i.Extensions, i.Extended = now.Extensions, now.Extended
		return nil
	})
	if errors.Is(err, errOver) || errors.Is(err, state.ErrNotFound) {
		return nil
	}
	return err
}
