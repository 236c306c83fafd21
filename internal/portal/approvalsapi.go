package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

type requestJSON struct {
	ID     string    `json:"id"`
	State  string    `json:"state"` // pending, approved, started, refused, cancelled or expired
	Actor  partyJSON `json:"actor"`
	Target partyJSON `json:"target"`
	Mode   string    `json:"mode"`
	Policy string    `json:"policy"`
	Reason string    `json:"reason"`
	Ticket string    `json:"ticket"`
	// Duration is in seconds.
	Duration int64  `json:"duration"`
	Site     string `json:"site"`
	URL      string `json:"url"` // its page
	// Needs is whose agreement is missing yet: approval, consent.
	Needs       []string   `json:"needs"`
	ApprovedBy  string     `json:"approved_by"`
	ApprovedAt  *time.Time `json:"approved_at"`
	ConsentedAt *time.Time `json:"consented_at"`
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   time.Time  `json:"expires_at"`
	StartBy     *time.Time `json:"start_by"`
	ClosedAt    *time.Time `json:"closed_at"`
	ClosedBy    string     `json:"closed_by"`
	Note        string     `json:"note"`
	// Impersonation is the id of the one it became.
	Impersonation string `json:"impersonation"`
	// Own: they asked. MayDecide: it waits for them.
	Own       bool `json:"own"`
	MayDecide bool `json:"may_decide"`
}

func requestOf(a *impersonation.Asked) *requestJSON {
	r := a.Request
	j := &requestJSON{
		ID: r.ID, State: a.Now, Actor: partyJSON{r.Actor.ID, r.Actor.Username, r.Actor.Name}, Target: partyJSON{r.TargetID, r.TargetUsername, r.TargetName},
		Mode: r.Mode, Policy: r.Policy, Reason: r.Reason, Ticket: r.Ticket, Duration: int64(r.Duration / time.Second), Site: r.Site,
		URL: r.Site + requestRoot + "/" + r.ID, Needs: []string{}, ApprovedBy: r.Approver.Username, ApprovedAt: orNull(r.ApprovedAt), ConsentedAt: orNull(r.ConsentedAt),
		CreatedAt: r.CreatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), StartBy: orNull(r.StartBy), ClosedAt: orNull(r.ClosedAt), ClosedBy: r.ClosedBy, Note: r.Note,
		Impersonation: r.Impersonation, Own: a.Own, MayDecide: a.Waits(),
	}
	if r.NeedApproval && r.ApprovedAt.IsZero() {
		j.Needs = append(j.Needs, "approval")
	}
	if r.NeedConsent && r.ConsentedAt.IsZero() {
		j.Needs = append(j.Needs, "consent")
	}
	return j
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// apiWait answers a start that has to wait: for others, with the request that was made of it (202); for a fresh login, with
// where to go for it. False: it was neither.
func (p *portal) apiWait(w http.ResponseWriter, r *http.Request, v *viewer, req impersonation.StartRequest, refusal *policy.Refusal) bool {
	switch {
	case refusal == nil || !waiting(refusal):
		return false
	case refusal.Code == policy.RefusedStepUp:
		problem.Write(w, r, stepUpRequired(refusal, root+"/"))
		return true
	case req.Request != "":
		return false
	}
	row, err := p.ask(r, v, req)
	if refusal := v.discreet(policy.AsRefusal(err)); refusal != nil {
		problem.Write(w, r, refused(refusal))
		return true
	}
	var a *impersonation.Asked
	if err == nil {
		a, err = p.Impersonations.Asked(r.Context(), row.ID, v.session)
	}
	if err != nil {
		p.fail(w, r, "asking for an impersonation", err)
		return true
	}
	w.Header().Set("Location", apiRoot+"/requests/"+row.ID)
	answer(w, http.StatusAccepted, requestOf(a))
	return true
}

// apiRequests lists those that somebody may see: the open ones, or all, newest first.
func (p *portal) apiRequests(w http.ResponseWriter, r *http.Request, v *viewer) {
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
	case st != "" && st != "open" && st != "all":
		bad = errors.New("state: give open or all")
	case st != "all" && q.Get("cursor") != "":
		bad = errors.New("cursor: the open ones are listed at once")
	}
	if bad != nil {
		problem.Write(w, r, badRequest(bad.Error()))
		return
	}
	var all []*impersonation.Asked
	next := ""
	if st == "all" {
		all, err = p.Impersonations.AskedAll(r.Context(), v.session, behind, limit+1)
		if len(all) > limit {
			all = all[:limit]
			next = cursorOf(state.Place{At: all[limit-1].CreatedAt, ID: all[limit-1].ID})
		}
	} else {
		all, err = p.Impersonations.AskedOpen(r.Context(), v.session)
	}
	if err != nil {
		p.fail(w, r, "listing requests", err)
		return
	}
	out := make([]*requestJSON, 0, len(all))
	for _, a := range all {
		out = append(out, requestOf(a))
	}
	answer(w, http.StatusOK, map[string]any{"requests": out, "next_cursor": next})
}

func (p *portal) apiRequest(id string) func(http.ResponseWriter, *http.Request, *viewer) {
	return func(w http.ResponseWriter, r *http.Request, v *viewer) {
		if a := p.findRequest(w, r, v, id); a != nil {
			answer(w, http.StatusOK, requestOf(a))
		}
	}
}

// apiAnswer decides on a request; a body is optional.
func (p *portal) apiAnswer(id string, do answerFunc) func(http.ResponseWriter, *http.Request, *viewer) {
	return func(w http.ResponseWriter, r *http.Request, v *viewer) {
		var body struct {
			Note string `json:"note"`
		}
		if r.ContentLength != 0 {
			if bad := decode(w, r, &body, "note"); bad != nil {
				problem.Write(w, r, bad)
				return
			}
		}
		a, err := do(r.Context(), id, impersonation.Deciding{Session: v.session, Note: body.Note, IP: p.ClientIP(r)})
		switch refusal := policy.AsRefusal(err); {
		case errors.Is(err, state.ErrNotFound):
			problem.Write(w, r, notFound())
		case refusal != nil:
			problem.Write(w, r, refused(refusal))
		case err != nil:
			p.fail(w, r, "deciding on a request", err)
		default:
			answer(w, http.StatusOK, requestOf(a))
		}
	}
}
