package impersonation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// A start that needs somebody's agreement, or a fresh login, becomes a request. It is kept in the store, not in the
// browser, belongs to its actor's account, and is decided anew on the facts of the moment whenever something is done
// with it: when it is asked for, agreed to, and started. It can be started once, by its actor, just as it was agreed to.

const (
	// StartWindow is how long the actor has to start what all have agreed to.
	StartWindow = 15 * time.Minute
	// loginWindow is how long a start waits for a fresh login.
	loginWindow = 15 * time.Minute
	// What an actor can have open at once, and what there can be in all: below [state.MaxList].
	maxOwnRequests = 10
	maxOwnLogins   = 5
	maxRequests    = state.MaxList - 100
	expireRetry    = 30 * time.Second
)

// wanting tells of a refusal that only asks for more: the start goes on once that is there.
func wanting(r *policy.Refusal) bool {
	switch r.Code {
	case policy.RefusedApproval, policy.RefusedConsent, policy.RefusedStepUp:
		return true
	}
	return false
}

// Ask makes a request of a start that [Manager.Start] refused for want of an approval, a consent or a fresh login. It
// is a [policy.Refusal]'s error when the start would not be allowed with them either. Those who can agree are told. Asking
// for the same again gives the request that is open.
func (m *Manager) Ask(ctx context.Context, req StartRequest) (*state.Request, error) {
	cur := m.cur.Load()
	if cur == nil || m.isClosed() {
		return nil, ErrNotReady
	}
	if req.Session == nil {
		return nil, errors.New("asking for an impersonation: no session")
	}
	m.Of(ctx, req.Session.ID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.within())
	defer cancel()
	m.asking.Lock()
	defer m.asking.Unlock()
	row, refusal, err := m.newRequest(cur, req)
	if err != nil {
		return nil, fmt.Errorf("asking for an impersonation: %w", err)
	}
	var same *state.Request
	if refusal == nil {
		if same, refusal, err = m.room(ctx, row); err != nil {
			return nil, fmt.Errorf("asking for an impersonation: %w", err)
		}
	}
	switch {
	case refusal != nil:
		m.refused(ctx, cur, req, refusal)
		return nil, refusal
	case same != nil:
		return same, nil
	}
	if err := m.recordRequest(ctx, cur, row, step{what: asked, ip: req.ClientIP, at: row.CreatedAt}); err != nil {
		return nil, fmt.Errorf("recording a request: %w", err)
	}
	if err := m.store.CreateRequest(ctx, row); err != nil {
		return nil, fmt.Errorf("storing a request: %w", err)
	}
	if row.State == state.RequestPending {
		m.stats.asked.Add(1)
	}
	m.armExpiry(row.ExpiresAt)
	m.tellAsked(ctx, cur, row)
	return row, nil
}

// newRequest decides what is asked for, as a start with everything it needs.
func (m *Manager) newRequest(cur *current, req StartRequest) (*state.Request, *policy.Refusal, error) {
	now := m.clock.Now()
	m.mu.RLock()
	nested := m.bySession[req.Session.ID] != nil
	m.mu.RUnlock()
	actor, target := cur.actor(&req.Session.Claims), cur.target(req.Target)
	d := cur.Policy.Decide(policy.Input{Actor: actor, Target: target.Person, Nested: nested, Now: now, ClientIP: req.ClientIP, Host: hostOf(req.Site)})
	if d.Refusal != nil {
		return nil, d.Refusal, nil
	}
	choice, refusal := cur.Policy.Settle(d, req.choice())
	if refusal != nil {
		return nil, refusal, nil
	}
	id, err := m.newID()
	if err != nil {
		return nil, nil, err
	}
	row := &state.Request{
		ID: id, State: state.RequestStepUp, Site: text(req.Site, maxSite), Actor: partyOf(actor.Identity),
		TargetID: target.ID, TargetUsername: target.Username, TargetName: target.Name,
		Mode: choice.Mode, Policy: d.Policy, Reason: choice.Reason, Ticket: choice.Ticket, Duration: choice.Duration, Emergency: choice.Emergency,
		ReturnTo: localPath(req.ReturnTo), Next: localPath(req.Next), ClientIP: address(req.ClientIP),
		CreatedAt: stored(now), ExpiresAt: stored(now.Add(loginWindow)),
	}
	if !choice.Emergency && (d.RequireApproval || d.RequireConsent) {
		row.State, row.NeedApproval, row.NeedConsent = state.RequestPending, d.RequireApproval, d.RequireConsent
		row.ExpiresAt = stored(now.Add(d.RequestLife))
	}
	return row, nil, nil
}

