package impersonation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// CauseObjection: the target said that they had not expected it.
const CauseObjection = "objection"

// What follows an objection.
const (
	ConsequenceNone   = ""       // the owners were told
	ConsequenceLocked = "locked" // and it was ended, and the pair is locked
)

// ErrNotTheirs is returned to somebody who objects to what was not done in their name.
var ErrNotTheirs = errors.New("not an impersonation of theirs")

// Object is the target's word that they had not expected it. The owners are told; where its policy says so, all that
// the actor has of this target ends, and can't be started again until [Manager.Unlock]. To object again is no error,
// and tells nobody again. It returns what followed. By is the target, from where they are.
func (m *Manager) Object(ctx context.Context, id string, by *identity.Identity, from From) (consequence string, err error) {
	cur := m.cur.Load()
	if cur == nil || m.isClosed() {
		return "", ErrNotReady
	}
	i, err := m.Get(ctx, id)
	if err != nil {
		return "", err
	}
	if identity.Key(i.TargetUsername) != identity.Key(by.Username) || i.TargetID != "" && by.ID != i.TargetID {
		return "", ErrNotTheirs
	}
	if d, ok := cur.Policy.Named(i.Policy); ok && d.LockOnObjection {
		consequence = ConsequenceLocked
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.within())
	defer cancel()
	if consequence == ConsequenceLocked { // first of all, whatever is broken
		if err := m.lock(ctx, i); err != nil {
			return "", err
		}
	}
	first := false
	now := stored(m.clock.Now())
	err = m.store.UpdateImpersonation(ctx, id, func(row *state.Impersonation) error {
		if first = row.ObjectedAt.IsZero(); first {
			row.ObjectedAt = now
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("keeping an objection: %w", err)
	}
	if !first {
		return consequence, nil
	}
	m.noteReview(id, func(row *state.Impersonation) { row.ObjectedAt = now })
	err = cur.events.Event(ctx, audit.Event{
		Time: now, Type: audit.EventObjectionRaised, ImpersonationID: i.ID,
		ActorID: i.ActorID, ActorUsername: i.ActorUsername, ActorName: i.ActorName,
		TargetID: i.TargetID, TargetUsername: i.TargetUsername, TargetName: i.TargetName,
		ClientIP: address(from.IP), Mode: i.Mode, Detail: audit.Detail("consequence", consequence, "policy", i.Policy),
	})
	if err != nil {
		return "", m.takeBack(ctx, id, fmt.Errorf("recording an objection: %w", err))
	}
	if m.notices != nil {
		msg := MessageOf(notify.KindObjection, i)
		msg.At, msg.Consequence, msg.Link = now, consequence, ReviewPath
		msg.To = cur.WithRole(policy.RoleOwner)
		if err := m.notices.Put(ctx, msg); err != nil {
			m.untold(ctx, cur, i, notify.KindObjection, err)
		}
	}
	return consequence, nil
}

// takeBack undoes that somebody objected, so that they can try again, and everybody is told then.
func (m *Manager) takeBack(ctx context.Context, id string, cause error) error {
	err := m.store.UpdateImpersonation(ctx, id, func(row *state.Impersonation) error {
		row.ObjectedAt = time.Time{}
		return nil
	})
	m.noteReview(id, func(row *state.Impersonation) { row.ObjectedAt = time.Time{} })
	return errors.Join(cause, err)
}

// lock keeps the pair apart, and ends what the actor has of the target.
func (m *Manager) lock(ctx context.Context, i *state.Impersonation) error {
	l := &state.Lock{
		ActorUsername: identity.Key(i.ActorUsername), TargetUsername: identity.Key(i.TargetUsername), ImpersonationID: i.ID, CreatedAt: stored(m.clock.Now()),
	}
	m.locks.set(l) // in effect first: a start under way is decided again below, or finds it
	err := m.store.PutLock(ctx, l)
	for _, c := range m.all() {
		v := c.view.Load()
		if identity.Key(v.ActorUsername) == l.ActorUsername && identity.Key(v.TargetUsername) == l.TargetUsername {
			m.end(c, &Ended{Cause: CauseObjection, By: i.TargetUsername, At: stored(m.clock.Now())})
		}
	}
	if err != nil {
		return fmt.Errorf("locking a pair: %w", err)
	}
	return nil
}

// Locks are the pairs kept apart, the oldest first.
func (m *Manager) Locks(ctx context.Context) ([]*state.Lock, error) { return m.store.Locks(ctx) }

// Unlock lets the actor become the target again, as far as the rules do. By is who lifts it, from where they are.
// [state.ErrNotFound]: they were not kept apart.
func (m *Manager) Unlock(ctx context.Context, actor, target string, by *identity.Identity, from From, note string) error {
	cur := m.cur.Load()
	if cur == nil || m.isClosed() {
		return ErrNotReady
	}
	actor, target = identity.Key(actor), identity.Key(target)
	if !m.locks.has(actor, target) {
		return fmt.Errorf("lifting a lock: %w", state.ErrNotFound)
	}
	// The event first: what was not recorded does not happen.
	err := cur.events.Event(ctx, audit.Event{
		Time: m.clock.Now(), Type: audit.EventPairUnlocked, ActorID: by.ID, ActorUsername: by.Username, ActorName: by.Name, ClientIP: address(from.IP),
		Reason: text(note, policy.MaxReason), Detail: audit.Detail("locked_actor", actor, "locked_target", target),
	})
	if err != nil {
		return fmt.Errorf("recording that a lock is lifted: %w", err)
	}
	if err := m.store.DeleteLock(ctx, actor, target); err != nil {
		return err
	}
	m.locks.remove(actor, target)
	return nil
}

// Review notes that somebody in charge has looked at an impersonation. A later review replaces an earlier one.
func (m *Manager) Review(ctx context.Context, id string, by *identity.Identity, from From, note string) (*state.Impersonation, error) {
	cur := m.cur.Load()
	if cur == nil || m.isClosed() {
		return nil, ErrNotReady
	}
	i, err := m.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	note = text(note, policy.MaxReason)
	now := stored(m.clock.Now())
	err = cur.events.Event(ctx, audit.Event{
		Time: now, Type: audit.EventReviewed, ImpersonationID: i.ID, ActorID: by.ID, ActorUsername: by.Username, ActorName: by.Name,
		TargetID: i.TargetID, TargetUsername: i.TargetUsername, TargetName: i.TargetName, ClientIP: address(from.IP),
		Reason: note, Mode: i.Mode, Detail: audit.Detail("reviewed_actor", i.ActorUsername, "emergency", i.Emergency),
	})
	if err != nil {
		return nil, fmt.Errorf("recording a review: %w", err)
	}
	set := func(row *state.Impersonation) {
		row.ReviewedAt, row.ReviewedBy, row.ReviewNote = now, strings.TrimSpace(by.Username), note
	}
	if err := m.store.UpdateImpersonation(ctx, id, func(row *state.Impersonation) error { set(row); return nil }); err != nil {
		return nil, fmt.Errorf("keeping a review: %w", err)
	}
	m.noteReview(id, set)
	return m.Get(ctx, id)
}

// noteReview brings what memory has of an impersonation up to what the store was just told.
func (m *Manager) noteReview(id string, set func(*state.Impersonation)) {
	m.mu.RLock()
	c := m.byID[id]
	if c == nil {
		c = m.pending[id]
	}
	m.mu.RUnlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := *c.view.Load()
	set(&n.Impersonation)
	c.view.Store(&n)
}
