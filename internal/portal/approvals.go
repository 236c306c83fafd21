package portal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const requestRoot = root + "/requests"

// requestRoutes are the pages of starts that wait for others, and their API.
func (p *portal) requestRoutes() map[string]methods {
	return map[string]methods{
		requestRoot:           {"GET": p.page(p.serveRequests)},
		apiRoot + "/requests": {"GET": p.api(p.apiRequests)},
	}
}

// requestRoute is a request's own; nil: path is none.
func (p *portal) requestRoute(path string) methods {
	if rest, ok := strings.CutPrefix(path, requestRoot+"/"); ok {
		id, what, _ := strings.Cut(rest, "/")
		serve := map[string]methods{
			"":        {"GET": p.page(p.serveRequest(id))},
			"approve": {"POST": p.page(p.serveAnswer(id, p.Impersonations.Approve))},
			"refuse":  {"POST": p.page(p.serveAnswer(id, p.Impersonations.Decline))},
			"cancel":  {"POST": p.page(p.serveAnswer(id, p.Impersonations.Cancel))},
			"start":   {"POST": p.page(p.serveStartRequest(id))},
		}
		if m := serve[what]; m != nil && validID(id) && rest != id+"/" {
			if m["GET"] == nil { // where a login leads back to, in place of the form
				m["GET"] = func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, requestRoot+"/"+id, http.StatusSeeOther)
				}
			}
			return m
		}
	}
	if rest, ok := strings.CutPrefix(path, apiRoot+"/requests/"); ok {
		id, what, _ := strings.Cut(rest, "/")
		serve := map[string]methods{
			"":        {"GET": p.api(p.apiRequest(id))},
			"approve": {"POST": p.api(p.apiAnswer(id, p.Impersonations.Approve))},
			"refuse":  {"POST": p.api(p.apiAnswer(id, p.Impersonations.Decline))},
			"cancel":  {"POST": p.api(p.apiAnswer(id, p.Impersonations.Cancel))},
		}
		if validID(id) && rest != id+"/" {
			return serve[what]
		}
	}
	return nil
}

// waiting tells of a refusal that a start can wait for the end of.
func waiting(r *policy.Refusal) bool {
	if r == nil {
		return false
	}
	switch r.Code {
	case policy.RefusedApproval, policy.RefusedConsent, policy.RefusedStepUp:
		return true
	}
	return false
}

// ask makes a request of a start.
func (p *portal) ask(r *http.Request, v *viewer, req impersonation.StartRequest) (*state.Request, error) {
	req.Session, req.Site, req.ClientIP = v.session, p.Site(r), p.ClientIP(r)
	return p.Impersonations.Ask(r.Context(), req)
}

// sendToWait leads to where a request waits: at the provider for a fresh login, else on its page.
func (p *portal) sendToWait(w http.ResponseWriter, r *http.Request, v *viewer, asked *state.Request) {
	at := requestRoot + "/" + asked.ID
	if asked.State == state.RequestStepUp && p.StepUp != nil {
		p.StepUp(w, r, v.session, at)
		return
	}
	http.Redirect(w, r, at, http.StatusSeeOther)
}

// needsView is what a start still needs, before it is asked for.
type needsView struct {
	A         *approvalTexts
	Say       []string
	Ask       string // the button, where others are asked; empty: it starts at once
	Emergency *emergencyView
}

type emergencyView struct{ Title, Text, Button string }

func needsOf(t *approvalTexts, d policy.Decision) *needsView {
	if !d.RequireApproval && !d.RequireConsent && !d.RequireStepUp {
		return nil
	}
	n := &needsView{A: t}
	if d.RequireApproval {
		n.Say, n.Ask = append(n.Say, t.NeedsApproval), t.AskButton
	}
	if d.RequireConsent {
		n.Say, n.Ask = append(n.Say, t.NeedsConsent), t.AskButton
	}
	if d.RequireStepUp {
		n.Say = append(n.Say, t.NeedsStepUp)
	}
	if d.Emergency {
		n.Emergency = &emergencyView{t.EmergencyTitle, t.EmergencyText, t.EmergencyButton}
	}
	return n
}