// room finds the open request for the very same, or sees whether there is room for another.
func (m *Manager) room(ctx context.Context, row *state.Request) (same *state.Request, refusal *policy.Refusal, err error) {
	open, err := m.store.OpenRequests(ctx)
	if err != nil {
		return nil, nil, err
	}
	now := m.clock.Now()
	var own int
	var logins []*state.Request
	for _, r := range open {
		switch {
		case identity.Key(r.Actor.Username) != identity.Key(row.Actor.Username), over(r, now):
		case r.State == state.RequestStepUp:
			logins = append(logins, r)
		default:
			if own++; r.State == row.State && sameAsked(r, row) {
				return r, nil, nil
			}
		}
	}
	if row.State == state.RequestStepUp {
		for ; len(logins) >= maxOwnLogins; logins = logins[1:] { // given up, most likely
			if err := m.store.DeleteRequest(ctx, logins[0].ID); err != nil {
				return nil, nil, err
			}
		}
		own = 0
	}
	if own >= maxOwnRequests || len(open) >= maxRequests {
		return nil, policy.Refuse(policy.RefusedRequestsTooMany), nil
	}
	return nil, nil, nil
}

func sameAsked(a, b *state.Request) bool {
	return a.Site == b.Site && a.TargetUsername == b.TargetUsername && a.TargetID == b.TargetID && a.Mode == b.Mode && a.Reason == b.Reason &&
		a.Ticket == b.Ticket && a.Duration == b.Duration && a.NeedApproval == b.NeedApproval && a.NeedConsent == b.NeedConsent
}

// over tells whether a request's time is up, whatever the store says of it yet.
func over(r *state.Request, now time.Time) bool {
	return r.Open() && !now.Before(deadline(r))
}

func deadline(r *state.Request) time.Time {
	if r.State == state.RequestApproved {
		return r.StartBy
	}
	return r.ExpiresAt
}

func partyOf(i *identity.Identity) state.Party {
	return state.Party{ID: i.ID, Username: i.Username, Name: i.Name, Email: i.Email, Groups: i.Groups, Attributes: i.Attributes}
}

// party is somebody a request names, on the facts of now: the directory's over those of then. Nobody, when the account of
// that name is another one by now.
func (cur *current) party(p *state.Party) policy.Person {
	if p.Username == "" {
		return policy.Person{}
	}
	now := cur.actor(&identity.Identity{ID: p.ID, Username: p.Username, Name: p.Name, Email: p.Email, Groups: p.Groups, Attributes: p.Attributes})
	if p.ID != "" && now.ID != p.ID {
		return policy.Person{}
	}
	return now
}

// targetOf is a request's target on the facts of now; nobody when it is another account by now.
func (cur *current) targetOf(r *state.Request) policy.Person {
	t := cur.target(r.TargetUsername)
	if t.user != nil && r.TargetID != "" && t.ID != r.TargetID {
		return policy.Person{}
	}
	return t.Person
}

// again decides on a request as if it were asked for now, from where it was.
func (cur *current) again(r *state.Request, now time.Time) (policy.Decision, policy.Input) {
	ip, _ := netip.ParseAddr(r.ClientIP)
	in := policy.Input{Actor: cur.party(&r.Actor), Target: cur.targetOf(r), Now: now, ClientIP: ip, Host: hostOf(r.Site), Locked: cur.locked(r.Actor.Username, r.TargetUsername)}
	d := cur.Policy.Decide(in)
	if d.Refusal == nil {
		if refusal := cur.Policy.Check(d, policy.Choice{Mode: r.Mode, Reason: r.Reason, Ticket: r.Ticket, Duration: r.Duration, Emergency: r.Emergency}); refusal != nil {
			return policy.Decision{Refusal: refusal}, in
		}
	}
	return d, in
}

// What happens to a request.
const (
	asked = iota
	granted
	declined
	expired
	cancelled
)

var (
	approvalEvents = [...]string{audit.EventApprovalRequested, audit.EventApprovalGranted, audit.EventApprovalRefused, audit.EventApprovalExpired, audit.EventApprovalCancelled}
	consentEvents  = [...]string{audit.EventConsentRequested, audit.EventConsentGranted, audit.EventConsentRefused, audit.EventConsentExpired, audit.EventConsentCancelled}
)

// step is one of them.
type step struct {
	what     int
	approval bool // of granted and declined: an approver's, not the target's
	by, note string
	ip       netip.Addr
	at       time.Time
}

