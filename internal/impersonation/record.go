package impersonation

import (
	"context"
	"errors"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	// drainTime is how long the event of an end waits for the outcomes of the requests it cut.
	drainTime = 250 * time.Millisecond
	// rowTimeout bounds one try to store an end.
	rowTimeout = 2 * time.Second
	retryFirst = 100 * time.Millisecond
	retryMost  = 30 * time.Second
)

// errClosing ends what is tried again and again.
var errClosing = errors.New("closing")

// record writes an end down, in the background, until store and journal have it: the state row at once, the event
// when the requests under way have had a moment to finish. One that does not wait for the other: a journal that hangs
// must not keep the row from being written.
func (m *Manager) record(c *core) {
	c.launch.Do(func() {
		id := c.view.Load().ID
		m.bells.ended(c.view.Load().TargetUsername, id)
		m.mu.Lock()
		m.pending[id] = c
		m.mu.Unlock()
		m.background(func() {
			row := make(chan error, 1)
			go func() { row <- m.insist(c, "the end of an impersonation can't be stored", m.storeEnd) }()
			m.drain(c)
			err := m.insist(c, "the notices of an impersonation's end can't be queued", m.tellEnd)
			err = errors.Join(err, m.insist(c, "the end of an impersonation can't be recorded", m.writeEvent))
			err = errors.Join(err, <-row)
			if err == nil {
				err = m.insist(c, "the end of an impersonation can't be marked as recorded", m.writeEnd)
			}
			if err != nil { // closing: the next start finds it by its row
				return
			}
			m.mu.Lock()
			delete(m.pending, id)
			close(m.changed)
			m.changed = make(chan struct{})
			m.mu.Unlock()
		})
	})
}

// background runs f; Close waits for it.
func (m *Manager) background(f func()) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed { // Close may have stopped waiting; nothing new is waited for
		go f()
		return
	}
	m.wg.Go(f)
}

// insist tries until it succeeds, with pauses that double; the error is only that the manager closes.
func (m *Manager) insist(c *core, problem string, try func(context.Context, *core) error) error {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := try(m.ctx, c)
		if err == nil {
			return nil
		}
		l := c.view.Load()
		m.log.Error(problem, "impersonation", l.ID, "actor", l.ActorUsername, "target", l.TargetUsername, "retry_in", pause, "error", err)
		m.stats.retries.Add(1)
		if m.ctx.Err() != nil || !m.pause(pause) {
			return errClosing
		}
	}
}

// pause waits on the injected clock; false when the manager was closed before the wait began. A wait that is cut
// short by closing allows one last try.
func (m *Manager) pause(d time.Duration) bool {
	select {
	case <-m.closing:
		return false
	default:
	}
	over := make(chan struct{})
	t := m.clock.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	select {
	case <-over:
	case <-m.closing:
	}
	return true
}

// drain waits until no request is under way any more, but not for long.
func (m *Manager) drain(c *core) {
	if c.inFlight.Load() == 0 {
		return
	}
	over := make(chan struct{})
	t := m.clock.AfterFunc(drainTime, func() { close(over) })
	defer t.Stop()
	for c.inFlight.Load() > 0 {
		select {
		case <-c.drained:
		case <-over:
			return
		case <-m.closing:
			return
		}
	}
}

// storeEnd is writeEnd for the first time, for which End waits.
func (m *Manager) storeEnd(ctx context.Context, c *core) error {
	ctx, cancel := context.WithTimeout(ctx, m.rowTimeout)
	defer cancel()
	defer c.tried()
	return m.writeEnd(ctx, c)
}

func (c *core) tried() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.rowTried:
	default:
		close(c.rowTried)
	}
}

// writeEnd brings the row up to what memory knows of the end. It may be called again.
func (m *Manager) writeEnd(ctx context.Context, c *core) error {
	if c.noRow.Load() {
		return nil
	}
	now := c.row()
	err := m.store.UpdateImpersonation(ctx, now.ID, func(i *state.Impersonation) error {
		if i.Live() {
			i.EndedAt, i.EndCause, i.EndedBy = now.EndedAt, now.EndCause, now.EndedBy
			i.ExpiresAt, i.Idle, i.LastSeen = now.ExpiresAt, now.Idle, now.LastSeen
			i.Extensions, i.Extended = now.Extensions, now.Extended
		}
		i.EndRecorded = i.EndRecorded || now.EndRecorded
		return nil
	})
	if errors.Is(err, state.ErrNotFound) { // a start that failed before it, or history that was removed
		c.noRow.Store(true)
		return nil
	}
	return err
}

// writeEvent writes the event impersonation_ended. It has no deadline of its own: a try given up might still become
// durable, and the next would be a second one. One that the journal took before its disk failed is waited for.
func (m *Manager) writeEvent(ctx context.Context, c *core) error {
	if c.recorded.Load() {
		return nil
	}
	if c.unconfirmed != nil {
		err := c.unconfirmed.Confirm(ctx)
		c.recorded.Store(err == nil)
		if !errors.Is(err, audit.ErrUnconfirmed) { // rather twice than not at all
			c.unconfirmed = nil
		}
		return err
	}
	cur := m.cur.Load()
	if cur == nil {
		return errors.New("no journal is open yet")
	}
	i, e := c.row(), c.ended.Load()
	pairs := []any{"cause", e.Cause, "requests", m.counts(i.ID), "duration_s", seconds(max(0, e.At.Sub(i.StartedAt))), "by", e.By}
	if e.Refusal != nil {
		pairs = append(pairs, "refusal", e.Refusal.Code)
	}
	if c.recovered {
		// The process died between the end and its record, perhaps just after it: then this is the second.
		pairs = append(pairs, "recovered", true)
	}
	err := cur.events.Event(ctx, audit.Event{
		Time: m.clock.Now(), Type: audit.EventImpersonationEnded, ImpersonationID: i.ID,
		ActorID: i.ActorID, ActorUsername: i.ActorUsername, ActorName: i.ActorName,
		TargetID: i.TargetID, TargetUsername: i.TargetUsername, TargetName: i.TargetName,
		Mode: i.Mode, Detail: audit.Detail(pairs...),
	})
	if !errors.As(err, &c.unconfirmed) {
		c.recorded.Store(err == nil)
	}
	return err
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
