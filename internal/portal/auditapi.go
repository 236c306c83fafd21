package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// apiAudit answers one of the audit's lists: {"NAME":[…],"next_cursor"}.
func apiAudit[T any](p *portal, w http.ResponseWriter, r *http.Request, v *viewer, what string,
	list func(context.Context, audit.Filter, audit.Page) (*audit.Found[T], error), row func(*T) any,
) {
	a, err := p.questionOf(r, what)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	found, err := list(r.Context(), a.filter, a.page)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	if !p.recorded(w, r, v, a, len(found.Rows)) {
		return
	}
	rows := make([]any, 0, len(found.Rows))
	for _, one := range found.Rows {
		rows = append(rows, row(one))
	}
	answer(w, http.StatusOK, map[string]any{what: rows, "next_cursor": found.Next})
}

func (p *portal) apiAuditImpersonations(w http.ResponseWriter, r *http.Request, v *viewer) {
	apiAudit(p, w, r, v, "impersonations", p.Audit.Impersonations, func(i *audit.Impersonation) any { return i })
}

func (p *portal) apiAuditRequests(w http.ResponseWriter, r *http.Request, v *viewer) {
	apiAudit(p, w, r, v, "requests", p.Audit.Requests, func(q *audit.Request) any { return q.JSON() })
}

func (p *portal) apiAuditEvents(w http.ResponseWriter, r *http.Request, v *viewer) {
	apiAudit(p, w, r, v, "events", p.Audit.Events, func(e *audit.Event) any { return e.JSON() })
}

// apiAuditTimeline answers one impersonation and what happened in it, the oldest first.
func (p *portal) apiAuditTimeline(w http.ResponseWriter, r *http.Request, v *viewer) {
	a, id, err := p.timelineOf(r, strings.TrimPrefix(r.URL.Path, auditAPIRoot+"/impersonations/"))
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	i, err := p.Audit.Impersonation(r.Context(), id)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	found, err := p.Audit.Timeline(r.Context(), id, a.page)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	if !p.recorded(w, r, v, a, len(found.Rows)) {
		return
	}
	entries := make([]map[string]json.RawMessage, 0, len(found.Rows))
	for _, e := range found.Rows {
		if e.Request != nil {
			entries = append(entries, map[string]json.RawMessage{"request": e.Request.JSON()})
		} else {
			entries = append(entries, map[string]json.RawMessage{"event": e.Event.JSON()})
		}
	}
	answer(w, http.StatusOK, map[string]any{"impersonation": i, "timeline": entries, "next_cursor": found.Next})
}

// timelineOf reads which part of which timeline is asked for.
func (p *portal) timelineOf(r *http.Request, id string) (*question, string, error) {
	q, err := query(r, "limit", "cursor")
	if err != nil {
		return nil, "", audit.BadQuestion(err.Error())
	}
	a := &question{what: "timeline", filter: audit.Filter{Impersonation: id}, page: audit.Page{Cursor: q.Get("cursor"), Oldest: true}}
	a.asked = map[string][]string{"impersonation": {id}}
	if a.page.Limit, err = limitOf(q.Get("limit")); err != nil {
		return nil, "", audit.BadQuestion(err.Error())
	}
	return a, id, nil
}

// activityDays is how much activity shows when no time is given.
const activityDays = 30

// activityOf reads which time is counted, and in which steps.
func (p *portal) activityOf(r *http.Request, what string) (*question, audit.Step, error) {
	a, err := p.questionOf(r, what, "step")
	if err != nil {
		return nil, "", err
	}
	f := &a.filter
	if f.To.IsZero() {
		f.To = p.Clock.Now().Truncate(time.Second).Add(time.Second)
	}
	if f.From.IsZero() {
		f.From = audit.StepDay.Truncate(f.To).AddDate(0, 0, 1-activityDays)
	}
	if err := f.Check(); err != nil {
		return nil, "", err
	}
	step := audit.Step(a.asked.Get("step"))
	if step == "" {
		switch long := f.To.Sub(f.From); {
		case long <= 3*24*time.Hour:
			step = audit.StepHour
		case long <= 200*24*time.Hour:
			step = audit.StepDay
		default:
			step = audit.StepMonth
		}
	}
	return a, step, nil
}

