package portal

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

const (
	retentionPath = ownerRoot + "/retention"
	retentionAPI  = apiRoot + "/settings/retention"
)

// retentionRoutes are how long the audit is kept.
func (p *portal) retentionRoutes() map[string]methods {
	if p.Retention == nil {
		return nil
	}
	return map[string]methods{
		retentionPath: {"GET": p.page(p.owner(p.serveRetention)), "POST": p.page(p.owner(p.serveRetain))},
		retentionAPI:  {"GET": p.api(p.owner(p.apiRetention)), "PUT": p.api(p.owner(p.apiRetain))},
	}
}

// owner lets owners through.
func (p *portal) owner(serve func(http.ResponseWriter, *http.Request, *viewer)) func(http.ResponseWriter, *http.Request, *viewer) {
	return func(w http.ResponseWriter, r *http.Request, v *viewer) {
		if !v.owner() {
			problem.Write(w, r, forbidden("Only owners may see and change how long the audit is kept."))
			return
		}
		serve(w, r, v)
	}
}

// retentionView is the section of the owner's page, and the form on a page of its own.
type retentionView struct {
	X *retentionTexts
	// Now is what is in force, Since how that came to be; Pending, what takes effect later.
	Now, Since, Why, Floor, Pending string
	// What was entered, and what is wrong with it.
	Days, Reason, Wrong string
	Forever             bool
	MinDays             int
	BadReason           bool
	MaxReason           int
}

type retentionPage struct {
	page
	R *retentionView
	// Ask is what the change would do; nil: the form.
	Ask *retentionAsk
}

type retentionAsk struct {
	Title, Text, Version string
	Facts                []string
	Loss                 bool
}

func (p *portal) retentionView(t *retentionTexts, s *retention.Setting) *retentionView {
	v := &retentionView{X: t, Now: t.period(s.Period), Floor: t.floor(s.Limits.Floor), MinDays: max(int(s.Limits.Floor), 1), MaxReason: retention.MaxReason, Since: t.Configured}
	if v.Forever = s.Period == retention.Forever; !v.Forever {
		v.Days = strconv.Itoa(int(s.Period))
	}
	if !s.ChangedAt.IsZero() {
		v.Since, v.Why = fmt.Sprintf(t.ChangedBy, shown(s.ChangedBy, maxShown), p.stamp(s.ChangedAt)), shown(s.Reason, 3*maxShown)
	}
	if now := p.Clock.Now(); s.Effective(now) != s.Period {
		if now.Before(s.From) {
			v.Pending = fmt.Sprintf(t.Pending, t.period(s.Effective(now)), p.stamp(s.From))
		} else {
			v.Pending = fmt.Sprintf(t.Floored, t.period(s.Effective(now)))
		}
	}
	return v
}

func (p *portal) serveRetention(w http.ResponseWriter, r *http.Request, v *viewer) {
	s, err := p.Retention.Setting(r.Context())
	if err != nil {
		p.fail(w, r, "reading the retention", err)
		return
	}
	t := retentionLanguages.In(v.t.Lang)
	p.render(w, r, http.StatusOK, "retention", retentionPage{page: p.pageOf(r, v, t.Heading), R: p.retentionView(t, s)})
}

// serveRetain asks back once, with what the change would do, and then makes it.
func (p *portal) serveRetain(w http.ResponseWriter, r *http.Request, v *viewer) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		problem.Write(w, r, badRequest("The form could not be read."))
		return
	}
	s, err := p.Retention.Setting(r.Context())
	if err != nil {
		p.fail(w, r, "reading the retention", err)
		return
	}
	t := retentionLanguages.In(v.t.Lang)
	d := retentionPage{page: p.pageOf(r, v, t.Heading), R: p.retentionView(t, s)}
	form := d.R
	form.Days, form.Reason, form.Forever = cut(r.PostForm.Get("days"), 20), cut(r.PostForm.Get("reason"), maxBody), r.PostForm.Get("forever") != ""
	c := v.retain(form.Reason)
	if !form.Forever {
		c.Period, err = retention.Parse(strings.TrimSpace(form.Days) + "d")
	}
	if err == nil {
		err = p.Retention.Check(c)
	}
	if version := r.PostForm.Get("version"); err == nil && version != "" {
		c.Match = version
		if _, err = p.Retention.Change(r.Context(), c); err == nil {
			http.Redirect(w, r, ownerRoot+"#retention", http.StatusSeeOther)
			return
		}
		if !errors.Is(err, retention.ErrChanged) {
			p.fail(w, r, "changing the retention", err)
			return
		}
	}
	status := http.StatusOK
	floor := new(retention.FloorError)
	switch {
	case err == nil && c.Period == s.Period:
		form.Wrong = t.Same
	case err == nil:
		if d.Ask, err = p.retentionAsk(r, t, s, c.Period); err != nil {
			p.fail(w, r, "counting what is older than the retention", err)
			return
		}
	case errors.As(err, &floor):
		form.Wrong = t.floor(floor.Floor)
	case errors.Is(err, retention.ErrReason):
		form.Wrong, form.BadReason = t.NeedReason, true
	case errors.Is(err, retention.ErrChanged):
		form.Wrong = t.Meanwhile
	default:
		form.Wrong = t.BadPeriod
	}
	if form.Wrong != "" {
		status = http.StatusUnprocessableEntity
	}
	p.render(w, r, status, "retention", d)
}

