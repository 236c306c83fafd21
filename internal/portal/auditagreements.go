package portal

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const (
	// askedWithin is how long before a start it may have been asked for, and how many events may tell of that.
	askedWithin = 31 * 24 * time.Hour
	maxAsked    = 20
)

// agreed is who agreed, in words; empty: nobody had to.
func (t *auditTexts) agreed(a audit.Agreement) string {
	a.ApprovedBy = shown(a.ApprovedBy, maxShown)
	return strings.Join(a.Words(t.ByNobody, t.ByTarget), " · ")
}

// asked is who agreed to an impersonation, and where wanted the events of the request it became of, the oldest first: they
// were made before it had an id, and are in no timeline.
func (p *portal) asked(ctx context.Context, i *audit.Impersonation, wanted bool) (a audit.Agreement, events []*audit.Event, err error) {
	a, err = audit.AgreementTo(ctx, p.Audit, i.ID)
	if err != nil || a.Request == "" || !wanted {
		return a, nil, err
	}
	f := audit.Filter{Q: a.Request, Actor: i.ActorUsername, From: i.Started.Add(-askedWithin), To: i.Started.Add(time.Microsecond)}
	found, err := p.Audit.Events(ctx, f, audit.Page{Limit: maxAsked, Oldest: true})
	if err != nil {
		return a, nil, err
	}
	return a, slices.DeleteFunc(found.Rows, func(e *audit.Event) bool {
		return e.ImpersonationID == i.ID || e.Agreement().Request != a.Request
	}), nil
}
