package impersonation

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	// writeTimeout bounds a write that goes on although whoever asked for it has left: a start half done is worse
	// than one completed for a closed tab.
	writeTimeout = 10 * time.Second
	// refusedTimeout bounds how long a refusal waits for its event, which is written best effort.
	refusedTimeout = 2 * time.Second
	maxReturnTo    = 2048
	maxSite        = 512
	maxTypedTarget = 200
)

// Start begins an impersonation for the request's session. It returns once the event is durable and the state is
// stored; only then is it in effect. A *[policy.Refusal] says why it may not be; any other error, that it could not
// be: in both cases nothing has started. Of several at once for one session exactly one can win.
func (m *Manager) Start(ctx context.Context, req StartRequest) (*Live, error) {
	cur := m.cur.Load()
	if cur == nil || m.isClosed() {
		return nil, ErrNotReady
	}
	if req.Session == nil {
		return nil, errors.New("starting an impersonation: no session")
	}
	m.Of(ctx, req.Session.ID) // what is over frees its place
	asked, refusal, err := m.requested(ctx, cur, &req)
	var c *core
	if err == nil && refusal == nil {
		c, refusal, err = m.prepare(cur, req, asked)
	}
	if err != nil {
		return nil, fmt.Errorf("starting an impersonation: %w", err)
	}
	if refusal != nil {
		if !wanting(refusal) {
			m.refused(ctx, cur, req, refusal)
		}
		return nil, refusal
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.within())
	defer cancel()
	row := c.view.Load().Impersonation
	told, refusal := m.telling(ctx, cur, &row, c.verdict.Load().decision)
	if refusal != nil {
		m.abandon(c)
		m.refused(ctx, cur, req, refusal)
		return nil, refusal
	}
	if err := m.settle(ctx, row.Session); err != nil {
		m.abandon(c)
		return nil, fmt.Errorf("storing the end of the one before: %w", err)
	}
	if refusal, err := m.claim(ctx, asked, row.ID); refusal != nil || err != nil {
		m.abandon(c)
		if err != nil {
			return nil, fmt.Errorf("taking the request of an impersonation: %w", err)
		}
		m.refused(ctx, cur, req, refusal)
		return nil, refusal
	}
	if err := m.recordStart(ctx, cur, &row, asked, req.ClientIP); err != nil {
		m.abandon(c)
		if ctx.Err() != nil || errors.Is(err, audit.ErrUnconfirmed) { // it may yet become durable, so it gets its end
			m.record(c)
		}
		m.release(asked, row.ID)
		return nil, fmt.Errorf("recording the start of an impersonation: %w", err)
	}
	m.stats.started.Add(1)
	if err := m.store.CreateImpersonation(ctx, &row, told); err != nil {
		m.stats.end(CauseStartFailed)
		m.abandon(c)
		m.record(c)
		m.release(asked, row.ID)
		return nil, fmt.Errorf("storing an impersonation: %w", err)
	}

	if row.Request != "" {
		m.stats.close(state.RequestStarted)
	}
	if told.Bell != nil {
		m.bells.add(told.Bell)
	}
	if len(told.Notices) > 0 {
		m.notices.Wake()
	}

	c.mu.Lock()
	ended := c.ended.Load()
	c.effective.Store(ended == nil)
	c.mu.Unlock()
	if ended != nil { // by a logout or a change of facts, while this was writing
		m.forget(c)
		m.record(c)
		return nil, fmt.Errorf("starting an impersonation: %w", ended)
	}
	m.arm(c)
	m.armSaving()
	m.armRecheck()
	return c.view.Load(), nil
}

// recordStart writes the events of a start.
func (m *Manager) recordStart(ctx context.Context, cur *current, i *state.Impersonation, asked *state.Request, ip netip.Addr) error {
	e := started(i, asked, cur.Policy.TicketLink(i.Policy, i.Ticket), ip)
	if i.Emergency {
		louder := e
		louder.Type = audit.EventEmergencyStarted
		if err := cur.events.Event(ctx, louder); err != nil {
			return err
		}
	}
	return cur.events.Event(ctx, e)
}

