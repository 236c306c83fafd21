package portal

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/login"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

// confirmView is the question before a start, or why there is none.
type confirmView struct {
	T    *texts
	Page bool // alone on its page, not in the pop-up
	Form bool // it can be asked; else Refusal says why not
	Who  *face

	Target, Next, ReturnTo, Reason, Ticket string
	Modes                                  []modeView
	Durations                              []durationView
	Extension                              string // how it can be prolonged; empty: it can't
	Needs                                  *needsView
	NeedReason, BadReason, BadTicket       bool
	NeedTicket                             bool
	TicketExample                          string
	MinReason, MaxReason, MaxTicket        int
	Refusal                                string
	Cancel                                 string
}

type modeView struct {
	Value, Text, Hint string
	On                bool
	Alone             string // said instead of a choice, when it is the only one and restricts
}

type durationView struct {
	Value int64 // seconds
	Text  string
	On    bool
}

// ask is what a person chose or a link filled in.
type ask struct {
	target, mode, reason, ticket, duration, next, returnTo string
}

func askOf(f url.Values) ask {
	a := ask{
		target: f.Get("target"), mode: f.Get("mode"), duration: f.Get("duration"),
		// A link may have filled these in: what turns text would make a person sign what they don't read.
		reason: policy.CleanText(cut(f.Get("reason"), policy.MaxReason*4)), ticket: policy.CleanText(cut(f.Get("ticket"), policy.MaxTicket*4)),
	}
	if s := login.SafeReturnTo(f.Get("next")); s != "/" && s != root && !strings.HasPrefix(s, root+"/") {
		a.next = s
	}
	if s := f.Get("return_to"); s != "" {
		a.returnTo = back(s)
	}
	return a
}

