package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// What programs are told. Times are RFC 3339 in UTC; absent ones are null.

type refusalJSON struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func refusalOf(r *policy.Refusal) *refusalJSON {
	if r == nil {
		return nil
	}
	return &refusalJSON{r.Code, r.Message}
}

type personJSON struct {
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	Groups   []string `json:"groups"`
}

func personOf(i *identity.Identity) *personJSON {
	return &personJSON{i.ID, i.Username, i.Name, i.Email, list(i.Groups)}
}

type userJSON struct {
	personJSON
	Active         bool         `json:"active"`
	MayImpersonate bool         `json:"may_impersonate"`
	Refusal        *refusalJSON `json:"refusal"`
	// Needs is what a start needs, in the words of the configuration's `require`.
	Needs     []string `json:"needs"`
	Favourite bool     `json:"favourite"`
}

func userOf(f foundRow, marks marked) userJSON {
	return userJSON{*personOf(&f.user.Identity), f.user.Active, f.refusal == nil, refusalOf(f.refusal), list(f.needs), marks.has(f.user.Username)}
}

// partyJSON is an actor or target as it was when the impersonation began.
type partyJSON struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
}

type impersonationJSON struct {
	ID        string    `json:"id"`
	State     string    `json:"state"` // active or ended
	Actor     partyJSON `json:"actor"`
	Target    partyJSON `json:"target"`
	Mode      string    `json:"mode"`
	Policy    string    `json:"policy"`
	Reason    string    `json:"reason"`
	Ticket    string    `json:"ticket"`
	TicketURL string    `json:"ticket_url,omitempty"` // where the ticket can be read
	Site      string    `json:"site"`
	ReturnTo  string    `json:"return_to"`
	StartedAt time.Time `json:"started_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// Extensions is how often it was prolonged; ExpiresAt has it in.
	Extensions int `json:"extensions"`
	// Emergency: nobody was asked who should have been. Request is what it was started by; empty: none.
	Emergency  bool       `json:"emergency"`
	Request    string     `json:"request"`
	ApprovedBy string     `json:"approved_by"`
	EndedAt    *time.Time `json:"ended_at"`
	EndCause   string     `json:"end_cause"`
	EndedBy    string     `json:"ended_by"`
}

func (v *viewer) impersonationOf(i *state.Impersonation) *impersonationJSON {
	j := &impersonationJSON{
		ID: i.ID, State: "active", Mode: i.Mode, Policy: i.Policy, Reason: i.Reason, Ticket: i.Ticket, Site: i.Site, ReturnTo: i.ReturnTo,
		Actor:     partyJSON{i.ActorID, i.ActorUsername, i.ActorName},
		Target:    partyJSON{i.TargetID, i.TargetUsername, i.TargetName},
		StartedAt: i.StartedAt.UTC(), ExpiresAt: i.ExpiresAt.UTC(), Extensions: i.Extensions, EndCause: i.EndCause, EndedBy: i.EndedBy,
		Emergency: i.Emergency, Request: i.Request, ApprovedBy: i.ApprovedBy,
		TicketURL: v.rules.Policy.TicketLink(i.Policy, i.Ticket),
	}
	if !i.Live() {
		ended := i.EndedAt.UTC()
		j.State, j.EndedAt = "ended", &ended
	}
	return j
}

// list never is null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func answer(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away: nobody to tell
}

func (p *portal) apiMe(w http.ResponseWriter, _ *http.Request, v *viewer) {
	type impersonation struct {
		ID             string    `json:"id"`
		Mode           string    `json:"mode"`
		StartedAt      time.Time `json:"started_at"`
		ExpiresAt      time.Time `json:"expires_at"`
		Reason         string    `json:"reason"`
		Extensions     int       `json:"extensions"`
		ExtensionsLeft int       `json:"extensions_left"`
	}
	out := struct {
		Actor         *personJSON    `json:"actor"`
		Target        *personJSON    `json:"target"`
		Impersonation *impersonation `json:"impersonation"`
		Roles         []string       `json:"roles"`
	}{Actor: personOf(v.actor.Identity), Roles: list(v.roles)}
	if l := v.live; l != nil {
		left, _ := l.Extension()
		out.Impersonation = &impersonation{l.ID, l.Mode, l.StartedAt.UTC(), l.ExpiresAt.UTC(), l.Reason, l.Extensions, left}
		out.Target = &personJSON{ID: l.TargetID, Username: l.TargetUsername, Name: l.TargetName, Groups: []string{}}
		if u, ok := v.rules.Directory.Lookup(l.TargetUsername); ok {
			out.Target = personOf(&u.Identity)
		}
	}
	answer(w, http.StatusOK, out)
}

func (p *portal) apiUsers(w http.ResponseWriter, r *http.Request, v *viewer) {
	if !v.mayList() {
		problem.Write(w, r, refused(v.rules.Policy.Decide(policy.Input{Actor: v.actor, Target: nobody}).Refusal))
		return
	}
	q, bad := query(r, "q", "limit", "cursor", "may_impersonate")
	limit, err := limitOf(q.Get("limit"))
	var only bool
	switch {
	case bad != nil:
	case err != nil:
		bad = err
	case !utf8.ValidString(q.Get("q")) || len(q.Get("q")) > maxQuery:
		bad = fmt.Errorf("q: give UTF-8 of at most %d bytes", maxQuery)
	default:
		if s := q.Get("may_impersonate"); s != "" {
			if only, bad = strconv.ParseBool(s); bad != nil || !only {
				bad = errors.New("may_impersonate: give true, or leave it out")
			}
		}
	}
	if bad != nil {
		problem.Write(w, r, badRequest(bad.Error()))
		return
	}
	found, err := v.byName(q.Get("q"), only, q.Get("cursor"), limit, p.Clock.Now())
	if err != nil {
		problem.Write(w, r, badRequest("cursor: not one of this list's"))
		return
	}
	_, marks, err := p.marks(r.Context(), v)
	if err != nil {
		p.fail(w, r, "listing people", err)
		return
	}
	users := make([]userJSON, 0, len(found.rows))
	for _, f := range found.rows {
		users = append(users, userOf(f, marks))
	}
	answer(w, http.StatusOK, map[string]any{"users": users, "next_cursor": found.next})
}