// prepare decides, and takes the session's place for what it makes: nothing is in effect yet.
// Asked is the request it is started by; nil: none.
func (m *Manager) prepare(cur *current, req StartRequest, asked *state.Request) (*core, *policy.Refusal, error) {
	now := m.clock.Now()
	id := req.Session.ID
	m.mu.RLock()
	nested := m.bySession[id] != nil
	m.mu.RUnlock()
	generation := cur.Directory.Generation() // before the facts: a change in between makes this decision an old one
	actor, target := cur.actor(&req.Session.Claims), cur.target(req.Target)
	from := From{IP: req.ClientIP, Host: hostOf(req.Site)}
	in := policy.Input{
		Actor: actor, Target: target.Person, Nested: nested, Now: now, ClientIP: from.IP, Host: from.Host, Live: m.LiveOf,
		Locked: target.user != nil && m.Locked(actor.Username, target.Username),
	}
	d := cur.Policy.Decide(in)
	if d.Refusal != nil {
		return nil, d.Refusal, nil
	}
	choice, refusal := cur.Policy.Settle(d, req.choice())
	if refusal != nil {
		return nil, refusal, nil
	}
	given, refusal := cur.given(asked, req.Session, d, in)
	if refusal == nil {
		refusal = cur.Policy.Missing(d, choice, given)
	}
	if refusal != nil {
		return nil, refusal, nil
	}
	newID, err := m.newID()
	if err != nil {
		return nil, nil, err
	}
	at := stored(now)
	row := state.Impersonation{
		ID: newID, Session: id, Site: text(req.Site, maxSite),
		ActorID: actor.ID, ActorUsername: actor.Username, ActorName: actor.Name,
		TargetID: target.ID, TargetUsername: target.Username, TargetName: target.Name,
		Mode: choice.Mode, Policy: d.Policy, Reason: choice.Reason, Ticket: choice.Ticket, ReturnTo: localPath(req.ReturnTo),
		StartedAt: at, ExpiresAt: at.Add(choice.Duration), Idle: d.Idle, LastSeen: at,
		Emergency: choice.Emergency,
	}
	if asked != nil && asked.State == state.RequestApproved {
		row.Request, row.ApprovedBy = asked.ID, asked.Approver.Username
	}
	c := newCore(row, now, now, choice.Duration, req.Session.Claims)
	c.verdict.Store(&verdict{on: cur.name, generation: generation, target: target.user, decision: d, at: now, from: from, known: true})

	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return nil, nil, ErrNotReady
	case m.bySession[id] != nil: // another start was faster
		in.Nested = true
		in.Live = nil // it would wait for what is held here
		return nil, cur.Policy.Decide(in).Refusal, nil
	}
	// Others may have started meanwhile: of several at once, no more than the limit can win.
	if r := d.Full(m.places.live(identity.Key(actor.Username), identity.Key(target.Username), now)); r != nil {
		return nil, r, nil
	}
	m.bySession[id], m.byID[newID] = c, c
	m.places.add(c)
	m.count.Store(int64(len(m.bySession)))
	return c, nil, nil
}

func (r *StartRequest) choice() policy.Choice {
	return policy.Choice{Mode: r.Mode, Reason: r.Reason, Ticket: r.Ticket, Duration: r.Duration, Emergency: r.Emergency}
}

func (m *Manager) isClosed() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.closed
}