// cut bounds what a page repeats of what it was sent; the policy's own limits are lower.
func cut(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

type confirmPage struct {
	page
	Confirm *confirmView
}

func (p *portal) serveConfirm(w http.ResponseWriter, r *http.Request, v *viewer) {
	a := askOf(r.URL.Query())
	if a.target == "" {
		http.Redirect(w, r, root+"/", http.StatusSeeOther)
		return
	}
	c := p.confirm(r, v, a)
	if r.URL.Query().Get("part") != "" {
		p.render(w, r, http.StatusOK, "ask", c)
		return
	}
	p.renderConfirm(w, r, v, http.StatusOK, c)
}

func (p *portal) renderConfirm(w http.ResponseWriter, r *http.Request, v *viewer, status int, c *confirmView) {
	c.Page = true
	title := v.t.CannotTitle
	if c.Form {
		title = v.t.ConfirmTitle(c.Who.Name)
	}
	p.render(w, r, status, "confirm", confirmPage{p.pageOf(r, v, title), c})
}

// confirm makes the question for whom and what a asks.
func (p *portal) confirm(r *http.Request, v *viewer, a ask) *confirmView {
	t := v.t
	c := &confirmView{
		T: t, Target: a.target, Next: a.next, ReturnTo: a.returnTo, Reason: a.reason, Ticket: a.ticket, Cancel: root + "/",
		MaxReason: policy.MaxReason, MaxTicket: policy.MaxTicket,
	}
	if strings.HasPrefix(a.returnTo, root+"/") {
		c.Cancel = a.returnTo
	}
	u, d := p.decide(v, a.target)
	if u != nil && v.mayList() {
		c.Who = t.face(&u.Identity, u.Active)
	}
	if d.Refusal != nil {
		c.Refusal = t.Refusal(d.Refusal)
		return c
	}
	c.Form, c.NeedReason, c.MinReason, c.MaxReason = true, d.RequireReason, d.MinReason, d.MaxReason
	c.NeedTicket, c.TicketExample = d.RequireTicket, d.TicketExample()
	c.Needs = needsOf(approvalText(r), d)
	if left := d.ExtensionsLeft(policy.Running{}); left > 0 {
		c.Extension = t.Extension(d.Extension, left)
	}
	chosen := d.Modes[0]
	if slices.Contains(d.Modes, a.mode) {
		chosen = a.mode
	}
	for _, m := range d.Modes {
		mv := modeView{Value: m, Text: t.Mode(m), Hint: t.ModeHint(m), On: m == chosen}
		if len(d.Modes) == 1 && m == policy.ModeReadOnly {
			mv.Alone = t.ReadOnlyAlone
		}
		c.Modes = append(c.Modes, mv)
	}
	want, err := parseDuration(a.duration)
	if err != nil || want <= 0 || want > d.Duration {
		want = d.Duration
	}
	offered := steps(d.Duration)
	if !slices.Contains(offered, want) {
		offered = append(offered, want)
		slices.Sort(offered)
	}
	for _, long := range offered {
		c.Durations = append(c.Durations, durationView{int64(long / time.Second), t.Duration(long), long == want})
	}
	return c
}

// decide looks the target up and decides a start on it. Someone whom no policy names learns nothing about the
// target, not even whether there is one.
func (p *portal) decide(v *viewer, target string) (*directory.User, policy.Decision) {
	u, ok := v.rules.Directory.Lookup(target)
	person := policy.Person{}
	if ok {
		person = policy.Person{Identity: &u.Identity, Known: true, Active: u.Active}
	} else {
		u = nil
	}
	d := v.rules.Policy.Decide(v.ask(person, p.Clock.Now()))
	p.Impersonations.Complain(d.Refusal)
	d.Refusal = v.discreet(d.Refusal)
	return u, d
}

// discreet replaces what a refusal would tell about a target to someone whom no policy names.
func (v *viewer) discreet(r *policy.Refusal) *policy.Refusal {
	if r == nil || v.mayList() {
		return r
	}
	switch r.Code {
	case policy.RefusedActorInactive, policy.RefusedSelf, policy.RefusedNested, policy.RefusedNoPolicy:
		return r
	}
	none := v.rules.Policy.Decide(policy.Input{Actor: v.actor, Target: nobody})
	return none.Refusal
}

// serveStart takes the form. Whatever its page showed, it is decided again by the manager.
func (p *portal) serveStart(w http.ResponseWriter, r *http.Request, v *viewer) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		problem.Write(w, r, mediaType("application/x-www-form-urlencoded"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
			problem.Write(w, r, tooLarge())
			return
		}
		problem.Write(w, r, badRequest("The form could not be read."))
		return
	}
	a := askOf(r.PostForm)
	long, err := parseDuration(a.duration)
	if err != nil {
		problem.Write(w, r, badRequest("The form's duration is not one."))
		return
	}
	if a.returnTo == "" {
		a.returnTo = root + "/"
	}
	req := impersonation.StartRequest{
		Target: a.target, Reason: r.PostForm.Get("reason"), Ticket: r.PostForm.Get("ticket"), Mode: a.mode, Duration: long, ReturnTo: a.returnTo, Next: a.next,
		Emergency: r.PostForm.Get("emergency") != "",
	}
	live, err := p.start(r, v, req)
	if waiting(policy.AsRefusal(err)) {
		asked, waits := p.ask(r, v, req)
		if waits == nil {
			p.sendToWait(w, r, v, asked)
			return
		}
		err = waits
	}
	refusal := v.discreet(policy.AsRefusal(err))
	switch {
	case refusal != nil && problem.WantsPage(r):
		c := p.confirm(r, v, a)
		c.Refusal = v.t.Refusal(refusal)
		c.BadReason = refusal.Code == policy.RefusedReason || refusal.Code == policy.RefusedReasonLong
		c.BadTicket = refusal.Code == policy.RefusedTicketLong || refusal.Code == policy.RefusedTicket || refusal.Code == policy.RefusedTicketForm
		p.renderConfirm(w, r, v, http.StatusForbidden, c)
	case refusal != nil:
		problem.Write(w, r, refused(refusal))
	case err != nil:
		p.fail(w, r, "starting an impersonation", err)
	default:
		p.OnStart(w, r, live)
		next := a.next
		if next == "" {
			next = "/"
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

// start fills in who asks, and from where.
func (p *portal) start(r *http.Request, v *viewer, req impersonation.StartRequest) (*impersonation.Live, error) {
	req.Session, req.Site, req.ClientIP = v.session, p.Site(r), p.ClientIP(r)
	return p.Impersonations.Start(r.Context(), req)
}