type waitingView struct{ Lang, Text, Link string }

// addWaiting tells somebody that others wait for them.
func addWaiting(r *http.Request, pg *page) {
	t := approvalText(r)
	for _, n := range pg.Nav {
		if n.Href == requestRoot && n.Count > 0 {
			pg.Waiting = &waitingView{t.Lang, t.waitingFor(n.Count), t.Look}
		}
	}
}

// requestView is a request as somebody sees it.
type requestView struct {
	Path, Line, Version           string
	Status, Kind, Detail          string
	Actor, Target, Reason, Ticket string
	TicketURL                     string
	Mode, Duration                string
	AskedAt, AskedISO             string
	UntilWhat, Until, UntilISO    string
	ApprovedBy, Note              string
	Agree, Start                  string

	Own, Open, Pending, Waits, MayRefuse, Ready bool
	// Go: the script goes on by itself; Fresh: to the start, else to a fresh login.
	Go, Fresh bool
}

func (p *portal) viewRequest(t *approvalTexts, a *impersonation.Asked) requestView {
	actor, target := shown(cmp.Or(a.Actor.Name, a.Actor.Username), maxShown), shown(cmp.Or(a.TargetName, a.TargetUsername), maxShown)
	v := requestView{
		Path: requestRoot + "/" + a.ID, Line: fmt.Sprintf(t.Line, actor, target), Reason: a.Reason, Ticket: a.Ticket, TicketURL: p.ticketURL(a.Policy, a.Ticket),
		Actor: withUsername(actor, a.Actor.Username), Target: withUsername(target, a.TargetUsername),
		Mode: t.mode(a.Mode), Duration: t.duration(a.Duration), Note: a.Note,
		AskedAt: plainTime(a.CreatedAt), AskedISO: a.CreatedAt.UTC().Format(time.RFC3339),
		Own: a.Own, Pending: a.Now == state.RequestPending, Waits: a.Waits(), MayRefuse: a.MayRefuse, Ready: a.Ready, Fresh: a.Fresh, Go: a.Ready && (a.Fresh || a.Now == state.RequestApproved),
		Agree: t.Approve, Start: fmt.Sprintf(t.StartAs, target),
	}
	v.Open = a.Now == state.RequestPending || a.Now == state.RequestApproved || a.Now == state.RequestStepUp
	if a.MayConsent {
		v.Agree = t.Agree
	}
	if a.Ready && !a.Fresh {
		v.Start = t.LoginAgain
	}
	if !a.ApprovedAt.IsZero() {
		v.ApprovedBy = withUsername(shown(cmp.Or(a.Approver.Name, a.Approver.Username), maxShown), a.Approver.Username)
	}
	var until time.Time
	switch a.Now {
	case state.RequestPending:
		v.Status, until, v.UntilWhat = t.Pending, a.ExpiresAt, t.WaitsUntil
		approval, consent := a.NeedApproval && a.ApprovedAt.IsZero(), a.NeedConsent && a.ConsentedAt.IsZero()
		switch {
		case a.Waits():
			v.Status = t.ForYou
		case approval && consent:
			v.Detail = fmt.Sprintf(t.WaitsForBoth, target)
		case approval:
			v.Detail = t.WaitsForApproval
		case consent:
			v.Detail = fmt.Sprintf(t.WaitsForConsent, target)
		}
	case state.RequestApproved:
		v.Status, v.Kind, until, v.UntilWhat = t.Approved, "good", a.StartBy, t.StartUntil
	case state.RequestStepUp:
		v.Status, until, v.UntilWhat = t.StepUp, a.ExpiresAt, t.StartUntil
		if a.Fresh {
			v.Status, v.Kind = t.Proven, "good"
		}
	case state.RequestStarted:
		v.Status, v.Kind = t.Started, "good"
	case state.RequestRefused:
		v.Status, v.Kind, v.Detail = t.Refused, "bad", by(t, a)
	case state.RequestCancelled:
		v.Status, v.Kind, v.Detail = t.Cancelled, "off", by(t, a)
	default:
		v.Status, v.Kind, v.Detail = t.Expired, "off", t.ExpiredText
	}
	if !until.IsZero() {
		v.Until, v.UntilISO = plainTime(until), until.UTC().Format(time.RFC3339)
	}
	v.Version = version(v)
	return v
}

