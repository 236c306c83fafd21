package impersonation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Use puts a configuration in force: from now on its rules decide and its journal records. The first time, what the
// store holds comes back to life, with the times it had. All are decided again, and those that may not go on ended.
func (m *Manager) Use(ctx context.Context, r Rules, events audit.Events) error {
	if r.Policy == nil || r.Directory == nil || events == nil {
		return errors.New("using rules: policy, directory and events are required")
	}
	m.useMu.Lock()
	defer m.useMu.Unlock()
	if m.isClosed() {
		return ErrNotReady
	}
	cur := &current{Rules: r, name: new(currentName), events: events, locked: m.Locked, asksTime: r.Policy.AsksTime(), asksRequest: r.Policy.AsksRequest()}
	if !m.loaded {
		live, over, err := m.read(ctx)
		if err != nil {
			return fmt.Errorf("loading impersonations: %w", err)
		}
		if err := m.loadTold(ctx, live); err != nil {
			return fmt.Errorf("loading impersonations: %w", err)
		}
		m.cur.Store(cur)
		m.load(live, over)
		m.loaded = true
	} else {
		m.cur.Store(cur)
	}
	if m.subscribed != r.Directory {
		m.subscribed = r.Directory
		r.Directory.OnChange(func([]directory.Change) {
			// An older configuration's directory may go on for a while; it decides nothing any more.
			if cur := m.cur.Load(); cur.Directory == r.Directory && !m.isClosed() {
				m.Recheck(context.Background())
			}
		})
	}
	m.Recheck(ctx)
	m.armRecheck()
	m.background(func() { m.expireRequests(m.ctx) })
	return nil
}

// stored one, and the login of its actor.
type found struct {
	row    *state.Impersonation
	claims identity.Identity
	gone   bool // the session is
}

func (m *Manager) read(ctx context.Context) (live []found, over []*state.Impersonation, err error) {
	rows, err := m.store.LiveImpersonations(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, row := range rows {
		f := found{row: row}
		f.claims, err = m.claimsOf(ctx, row.Session)
		if f.gone = errors.Is(err, state.ErrNotFound); err != nil && !f.gone {
			return nil, nil, err
		}
		live = append(live, f)
	}
	over, err = m.store.UnrecordedEnds(ctx)
	return live, over, err
}

// loadTold takes over what people are to be told, and who is locked.
func (m *Manager) loadTold(ctx context.Context, live []found) error {
	ids := make(map[string]bool, len(live))
	for _, f := range live {
		ids[f.row.ID] = true
	}
	return errors.Join(m.bells.load(ctx, func(id string) bool { return ids[id] }), m.locks.load(ctx, m.store))
}

func (m *Manager) claimsOf(ctx context.Context, session state.Hash) (identity.Identity, error) {
	s, err := m.store.Session(ctx, session)
	if err != nil {
		return identity.Identity{}, err
	}
	return identity.Identity{ID: s.UserID, Username: s.Username, Name: s.Name, Email: s.Email, Groups: s.Groups, Attributes: s.Attributes}, nil
}

// load, with useMu held, takes over what was read. Those that are over by the clock end as of when their time was; those whose session
// has gone, as with a logout.
func (m *Manager) load(live []found, over []*state.Impersonation) {
	now := m.clock.Now()
	for _, f := range live {
		c := m.adopt(f.row, f.claims, false)
		if c == nil {
			continue
		}
		switch e := c.dueEnd(now); {
		case e != nil:
			m.end(c, e)
		case f.gone:
			m.end(c, &Ended{Cause: CauseLogout, At: stored(now)})
		default:
			m.arm(c)
		}
	}
	for _, row := range over {
		if m.isEarly(row.ID) {
			continue
		}
		c := newCore(*row, now, row.StartedAt, row.ExpiresAt.Sub(now), identity.Identity{})
		e := &Ended{Cause: row.EndCause, By: row.EndedBy, At: row.EndedAt}
		c.recovered = true
		c.ended.Store(e)
		c.effective.Store(true)
		c.cancel(e)
		close(c.told)
		m.record(c)
	}
	m.armSaving()
}

// isEarly tells whether it was ended before the first Use, and is seen to already.
func (m *Manager) isEarly(id string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.early[id]
}

// adopt brings one from the store to life; early, to end it before the first Use. Nil: that was done already, and
// row may be what was read before.
func (m *Manager) adopt(row *state.Impersonation, claims identity.Identity, early bool) *core {
	now := m.clock.Now()
	c := newCore(*row, now, row.StartedAt, row.ExpiresAt.Sub(now), claims)
	c.effective.Store(true)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.early[row.ID] {
		return nil
	}
	if early {
		m.early[row.ID] = true
	}
	m.bySession[row.Session], m.byID[row.ID] = c, c
	m.places.add(c)
	m.count.Store(int64(len(m.bySession)))
	return c
}

// Sweep removes history older than keep from the store; the audit has it for longer. Call it now and then.
func (m *Manager) Sweep(ctx context.Context, keep time.Duration) error {
	for {
		n, err := m.store.PruneImpersonations(ctx, m.clock.Now().Add(-keep), state.MaxList)
		if err != nil {
			return fmt.Errorf("removing old impersonations: %w", err)
		}
		if n < state.MaxList {
			break
		}
	}
	for {
		n, err := m.store.PruneRequests(ctx, m.clock.Now().Add(-keep), state.MaxList)
		if err != nil {
			return fmt.Errorf("removing old requests: %w", err)
		}
		if n < state.MaxList {
			return nil
		}
	}
}
