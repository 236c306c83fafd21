package portal

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func (p *portal) apiStart(w http.ResponseWriter, r *http.Request, v *viewer) {
	var body struct {
		Target    string   `json:"target"`
		Reason    string   `json:"reason"`
		Ticket    string   `json:"ticket"`
		Mode      string   `json:"mode"`
		Duration  duration `json:"duration"`
		ReturnTo  string   `json:"return_to"`
		Emergency bool     `json:"emergency"`
		Request   string   `json:"request"`
	}
	if bad := decode(w, r, &body, "target", "reason", "ticket", "mode", "duration", "return_to", "emergency", "request"); bad != nil {
		problem.Write(w, r, bad)
		return
	}
	switch {
	case body.Target == "" && body.Request == "":
		problem.Write(w, r, badRequest("target: name the account to use, by its username"))
		return
	case body.Request != "" && (body.Target != "" || body.Reason != "" || body.Ticket != "" || body.Mode != "" || body.Duration != 0 || body.ReturnTo != "" || body.Emergency):
		problem.Write(w, r, badRequest("request: it is started just as it was agreed to; leave the other fields out"))
		return
	case body.Request != "" && !validID(body.Request):
		problem.Write(w, r, badRequest("request: not the id of one"))
		return
	}
	req := impersonation.StartRequest{
		Target: body.Target, Reason: body.Reason, Ticket: body.Ticket, Mode: body.Mode, Duration: time.Duration(body.Duration), ReturnTo: back(body.ReturnTo),
		Emergency: body.Emergency, Request: body.Request,
	}
	live, err := p.start(r, v, req)
	if p.apiWait(w, r, v, req, policy.AsRefusal(err)) {
		return
	}
	if refusal := v.discreet(policy.AsRefusal(err)); refusal != nil {
		problem.Write(w, r, refused(refusal))
		return
	}
	if err != nil {
		p.fail(w, r, "starting an impersonation", err)
		return
	}
	p.OnStart(w, r, live)
	w.Header().Set("Location", apiRoot+"/impersonations/"+live.ID)
	answer(w, http.StatusCreated, v.impersonationOf(&live.Impersonation))
}

// apiList lists one's own, newest first; owners and auditors see everybody's.
func (p *portal) apiList(w http.ResponseWriter, r *http.Request, v *viewer) {
	q, bad := query(r, "state", "limit", "cursor")
	limit, err := limitOf(q.Get("limit"))
	behind, cerr := placeOf(q.Get("cursor"))
	st := q.Get("state")
	switch {
	case bad != nil:
	case err != nil:
		bad = err
	case cerr != nil:
		bad = cerr
	case st != "" && st != "active" && st != "ended" && st != "all":
		bad = errors.New("state: give active, ended or all")
	}
	if bad != nil {
		problem.Write(w, r, badRequest(bad.Error()))
		return
	}
	actor := v.actor.Username
	if v.overseer() {
		actor = ""
	}
	all, err := p.Impersonations.List(r.Context(), actor, st, behind, limit+1)
	if err != nil {
		p.fail(w, r, "listing impersonations", err)
		return
	}
	next := ""
	if len(all) > limit {
		all = all[:limit]
		next = cursorOf(impersonation.PlaceOf(all[limit-1]))
	}
	out := make([]*impersonationJSON, 0, len(all))
	for _, i := range all {
		out = append(out, v.impersonationOf(i))
	}
	answer(w, http.StatusOK, map[string]any{"impersonations": out, "next_cursor": next})
}

// cursorOf names a place in a list, and placeOf reads it.
func cursorOf(p state.Place) string { return p.At.UTC().Format(time.RFC3339Nano) + "~" + p.ID }

func placeOf(cursor string) (state.Place, error) {
	if cursor == "" {
		return state.Place{}, nil
	}
	at, id, _ := strings.Cut(cursor, "~")
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil || t.IsZero() || id != "" && !validID(id) {
		return state.Place{}, errors.New("cursor: not one of this list's")
	}
	return state.Place{At: t, ID: id}, nil
}

// pick finds the impersonation that the address names, if it is theirs to see; nil after having answered.
func (p *portal) pick(w http.ResponseWriter, r *http.Request, v *viewer) *state.Impersonation {
	id := strings.TrimPrefix(r.URL.Path, apiRoot+"/impersonations/")
	if id == "current" {
		if v.live == nil {
			problem.Write(w, r, notFound())
			return nil
		}
		return &v.live.Impersonation
	}
	i, err := p.Impersonations.Get(r.Context(), id)
	switch {
	case errors.Is(err, state.ErrNotFound), err == nil && !v.own(i) && !v.overseer():
		problem.Write(w, r, notFound()) // the same: whether there is one is none of their business
		return nil
	case err != nil:
		p.fail(w, r, "reading an impersonation", err)
		return nil
	}
	return i
}

// own tells whether it is theirs, from whatever browser.
func (v *viewer) own(i *state.Impersonation) bool {
	return identity.Key(i.ActorUsername) == identity.Key(v.actor.Username)
}

func (p *portal) apiGet(w http.ResponseWriter, r *http.Request, v *viewer) {
	if i := p.pick(w, r, v); i != nil {
		answer(w, http.StatusOK, v.impersonationOf(i))
	}
}

// apiEnd ends one's own, or, for owners, anybody's. Ending what has ended is no error.
func (p *portal) apiEnd(w http.ResponseWriter, r *http.Request, v *viewer) {
	i := p.pick(w, r, v)
	if i == nil {
		return
	}
	cause := impersonation.CauseStopped
	if !v.own(i) {
		if !v.has(policy.RoleOwner) {
			problem.Write(w, r, forbidden("Only its actor and owners may end an impersonation."))
			return
		}
		cause = impersonation.CauseRevoked
	}
	if err := p.Impersonations.End(r.Context(), i.ID, cause, v.actor.Username); err != nil {
		p.fail(w, r, "ending an impersonation", err, problem.Return)
		return
	}
	if v.live != nil && v.live.ID == i.ID {
		p.OnStop(w, r, v.live)
	}
	w.WriteHeader(http.StatusNoContent)
}