// maxActors bounds how many people activity tells apart.
const maxActors = 50

func (p *portal) apiAuditActivity(w http.ResponseWriter, r *http.Request, v *viewer) {
	a, step, err := p.activityOf(r, "activity")
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	buckets, err := p.Audit.Activity(r.Context(), a.filter, step)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	actors, err := p.Audit.Actors(r.Context(), a.filter, maxActors)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	if !p.recorded(w, r, v, a, len(buckets)+len(actors)) {
		return
	}
	answer(w, http.StatusOK, map[string]any{"step": step, "from": a.filter.From.UTC(), "to": a.filter.To.UTC(), "activity": list(buckets), "actors": list(actors)})
}

func (p *portal) apiAuditNotable(w http.ResponseWriter, r *http.Request, v *viewer) {
	a, findings, err := p.notable(r)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	if !p.recorded(w, r, v, a, len(findings)) {
		return
	}
	type finding struct {
		audit.Finding
		Seconds int64 `json:"lasted_s,omitempty"`
	}
	out := make([]finding, 0, len(findings))
	for _, f := range findings {
		out = append(out, finding{f, int64(f.Lasted / time.Second)})
	}
	answer(w, http.StatusOK, map[string]any{"from": a.filter.From.UTC(), "to": a.filter.To.UTC(), "findings": out})
}

// notableDays is how much is looked at when no time is given.
const notableDays = 7

// notable looks for what is worth a look, by the thresholds in the address: hours=7-19, weekend=true, zone, refusals,
// long (seconds or 2h), targets.
func (p *portal) notable(r *http.Request) (*question, []audit.Finding, error) {
	a, err := p.questionOf(r, "notable", "hours", "weekend", "zone", "refusals", "long", "targets")
	if err != nil {
		return nil, nil, err
	}
	t, err := thresholdsOf(a)
	if err != nil {
		return nil, nil, err
	}
	f := &a.filter
	if f.To.IsZero() {
		f.To = p.Clock.Now().Truncate(time.Second).Add(time.Second)
	}
	if f.From.IsZero() {
		f.From = audit.StepDay.Truncate(f.To).AddDate(0, 0, 1-notableDays)
	}
	if err := f.Check(); err != nil {
		return nil, nil, err
	}
	findings, err := p.Audit.Notable(r.Context(), *f, t)
	return a, findings, err
}

func thresholdsOf(a *question) (t audit.Thresholds, err error) {
	q := a.asked
	if s := q.Get("hours"); s != "" {
		var from, to int
		if n, err := fmt.Sscanf(s, "%d-%d", &from, &to); n != 2 || err != nil || from < 0 || to > 24 || from >= to {
			return t, audit.BadQuestion("hours: give such as 7-19")
		}
		t.From, t.To = time.Duration(from)*time.Hour, time.Duration(to)*time.Hour
	}
	if s := q.Get("weekend"); s != "" {
		if t.Weekend, err = strconv.ParseBool(s); err != nil {
			return t, audit.BadQuestion("weekend: give true or false")
		}
	}
	if s := q.Get("zone"); s != "" {
		if t.Zone, err = time.LoadLocation(s); err != nil || s == "Local" {
			return t, audit.BadQuestion("zone: give one of the IANA database, such as Europe/Berlin")
		}
	}
	for _, n := range []struct {
		name string
		into *int
	}{{"refusals", &t.Refusals}, {"targets", &t.Targets}} {
		if s := q.Get(n.name); s != "" {
			if *n.into, err = strconv.Atoi(s); err != nil || *n.into < 1 {
				return t, audit.BadQuestion(n.name + ": give a number from 1")
			}
		}
	}
	if s := q.Get("long"); s != "" {
		if t.Long, err = time.ParseDuration(s); err != nil || t.Long < time.Minute {
			return t, audit.BadQuestion("long: give a time from 1m, such as 2h")
		}
	}
	return t, nil
}
