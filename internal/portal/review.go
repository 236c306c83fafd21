package portal

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	reviewPath = impersonation.ReviewPath
	reviewRows = 50
)

// reviewRoutes are the pages of owners and auditors who look at what was done.
func (p *portal) reviewRoutes() map[string]methods {
	return map[string]methods{
		reviewPath:              {"GET": p.page(p.reviewer(p.serveReview))},
		reviewPath + "/mark":    {"GET": p.serveRoot, "POST": p.page(p.reviewer(p.serveMark))},
		reviewPath + "/unlock":  {"GET": p.serveRoot, "POST": p.page(p.reviewer(p.serveUnlock))},
		apiRoot + "/reviews":    {"GET": p.api(p.reviewer(p.apiReviews)), "POST": p.api(p.reviewer(p.apiReview))},
		apiRoot + "/locks":      {"GET": p.api(p.reviewer(p.apiLocks))},
		apiRoot + "/locks/lift": {"POST": p.api(p.reviewer(p.apiUnlock))},
	}
}

// reviewer lets owners and auditors through.
func (p *portal) reviewer(serve func(http.ResponseWriter, *http.Request, *viewer)) func(http.ResponseWriter, *http.Request, *viewer) {
	return func(w http.ResponseWriter, r *http.Request, v *viewer) {
		if !v.overseer() {
			problem.Write(w, r, forbidden("Only owners and auditors review impersonations."))
			return
		}
		serve(w, r, v)
	}
}

type reviewPage struct {
	page
	V       *reviewTexts
	Rows    []reviewRow
	Locks   []lockRow
	More    string
	Owner   bool
	Waiting bool // only those nobody has reviewed
}

type reviewRow struct {
	ID, Actor, Target, When, Length, Reason, Ticket, Mode, Ended string
	TicketURL                                                    string
	Odd                                                          []string
	Live, Emergency, Objected, Own                               bool // Own: somebody else has to review it
	Reviewed, Note                                               string
}

// lockRow is a pair as the form names it, and as it is drawn.
type lockRow struct{ Actor, Target, Who, Whom, Since string }

// listed are the impersonations to review, newest first; waiting: emergencies and objections nobody has reviewed.
func (p *portal) listed(r *http.Request, waiting bool, behind state.Place, limit int) ([]*state.Impersonation, error) {
	var out []*state.Impersonation
	for {
		some, err := p.Impersonations.List(r.Context(), "", "all", behind, state.MaxList)
		if err != nil {
			return nil, err
		}
		for _, i := range some {
			if waiting && (!i.ReviewedAt.IsZero() || !i.Emergency && i.ObjectedAt.IsZero()) {
				continue
			}
			if out = append(out, i); len(out) == limit {
				return out, nil
			}
		}
		if len(some) < state.MaxList {
			return out, nil
		}
		behind = impersonation.PlaceOf(some[len(some)-1])
	}
}

func (p *portal) serveReview(w http.ResponseWriter, r *http.Request, v *viewer) {
	language := lang.Of(r.Header.Get("Accept-Language"))
	t := allReviewTexts.In(language)
	q := r.URL.Query()
	behind, err := placeOf(q.Get("before"))
	if err != nil {
		http.Redirect(w, r, reviewPath, http.StatusSeeOther)
		return
	}
	d := reviewPage{V: t, Owner: v.has(policy.RoleOwner), Waiting: q.Get("waiting") != ""}
	all, err := p.listed(r, d.Waiting, behind, reviewRows+1)
	if err != nil {
		p.fail(w, r, "listing impersonations", err)
		return
	}
	locks, err := p.Impersonations.Locks(r.Context())
	if err != nil {
		p.fail(w, r, "listing locks", err)
		return
	}
	d.page = p.pageOf(r, v, t.Title)
	if len(all) > reviewRows {
		all = all[:reviewRows]
		next := url.Values{"before": {cursorOf(impersonation.PlaceOf(all[reviewRows-1]))}}
		if d.Waiting {
			next.Set("waiting", "1")
		}
		d.More = reviewPath + "?" + next.Encode()
	}
	for _, i := range all {
		row := p.reviewRow(t, language, i)
		row.Own = v.own(i)
		d.Rows = append(d.Rows, row)
	}
	for _, l := range locks {
		d.Locks = append(d.Locks, lockRow{l.ActorUsername, l.TargetUsername, shown(l.ActorUsername, maxShown), shown(l.TargetUsername, maxShown), p.stamp(l.CreatedAt)})
	}
	p.render(w, r, http.StatusOK, "review", d)
}

func (p *portal) reviewRow(t *reviewTexts, language string, i *state.Impersonation) reviewRow {
	row := reviewRow{
		ID: i.ID, Actor: shown(orText(i.ActorName, i.ActorUsername), maxShown), Target: shown(orText(i.TargetName, i.TargetUsername), maxShown),
		When: p.stamp(i.StartedAt), Reason: shown(i.Reason, policy.MaxReason), Ticket: shown(i.Ticket, maxShown), TicketURL: p.ticketURL(i.Policy, i.Ticket), Mode: t.modes[i.Mode], Live: i.Live(), Emergency: i.Emergency, Objected: !i.ObjectedAt.IsZero(),
		Note: shown(i.ReviewNote, policy.MaxReason),
	}
	if !i.Live() {
		row.Length, row.Ended = notify.Length(language, i.EndedAt.Sub(i.StartedAt)), notify.Cause(language, i.EndCause)
	}
	for _, code := range []string{notify.OddEmergency, notify.OddObjection} {
		if code == notify.OddEmergency && i.Emergency || code == notify.OddObjection && row.Objected {
			row.Odd = append(row.Odd, notify.Oddity(language, code))
		}
	}
	if !i.ReviewedAt.IsZero() {
		row.Reviewed = shown(i.ReviewedBy, maxShown) + ", " + p.stamp(i.ReviewedAt)
	}
	return row
}

