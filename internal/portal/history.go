package portal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	historyPath   = impersonation.HistoryPath
	objectionPath = historyPath + "/objection"
	historyRows   = 20
	actionRows    = 50 // of one impersonation
	// actionsWithin is how long the record of one is waited for.
	actionsWithin = 3 * time.Second
)

// historyRoutes are the pages of those whose account was used.
func (p *portal) historyRoutes() map[string]methods {
	return map[string]methods{
		historyPath:               {"GET": p.page(p.serveHistory)},
		doingsPath:                {"GET": p.page(p.serveDoings)},
		objectionPath:             {"GET": p.serveRoot, "POST": p.page(p.serveObject)},
		root + "/about-me":        {"GET": p.page(p.serveAboutMe)},
		apiRoot + "/history":      {"GET": p.api(p.apiHistory)},
		apiRoot + "/history/mine": {"GET": p.api(p.apiDoings)},
		apiRoot + "/objections":   {"POST": p.api(p.apiObject)},
	}
}

type historyPage struct {
	page
	H    *historyTexts
	Said string // what became of an objection
	Rows []historyRow
	More string // address
	// Who may use it, by which rules.
	Who     []policy.PolicyText
	D       *doingsTexts
	Doings  bool // never: it is for the tabs
	Nothing bool
}

type historyRow struct {
	ID                  string
	Actor, When, Length string
	Reason, Ticket      string
	TicketURL           string
	Mode, Ended         string
	Live, Emergency     bool
	Objected            bool
	Actions             []actionRow
	MoreActions         bool
	Unknown             bool // what was done can't be told now
}

type actionRow struct {
	When, What string
	Refused    bool
}

// used are the impersonations of the viewer's own account, newest first.
func (p *portal) used(ctx context.Context, v *viewer, behind state.Place, limit int) ([]*state.Impersonation, error) {
	all, err := p.Impersonations.ListTarget(ctx, v.actor.Username, behind, limit)
	if err != nil {
		return nil, err
	}
	own := all[:0]
	for _, i := range all {
		if i.TargetID == "" || v.actor.ID == "" || i.TargetID == v.actor.ID { // not of somebody who had the name before
			own = append(own, i)
		}
	}
	return own, nil
}

func (p *portal) serveHistory(w http.ResponseWriter, r *http.Request, v *viewer) {
	language := lang.Of(r.Header.Get("Accept-Language"))
	t := allHistoryTexts.In(language)
	behind, err := placeOf(r.URL.Query().Get("before"))
	if err != nil {
		http.Redirect(w, r, historyPath, http.StatusSeeOther)
		return
	}
	all, err := p.used(r.Context(), v, behind, historyRows+1)
	if err != nil {
		p.fail(w, r, "listing who used an account", err)
		return
	}
	d := historyPage{page: p.pageOf(r, v, t.Title), H: t, D: doingsLanguages.In(language), Nothing: len(all) == 0}
	switch r.URL.Query().Get("said") {
	case "alert":
		d.Said = t.SaidAlert
	case impersonation.ConsequenceLocked:
		d.Said = t.SaidLocked
	}
	if len(all) > historyRows {
		all = all[:historyRows]
		d.More = historyPath + "?before=" + url.QueryEscape(cursorOf(impersonation.PlaceOf(all[historyRows-1])))
	}
	var seen []string
	for n, i := range all {
		d.Rows = append(d.Rows, p.historyRow(r.Context(), t, language, i, n < 5))
		seen = append(seen, i.ID)
	}
	// They have seen it here: no bar tells them again.
	p.Impersonations.Bells().Told(r.Context(), v.actor.Username, true, p.Impersonations.IsLive, seen...)
	d.Who = v.rules.Policy.About(v.actor.Identity, language)
	p.render(w, r, http.StatusOK, "history", d)
}

