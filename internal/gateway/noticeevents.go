package gateway

import (
	"context"
	"errors"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
)

// reportNotice writes to the audit what became of a notice: sent, or given up.
func (n *Node) reportNotice(ctx context.Context, o notify.Outcome) error {
	r := n.recorder.Load()
	if r == nil {
		return errors.New("no journal is open yet")
	}
	e := audit.Event{Type: audit.EventNoticeSent}
	if !o.Sent {
		e.Type = audit.EventNoticeFailed
	}
	kind := ""
	if m := o.Message; m != nil {
		kind = string(m.Kind)
		e.ImpersonationID, e.Mode = m.ImpersonationID, m.Mode
		e.ActorID, e.ActorUsername, e.ActorName = m.ActorID, m.ActorUsername, m.ActorName
		e.TargetID, e.TargetUsername, e.TargetName = m.TargetID, m.TargetUsername, m.TargetName
	}
	e.Detail = audit.Detail("kind", kind, "via", o.Via, "to", o.To.Username, "attempts", o.Attempts, "error", o.Error, "delivery", o.Delivery)
	return (*r).Event(ctx, e)
}
