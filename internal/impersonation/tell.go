package impersonation

import (
	"context"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// maxTold is how many people are told of one thing: whoever names a group of hundreds as approvers means it for the portal.
const maxTold = 100

// RequestPath is the page of a request, below the site's origin.
func RequestPath(id string) string { return "/.impersonate/requests/" + id }

// tellAsked tells those whose agreement is asked for.
func (m *Manager) tellAsked(ctx context.Context, cur *current, r *state.Request) {
	if r.State != state.RequestPending || m.notices == nil {
		return
	}
	if r.NeedApproval {
		actor, target := cur.party(&r.Actor), cur.targetOf(r)
		msg := aboutRequest(r, notify.KindApprovalRequest)
		msg.To = cur.recipients(func(u *directory.User) bool {
			p := policy.Person{Identity: &u.Identity, Known: true, Active: u.Active}
			return actor.Identity != nil && target.Identity != nil && cur.Policy.MayApprove(r.Policy, p, actor, target)
		})
		m.put(ctx, msg)
	}
	if t := cur.target(r.TargetUsername); r.NeedConsent && t.user != nil {
		msg := aboutRequest(r, notify.KindConsentRequest)
		msg.To = []notify.Recipient{recipient(&t.user.Identity)}
		m.put(ctx, msg)
	}
}

// tellDecided tells the actor what became of a request.
func (m *Manager) tellDecided(ctx context.Context, r *state.Request, decision, by, note string) {
	if m.notices == nil {
		return
	}
	msg := aboutRequest(r, notify.KindRequestDecided)
	msg.At, msg.Decision, msg.By, msg.Note = m.clock.Now(), decision, by, note
	msg.Expires = r.StartBy
	msg.To = []notify.Recipient{{ID: r.Actor.ID, Username: r.Actor.Username, Name: r.Actor.Name, Email: r.Actor.Email}}
	m.put(ctx, msg)
}

func aboutRequest(r *state.Request, kind notify.Kind) *notify.Message {
	return &notify.Message{
		Kind: kind, At: r.CreatedAt, RequestID: r.ID, ImpersonationID: r.Impersonation,
		ActorID: r.Actor.ID, ActorUsername: r.Actor.Username, ActorName: r.Actor.Name,
		TargetID: r.TargetID, TargetUsername: r.TargetUsername, TargetName: r.TargetName,
		Reason: r.Reason, Ticket: r.Ticket, Mode: r.Mode, Policy: r.Policy, Duration: r.Duration,
		Site: r.Site, Link: RequestPath(r.ID), Expires: r.ExpiresAt,
	}
}

// recipients are the people of the directory who are meant.
func (cur *current) recipients(meant func(*directory.User) bool) []notify.Recipient {
	page, err := cur.Directory.Search("", maxTold, "", meant)
	if err != nil {
		return nil
	}
	out := make([]notify.Recipient, 0, len(page.Users))
	for _, u := range page.Users {
		out = append(out, recipient(&u.Identity))
	}
	return out
}

func recipient(i *identity.Identity) notify.Recipient {
	return notify.Recipient{ID: i.ID, Username: i.Username, Name: i.Name, Email: i.Email}
}

// put queues a notice. Whoever can't be told finds it in the portal, so nothing waits for it.
func (m *Manager) put(ctx context.Context, msg *notify.Message) {
	if err := m.notices.Put(ctx, msg); err != nil {
		m.log.Error("people can't be told", "kind", msg.Kind, "request", msg.RequestID, "impersonation", msg.ImpersonationID, "error", err)
	}
}