func by(t *approvalTexts, a *impersonation.Asked) string {
	if a.ClosedBy == "" {
		return ""
	}
	return fmt.Sprintf(t.By, shown(a.ClosedBy, maxShown))
}

// version moves whenever anything shown does.
func version(v any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", v))
	return hex.EncodeToString(sum[:6])
}

func withUsername(name, username string) string {
	if username = shown(username, maxShown); name == username {
		return name
	}
	return name + " (" + username + ")"
}

func plainTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// webAddress is a ticket that is one; empty: it is not.
func webAddress(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	return s
}

// loggedIn marks the way back from a fresh login: from there nobody is sent to log in again by itself, whatever the provider
// said of the login.
const loggedIn = "logged-in"

type requestPage struct {
	page
	A       *approvalTexts
	R       requestView
	Path    string
	LiveAt  string // where its piece is, for the script
	Heading string
	Error   string
}

// serveRequest is one request: for whoever decides, and for whoever waits.
func (p *portal) serveRequest(id string) func(http.ResponseWriter, *http.Request, *viewer) {
	return func(w http.ResponseWriter, r *http.Request, v *viewer) {
		if a := p.findRequest(w, r, v, id); a != nil {
			p.renderRequest(w, r, v, a, http.StatusOK, nil)
		}
	}
}

// findRequest answers itself when there is none.
func (p *portal) findRequest(w http.ResponseWriter, r *http.Request, v *viewer, id string) *impersonation.Asked {
	a, err := p.Impersonations.Asked(r.Context(), id, v.session)
	switch {
	case errors.Is(err, state.ErrNotFound):
		problem.Write(w, r, notFound())
		return nil
	case err != nil:
		p.fail(w, r, "reading a request", err)
		return nil
	}
	return a
}

func (p *portal) renderRequest(w http.ResponseWriter, r *http.Request, v *viewer, a *impersonation.Asked, status int, refusal *policy.Refusal) {
	t := approvalText(r)
	d := requestPage{A: t, R: p.viewRequest(t, a), Path: requestRoot + "/" + a.ID}
	if d.Heading = d.R.Line; a.Own {
		d.Heading = fmt.Sprintf(t.OwnHeading, shown(cmp.Or(a.TargetName, a.TargetUsername), maxShown))
	}
	d.LiveAt = d.Path
	again := r.URL.Query().Get(loggedIn) != ""
	if again {
		d.LiveAt += "?" + loggedIn + "=1"
	}
	if refusal != nil || again && !a.Fresh { // not again by itself
		d.R.Go = false
	}
	switch {
	case refusal != nil:
		d.Error = v.t.Refusal(refusal)
	case again && a.Ready && !a.Fresh: // the provider did not say that they proved anew who they are, or not as they should
		d.Error = v.t.Refusal(policy.Refuse(policy.RefusedStepUp))
	}
	if v.live != nil {
		d.R.Ready, d.R.Go = false, false
	}
	d.R.Version = version(d.R)
	if r.Method == http.MethodGet && r.URL.Query().Get("part") != "" {
		p.render(w, r, status, "request-part", d)
		return
	}
	d.page = p.pageOf(r, v, d.Heading)
	p.render(w, r, status, "request", d)
}

type answerFunc = func(ctx context.Context, id string, by impersonation.Deciding) (*impersonation.Asked, error)

