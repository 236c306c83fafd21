package impersonation

import (
	"context"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// CheckFrom decides again whether an impersonation may go on with a request from there, on the facts of now: nil, it
// may. When it may not, it has ended, now or before, and the session's person has been left their notice. The decision
// is kept with the rules and the directory's generation it was made on; while neither moves, and the rules don't ask
// for more, it costs a few nanoseconds. Where they ask for the time it is made again each second, and where they ask
// for the request, when that comes from elsewhere.
func (m *Manager) CheckFrom(ctx context.Context, l *Live, now time.Time, from From) *Ended {
	return m.check(ctx, l.c, now, &from)
}

// Check is [Manager.CheckFrom] for the request that was decided on last.
func (m *Manager) Check(ctx context.Context, l *Live, now time.Time) *Ended {
	return m.check(ctx, l.c, now, nil)
}

func (m *Manager) check(ctx context.Context, c *core, now time.Time, from *From) *Ended {
	if c.ended.Load() == nil {
		if e := c.dueEnd(now); e != nil {
			m.end(c, e)
		} else {
			v, cur := c.verdict.Load(), m.cur.Load()
			if from == nil && v != nil && v.known {
				from = &v.from
			}
			if v != nil && v.holds(cur, now, from) {
				return nil
			}
			m.decideFrom(c, now, from)
		}
	}
	e := c.ended.Load()
	if e != nil {
		c.wait(ctx)
	}
	return e
}

// Recheck decides all of them again and ends those that may not go on: after a change, so that connections that
// send no further request are cut too.
func (m *Manager) Recheck(context.Context) {
	now := m.clock.Now()
	for _, c := range m.all() {
		if e := c.dueEnd(now); e != nil {
			m.end(c, e)
			continue
		}
		m.decide(c, now)
	}
}

// decide decides one again, for the request that was decided on last.
func (m *Manager) decide(c *core, now time.Time) {
	var from *From
	if v := c.verdict.Load(); v != nil && v.known {
		from = &v.from
	}
	m.decideFrom(c, now, from)
}

// decideFrom decides one again, on the newest rules and facts, and ends it when they refuse. From is nil after a
// restart, before the first request: what hangs on where that comes from waits for it, since until then there is
// nobody to be kept out.
func (m *Manager) decideFrom(c *core, now time.Time, from *From) {
	cur := m.cur.Load()
	if cur == nil {
		return
	}
	generation := cur.Directory.Generation() // before the facts: a change in between makes this decision an old one
	l := c.view.Load()
	actor, target := cur.actor(&c.claims), cur.target(l.TargetUsername)
	if target.user != nil && l.TargetID != "" && target.ID != l.TargetID {
		target = person{} // another account under the old one's name
	}
	in := policy.Input{Actor: actor, Target: target.Person, Now: now, NoRequest: from == nil, Locked: m.Locked(l.ActorUsername, l.TargetUsername)}
	v := &verdict{on: cur.name, generation: generation, target: target.user, at: now, known: from != nil}
	if from != nil {
		in.ClientIP, in.Host, v.from = from.IP, from.Host, *from
	}
	d := cur.Policy.Continue(in, c.running(l))
	if d.NeedsRequest {
		return
	}
	if d.Refusal != nil {
		m.Complain(d.Refusal)
		m.end(c, &Ended{Cause: causeOf(d.Refusal), At: stored(now), Refusal: d.Refusal})
		return
	}
	if m.shorten(c, d) {
		m.arm(c)
	}
	v.decision = d
	c.verdict.Store(v)
}

func causeOf(r *policy.Refusal) string {
	switch r.Code {
	case policy.RefusedActorInactive:
		return CauseActorDeactivated
	case policy.RefusedInactive:
		return CauseTargetDeactivated
	case policy.RefusedLocked:
		return CauseObjection
	}
	return CausePolicyChanged
}

// shorten applies a stricter policy's limits; a laxer one's are for the next start.
func (m *Manager) shorten(c *core, d policy.Decision) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.view.Load()
	cut := l.ExpiresAt.Sub(l.StartedAt.Add(d.Limit(c.running(l))))
	idle := l.Idle
	if d.Idle > 0 && (idle == 0 || d.Idle < idle) {
		idle = d.Idle
	}
	if cut <= 0 && idle == l.Idle {
		return false
	}
	n := *l
	n.Idle = idle
	if cut > 0 {
		n.ExpiresAt, n.until = l.ExpiresAt.Add(-cut), l.until-cut
	}
	c.view.Store(&n)
	c.unsaved = true
	return true
}

// running is what policy needs to know of it.
func (c *core) running(l *Live) policy.Running {
	return policy.Running{Mode: l.Mode, StartedAt: c.startedAt, Extensions: l.Extensions, Extended: l.Extended}
}

// actor is somebody who is logged in: the directory's facts over the login's claims.
func (cur *current) actor(claims *identity.Identity) policy.Person {
	u, known := cur.Directory.Person(claims)
	return policy.Person{Identity: &u.Identity, Known: known, Active: u.Active}
}
