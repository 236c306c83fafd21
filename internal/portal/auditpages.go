package portal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const (
	auditRows = 50 // a page shows of a table
	entryRows = 25 // of a timeline, where each has all its columns: a page stays below 60 kB
)

// auditPage is what every page of the audit has.
type auditPage struct {
	page
	A       *auditTexts
	Tab     string
	Heading string
	Lead    string
	Path    string
	Error   string
	Filter  *filterView
	List    *auditList
	One     *storyView
	Plots   *activityView
}

type filterView struct {
	Actor, Target, From, To, Outcome, Type, Q string
	Outcomes, Types                           []string
	Any                                       bool // something narrows
	Folded                                    int  // how many of the fields that fold away on a phone do
}

type auditList struct {
	Count, First, More, CSV, JSONL string
	Impersonations                 []impersonationRow
	Events                         []entryView
	Empty, EmptyText               string
}

type impersonationRow struct {
	Href, Actor, Target, Reason, Ticket, Started, Lasted, End string
	TicketURL                                                 string
	Active                                                    bool
	Requests, Writes, Refusals                                uint64
}

// entryView is a request or an event on a line, with all its columns behind.
type entryView struct {
	Time, Line, Says, Fields, Href, ToHref string
	Event, Bad, Write                      bool
	Columns                                []columnView
}

type columnView struct{ Name, Value, Href string }

type storyView struct {
	I                      *audit.Impersonation
	Actor, Target          string
	Ticket, TicketURL      string
	Started, Ended, Lasted string
	Entries                []entryView
	First, More, CSV       string
	JSONL, Evidence        string
	Agreed                 string // who agreed to it, or that nobody was asked
	Emergency              bool
}

func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// named is a person as pages call them.
func named(name, username, id string) string {
	switch {
	case name == "" || name == username:
		return shown(cmp.Or(username, id), maxShown)
	case username == "":
		return shown(name, maxShown)
	}
	return shown(name, maxShown) + " (" + shown(username, maxShown) + ")"
}

func (p *portal) auditPageOf(r *http.Request, v *viewer, tab, heading, lead string) *auditPage {
	a := auditText(r)
	d := &auditPage{A: a, Tab: tab, Heading: heading, Lead: lead, Path: r.URL.Path}
	d.page = p.pageOf(r, v, heading)
	return d
}

// auditQuestion reads what a page is asked for; nil after having answered. A field that can't be read is told on the page.
func (p *portal) auditQuestion(w http.ResponseWriter, r *http.Request, d *auditPage, what string) *question {
	a, err := p.questionOf(r, what, "step")
	q := r.URL.Query()
	d.Filter = &filterView{
		Actor: cut(q.Get("actor"), maxShown), Target: cut(q.Get("target"), maxShown), From: cut(q.Get("from"), 40), To: cut(q.Get("to"), 40),
		Outcome: cut(q.Get("outcome"), 64), Type: cut(q.Get("type"), 64), Q: cut(q.Get("q"), maxQuery),
	}
	f := d.Filter
	switch what {
	case "impersonations":
		f.Outcomes = offered(append([]string{audit.OutcomeActive}, audit.EndCauses()...), f.Outcome)
	case audit.TableEvents:
		f.Types = offered(audit.EventTypes(), f.Type)
	}
	f.Any = f.Actor+f.Target+f.From+f.To+f.Outcome+f.Type+f.Q+q.Get("impersonation")+q.Get("log") != ""
	for _, field := range []string{f.Actor, f.Target, f.From, f.To, f.Outcome, f.Type} {
		if field != "" {
			f.Folded++
		}
	}
	if err == nil {
		a.page.Limit = auditRows
		if what == audit.TableEvents {
			a.page.Limit = entryRows
		}
		return a
	}
	var bad audit.BadQuestion
	if !errors.As(err, &bad) {
		p.auditProblem(w, r, err)
		return nil
	}
	d.Error = bad.Error()
	p.render(w, r, http.StatusBadRequest, "audit", d)
	return nil
}

// offered are what can be chosen; what is in force is always among them, so that the page shows why a list is short. What is
// no word is not in force.
func offered(words []string, chosen string) []string {
	if chosen != "" && !slices.Contains(words, chosen) && (audit.Filter{Type: chosen}).Check() == nil {
		words = append(words, chosen)
	}
	return words
}

