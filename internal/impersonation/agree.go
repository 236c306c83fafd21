package impersonation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Deciding is somebody's answer to a request.
type Deciding struct {
	Session *session.Session
	Note    string
	IP      netip.Addr
}

// Approve agrees to a request, as an approver or, for consent, as the target: whatever of the two they are. It is
// decided on the facts of now, of the actor, the target and whoever agrees; recorded; and only then counts. A
// *[policy.Refusal] says why not. Agreeing again to what one has agreed to changes nothing.
func (m *Manager) Approve(ctx context.Context, id string, by Deciding) (*Asked, error) {
	return m.answer(ctx, id, by, func(ctx context.Context, cur *current, a *Asked) (*policy.Refusal, error) {
		r, who := a.Request, cur.actor(&by.Session.Claims)
		if !a.Waits() {
			switch again := sameName(r.Approver.Username, who.Username) || sameName(r.TargetUsername, who.Username) && !r.ConsentedAt.IsZero(); {
			case again && (a.Now == state.RequestPending || a.Now == state.RequestApproved):
				return nil, nil
			case a.Now == state.RequestPending && !a.MayRefuse:
				return policy.Refuse(policy.RefusedApprover), nil
			}
			return closed(a), nil
		}
		now := m.clock.Now()
		d, in := cur.again(r, now)
		if d.Refusal != nil {
			return d.Refusal.Pointless(), nil
		}
		// The rules in force now say whose agreement it takes.
		if a.MayApprove && !cur.Policy.MayApprove(d.Policy, who, in.Actor, in.Target) {
			return policy.Refuse(policy.RefusedApprover), nil
		}
		s := step{what: granted, approval: a.MayApprove, by: who.Username, note: note(by.Note), ip: by.IP, at: stored(now)}
		if err := m.recordRequest(ctx, cur, r, s); err != nil {
			return nil, fmt.Errorf("recording an agreement: %w", err)
		}
		err := m.change(ctx, r, state.RequestPending, func(r *state.Request) {
			if a.MayApprove {
				r.Approver, r.ApprovedAt = partyOf(who.Identity), s.at
			} else {
				r.ConsentedAt = s.at
			}
			r.Policy, r.NeedApproval, r.NeedConsent = d.Policy, d.RequireApproval, d.RequireConsent
			if s.note != "" {
				r.Note = s.note
			}
			if !(r.NeedApproval && r.ApprovedAt.IsZero()) && !(r.NeedConsent && r.ConsentedAt.IsZero()) {
				r.State, r.StartBy = state.RequestApproved, s.at.Add(StartWindow)
			}
		})
		if err == nil && r.State == state.RequestApproved {
			m.armExpiry(r.StartBy)
			m.tellDecided(ctx, r, "granted", s.by, s.note)
		}
		return nil, err
	})
}

// Decline refuses a request, or takes an agreement back that nothing was started by yet: as an approver or as the target.
func (m *Manager) Decline(ctx context.Context, id string, by Deciding) (*Asked, error) {
	return m.answer(ctx, id, by, func(ctx context.Context, cur *current, a *Asked) (*policy.Refusal, error) {
		who := cur.actor(&by.Session.Claims)
		switch {
		case a.MayRefuse:
		case a.Now == state.RequestRefused && sameName(a.ClosedBy, who.Username):
			return nil, nil
		case a.Now == state.RequestPending || a.Now == state.RequestApproved:
			return policy.Refuse(policy.RefusedApprover), nil
		default:
			return closed(a), nil
		}
		s := step{what: declined, approval: !sameName(a.TargetUsername, who.Username), by: who.Username, note: note(by.Note), ip: by.IP, at: stored(m.clock.Now())}
		return nil, m.shut(ctx, cur, a, s, state.RequestRefused)
	})
}

// Cancel withdraws a request: its actor's right, and an owner's.
func (m *Manager) Cancel(ctx context.Context, id string, by Deciding) (*Asked, error) {
	return m.answer(ctx, id, by, func(ctx context.Context, cur *current, a *Asked) (*policy.Refusal, error) {
		who := cur.actor(&by.Session.Claims)
		switch owner := slices.Contains(cur.Policy.Roles(who.Identity), policy.RoleOwner); {
		case !a.Own && !owner:
			return policy.Refuse(policy.RefusedApprover), nil
		case a.Now == state.RequestCancelled:
			return nil, nil
		case a.State == state.RequestStepUp:
			a.Now = state.RequestCancelled
			return nil, m.store.DeleteRequest(ctx, a.ID)
		case a.Now != state.RequestPending && a.Now != state.RequestApproved:
			return closed(a), nil
		}
		s := step{what: cancelled, by: who.Username, note: note(by.Note), ip: by.IP, at: stored(m.clock.Now())}
		return nil, m.shut(ctx, cur, a, s, state.RequestCancelled)
	})
}

// shut closes a request for good.
func (m *Manager) shut(ctx context.Context, cur *current, a *Asked, s step, as string) error {
	if err := m.recordRequest(ctx, cur, a.Request, s); err != nil {
		return fmt.Errorf("recording the end of a request: %w", err)
	}
	err := m.change(ctx, a.Request, a.State, func(r *state.Request) {
		r.State, r.ClosedAt, r.ClosedBy, r.Note = as, s.at, s.by, s.note
	})
	if err == nil {
		m.stats.close(as)
	}
	if err == nil && !a.Own {
		m.tellDecided(ctx, a.Request, "declined", s.by, s.note)
	}
	return err
}

// answer has f decide on a request, one at a time, and gives what became of it.
func (m *Manager) answer(ctx context.Context, id string, by Deciding, f func(context.Context, *current, *Asked) (*policy.Refusal, error)) (*Asked, error) {
	cur := m.cur.Load()
	if cur == nil || m.isClosed() {
		return nil, ErrNotReady
	}
	if by.Session == nil {
		return nil, errors.New("deciding on a request: no session")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.within())
	defer cancel()
	m.asking.Lock()
	defer m.asking.Unlock()
	r, err := m.store.Request(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("deciding on a request: %w", err)
	}
	a := cur.asked(r, by.Session, m.clock.Now())
	if a == nil {
		return nil, fmt.Errorf("deciding on a request: %w", state.ErrNotFound)
	}
	refusal, err := f(ctx, cur, a)
	switch {
	case errors.Is(err, errMoved):
		return nil, policy.Refuse(policy.RefusedRequestClosed)
	case err != nil:
		return nil, fmt.Errorf("deciding on a request: %w", err)
	case refusal != nil:
		return nil, refusal
	}
	if after := cur.asked(a.Request, by.Session, m.clock.Now()); after != nil {
		return after, nil
	}
	return a, nil
}

// closed is why nothing can be decided on it.
func closed(a *Asked) *policy.Refusal {
	if a.Now == state.RequestExpired {
		return policy.Refuse(policy.RefusedRequestExpired)
	}
	return policy.Refuse(policy.RefusedRequestClosed)
}

func sameName(a, b string) bool { return a != "" && identity.Key(a) == identity.Key(b) }

func note(s string) string { return text(s, policy.MaxReason) }
