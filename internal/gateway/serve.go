package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// ServeHTTP is the story of one request, top to bottom.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request, next Next) error {
	// Scrub: from here on, nothing in the request claims an identity.
	s.headers.Scrub(r)

	own, disguised := ownPath(r.URL.Path)
	if disguised {
		problem.Write(w, r, notFound)
		return nil
	}
	if own {
		s.servePages(w, r)
		return nil
	}

	// Authenticate: the browser's random id, looked up; nothing else in it counts.
	sess, raw, err := s.lookup(r)
	if err != nil {
		problem.Write(w, r, stateDown)
		return nil
	}
	session.StripCookie(r.Header)
	if sess == nil {
		return s.serveAnonymous(w, r, next, raw)
	}
	browser, err := s.browserOf(r.Context(), sess, raw)
	if err != nil {
		s.Log.Error("a browser's app cookies can't be read", "error", err, "actor", sess.Claims.Username)
		problem.Write(w, r, stateDown)
		return nil
	}

	if !browser.heard.Load() && len(r.Header["Accept-Language"]) > 0 && browser.heard.CompareAndSwap(false, true) {
		go s.noteLanguage(sess, r.Header.Get("Accept-Language"))
	}

	// Decide: on the facts of this moment, not of the login or the start.
	now := s.Clock.Now()
	generation := s.Rules.Directory.Generation()
	live := s.enter(r, sess, now)
	if live != nil {
		defer live.Leave()
	}
	v, err := s.viewOf(browser, sess, live, generation, r)
	switch {
	case errors.Is(err, errInactive):
		return s.refuseInactive(w, r, sess, browser)
	case err != nil:
		s.Log.Error("identity headers can't be made", "error", err, "actor", sess.Claims.Username)
		problem.Write(w, r, unusableIdentity)
		return nil
	}

	// Swap, forward, mark and record.
	if live == nil {
		return s.serveOwnAccount(w, r, next, sess, browser, v, now)
	}
	return s.serveImpersonated(w, r, next, live, browser, v, now)
}

// enter is the session's impersonation, decided on once more, with this request counted as under way; nil when there
// is none, or it has just ended: then the request is the actor's.
func (s *Site) enter(r *http.Request, sess *session.Session, now time.Time) *impersonation.Live {
	ctx := r.Context()
	live := s.Impersonations.Of(ctx, sess.ID)
	if live == nil || s.Impersonations.CheckFrom(ctx, live, now, impersonation.From{IP: s.ClientIP(r), Host: r.Host}) != nil {
		return nil
	}
	if !live.Enter() {
		s.Impersonations.Of(ctx, sess.ID) // waits until the person's notice of it is left
		return nil
	}
	return live
}

// lookup finds the session of the browser's cookie; nil without an error when there is none.
func (g *Gateway) lookup(r *http.Request) (*session.Session, string, error) {
	raw, ok := session.RawID(r, g.Scheme(r) == "https")
	if !ok {
		return nil, "", nil
	}
	sess, err := g.Sessions.Get(r.Context(), raw)
	if errors.Is(err, state.ErrNotFound) {
		return nil, raw, nil
	}
	return sess, raw, err
}

// serveAnonymous lets public paths through without an identity, and sends everyone else to log in.
// Raw is the id of a session that is over, if the browser still has one.
func (s *Site) serveAnonymous(w http.ResponseWriter, r *http.Request, next Next, raw string) error {
	held := s.orphans.of(raw)
	if s.public.grants(r) {
		if held != nil {
			setCookie(r.Header, held.Own(r, s.Clock.Now()))
		}
		if asksForWorker(r) {
			banner.AskForWhole(r.Header)
			script := &workerWriter{ResponseWriter: w}
			defer script.finish()
			w = script
		}
		// The app must not set the gateway's cookies where nobody is logged in either.
		return next(&headWriter{ResponseWriter: w, look: func(h http.Header, status int) {
			session.StripSetCookie(h)
			if status >= 200 {
				s.giveBackOrphan(h, r, raw, s.clearStorage)
			}
		}}, r)
	}
	if held != nil {
		s.giveBackOrphan(w.Header(), r, raw, s.clearStorage)
	}
	back := Prefix + "login?return_to=" + url.QueryEscape(r.URL.RequestURI())
	if problem.WantsPage(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, back, http.StatusFound)
		return nil
	}
	p := *loginRequired
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		back = Prefix + "login"
	}
	p.Links = []problem.Link{{Text: "Log in", Href: back}}
	p.Extra = map[string]any{"login": back}
	problem.Write(w, r, &p)
	return nil
}

// refuseInactive ends the session of someone whose account was deactivated.
func (s *Site) refuseInactive(w http.ResponseWriter, r *http.Request, sess *session.Session, b *browser) error {
	b.leave(s.Gateway, w.Header(), s.clearStorage, s.Clock.Now())
	if err := s.Sessions.Delete(r.Context(), sess.ID); err != nil {
		s.Log.Error("a deactivated account's session can't be deleted", "error", err, "actor", sess.Claims.Username)
	}
	session.ClearCookie(w, s.Scheme(r) == "https")
	problem.Write(w, r, deactivated)
	return nil
}

// serveOwnAccount forwards the request as the person themselves. This is most traffic: it costs a lookup and the
// headers.
func (s *Site) serveOwnAccount(w http.ResponseWriter, r *http.Request, next Next, sess *session.Session, b *browser, v *view, now time.Time) error {
	notice := sess.Notice()
	if notice != "" && b.news.stale(notice) && !s.reads(r) {
		// An impersonation ended without its user's doing, and this browser has loaded no page since: the
		// form is the target's, and must not be carried out in the actor's name.
		p := *impersonationEnded
		p.Detail = impersonation.ParseNotice(notice).Text() + " What you just sent was not carried out: it came from a page of the other account."
		problem.Write(w, r, &p)
		return nil
	}
	if b.hasJar() {
		b.ownCookies(r, now)
	}
	ow := &ownWriter{ResponseWriter: w, site: s, browser: b, request: r}
	if s.RecordAll {
		ow.record = s.begin(r, v, nil, now)
		defer ow.finish()
	}
	err := s.swap(r, v)
	switch {
	case err != nil:
	case asksForWorker(r):
		banner.AskForWhole(r.Header)
		script := &workerWriter{ResponseWriter: ow}
		err = next(script, r)
		script.finish()
	case notice != "" && r.Method == http.MethodGet && banner.IsDocument(r):
		err = s.serveNotice(ow, r, next, sess, notice, now)
	case s.rings(r, v):
		err = s.serveBell(ow, r, next, v, now)
	default:
		err = next(ow, r)
	}
	if ow.record != nil {
		ow.record.answered(r, ow.status, err, s.StatusOf)
	}
	return err
}

// swap puts the view's identity on the request.
func (s *Site) swap(r *http.Request, v *view) error {
	v.values.Apply(r.Header)
	if s.assertion != "" {
		token, err := v.assertion(s)
		if err != nil {
			return err
		}
		r.Header[s.assertion] = []string{token}
	}
	if s.onIdentity != nil {
		s.onIdentity(r, &v.who)
	}
	return nil
}

// isSafe tells whether a request only reads, by its method (RFC 9110 section 9.2.1) and by not becoming a tunnel.
func isSafe(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return len(r.Header["Upgrade"]) == 0
	}
	return false
}
