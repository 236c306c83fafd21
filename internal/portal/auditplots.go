package portal

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// activityView is the page of plots. Each is drawn here, and stands beside a table that says the same.
type activityView struct {
	Findings []findingView
	Spans    []spanView
	Step     string
	Plots    []plotView
	Rows     []bucketView
	Actors   []actorView
}

type findingView struct{ Kind, Who, Says, Time, Href string }

type spanView struct {
	Text, Href string
	On         bool
}

type plotView struct {
	ID, Title, Part, Max, From, To string // Part is what the lower piece of a bar is
	Bars                           []barView
}

// barView is a bar in a plot of 600 by 120; Part is the lower piece that is drawn in another colour.
type barView struct {
	X, W, Y, H, PartY, PartH string
	Title                    string
}

type bucketView struct {
	Time                                       string
	Impersonations, Requests, Writes, Refusals uint64
}

type actorView struct {
	audit.Actor
	Who, Href, Width string
}

const plotWidth, plotHeight = 600.0, 120.0

func (p *portal) serveAuditActivity(w http.ResponseWriter, r *http.Request, v *viewer) {
	t := auditText(r)
	d := p.auditPageOf(r, v, "activity", t.Activity, t.ActivityLead)
	if p.auditQuestion(w, r, d, "activity") == nil {
		return
	}
	a, step, err := p.activityOf(r, "activity")
	var view *activityView
	if err == nil {
		view, err = p.activity(r, t, a, step)
	}
	var bad audit.BadQuestion
	switch {
	case errors.As(err, &bad):
		d.Error = bad.Error()
		p.render(w, r, http.StatusBadRequest, "audit", d)
		return
	case err != nil:
		p.auditProblem(w, r, err)
		return
	}
	if p.recorded(w, r, v, a, len(view.Rows)+len(view.Actors)+len(view.Findings)) {
		d.Plots = view
		p.render(w, r, http.StatusOK, "audit", d)
	}
}

func (p *portal) activity(r *http.Request, t *auditTexts, a *question, step audit.Step) (*activityView, error) {
	buckets, err := p.Audit.Activity(r.Context(), a.filter, step)
	if err != nil {
		return nil, err
	}
	actors, err := p.Audit.Actors(r.Context(), a.filter, maxActors)
	if err != nil {
		return nil, err
	}
	look := a.filter
	if since := look.To.AddDate(0, 0, -audit.MaxNotableDays); look.From.Before(since) {
		look.From = since
	}
	findings, err := p.Audit.Notable(r.Context(), look, audit.Thresholds{Limit: 20})
	if err != nil {
		return nil, err
	}
	view := &activityView{Step: map[audit.Step]string{audit.StepHour: t.PerHour, audit.StepDay: t.PerDay, audit.StepMonth: t.PerMonth}[step]}
	for _, f := range findings {
		view.Findings = append(view.Findings, findingOf(t, f))
	}
	for _, s := range []struct{ text, from string }{{t.Last7, "7d"}, {t.Last30, "30d"}, {t.Last365, "365d"}} {
		view.Spans = append(view.Spans, spanView{s.text, auditRoot + "/activity?from=" + s.from, a.asked.Get("from") == s.from})
	}
	layout := map[audit.Step]string{audit.StepHour: "2006-01-02 15:04", audit.StepDay: "2006-01-02", audit.StepMonth: "2006-01"}[step]
	started, requests := make([]uint64, len(buckets)), make([]uint64, len(buckets))
	writes, names := make([]uint64, len(buckets)), make([]string, len(buckets))
	for i, b := range buckets {
		names[i] = b.Start.Format(layout)
		started[i], requests[i], writes[i] = b.Impersonations, b.Requests, b.Writes
		view.Rows = append(view.Rows, bucketView{names[i], b.Impersonations, b.Requests, b.Writes, b.Refusals})
	}
	view.Plots = []plotView{
		plotOf("started", t.Impersonations+" "+view.Step, "", names, started, nil),
		plotOf("requests", t.Requests+" "+view.Step, t.Writes, names, requests, writes),
	}
	most := uint64(1)
	for _, c := range actors {
		most = max(most, c.Impersonations)
	}
	for _, c := range actors {
		view.Actors = append(view.Actors, actorView{
			c, named(c.Name, c.Username, "?"), auditRoot + "?actor=" + url.QueryEscape(c.Username), number(100 * float64(c.Impersonations) / float64(most)),
		})
	}
	return view, nil
}

func findingOf(t *auditTexts, f audit.Finding) findingView {
	v := findingView{Kind: t.Kinds[f.Kind], Who: named(f.ActorName, f.ActorUsername, "?"), Time: at(f.Time)}
	if f.TargetUsername != "" || f.TargetName != "" {
		v.Who += " → " + named(f.TargetName, f.TargetUsername, "")
	}
	switch f.Kind {
	case audit.NotableTargets, audit.NotableStarts:
		v.Time = f.Time.Format(time.DateOnly)
		v.Says = fmt.Sprintf(t.Finding[f.Kind], f.Count)
		v.Href = auditRoot + "?actor=" + url.QueryEscape(f.ActorUsername) + "&from=" + v.Time + "&to=" + v.Time
		if f.Kind == audit.NotableStarts {
			v.Href = auditRoot + "/events?type=" + audit.EventImpersonationRefused + "&actor=" + url.QueryEscape(f.ActorUsername) + "&from=" + v.Time + "&to=" + v.Time
		}
		return v
	case audit.NotableRefusals:
		v.Says = fmt.Sprintf(t.Finding[f.Kind], f.Count)
	case audit.NotableLong:
		v.Says = fmt.Sprintf(t.Finding[f.Kind], clockOf(f.Lasted))
	}
	if validID(f.ImpersonationID) {
		v.Href = auditRoot + "/impersonations/" + f.ImpersonationID
	}
	return v
}

// plotOf draws bars; part is the piece of each that is of another colour.
func plotOf(id, title, partTitle string, names []string, values, part []uint64) plotView {
	v := plotView{ID: id, Title: title, Part: partTitle}
	most := uint64(1)
	for _, n := range values {
		most = max(most, n)
	}
	v.Max = fmt.Sprint(most)
	if len(names) > 0 {
		v.From, v.To = names[0], names[len(names)-1]
	}
	each := plotWidth / float64(max(len(values), 1))
	height := func(n uint64) float64 { return plotHeight * float64(n) / float64(most) }
	for i, n := range values {
		if n == 0 {
			continue
		}
		b := barView{
			X: number(float64(i)*each + each*0.1), W: number(each * 0.8), Y: number(plotHeight - height(n)), H: number(height(n)),
			Title: fmt.Sprintf("%s: %d", names[i], n),
		}
		if part != nil && part[i] > 0 {
			b.PartY, b.PartH = number(plotHeight-height(part[i])), number(height(part[i]))
			b.Title += fmt.Sprintf(" (%s: %d)", partTitle, part[i])
		}
		v.Bars = append(v.Bars, b)
	}
	return v
}

func number(f float64) string { return fmt.Sprintf("%.2f", f) }
