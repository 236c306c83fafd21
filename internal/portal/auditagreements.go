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
	if a.Emergency {
		return t.ByNobody
	}
	var who []string
	if a.ApprovedBy != "" {
		who = append(who, shown(a.ApprovedBy, maxShown))
	}
	if a.Consented {
		who = append(who, t.ByTarget)
	}
	return strings.Join(who, " · ")
}

// asked is who agreed to an impersonation, and where wanted the events of the request it became of, the oldest first: they
// were made before it had an id, and are in no timeline.
func (p *portal) asked(ctx context.Context, i *audit.Impersonation, wanted bool) (a audit.Agreement, events []*audit.Event, err error) {
	start, err := p.Audit.Events(ctx, audit.Filter{Impersonation: i.ID, Type: audit.EventImpersonationStarted}, audit.Page{Limit: 1})
	if err != nil || len(start.Rows) == 0 {
		return a, nil, err
	}
	a = start.Rows[0].Agreement()
	if a.Request == "" || !wanted {
		return a, nil, nil
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