func (p *portal) serveMark(w http.ResponseWriter, r *http.Request, v *viewer) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if _, ok := p.mark(w, r, v, r.PostFormValue("impersonation"), r.PostFormValue("note")); ok {
		http.Redirect(w, r, reviewPath+"#i-"+url.PathEscape(r.PostFormValue("impersonation")), http.StatusSeeOther)
	}
}

func (p *portal) mark(w http.ResponseWriter, r *http.Request, v *viewer, id, note string) (*state.Impersonation, bool) {
	if !validID(id) {
		problem.Write(w, r, notFound())
		return nil, false
	}
	i, err := p.Impersonations.Get(r.Context(), id)
	switch {
	case errors.Is(err, state.ErrNotFound):
		problem.Write(w, r, notFound())
		return nil, false
	case err == nil && v.own(i):
		problem.Write(w, r, forbidden("Somebody else has to review what you did."))
		return nil, false
	case err == nil:
		i, err = p.Impersonations.Review(r.Context(), id, v.actor.Identity, v.from, note)
	}
	if err != nil {
		p.fail(w, r, "noting a review", err)
		return nil, false
	}
	return i, true
}

func (p *portal) serveUnlock(w http.ResponseWriter, r *http.Request, v *viewer) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if p.unlock(w, r, v, r.PostFormValue("actor"), r.PostFormValue("target"), r.PostFormValue("note")) {
		http.Redirect(w, r, reviewPath, http.StatusSeeOther)
	}
}

func (p *portal) unlock(w http.ResponseWriter, r *http.Request, v *viewer, actor, target, note string) bool {
	if !v.has(policy.RoleOwner) {
		problem.Write(w, r, forbidden("Only owners lift a lock."))
		return false
	}
	if note = policy.CleanText(note); note == "" {
		problem.Write(w, r, badRequest("note: write down why the lock is lifted"))
		return false
	}
	err := p.Impersonations.Unlock(r.Context(), actor, target, v.actor.Identity, v.from, note)
	switch {
	case errors.Is(err, state.ErrNotFound):
		problem.Write(w, r, notFound())
		return false
	case err != nil:
		p.fail(w, r, "lifting a lock", err)
		return false
	}
	return true
}

type reviewJSON struct {
	*impersonationJSON
	Emergency  bool       `json:"emergency"`
	ObjectedAt *time.Time `json:"objected_at"`
	ReviewedAt *time.Time `json:"reviewed_at"`
	ReviewedBy string     `json:"reviewed_by"`
	ReviewNote string     `json:"review_note"`
}

func (v *viewer) reviewOf(i *state.Impersonation) reviewJSON {
	return reviewJSON{v.impersonationOf(i), i.Emergency, timeOrNull(i.ObjectedAt), timeOrNull(i.ReviewedAt), i.ReviewedBy, i.ReviewNote}
}

func (p *portal) apiReviews(w http.ResponseWriter, r *http.Request, v *viewer) {
	q, bad := query(r, "waiting", "limit", "cursor")
	limit, err := limitOf(q.Get("limit"))
	behind, cerr := placeOf(q.Get("cursor"))
	if err := errors.Join(bad, err, cerr); err != nil {
		problem.Write(w, r, badRequest(err.Error()))
		return
	}
	all, err := p.listed(r, q.Get("waiting") == "true", behind, limit+1)
	if err != nil {
		p.fail(w, r, "listing impersonations", err)
		return
	}
	next := ""
	if len(all) > limit {
		all = all[:limit]
		next = cursorOf(impersonation.PlaceOf(all[limit-1]))
	}
	out := make([]reviewJSON, 0, len(all))
	for _, i := range all {
		out = append(out, v.reviewOf(i))
	}
	answer(w, http.StatusOK, map[string]any{"reviews": out, "next_cursor": next})
}

func (p *portal) apiReview(w http.ResponseWriter, r *http.Request, v *viewer) {
	var body struct {
		Impersonation string `json:"impersonation"`
		Note          string `json:"note"`
	}
	if bad := decode(w, r, &body, "impersonation", "note"); bad != nil {
		problem.Write(w, r, bad)
		return
	}
	if i, ok := p.mark(w, r, v, body.Impersonation, body.Note); ok {
		answer(w, http.StatusOK, v.reviewOf(i))
	}
}

type lockJSON struct {
	Actor         string    `json:"actor"`
	Target        string    `json:"target"`
	Impersonation string    `json:"impersonation"`
	CreatedAt     time.Time `json:"created_at"`
}

func (p *portal) apiLocks(w http.ResponseWriter, r *http.Request, _ *viewer) {
	all, err := p.Impersonations.Locks(r.Context())
	if err != nil {
		p.fail(w, r, "listing locks", err)
		return
	}
	out := make([]lockJSON, 0, len(all))
	for _, l := range all {
		out = append(out, lockJSON{l.ActorUsername, l.TargetUsername, l.ImpersonationID, l.CreatedAt})
	}
	answer(w, http.StatusOK, map[string]any{"locks": out})
}

func (p *portal) apiUnlock(w http.ResponseWriter, r *http.Request, v *viewer) {
	var body struct {
		Actor  string `json:"actor"`
		Target string `json:"target"`
		Note   string `json:"note"`
	}
	if bad := decode(w, r, &body, "actor", "target", "note"); bad != nil {
		problem.Write(w, r, bad)
		return
	}
	if p.unlock(w, r, v, body.Actor, body.Target, body.Note) {
		w.WriteHeader(http.StatusNoContent)
	}
}