// auditListOf reads a list for a page; nil after having answered.
func auditListOf[T any](p *portal, w http.ResponseWriter, r *http.Request, v *viewer, d *auditPage, a *question, table string,
	list func(context.Context, audit.Filter, audit.Page) (*audit.Found[T], error),
) []*T {
	found, err := list(r.Context(), a.filter, a.page)
	if errors.Is(err, audit.ErrCursor) {
		http.Redirect(w, r, d.Path+"?"+a.asked.Encode(), http.StatusSeeOther)
		return nil
	}
	if err != nil {
		p.auditProblem(w, r, err)
		return nil
	}
	if !p.recorded(w, r, v, a, len(found.Rows)) {
		return nil
	}
	l := &auditList{Count: d.A.count(len(found.Rows), a.page.Cursor == "", found.Next == "")}
	with := func(set ...string) string {
		q := url.Values{}
		for name, values := range a.asked {
			if values[0] != "" {
				q[name] = values
			}
		}
		for i := 0; i < len(set); i += 2 {
			q.Set(set[i], set[i+1])
		}
		return q.Encode()
	}
	if a.page.Cursor != "" {
		l.First = d.Path + "?" + with()
	}
	if found.Next != "" {
		l.More = d.Path + "?" + with("cursor", found.Next)
	}
	l.CSV = auditAPIRoot + "/export?" + with("format", "csv", "table", table)
	l.JSONL = auditAPIRoot + "/export?" + with("format", "jsonl", "table", table)
	if len(found.Rows) == 0 {
		l.Empty, l.EmptyText = d.A.NoneYet, d.A.NoneYetText
		if d.Filter.Any || a.page.Cursor != "" {
			l.Empty, l.EmptyText = d.A.Empty, d.A.EmptyText
		}
	}
	d.List = l
	return append([]*T{}, found.Rows...)
}

func (p *portal) serveAudit(w http.ResponseWriter, r *http.Request, v *viewer) {
	t := auditText(r)
	d := p.auditPageOf(r, v, "impersonations", t.Impersonations, t.Lead)
	a := p.auditQuestion(w, r, d, "impersonations")
	if a == nil {
		return
	}
	rows := auditListOf(p, w, r, v, d, a, audit.TableImpersonations, p.Audit.Impersonations)
	if rows == nil {
		return
	}
	for _, i := range rows {
		row := impersonationRow{
			Href: auditRoot + "/impersonations/" + url.PathEscape(i.ID), Actor: named(i.ActorName, i.ActorUsername, i.ActorID),
			Target: named(i.TargetName, i.TargetUsername, i.TargetID), Reason: i.Reason, Ticket: i.Ticket, TicketURL: p.ticketURL(i.Policy, i.Ticket), Started: at(i.Started),
			Lasted: p.lasted(i), End: i.EndCause, Active: i.Ended == nil, Requests: i.Requests, Writes: i.Writes, Refusals: i.Refusals,
		}
		if row.Active {
			row.End = t.GoesOn
		}
		if i.Headless() {
			row.Reason = t.Beginning(i)
		}
		d.List.Impersonations = append(d.List.Impersonations, row)
	}
	p.render(w, r, http.StatusOK, "audit", d)
}

func (p *portal) lasted(i *audit.Impersonation) string {
	end := p.Clock.Now()
	if i.Ended != nil {
		end = *i.Ended
	}
	return clockOf(end.Sub(i.Started))
}

func (p *portal) serveAuditEvents(w http.ResponseWriter, r *http.Request, v *viewer) {
	t := auditText(r)
	d := p.auditPageOf(r, v, "events", t.Events, t.EventsLead)
	a := p.auditQuestion(w, r, d, "events")
	if a == nil {
		return
	}
	rows := auditListOf(p, w, r, v, d, a, audit.TableEvents, p.Audit.Events)
	if rows == nil {
		return
	}
	for _, e := range rows {
		view := viewOfEvent(e)
		view.Line = e.Line()
		if validID(e.ImpersonationID) {
			view.Href, view.ToHref = auditRoot+"/impersonations/"+url.PathEscape(e.ImpersonationID), t.ToImpersonation
		}
		d.List.Events = append(d.List.Events, view)
	}
	p.render(w, r, http.StatusOK, "audit", d)
}