// newID is random and public; it opens nothing.
func (m *Manager) newID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(m.rand, b[:]); err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// settle writes the ends of the session's earlier ones that the store has not taken yet: it holds one live
// impersonation a session.
func (m *Manager) settle(ctx context.Context, session state.Hash) error {
	var before []*core
	m.mu.RLock()
	for _, c := range m.pending {
		if c.view.Load().Session == session {
			before = append(before, c)
		}
	}
	m.mu.RUnlock()
	for _, c := range before {
		if err := m.writeEnd(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// abandon gives up one that has not taken effect.
func (m *Manager) abandon(c *core) {
	e := &Ended{Cause: CauseStartFailed, At: stored(m.clock.Now())}
	if c.ended.CompareAndSwap(nil, e) {
		c.cancel(e)
	}
	m.forget(c)
}

// refused writes the event of a refusal: best effort, for there is nothing to be kept from happening.
func (m *Manager) refused(ctx context.Context, cur *current, req StartRequest, r *policy.Refusal) {
	m.stats.refused.Add(1)
	m.Complain(r)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusedTimeout)
	defer cancel()
	actor, target := cur.actor(&req.Session.Claims), cur.target(req.Target)
	e := audit.Event{
		Time: m.clock.Now(), Type: audit.EventImpersonationRefused, ActorID: actor.ID, ActorUsername: actor.Username, ActorName: actor.Name,
		TargetUsername: text(req.Target, maxTypedTarget), ClientIP: address(req.ClientIP),
		Reason: text(req.Reason, policy.MaxReason), Ticket: text(req.Ticket, policy.MaxTicket), Detail: audit.Detail("refusal", r.Code),
	}
	if r.Cause != nil {
		e.Detail = audit.Detail("refusal", r.Code, "error", text(r.Cause.Error(), policy.MaxReason))
	}
	if target.user != nil {
		e.TargetID, e.TargetUsername, e.TargetName = target.ID, target.Username, target.Name
	}
	if err := cur.events.Event(ctx, e); err != nil {
		m.log.WarnContext(ctx, "a refused impersonation could not be recorded", "actor", actor.Username, "refusal", r.Code, "error", err)
	}
}

// started is the event of a start.
func started(i *state.Impersonation, asked *state.Request, ticketURL string, ip netip.Addr) audit.Event {
	pairs := []any{
		"policy", i.Policy, "mode", i.Mode, "duration_s", seconds(i.ExpiresAt.Sub(i.StartedAt)), "idle_s", seconds(i.Idle), "site", i.Site, "ticket_url", ticketURL,
	}
	if i.Request != "" {
		pairs = append(pairs, "request", i.Request, "approved_by", i.ApprovedBy, "consented", !asked.ConsentedAt.IsZero())
	}
	if i.Emergency {
		pairs = append(pairs, "emergency", true)
	}
	return audit.Event{
		Time: i.StartedAt, Type: audit.EventImpersonationStarted, ImpersonationID: i.ID,
		ActorID: i.ActorID, ActorUsername: i.ActorUsername, ActorName: i.ActorName,
		TargetID: i.TargetID, TargetUsername: i.TargetUsername, TargetName: i.TargetName,
		ClientIP: address(ip), Reason: i.Reason, Ticket: i.Ticket, Mode: i.Mode,
		Detail: audit.Detail(pairs...),
	}
}

// person is somebody as policy sees them, and the directory's account, if it has one.
type person struct {
	policy.Person
	user *directory.User
}

// target looks an account up; nobody when the directory does not know it.
func (cur *current) target(username string) person {
	u, ok := cur.Directory.Lookup(username)
	if !ok {
		return person{}
	}
	return person{policy.Person{Identity: &u.Identity, Known: true, Active: u.Active}, u}
}

// localPath is a path of the same site, or "/": what a browser would take for another host, or could be made to
// (backslashes, controls), never gets stored.
func localPath(s string) string {
	if len(s) > maxReturnTo || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.ContainsFunc(s, func(r rune) bool { return r == '\\' || r == unicode.ReplacementChar || unicode.IsControl(r) }) {
		return "/"
	}
	return s
}

// text is what somebody wrote, cleaned and cut.
func text(s string, most int) string {
	s = policy.CleanText(s)
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i]
		}
	}
	return s
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}
