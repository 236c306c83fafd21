package portal

import (
	"cmp"
	"fmt"
	"time"
)

// mineView is the account in use, as its actor's home page tells of it.
type mineView struct {
	*liveView
	Q                         *quickTexts
	A                         *approvalTexts
	Reason, Ticket, TicketURL string
	Since, SinceISO           string
	Emergency                 string
	// Extend is the button that prolongs it, Press its number, MayExtend how often it can still be pressed.
	Extend, MayExtend string
	Press             int
}

// mineOf tells of the viewer's live impersonation.
func (p *portal) mineOf(v *viewer) *mineView {
	l := v.live
	q := quickLanguages.In(v.t.Lang)
	m := &mineView{
		liveView: p.liveOf(v.t, l), Q: q, A: approvalLanguages.In(v.t.Lang),
		Reason: shown(l.Reason, 6*maxShown), Ticket: shown(l.Ticket, maxShown), TicketURL: p.ticketURL(l.Policy, l.Ticket),
		Since: p.stamp(l.StartedAt), SinceISO: l.StartedAt.UTC().Format(time.RFC3339),
	}
	if l.Emergency {
		m.Emergency = allHistoryTexts.In(v.t.Lang).Emergency
	}
	if left, by := l.Extension(); left > 0 {
		m.Extend, m.MayExtend, m.Press = fmt.Sprintf(q.ExtendBy, v.t.Duration(by)), v.t.Extension(by, left), l.Extensions+1
	}
	return m
}

// ticketURL is where a ticket can be read: where its policy says, or where it says itself; empty: nowhere that is known.
func (p *portal) ticketURL(policy, ticket string) string {
	return cmp.Or(p.Rules().Policy.TicketLink(policy, ticket), webAddress(ticket))
}