// serveAuditStory is one impersonation's page.
func (p *portal) serveAuditStory(w http.ResponseWriter, r *http.Request, v *viewer) {
	a, id, err := p.timelineOf(r, strings.TrimPrefix(r.URL.Path, auditRoot+"/impersonations/"))
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	a.page.Limit = entryRows
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
	t := auditText(r)
	d := p.auditPageOf(r, v, "impersonations", named(i.ActorName, i.ActorUsername, i.ActorID)+" → "+named(i.TargetName, i.TargetUsername, i.TargetID), "")
	s := &storyView{I: i, Actor: named(i.ActorName, i.ActorUsername, i.ActorID), Target: named(i.TargetName, i.TargetUsername, i.TargetID), Ticket: i.Ticket, TicketURL: p.ticketURL(i.Policy, i.Ticket), Started: at(i.Started), Lasted: p.lasted(i), Ended: t.GoesOn}
	if i.Ended != nil {
		s.Ended = at(*i.Ended) + " · " + i.EndCause
		if i.EndedBy != "" {
			s.Ended += " · " + t.By + " " + shown(i.EndedBy, maxShown)
		}
	}
	agreed, asked, err := p.asked(r.Context(), i, a.page.Cursor == "")
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	s.Agreed, s.Emergency = t.agreed(agreed), agreed.Emergency
	for _, e := range asked {
		s.Entries = append(s.Entries, viewOfEvent(e))
	}
	for _, e := range found.Rows {
		if e.Request != nil {
			s.Entries = append(s.Entries, viewOfRequest(e.Request))
		} else {
			s.Entries = append(s.Entries, viewOfEvent(e.Event))
		}
	}
	if a.page.Cursor != "" {
		s.First = r.URL.Path
	}
	if found.Next != "" {
		s.More = r.URL.Path + "?cursor=" + url.QueryEscape(found.Next)
	}
	export := auditAPIRoot + "/export?impersonation=" + url.QueryEscape(id) + "&format="
	s.CSV, s.JSONL = export+"csv", export+"jsonl"
	if _, ok := p.Events.(prover); ok {
		s.Evidence = auditAPIRoot + "/impersonations/" + url.PathEscape(id) + evidenceSuffix
	}
	d.One = s
	p.render(w, r, http.StatusOK, "audit", d)
}

func viewOfRequest(q *audit.Request) entryView {
	e := entryView{Time: at(q.Time), Line: q.AsAction().What, Says: strings.Trim(q.Aside(), " ()"), Bad: q.Outcome != audit.OutcomeCompleted || q.Status >= 400}
	switch q.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
	default:
		e.Write = true
	}
	e.Fields = shown(q.Fields, 120)
	e.Columns = columnsOf(audit.RequestColumns(), q.Values(), fmt.Sprintf("%x", q.LeafHash))
	return e
}

func viewOfEvent(v *audit.Event) entryView {
	e := entryView{Time: at(v.Time), Line: v.Type, Event: true}
	var says []string
	for _, s := range []string{v.Reason, v.Ticket, detailOf(v)} {
		if s != "" {
			says = append(says, s)
		}
	}
	e.Says = strings.Join(says, " · ")
	e.Bad = v.Type == audit.EventImpersonationRefused || v.Type == audit.EventLoginFailed || v.Type == audit.EventNoticeFailed
	e.Columns = columnsOf(audit.EventColumns(), v.Values(), fmt.Sprintf("%x", v.LeafHash))
	for i := range e.Columns {
		if e.Columns[i].Name == "ticket" {
			e.Columns[i].Href = recordedTicket(v)
		}
	}
	return e
}

// recordedTicket is where an event's ticket can be read, as its start recorded it; empty: nowhere that is known.
func recordedTicket(v *audit.Event) string {
	var d struct {
		URL string `json:"ticket_url"`
	}
	_ = json.Unmarshal([]byte(v.Detail), &d) // rows may have been written by something else
	return cmp.Or(webAddress(d.URL), webAddress(v.Ticket))
}

// columnsOf are those that say something.
func columnsOf(columns []audit.Column, values []string, leaf string) []columnView {
	var list []columnView
	for i, c := range columns {
		if v := values[i]; v != "" && (c.Kind != audit.KindNumber || v != "0") {
			list = append(list, columnView{Name: c.Name, Value: v})
		}
	}
	return append(list, columnView{Name: "leaf_hash", Value: leaf})
}
