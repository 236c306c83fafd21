package portal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// What somebody did themselves as others: read from the audit, as auditors read it, but only their own. To look at one's
// own doings is no event.

const (
	doingsPath   = historyPath + "/mine"
	doingsWithin = 10 * time.Second
)

type doingsPage struct {
	page
	H       *historyTexts
	D       *doingsTexts
	Doings  bool // always: it is for the tabs
	Rows    []doingRow
	More    string // address
	First   string // address, from further down
	Nothing bool
	Lost    bool // the audit can't be read; what is known without it is shown
	May     bool
}

type doingRow struct {
	Target, When, Length, Mode string
	Reason, Ticket, TicketURL  string
	Ended                      string
	Live, Emergency, Counted   bool
	Requests, Writes, Refusals uint64
}

// doings are a part of what the viewer did as others, newest first.
func (p *portal) doings(ctx context.Context, v *viewer, cursor string, limit int) (rows []*audit.Impersonation, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, doingsWithin)
	defer cancel()
	found, err := p.Audit.Impersonations(ctx, audit.Filter{Actor: v.actor.Username}, audit.Page{Limit: limit, Cursor: cursor})
	if err != nil {
		return nil, "", err
	}
	rows = slices.DeleteFunc(found.Rows, func(i *audit.Impersonation) bool {
		return i.ActorID != "" && v.actor.ID != "" && i.ActorID != v.actor.ID // of somebody who had the name before
	})
	return rows, found.Next, nil
}

func (p *portal) serveDoings(w http.ResponseWriter, r *http.Request, v *viewer) {
	t := doingsLanguages.In(v.t.Lang)
	d := doingsPage{H: allHistoryTexts.In(v.t.Lang), D: t, Doings: true, May: v.may}
	cursor := r.URL.Query().Get("cursor")
	rows, next, err := []*audit.Impersonation(nil), "", errUnread
	if p.Audit != nil {
		rows, next, err = p.doings(r.Context(), v, cursor, historyRows)
	}
	switch {
	case errors.Is(err, audit.ErrCursor), err != nil && cursor != "" && errors.Is(err, errUnread):
		http.Redirect(w, r, doingsPath, http.StatusSeeOther)
		return
	case err != nil && cursor != "":
		p.auditProblem(w, r, err)
		return
	case err != nil:
		d.Lost = true
		if !errors.Is(err, errUnread) {
			p.Log.WarnContext(r.Context(), "what somebody did can't be read from the audit", "actor", v.actor.Username, "error", err)
		}
	}
	// What goes on may not have reached the audit's tables yet, and the gateway itself knows of what was lately.
	if cursor == "" {
		which := "active"
		if d.Lost {
			which = "all"
		}
		known, err := p.Impersonations.List(r.Context(), v.actor.Username, which, state.Place{}, historyRows)
		if err != nil {
			p.fail(w, r, "listing impersonations", err)
			return
		}
		for _, i := range known {
			if !slices.ContainsFunc(rows, func(a *audit.Impersonation) bool { return a.ID == i.ID }) && (i.ActorID == "" || v.actor.ID == "" || i.ActorID == v.actor.ID) {
				d.Rows = append(d.Rows, p.doingOf(v, d.H, i))
			}
		}
	}
	for _, i := range rows {
		d.Rows = append(d.Rows, p.doingRow(v, d.H, i))
	}
	if next != "" {
		d.More = doingsPath + "?cursor=" + url.QueryEscape(next)
	}
	if cursor != "" {
		d.First = doingsPath
	}
	d.Nothing = len(d.Rows) == 0 && d.More == ""
	d.page = p.pageOf(r, v, t.Title)
	p.render(w, r, http.StatusOK, "doings", d)
}

// errUnread: there is no audit that could be read here.
var errUnread = errors.New("the audit can't be read here")

func (p *portal) doingRow(v *viewer, h *historyTexts, i *audit.Impersonation) doingRow {
	row := doingRow{
		Target: named(i.TargetName, i.TargetUsername, i.TargetID), Mode: h.modes[i.Mode], Reason: shown(i.Reason, policy.MaxReason),
		Ticket: shown(i.Ticket, maxShown), TicketURL: p.ticketURL(i.Policy, i.Ticket), Counted: true, Requests: i.Requests, Writes: i.Writes, Refusals: i.Refusals,
	}
	p.lasting(&row, v, h, i.Started, i.Ended, i.EndCause)
	return row
}

// doingOf is a doing as the state knows it, where the audit does not tell.
func (p *portal) doingOf(v *viewer, h *historyTexts, i *state.Impersonation) doingRow {
	row := doingRow{
		Target: named(i.TargetName, i.TargetUsername, i.TargetID), Mode: h.modes[i.Mode], Reason: shown(i.Reason, policy.MaxReason),
		Ticket: shown(i.Ticket, maxShown), TicketURL: p.ticketURL(i.Policy, i.Ticket), Emergency: i.Emergency,
	}
	p.lasting(&row, v, h, i.StartedAt, timeOrNull(i.EndedAt), i.EndCause)
	return row
}

func (p *portal) lasting(row *doingRow, v *viewer, h *historyTexts, started time.Time, ended *time.Time, cause string) {
	if ended == nil {
		row.When, row.Length, row.Live = p.stamp(started), h.Now, true
		return
	}
	row.When, row.Length, row.Ended = p.span(started, *ended), notify.Length(v.t.Lang, ended.Sub(started)), doingsLanguages.In(v.t.Lang).cause(cause, notify.Cause(v.t.Lang, cause))
}

type doingJSON struct {
	*audit.Impersonation
	TicketURL string `json:"ticket_url,omitempty"`
}

func (p *portal) apiDoings(w http.ResponseWriter, r *http.Request, v *viewer) {
	q, bad := query(r, "limit", "cursor")
	limit, err := limitOf(q.Get("limit"))
	if err := errors.Join(bad, err); err != nil {
		problem.Write(w, r, badRequest(err.Error()))
		return
	}
	if p.Audit == nil {
		problem.Write(w, r, unreadable("None of the audit's sinks can be read through the gateway."))
		return
	}
	rows, next, err := p.doings(r.Context(), v, q.Get("cursor"), limit)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	out := make([]doingJSON, 0, len(rows))
	for _, i := range rows {
		out = append(out, doingJSON{i, p.ticketURL(i.Policy, i.Ticket)})
	}
	answer(w, http.StatusOK, map[string]any{"impersonations": out, "next_cursor": next})
}
