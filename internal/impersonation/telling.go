package impersonation

import (
	"context"
	"errors"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Where the notices lead to.
const (
	HistoryPath = "/.impersonate/history"
	ReviewPath  = "/.impersonate/review"
)

// Recipient is an account as notices are sent to it.
func Recipient(u *identity.Identity) notify.Recipient {
	return notify.Recipient{ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email}
}

// maxRecipients bounds those who are told because of their role: whoever gives it to more means nobody in particular.
const maxRecipients = 100

// WithRole are the active accounts that have one of the roles, at most 100.
func (r Rules) WithRole(roles ...string) []notify.Recipient {
	var to []notify.Recipient
	has := func(u *directory.User) bool {
		if !u.Active {
			return false
		}
		for _, have := range r.Policy.Roles(&u.Identity) {
			for _, want := range roles {
				if have == want {
					return true
				}
			}
		}
		return false
	}
	for cursor := ""; len(to) < maxRecipients; {
		page, err := r.Directory.Search("", maxRecipients, cursor, has)
		if err != nil {
			break // there is no cursor of ours that it does not know
		}
		for _, u := range page.Users {
			to = append(to, Recipient(&u.Identity))
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return to[:min(len(to), maxRecipients)]
}

// MessageOf is a message about an impersonation, to nobody yet.
func MessageOf(kind notify.Kind, i *state.Impersonation) *notify.Message {
	m := &notify.Message{
		ID: "imp_" + i.ID + "_" + string(kind), Kind: kind, At: i.StartedAt, ImpersonationID: i.ID,
		ActorID: i.ActorID, ActorUsername: i.ActorUsername, ActorName: i.ActorName,
		TargetID: i.TargetID, TargetUsername: i.TargetUsername, TargetName: i.TargetName,
		Reason: i.Reason, Ticket: i.Ticket, Mode: i.Mode, Policy: i.Policy, Emergency: i.Emergency,
		StartedAt: i.StartedAt, Duration: i.ExpiresAt.Sub(i.StartedAt), Site: i.Site, Link: ReviewPath, OwnLink: HistoryPath,
	}
	if !i.EndedAt.IsZero() {
		m.At, m.EndedAt, m.EndCause, m.Duration = i.EndedAt, i.EndedAt, i.EndCause, max(0, i.EndedAt.Sub(i.StartedAt))
	}
	return m
}

// tellers are those whom a start or an end concerns.
func (cur *current) tellers(i *state.Impersonation, tellTarget, tellOwners bool) []notify.Recipient {
	var to []notify.Recipient
	if tellTarget {
		if target := cur.target(i.TargetUsername); target.user != nil {
			to = append(to, Recipient(&target.user.Identity))
		}
	}
	if tellOwners {
		to = append(to, cur.WithRole(policy.RoleOwner)...)
	}
	return to
}

// telling is what is to be stored with a start, so that there is none that people are not told of. Where the rules
// insist on it and it can't be, it is refused.
func (m *Manager) telling(ctx context.Context, cur *current, i *state.Impersonation, d policy.Decision) (state.Telling, *policy.Refusal) {
	var t state.Telling
	if d.TellTarget {
		t.Bell = &state.Bell{Username: identity.Key(i.TargetUsername), ImpersonationID: i.ID, CreatedAt: i.StartedAt}
	}
	if m.notices == nil {
		if d.RequireNotice {
			return t, policy.Refuse(policy.RefusedNotice)
		}
		return t, nil
	}
	kind := notify.KindStarted
	if i.Emergency {
		kind = notify.KindEmergencyStarted
	}
	msg := MessageOf(kind, i)
	if msg.To = cur.tellers(i, d.TellTarget, d.TellOwners || i.Emergency); len(msg.To) == 0 && !d.RequireNotice {
		return t, nil
	}
	if d.RequireNotice && !m.notices.Reaches(msg, i.TargetUsername) {
		return t, policy.Refuse(policy.RefusedUnreachable)
	}
	var err error
	if t.Notices, err = m.notices.Prepare(ctx, msg); err != nil {
		m.untold(ctx, cur, i, kind, err)
		if d.RequireNotice {
			return t, policy.Refuse(policy.RefusedNotice)
		}
	}
	return t, nil
}

// untold notes that nobody will be told.
func (m *Manager) untold(ctx context.Context, cur *current, i *state.Impersonation, kind notify.Kind, err error) {
	m.log.ErrorContext(ctx, "a notice can't be queued", "kind", kind, "impersonation", i.ID, "error", err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusedTimeout)
	defer cancel()
	if err := cur.events.Event(ctx, audit.Event{
		Time: m.clock.Now(), Type: audit.EventNoticeFailed, ImpersonationID: i.ID,
		ActorID: i.ActorID, ActorUsername: i.ActorUsername, ActorName: i.ActorName,
		TargetID: i.TargetID, TargetUsername: i.TargetUsername, TargetName: i.TargetName, Mode: i.Mode,
		Detail: audit.Detail("kind", string(kind), "error", text(err.Error(), policy.MaxReason)),
	}); err != nil {
		m.log.WarnContext(ctx, "a notice that can't be queued could not be recorded", "error", err)
	}
}

// tellEnd queues the notices of an end. It may be called again: the message is the same.
func (m *Manager) tellEnd(ctx context.Context, c *core) error {
	i, e := c.row(), c.ended.Load()
	if m.notices == nil || e.Cause == CauseStartFailed || c.toldEnd.Load() {
		return nil
	}
	cur := m.cur.Load()
	if cur == nil {
		return errors.New("no rules are in force yet")
	}
	tellTarget, tellOwners := true, false // of a policy that is gone
	if d, ok := cur.Policy.Named(i.Policy); ok {
		tellTarget, tellOwners = d.TellTarget, d.TellOwners
	}
	msg := MessageOf(notify.KindEnded, &i)
	if msg.To = cur.tellers(&i, tellTarget, tellOwners); len(msg.To) > 0 {
		ctx, cancel := context.WithTimeout(ctx, m.rowTimeout)
		defer cancel()
		switch err := m.notices.Put(ctx, msg); {
		case errors.Is(err, notify.ErrFull):
			m.untold(ctx, cur, &i, notify.KindEnded, err)
		case err != nil:
			return err
		}
	}
	c.toldEnd.Store(true)
	return nil
}