// retain is a change by the viewer, but for the period.
func (v *viewer) retain(reason string) retention.Change {
	c := retention.Change{Reason: reason, ActorID: v.actor.ID, ActorUsername: v.actor.Username, ActorName: v.actor.Name}
	if v.from.IP.IsValid() {
		c.ClientIP = v.from.IP.String()
	}
	return c
}

// retentionAsk tells what a change would do.
func (p *portal) retentionAsk(r *http.Request, t *retentionTexts, s *retention.Setting, to retention.Period) (*retentionAsk, error) {
	a := &retentionAsk{Title: fmt.Sprintf(t.AskTitle, t.period(s.Period), t.period(to)), Version: s.Version, Text: t.AskLonger}
	now := p.Clock.Now()
	before, ok := to.Before(now)
	if !ok {
		return a, nil
	}
	from := now
	if a.Loss = to.Shorter(s.Effective(now)); a.Loss {
		a.Text, from = t.AskShorter, now.Add(retention.Grace)
		before = before.Add(retention.Grace)
	}
	a.Facts = append(a.Facts, fmt.Sprintf(t.AskWhen, p.stamp(before), p.stamp(from)))
	if p.Audit == nil {
		a.Facts = append(a.Facts, t.AskUnknown)
		return a, nil
	}
	e, err := p.Audit.Extent(r.Context(), before)
	switch {
	case err != nil && a.Loss && r.Context().Err() != nil:
		return nil, err
	case err != nil:
		p.Log.WarnContext(r.Context(), "what is older than a retention can't be counted", "error", err)
		a.Facts = append(a.Facts, t.AskUnknown)
		return a, nil
	case e.Requests+e.Events == 0:
		a.Facts = append(a.Facts, t.AskNothing)
	default:
		a.Facts = append(a.Facts, fmt.Sprintf(t.AskCounts, e.Requests, e.Events, e.Impersonations))
	}
	if !e.Oldest.IsZero() {
		a.Facts = append(a.Facts, fmt.Sprintf(t.AskOldest, p.stamp(e.Oldest)))
	}
	return a, nil
}

// retentionJSON is the setting as programs see it.
type retentionJSON struct {
	Retention string `json:"retention"` // such as 400d, or forever
	// Effective is what rows are removed by now: a shorter retention takes effect later.
	Effective   string     `json:"effective"`
	EffectiveAt *time.Time `json:"effective_at"`
	Floor       string     `json:"floor"`
	Initial     string     `json:"initial"` // the configuration's
	ChangedAt   *time.Time `json:"changed_at"`
	ChangedBy   string     `json:"changed_by"`
	Reason      string     `json:"reason"`
}

func (p *portal) answerRetention(w http.ResponseWriter, s *retention.Setting) {
	out := retentionJSON{
		Retention: s.Period.String(), Effective: s.Effective(p.Clock.Now()).String(), Floor: s.Limits.Floor.String(), Initial: s.Limits.Initial.String(),
		ChangedAt: timeOrNull(s.ChangedAt), ChangedBy: s.ChangedBy, Reason: s.Reason,
	}
	if p.Clock.Now().Before(s.From) {
		out.EffectiveAt = timeOrNull(s.From)
	}
	w.Header().Set("ETag", `"`+s.Version+`"`)
	answer(w, http.StatusOK, out)
}

func (p *portal) apiRetention(w http.ResponseWriter, r *http.Request, _ *viewer) {
	s, err := p.Retention.Setting(r.Context())
	if err != nil {
		p.fail(w, r, "reading the retention", err)
		return
	}
	p.answerRetention(w, s)
}

func (p *portal) apiRetain(w http.ResponseWriter, r *http.Request, v *viewer) {
	var body struct {
		Retention string `json:"retention"`
		Reason    string `json:"reason"`
	}
	if bad := decode(w, r, &body, "retention", "reason"); bad != nil {
		problem.Write(w, r, bad)
		return
	}
	c := v.retain(body.Reason)
	var err error
	if c.Period, err = retention.Parse(body.Retention); err != nil {
		problem.Write(w, r, badRequest("retention: "+err.Error()))
		return
	}
	if match := r.Header.Get("If-Match"); match != "" && match != "*" {
		if c.Match = strings.Trim(match, `"`); c.Match == "" {
			c.Match = "-" // no version is that
		}
	}
	s, err := p.Retention.Change(r.Context(), c)
	floor := new(retention.FloorError)
	switch {
	case err == nil:
		p.answerRetention(w, s)
	case errors.As(err, &floor):
		problem.Write(w, r, tooShort(floor))
	case errors.Is(err, retention.ErrReason):
		problem.Write(w, r, badRequest("reason: say why, in at most "+strconv.Itoa(retention.MaxReason)+" characters; it is recorded"))
	case errors.Is(err, retention.ErrChanged):
		problem.Write(w, r, changedMeanwhile())
	default:
		p.fail(w, r, "changing the retention", err)
	}
}

func tooShort(e *retention.FloorError) *problem.Problem {
	return &problem.Problem{
		Code: codeTooShort, Status: http.StatusUnprocessableEntity, Title: "Too short a retention",
		Detail: "The gateway's configuration allows none shorter than " + e.Floor.String() + ". Whoever runs the gateway can change that, with `audit { retention … floor … }`.",
		Links:  []problem.Link{toPortal}, Extra: map[string]any{"floor": e.Floor.String()},
	}
}

func changedMeanwhile() *problem.Problem {
	return &problem.Problem{
		Code: codeConflict, Status: http.StatusPreconditionFailed, Title: "Changed meanwhile",
		Detail: "Somebody else has changed it since you read it. Read it again.", Links: []problem.Link{toPortal},
	}
}
