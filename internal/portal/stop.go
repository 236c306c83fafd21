package portal

import (
	"net/http"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/login"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// What is here uses the session and the impersonations alone: returning works when the directory, the provider and
// the app are down, and for an actor who may do nothing any more.

type returnPage struct {
	page
	Text string
}

// serveAskStop is for places that have only a link. It changes nothing: a GET may be prefetched.
func (p *portal) serveAskStop(w http.ResponseWriter, r *http.Request) {
	s, _, ok := p.Session(r)
	if !ok {
		p.loginFirst(w, r)
		return
	}
	t := textsOf(r)
	d := returnPage{p.bare(r, s, t.StopOwnTitle), t.StopOwnText}
	if live := p.Impersonations.Of(r.Context(), s.ID); live != nil {
		d.Live = p.liveOf(t, live)
		d.Title, d.Text = t.StopTitle, d.Live.Text
	}
	p.render(w, r, http.StatusOK, "return", d)
}

// serveStop ends what this session impersonates, and goes back to where it was started from. With nothing to end it
// is no error: the button may be pressed twice, or a moment after the time was over.
func (p *portal) serveStop(w http.ResponseWriter, r *http.Request) {
	s, _, ok := p.Session(r)
	if !ok {
		p.serveRoot(w, r)
		return
	}
	live := p.Impersonations.Of(r.Context(), s.ID)
	if live == nil {
		http.Redirect(w, r, p.landing(r, s), http.StatusSeeOther)
		return
	}
	if err := p.Impersonations.End(r.Context(), live.ID, impersonation.CauseStopped, live.ActorUsername); err != nil {
		p.fail(w, r, "ending an impersonation", err, problem.Return)
		return
	}
	p.OnStop(w, r, live)
	http.Redirect(w, r, back(live.ReturnTo), http.StatusSeeOther)
}

// serveEnded is where the banner goes when the time is over. What it leads to carries the session's notice.
func (p *portal) serveEnded(w http.ResponseWriter, r *http.Request) {
	s, _, ok := p.Session(r)
	if !ok {
		p.loginFirst(w, r)
		return
	}
	t := textsOf(r)
	if live := p.Impersonations.Of(r.Context(), s.ID); live != nil { // the browser's clock is ahead
		d := returnPage{p.bare(r, s, t.StillTitle), ""}
		d.Live = p.liveOf(t, live)
		d.Text = d.Live.Text + " " + d.Live.Left + "."
		p.render(w, r, http.StatusOK, "return", d)
		return
	}
	if s.Notice() != "" {
		http.Redirect(w, r, p.landing(r, s), http.StatusSeeOther)
		return
	}
	p.render(w, r, http.StatusOK, "return", returnPage{p.bare(r, s, t.EndedTitle), t.EndedText})
}

// landing is where to go when an impersonation is over already: while its person has not been told (so it has just
// ended), the same place as had they ended it themselves.
func (p *portal) landing(r *http.Request, s *session.Session) string {
	if s.Notice() == "" {
		return root + "/"
	}
	last, err := p.Impersonations.Last(r.Context(), s.ID)
	if err != nil {
		return root + "/"
	}
	return back(last.ReturnTo)
}

// back is where a return lands. What was stored is checked again, and of the pages here only the list is one to land
// on: the others ask something, or send on.
func back(returnTo string) string {
	to := login.SafeReturnTo(returnTo)
	if returnTo == "" || to == root || strings.HasPrefix(to, root+"/") && to != root+"/" && !strings.HasPrefix(to, root+"/?") {
		return root + "/"
	}
	return to
}