func (p *portal) historyRow(ctx context.Context, t *historyTexts, language string, i *state.Impersonation, actions bool) historyRow {
	row := historyRow{
		ID: i.ID, Actor: shown(orText(i.ActorName, i.ActorUsername), maxShown), When: p.stamp(i.StartedAt),
		Reason: shown(i.Reason, policy.MaxReason), Ticket: shown(i.Ticket, maxShown), TicketURL: p.ticketURL(i.Policy, i.Ticket),
		Mode: t.modes[i.Mode], Live: i.Live(), Emergency: i.Emergency, Objected: !i.ObjectedAt.IsZero(),
	}
	if i.Live() {
		row.Length = t.Now
	} else {
		row.When = p.span(i.StartedAt, i.EndedAt)
		row.Length = notify.Length(language, i.EndedAt.Sub(i.StartedAt))
		row.Ended = notify.Cause(language, i.EndCause)
	}
	if !actions || p.Audit == nil {
		return row
	}
	ctx, cancel := context.WithTimeout(ctx, actionsWithin)
	defer cancel()
	done, err := p.Audit.Actions(ctx, i.ID, audit.Page{Limit: actionRows, Oldest: true})
	if err != nil {
		p.Log.WarnContext(ctx, "what was done in an impersonation can't be read", "impersonation", i.ID, "error", err)
		row.Unknown = true
		return row
	}
	row.MoreActions = done.Next != ""
	for _, a := range done.Rows {
		what := t.Change // an address says too much, or nothing
		if a.Named {
			what = shown(a.What, 200)
		}
		row.Actions = append(row.Actions, actionRow{When: a.Time.In(p.zone()).Format("15:04"), What: what, Refused: a.Outcome == audit.OutcomeRefused})
	}
	return row
}

// stamp is a time as a person reads it.
func (p *portal) stamp(t time.Time) string { return t.In(p.zone()).Format("2006-01-02 15:04 MST") }

// span is from when till when; the day is said once.
func (p *portal) span(from, until time.Time) string {
	from, until = from.In(p.zone()), until.In(p.zone())
	if from.Format(time.DateOnly) != until.Format(time.DateOnly) {
		return p.stamp(from) + " – " + p.stamp(until)
	}
	return from.Format("2006-01-02 15:04") + " – " + until.Format("15:04 MST")
}

func (p *portal) zone() *time.Location {
	if p.Zone != nil {
		return p.Zone
	}
	return time.UTC
}

func orText(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// serveObject takes a target's word that they did not expect it.
func (p *portal) serveObject(w http.ResponseWriter, r *http.Request, v *viewer) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	id := r.PostFormValue("impersonation")
	consequence, ok := p.object(w, r, v, id)
	if !ok {
		return
	}
	if consequence == impersonation.ConsequenceNone {
		consequence = "alert"
	}
	http.Redirect(w, r, historyPath+"?said="+url.QueryEscape(consequence), http.StatusSeeOther)
}

func (p *portal) object(w http.ResponseWriter, r *http.Request, v *viewer, id string) (consequence string, ok bool) {
	if !validID(id) {
		problem.Write(w, r, notFound())
		return "", false
	}
	consequence, err := p.Impersonations.Object(r.Context(), id, v.actor.Identity, v.from)
	switch {
	case errors.Is(err, state.ErrNotFound), errors.Is(err, impersonation.ErrNotTheirs):
		problem.Write(w, r, notFound())
		return "", false
	case err != nil:
		p.fail(w, r, "taking an objection", err)
		return "", false
	}
	return consequence, true
}

// serveAboutMe leads to what everybody may read at any time.
func (p *portal) serveAboutMe(w http.ResponseWriter, r *http.Request, _ *viewer) {
	http.Redirect(w, r, historyPath+"#about", http.StatusSeeOther)
}

type usedJSON struct {
	*impersonationJSON
	ObjectedAt *time.Time `json:"objected_at"`
}

func (p *portal) apiHistory(w http.ResponseWriter, r *http.Request, v *viewer) {
	q, bad := query(r, "limit", "cursor")
	limit, err := limitOf(q.Get("limit"))
	behind, cerr := placeOf(q.Get("cursor"))
	if err := errors.Join(bad, err, cerr); err != nil {
		problem.Write(w, r, badRequest(err.Error()))
		return
	}
	all, err := p.used(r.Context(), v, behind, limit+1)
	if err != nil {
		p.fail(w, r, "listing who used an account", err)
		return
	}
	next := ""
	if len(all) > limit {
		all = all[:limit]
		next = cursorOf(impersonation.PlaceOf(all[limit-1]))
	}
	out := make([]usedJSON, 0, len(all))
	for _, i := range all {
		out = append(out, usedJSON{v.impersonationOf(i), timeOrNull(i.ObjectedAt)})
	}
	answer(w, http.StatusOK, map[string]any{"impersonations": out, "next_cursor": next})
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (p *portal) apiObject(w http.ResponseWriter, r *http.Request, v *viewer) {
	var body struct {
		Impersonation string `json:"impersonation"`
	}
	if bad := decode(w, r, &body, "impersonation"); bad != nil {
		problem.Write(w, r, bad)
		return
	}
	if consequence, ok := p.object(w, r, v, body.Impersonation); ok {
		answer(w, http.StatusOK, map[string]any{"consequence": consequence})
	}
}