// serveAnswer takes the form of a decision.
func (p *portal) serveAnswer(id string, do answerFunc) func(http.ResponseWriter, *http.Request, *viewer) {
	return func(w http.ResponseWriter, r *http.Request, v *viewer) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil {
			problem.Write(w, r, badRequest("The form could not be read."))
			return
		}
		a, err := do(r.Context(), id, impersonation.Deciding{Session: v.session, Note: cut(r.PostForm.Get("note"), 4*policy.MaxReason), IP: p.ClientIP(r)})
		refusal := policy.AsRefusal(err)
		switch {
		case errors.Is(err, state.ErrNotFound):
			problem.Write(w, r, notFound())
		case refusal != nil:
			if a = p.findRequest(w, r, v, id); a != nil {
				p.renderRequest(w, r, v, a, http.StatusForbidden, refusal)
			}
		case err != nil:
			p.fail(w, r, "deciding on a request", err)
		case a.State == state.RequestStepUp: // it is gone
			http.Redirect(w, r, root+"/", http.StatusSeeOther)
		default:
			http.Redirect(w, r, requestRoot+"/"+id, http.StatusSeeOther)
		}
	}
}

// serveStartRequest starts what was agreed to.
func (p *portal) serveStartRequest(id string) func(http.ResponseWriter, *http.Request, *viewer) {
	return func(w http.ResponseWriter, r *http.Request, v *viewer) {
		a := p.findRequest(w, r, v, id)
		if a == nil {
			return
		}
		live, err := p.start(r, v, impersonation.StartRequest{Request: id})
		refusal := v.discreet(policy.AsRefusal(err))
		switch {
		case refusal != nil && refusal.Code == policy.RefusedStepUp && p.StepUp != nil:
			p.StepUp(w, r, v.session, requestRoot+"/"+id+"?"+loggedIn+"=1")
		case refusal != nil:
			if a = p.findRequest(w, r, v, id); a != nil {
				p.renderRequest(w, r, v, a, http.StatusForbidden, refusal)
			}
		case err != nil:
			p.fail(w, r, "starting an impersonation", err)
		default:
			p.OnStart(w, r, live)
			http.Redirect(w, r, cmp.Or(a.Next, "/"), http.StatusSeeOther)
		}
	}
}

type requestsPage struct {
	page
	A             *approvalTexts
	Groups        []requestGroup
	Version, Said string
}

type requestGroup struct {
	Title, Empty string
	Rows         []requestView
}

// recentRequests is how many closed ones the list shows.
const recentRequests = 20

// serveRequests lists what waits for this person, what they asked for, and what became of it lately.
func (p *portal) serveRequests(w http.ResponseWriter, r *http.Request, v *viewer) {
	t := approvalText(r)
	open, err := p.Impersonations.AskedOpen(r.Context(), v.session)
	var all []*impersonation.Asked
	if err == nil {
		all, err = p.Impersonations.AskedAll(r.Context(), v.session, state.Place{}, len(open)+recentRequests)
	}
	if err != nil {
		p.fail(w, r, "listing requests", err)
		return
	}
	waits, own, others, closed := requestGroup{Title: t.ForYou, Empty: t.NothingForYou}, requestGroup{Title: t.Yours}, requestGroup{Title: t.Others}, requestGroup{Title: t.Lately}
	for _, a := range open {
		g := &others
		switch {
		case a.Waits():
			g = &waits
		case a.Own:
			g = &own
		}
		g.Rows = append(g.Rows, p.viewRequest(t, a))
	}
	for _, a := range all {
		if a.Now != state.RequestPending && a.Now != state.RequestApproved && len(closed.Rows) < recentRequests {
			closed.Rows = append(closed.Rows, p.viewRequest(t, a))
		}
	}
	d := requestsPage{A: t, Groups: []requestGroup{waits}}
	for _, g := range []requestGroup{own, others, closed} {
		if len(g.Rows) > 0 {
			d.Groups = append(d.Groups, g)
		}
	}
	d.Version, d.Said = version(d.Groups), t.waitingFor(len(waits.Rows))
	if r.URL.Query().Get("part") != "" {
		p.render(w, r, http.StatusOK, "requests-part", d)
		return
	}
	d.page = p.pageOf(r, v, t.Heading)
	p.render(w, r, http.StatusOK, "requests", d)
}
