package portal

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const ownerRoot = root + "/owner"

// ownerRoutes are the pages of those in charge.
func (p *portal) ownerRoutes() map[string]methods {
	return map[string]methods{
		ownerRoot:             {"GET": p.page(p.serveOwner)},
		ownerRoot + "/end":    {"GET": p.page(p.serveOwner), "POST": p.page(p.serveOwnerEnd)},
		ownerRoot + "/unlock": {"GET": p.page(p.serveOwner), "POST": p.page(p.serveOwnerUnlock)},
	}
}

type ownerPage struct {
	page
	O    *ownerTexts
	Rows []ownerRow
	// More: there are so many that not all are drawn.
	More bool
	// Locks are the pairs that an objection keeps apart; MoreLocks: not all are drawn.
	Locks     []ownerLock
	MoreLocks bool
	// Rules are those in force, as people read them.
	Rules policy.Description
	// Retention is how long the audit is kept; nil: nobody changes it here.
	Retention *retentionView
}

// ownerRow is somebody in another's account.
type ownerRow struct {
	ID, Actor, Target, Reason, Mode, Policy string
	Ticket, TicketURL                       string
	Since, SinceISO, Left, End              string
	Emergency                               bool
}

// ownerLock is a pair as the form names it, and as it is drawn, with what was objected to.
type ownerLock struct {
	Actor, Target, Who, Whom          string
	Since, SinceISO, Used, Reason, Of string
	Ticket, TicketURL                 string
	Unlock                            string
}

// ownerRows bounds how many are drawn: those who have more use the API.
const ownerRows = 50

// serveOwner shows who is in whose account now.
func (p *portal) serveOwner(w http.ResponseWriter, r *http.Request, v *viewer) {
	t := ownerLanguages.In(v.t.Lang)
	if !v.owner() {
		problem.Write(w, r, forbidden("This page is for owners."))
		return
	}
	live, err := p.Impersonations.List(r.Context(), "", "active", state.Place{}, ownerRows+1)
	if err != nil {
		p.fail(w, r, "listing impersonations", err)
		return
	}
	d := ownerPage{O: t, More: len(live) > ownerRows, Rules: v.rules.Policy.Describe(v.t.Lang)}
	now := p.Clock.Now()
	for _, i := range live[:min(len(live), ownerRows)] {
		actor := shown(cmp.Or(i.ActorName, i.ActorUsername), maxShown)
		target := shown(cmp.Or(i.TargetName, i.TargetUsername), maxShown)
		d.Rows = append(d.Rows, ownerRow{
			ID: i.ID, Actor: withUsername(actor, i.ActorUsername), Target: withUsername(target, i.TargetUsername),
			Reason: shown(i.Reason, 3*maxShown), Ticket: shown(i.Ticket, maxShown), TicketURL: p.ticketURL(i.Policy, i.Ticket), Mode: v.t.Mode(i.Mode), Policy: shown(i.Policy, maxShown), Emergency: i.Emergency,
			Since: plainTime(i.StartedAt), SinceISO: i.StartedAt.UTC().Format(time.RFC3339), Left: v.t.Left(max(i.ExpiresAt.Sub(now), 0)), End: t.end(actor, target),
		})
	}
	if p.Retention != nil {
		s, err := p.Retention.Setting(r.Context())
		if err != nil {
			p.fail(w, r, "reading the retention", err)
			return
		}
		d.Retention = p.retentionView(retentionLanguages.In(v.t.Lang), s)
	}
	if d.Locks, d.MoreLocks, err = p.ownerLocks(r, v, t); err != nil {
		p.fail(w, r, "listing locks", err)
		return
	}
	d.page = p.pageOf(r, v, t.Heading)
	p.render(w, r, http.StatusOK, "owner", d)
}

// ownerLocks are the pairs that are kept apart, the newest first.
func (p *portal) ownerLocks(r *http.Request, v *viewer, t *ownerTexts) (rows []ownerLock, more bool, err error) {
	locks, err := p.Impersonations.Locks(r.Context())
	if err != nil {
		return nil, false, err
	}
	slices.Reverse(locks)
	more = len(locks) > ownerRows
	for _, l := range locks[:min(len(locks), ownerRows)] {
		row := ownerLock{Actor: l.ActorUsername, Target: l.TargetUsername, Who: v.whoIs(l.ActorUsername), Whom: v.whoIs(l.TargetUsername), Since: p.stamp(l.CreatedAt), SinceISO: l.CreatedAt.UTC().Format(time.RFC3339)}
		row.Unlock = t.unlock(row.Who, row.Whom)
		i, err := p.Impersonations.Get(r.Context(), l.ImpersonationID)
		switch {
		case err == nil:
			row.Of, row.Used, row.Reason = i.ID, p.stamp(i.StartedAt), shown(i.Reason, 3*maxShown)
			row.Ticket, row.TicketURL = shown(i.Ticket, maxShown), p.ticketURL(i.Policy, i.Ticket)
		case !errors.Is(err, state.ErrNotFound): // it is older than what the state keeps
			return nil, false, err
		}
		rows = append(rows, row)
	}
	return rows, more, nil
}

// whoIs names an account by its username.
func (v *viewer) whoIs(username string) string {
	if u, ok := v.rules.Directory.Lookup(username); ok {
		return named(u.Name, u.Username, u.ID)
	}
	return shown(username, maxShown)
}

// serveOwnerUnlock lifts a lock, with a word on why.
func (p *portal) serveOwnerUnlock(w http.ResponseWriter, r *http.Request, v *viewer) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		problem.Write(w, r, badRequest("The form could not be read."))
		return
	}
	if p.unlock(w, r, v, r.PostForm.Get("actor"), r.PostForm.Get("target"), r.PostForm.Get("note")) {
		http.Redirect(w, r, ownerRoot+"#locks", http.StatusSeeOther)
	}
}

// serveOwnerEnd ends one. Ending what has ended is no error: somebody else was quicker.
func (p *portal) serveOwnerEnd(w http.ResponseWriter, r *http.Request, v *viewer) {
	if !v.owner() {
		problem.Write(w, r, forbidden("This page is for owners."))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		problem.Write(w, r, badRequest("The form could not be read."))
		return
	}
	id := r.PostForm.Get("id")
	if !validID(id) {
		problem.Write(w, r, notFound())
		return
	}
	i, err := p.Impersonations.Get(r.Context(), id)
	switch {
	case errors.Is(err, state.ErrNotFound):
		problem.Write(w, r, notFound())
		return
	case err != nil:
		p.fail(w, r, "reading an impersonation", err)
		return
	}
	cause := impersonation.CauseRevoked
	if v.own(i) {
		cause = impersonation.CauseStopped
	}
	if err := p.Impersonations.End(r.Context(), id, cause, v.actor.Username); err != nil {
		p.fail(w, r, "ending an impersonation", err)
		return
	}
	if v.live != nil && v.live.ID == id {
		p.OnStop(w, r, v.live)
	}
	http.Redirect(w, r, ownerRoot, http.StatusSeeOther)
}