// recordRequest writes what is about to happen to a request: for each agreement that it concerns an event. One that
// waits for nothing but a login has none.
func (m *Manager) recordRequest(ctx context.Context, cur *current, r *state.Request, s step) error {
	pairs := []any{"request", r.ID, "policy", r.Policy, "mode", r.Mode, "duration_s", seconds(r.Duration), "site", r.Site, "by", s.by, "note", s.note}
	e := audit.Event{
		Time: s.at, ImpersonationID: r.Impersonation, ActorID: r.Actor.ID, ActorUsername: r.Actor.Username, ActorName: r.Actor.Name,
		TargetID: r.TargetID, TargetUsername: r.TargetUsername, TargetName: r.TargetName,
		ClientIP: address(s.ip), Reason: r.Reason, Ticket: r.Ticket, Mode: r.Mode, Detail: audit.Detail(pairs...),
	}
	one := s.what == granted || s.what == declined
	if r.NeedApproval && (!one || s.approval) {
		e.Type = approvalEvents[s.what]
		if err := cur.events.Event(ctx, e); err != nil {
			return err
		}
	}
	if r.NeedConsent && (!one || !s.approval) {
		e.Type = consentEvents[s.what]
		return cur.events.Event(ctx, e)
	}
	return nil
}

// expireRequests closes those whose time is up, and sets the timer for the next. What can't be written is tried again;
// nothing can be done by it meanwhile.
func (m *Manager) expireRequests(ctx context.Context) {
	m.asking.Lock()
	defer m.asking.Unlock()
	cur := m.cur.Load()
	if cur == nil || m.isClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.within())
	defer cancel()
	now := m.clock.Now()
	open, err := m.store.OpenRequests(ctx)
	var next time.Time
	for _, r := range open {
		at := deadline(r)
		if over(r, now) {
			e := m.expire(ctx, cur, r)
			if e == nil {
				continue
			}
			err, at = errors.Join(err, e), now.Add(expireRetry)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if err != nil {
		m.log.Error("requests that are over can't be closed yet", "error", err)
		if next.IsZero() {
			next = now.Add(expireRetry)
		}
	}
	if !next.IsZero() {
		m.armExpiry(next)
	}
}

func (m *Manager) expire(ctx context.Context, cur *current, r *state.Request) error {
	if r.State == state.RequestStepUp {
		return m.store.DeleteRequest(ctx, r.ID)
	}
	at := stored(deadline(r))
	if err := m.recordRequest(ctx, cur, r, step{what: expired, at: stored(m.clock.Now())}); err != nil {
		return err
	}
	was := r.State
	err := m.change(ctx, r, was, func(r *state.Request) { r.State, r.ClosedAt = state.RequestExpired, at })
	if err == nil {
		m.stats.close(state.RequestExpired)
	}
	if err == nil && was == state.RequestPending {
		m.tellDecided(ctx, r, "expired", "", "")
	}
	return err
}

// armExpiry has expireRequests called at that time, or earlier.
func (m *Manager) armExpiry(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	if m.expiring != nil {
		if m.expiringAt.Before(at) && m.expiringAt.After(m.clock.Now()) {
			return
		}
		m.expiring.Stop()
	}
	m.expiringAt = at
	m.expiring = m.clock.AfterFunc(max(at.Sub(m.clock.Now()), time.Millisecond), func() { m.expireRequests(m.ctx) })
}

// errMoved tells that a request is not in the state any more that it was looked at in.
var errMoved = errors.New("the request was dealt with meanwhile")

// change stores what became of a request, if it is still what it was: of several at once, in whatever process, one wins.
func (m *Manager) change(ctx context.Context, r *state.Request, from string, f func(*state.Request)) error {
	err := m.store.UpdateRequest(ctx, r.ID, func(now *state.Request) error {
		if now.State != from || !now.ApprovedAt.Equal(r.ApprovedAt) || !now.ConsentedAt.Equal(r.ConsentedAt) {
			return errMoved
		}
		f(now)
		*r = *now
		return nil
	})
	return err
}

// Asked is a request as somebody sees it.
type Asked struct {
	*state.Request
	// Own: they asked for it. MayApprove, MayConsent: it waits for them. MayRefuse: they can also take it back.
	Own, MayApprove, MayConsent, MayRefuse bool
	// Ready: they can start it now, as far as others are concerned; Fresh: their login is recent enough for it, or it
	// needs none.
	Ready, Fresh bool
	// Now is the state, with its time taken into account.
	Now string
}

// asked is r as that session's person sees it; nil: it is none of their business.
func (cur *current) asked(r *state.Request, s *session.Session, now time.Time) *Asked {
	who := cur.actor(&s.Claims)
	if !who.Active {
		return nil
	}
	a := &Asked{Request: r, Now: r.State}
	if over(r, now) {
		a.Now = state.RequestExpired
	}
	a.Own = cur.isActor(r, who)
	if r.State == state.RequestStepUp && !a.Own {
		return nil
	}
	actor, target := cur.party(&r.Actor), cur.targetOf(r)
	approver := r.NeedApproval && actor.Identity != nil && target.Identity != nil && cur.Policy.MayApprove(r.Policy, who, actor, target)
	itself := r.NeedConsent && target.Identity != nil && who.Known && identity.Key(who.Username) == identity.Key(target.Username) && who.ID == target.ID
	decided := r.Approver.Username != "" && identity.Key(r.Approver.Username) == identity.Key(who.Username) ||
		r.ClosedBy != "" && identity.Key(r.ClosedBy) == identity.Key(who.Username)
	roles := cur.Policy.Roles(who.Identity)
	if !a.Own && !approver && !itself && !decided && !slices.Contains(roles, policy.RoleOwner) && !slices.Contains(roles, policy.RoleAuditor) {
		return nil
	}
	waits := a.Now == state.RequestPending
	a.MayApprove = waits && approver && r.ApprovedAt.IsZero()
	a.MayConsent = waits && itself && r.ConsentedAt.IsZero()
	a.MayRefuse = (waits || a.Now == state.RequestApproved) && (approver || itself)
	if a.Own && (a.Now == state.RequestApproved || a.Now == state.RequestStepUp) {
		a.Ready = true
		if d, _ := cur.again(r, now); d.Refusal == nil {
			missing := cur.Policy.Missing(d, policy.Choice{Emergency: r.Emergency}, policy.Given{Now: now, AuthTime: s.AuthTime, ACR: s.ACR, Approved: true, Consented: true})
			a.Fresh = missing == nil
		} else {
			a.Fresh = true // nothing a login could mend
		}
	}
	return a
}

// isActor tells whether somebody is who asked.
func (cur *current) isActor(r *state.Request, who policy.Person) bool {
	return identity.Key(who.Username) == identity.Key(r.Actor.Username) && (r.Actor.ID == "" || who.ID == r.Actor.ID)
}

// Asked finds a request by its id; [state.ErrNotFound] when there is none, or it is not theirs to see.
func (m *Manager) Asked(ctx context.Context, id string, s *session.Session) (*Asked, error) {
	cur := m.cur.Load()
	if cur == nil {
		return nil, ErrNotReady
	}
	r, err := m.store.Request(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("finding a request: %w", err)
	}
	if a := cur.asked(r, s, m.clock.Now()); a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("finding a request: %w", state.ErrNotFound)
}

// AskedOpen lists the open requests that somebody may see: those that wait for them first, each oldest first.
func (m *Manager) AskedOpen(ctx context.Context, s *session.Session) ([]*Asked, error) {
	cur := m.cur.Load()
	if cur == nil || !cur.Policy.Agreed() {
		return nil, nil
	}
	open, err := m.store.OpenRequests(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing requests: %w", err)
	}
	now := m.clock.Now()
	var out []*Asked
	for _, r := range open {
		if r.State == state.RequestStepUp || over(r, now) {
			continue
		}
		if a := cur.asked(r, s, now); a != nil {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b *Asked) int { return rank(a) - rank(b) })
	return out, nil
}

func rank(a *Asked) int {
	switch {
	case a.Waits():
		return 0
	case a.Own:
		return 1
	}
	return 2
}

// Waits tells whether it waits for this person's decision.
func (a *Asked) Waits() bool { return a.MayApprove || a.MayConsent }

// AskedAll lists the requests somebody may see, open or not, newest first, behind the place given, up to limit.
func (m *Manager) AskedAll(ctx context.Context, s *session.Session, behind state.Place, limit int) ([]*Asked, error) {
	cur := m.cur.Load()
	if cur == nil {
		return nil, nil
	}
	limit = min(max(limit, 1), state.MaxList)
	now := m.clock.Now()
	var out []*Asked
	for range maxPages {
		some, err := m.store.ListRequests(ctx, "", behind, lookBack)
		if err != nil {
			return nil, fmt.Errorf("listing requests: %w", err)
		}
		for _, r := range some {
			if a := cur.asked(r, s, now); a != nil {
				if out = append(out, a); len(out) == limit {
					return out, nil
				}
			}
		}
		if len(some) < lookBack {
			break
		}
		behind = state.Place{At: some[len(some)-1].CreatedAt, ID: some[len(some)-1].ID}
	}
	return out, nil
}

// How far back the requests of others are looked through for those somebody may see.
const (
	lookBack = 200
	maxPages = 10
)

// Waiting counts the requests that wait for this person's decision.
func (m *Manager) Waiting(ctx context.Context, s *session.Session) (int, error) {
	open, err := m.AskedOpen(ctx, s)
	n := 0
	for _, a := range open {
		if a.Waits() {
			n++
		}
	}
	return n, err
}
