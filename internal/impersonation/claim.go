package impersonation

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// requested finds the request that is to be started, sees whether it is this person's to start, here and now, and puts
// what was agreed to in place of whatever was asked for with the start. Nil: the start names none.
func (m *Manager) requested(ctx context.Context, cur *current, req *StartRequest) (*state.Request, *policy.Refusal, error) {
	if req.Request == "" {
		return nil, nil, nil
	}
	r, err := m.store.Request(ctx, req.Request)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return nil, nil, fmt.Errorf("finding its request: %w", err)
	}
	if err != nil || !cur.isActor(r, cur.actor(&req.Session.Claims)) {
		return nil, policy.Refuse(policy.RefusedRequestClosed), nil // whether there is one is none of theirs
	}
	req.Target, req.Mode, req.Reason, req.Ticket, req.Duration = r.TargetUsername, r.Mode, r.Reason, r.Ticket, r.Duration
	req.ReturnTo, req.Next, req.Emergency = r.ReturnTo, r.Next, r.Emergency
	return r, m.startable(r, req), nil
}

// startable is why a request can't be started now; nil: it can, as far as it goes.
func (m *Manager) startable(r *state.Request, req *StartRequest) *policy.Refusal {
	switch {
	case over(r, m.clock.Now()), r.State == state.RequestExpired:
		return policy.Refuse(policy.RefusedRequestExpired)
	case r.Site != text(req.Site, maxSite):
		return policy.Refuse(policy.RefusedRequestSite)
	case r.State == state.RequestPending && r.NeedApproval && r.ApprovedAt.IsZero():
		return policy.Refuse(policy.RefusedApproval)
	case r.State == state.RequestPending:
		return policy.Refuse(policy.RefusedConsent)
	case !r.Open():
		return policy.Refuse(policy.RefusedRequestClosed)
	}
	return nil
}

// given is what a start has to show: the login, and the agreements of its request, as far as they hold on the facts and
// rules of now.
func (cur *current) given(r *state.Request, s *session.Session, d policy.Decision, in policy.Input) (policy.Given, *policy.Refusal) {
	g := policy.Given{Now: in.Now, AuthTime: s.AuthTime, ACR: s.ACR}
	if r == nil || r.State != state.RequestApproved {
		return g, nil
	}
	if r.TargetID != "" && in.Target.Identity != nil && in.Target.ID != r.TargetID {
		return g, policy.Refuse(policy.RefusedUnknown) // another account under the old one's name
	}
	g.Consented = !r.ConsentedAt.IsZero()
	if !r.ApprovedAt.IsZero() {
		g.Approved = cur.Policy.MayApprove(d.Policy, cur.party(&r.Approver), in.Actor, in.Target)
		if d.RequireApproval && !g.Approved {
			return g, policy.Refuse(policy.RefusedApprovalVoid)
		}
	}
	return g, nil
}

// claim takes a request for the impersonation it becomes: once, whoever else tries.
func (m *Manager) claim(ctx context.Context, r *state.Request, impersonation string) (*policy.Refusal, error) {
	if r == nil {
		return nil, nil
	}
	m.asking.Lock()
	defer m.asking.Unlock()
	if over(r, m.clock.Now()) {
		return policy.Refuse(policy.RefusedRequestExpired), nil
	}
	if r.State == state.RequestStepUp { // nobody has agreed to it, so there is nothing to be used up
		return nil, m.store.DeleteRequest(ctx, r.ID)
	}
	now := *r
	err := m.change(ctx, &now, state.RequestApproved, func(n *state.Request) {
		n.State, n.Impersonation, n.ClosedAt = state.RequestStarted, impersonation, stored(m.clock.Now())
	})
	if errors.Is(err, errMoved) || errors.Is(err, state.ErrNotFound) {
		return policy.Refuse(policy.RefusedRequestClosed), nil
	}
	return nil, err
}

// release gives a request back whose start failed before it took effect. If that fails too, it is used up.
func (m *Manager) release(r *state.Request, impersonation string) {
	if r == nil || r.State != state.RequestApproved {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, m.rowTimeout)
	defer cancel()
	m.asking.Lock()
	defer m.asking.Unlock()
	err := m.store.UpdateRequest(ctx, r.ID, func(n *state.Request) error {
		if n.State != state.RequestStarted || n.Impersonation != impersonation {
			return errMoved
		}
		*n = *r
		return nil
	})
	if err != nil {
		m.log.Warn("a start failed, and its request is used up", "request", r.ID, "error", err)
		return
	}
	m.armExpiry(r.StartBy)
}
