package impersonation

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Extend prolongs an impersonation by what its policy gives for a press of "Extend", on the facts and rules of now. The
// session's own actor asks for it; nobody else may. It returns once the event is durable, the time is moved, and the
// store was asked to keep it.
//
// Press tells which press it is, from 1 on: one that was granted already is not granted again, so that a button
// pressed twice adds its time once. 0: the next.
//
// A *[policy.Refusal] says why not; an *[Ended], that it is over. After any other error nothing has changed.
func (m *Manager) Extend(ctx context.Context, l *Live, press int, ip netip.Addr) (*Live, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.within())
	defer cancel()
	c := l.c
	c.extending.Lock()
	defer c.extending.Unlock()
	if m.isClosed() {
		return nil, ErrNotReady
	}
	if e := m.Check(ctx, l, m.clock.Now()); e != nil {
		return nil, e
	}
	cur, v := m.cur.Load(), c.verdict.Load()
	if cur == nil || v == nil {
		return nil, ErrNotReady
	}
	before := c.view.Load()
	if press > 0 && press <= before.Extensions {
		return before, nil
	}
	by, refusal := v.decision.Extend(c.running(before))
	if refusal != nil {
		return nil, refusal
	}
	if err := cur.events.Event(ctx, extended(before, by, stored(m.clock.Now()), ip)); err != nil {
		return nil, fmt.Errorf("recording an extension: %w", err)
	}
	if e := m.prolong(ctx, c, by); e != nil {
		return nil, e
	}
	m.stats.extended.Add(1)
	m.arm(c)
	// What is not stored now is tried again by saveSeen. After a restart before that, it would end at its old time.
	if err := m.save(ctx, c); err != nil {
		m.log.Warn("an extension can't be stored yet", "impersonation", before.ID, "error", err)
	}
	// The rules may have changed while it was written down.
	m.decide(c, m.clock.Now())
	if e := c.ended.Load(); e != nil {
		c.wait(ctx)
		return nil, e
	}
	return c.view.Load(), nil
}

// prolong moves the end, unless it has come: after this an end by the clock is one by the new time (see end).
func (m *Manager) prolong(ctx context.Context, c *core, by time.Duration) *Ended {
	c.mu.Lock()
	due := c.dueEnd(m.clock.Now())
	if due == nil && c.ended.Load() == nil {
		n := *c.view.Load()
		n.ExpiresAt, n.until = n.ExpiresAt.Add(by), n.until+by
		n.Extensions, n.Extended = n.Extensions+1, n.Extended+by
		c.view.Store(&n)
		c.unsaved = true
		n.Touch(m.clock.Now()) // somebody is there
	}
	c.mu.Unlock()
	if due != nil {
		m.end(c, due)
	}
	e := c.ended.Load()
	if e != nil {
		c.wait(ctx)
	}
	return e
}

func extended(l *Live, by time.Duration, now time.Time, ip netip.Addr) audit.Event {
	return audit.Event{
		Time: now, Type: audit.EventImpersonationExtended, ImpersonationID: l.ID,
		ActorID: l.ActorID, ActorUsername: l.ActorUsername, ActorName: l.ActorName,
		TargetID: l.TargetID, TargetUsername: l.TargetUsername, TargetName: l.TargetName,
		ClientIP: address(ip), Mode: l.Mode,
		Detail: audit.Detail(
			"press", l.Extensions+1, "extension_s", seconds(by),
			"old_end", l.ExpiresAt.UTC().Format(time.RFC3339), "new_end", l.ExpiresAt.Add(by).UTC().Format(time.RFC3339),
		),
	}
}

// Extension is how often it can still be prolonged, and by how much at the next press; 0 when it can't.
func (l *Live) Extension() (left int, by time.Duration) {
	v := l.c.verdict.Load()
	if v == nil || !l.Live() {
		return 0, 0
	}
	r := l.c.running(l.c.view.Load())
	by, refusal := v.decision.Extend(r)
	if refusal != nil {
		return 0, 0
	}
	return v.decision.ExtensionsLeft(r), by
}

// Color is the banner's by its policy; empty: it has none.
func (l *Live) Color() string {
	if v := l.c.verdict.Load(); v != nil {
		return v.decision.Color
	}
	return ""
}
