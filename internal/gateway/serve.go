package gateway

import (
	"context"
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
		return s.serveAnonymous(w, r, next)
	}

	// Decide: on the facts of this moment, not of the login or the start.
	now := s.Clock.Now()
	browser := s.browserOf(r.Context(), sess, raw)
	live := s.Impersonations.Of(r.Context(), sess.ID)
	if live != nil && s.Impersonations.Check(r.Context(), live, now) != nil {
		live = nil // it has just ended; the request is the actor's
	}
	v, err := s.viewOf(browser, sess, live, r)
	switch {
	case errors.Is(err, errInactive):
		return s.refuseInactive(w, r, sess)
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

// lookup finds the session of the browser's cookie; nil without an error when there is none.
func (g *Gateway) lookup(r *http.Request) (*session.Session, string, error) {
	raw, ok := session.RawID(r, g.Scheme(r) == "https")
	if !ok {
		return nil, "", nil
	}
	sess, err := g.Sessions.Get(r.Context(), raw)
	if errors.Is(err, state.ErrNotFound) {
		return nil, "", nil
	}
	return sess, raw, err
}

// session is lookup for the portal.
func (g *Gateway) session(r *http.Request) (*session.Session, string, bool) {
	sess, raw, err := g.lookup(r)
	return sess, raw, err == nil && sess != nil
}

// serveAnonymous lets public paths through without an identity, and sends everyone else to log in.
func (s *Site) serveAnonymous(w http.ResponseWriter, r *http.Request, next Next) error {
	if s.public.grants(r) {
		return next(w, r)
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
func (s *Site) refuseInactive(w http.ResponseWriter, r *http.Request, sess *session.Session) error {
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
	if notice != "" && !isSafe(r) && !s.safe.grants(r) {
		// An impersonation ended without its user's doing, and this browser has loaded no page since: the
		// form is the target's, and must not be carried out in the actor's name.
		p := *impersonationEnded
		p.Detail = impersonation.ParseNotice(notice).Text() + " What you just sent was not carried out: it came from a page of the other account."
		problem.Write(w, r, &p)
		return nil
	}
	if err := s.swap(r, v); err != nil {
		return err
	}
	if b.hasJar() {
		b.ownCookies(r, now)
	}
	var rec *record
	if s.RecordAll {
		rec = s.begin(r, v, nil, now)
		defer func() { rec.finish() }()
	}
	ow := &ownWriter{ResponseWriter: w, site: s, browser: b, request: r, record: rec}
	if notice != "" && r.Method == http.MethodGet && banner.IsDocument(r) {
		return s.serveNotice(ow, r, next, sess, notice, now)
	}
	err := next(ow, r)
	if rec != nil {
		rec.answered(r, ow.status, err, s.StatusOf)
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

// contextWith returns r under a context that ends with the impersonation, and with what caused that.
func contextWith(r *http.Request, live *impersonation.Live) (*http.Request, context.CancelCauseFunc, func() bool) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(live.Context(), func() { cancel(context.Cause(live.Context())) })
	return r.WithContext(ctx), cancel, stop
}
