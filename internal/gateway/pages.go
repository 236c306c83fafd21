package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// servePages answers everything under Prefix. Whatever page comes first after an end gives the browser the
// actor's own cookies back.
func (s *Site) servePages(w http.ResponseWriter, r *http.Request) {
	if sess, raw, err := s.lookup(r); err == nil && sess != nil {
		b := s.browserOf(r.Context(), sess, raw)
		if live := s.Impersonations.Of(r.Context(), sess.ID); live == nil {
			b.restore(s.Gateway, w.Header(), s.Clock.Now())
		} else if held := b.jar.Load(); held != nil && held.impersonation == live.ID {
			held.Observe(withoutOurs(r))
		}
	}
	s.own.ServeHTTP(w, r)
}

// onStart is called by the portal once an impersonation has begun, before it answers.
func (g *Gateway) onStart(w http.ResponseWriter, r *http.Request, live *impersonation.Live) {
	sess, raw, err := g.lookup(r)
	if err != nil || sess == nil {
		return
	}
	b := g.browserOf(r.Context(), sess, raw)
	b.begin(g, w.Header(), r, live, g.Clock.Now())
	clearCache(w.Header())
}

// onStop is called by the portal once an impersonation has ended, before it answers.
func (g *Gateway) onStop(w http.ResponseWriter, r *http.Request, _ *impersonation.Live) {
	sess, raw, err := g.lookup(r)
	if err != nil || sess == nil {
		return
	}
	g.browserOf(r.Context(), sess, raw).restore(g, w.Header(), g.Clock.Now())
	clearCache(w.Header())
}

// clearCache has the browser forget cached pages of the account left behind. Never "cookies": that reaches every
// site of the domain.
func clearCache(h http.Header) { h.Set("Clear-Site-Data", `"cache"`) }

func (g *Gateway) serveLogout(w http.ResponseWriter, r *http.Request) {
	if sess, raw, err := g.lookup(r); err == nil && sess != nil {
		g.browserOf(r.Context(), sess, raw).leave(g, w.Header(), g.Clock.Now())
	}
	clearCache(w.Header())
	g.Login.ServeLogout(w, r)
}

func (g *Gateway) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(g.Signer.JWKS())
}

func (g *Gateway) serveHealthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}

// serveReadyz answers 503 while something is missing that the gateway needs to do its work. It says what, not where:
// anyone may ask.
func (g *Gateway) serveReadyz(w http.ResponseWriter, r *http.Request) {
	checks := []Check{{"state", g.Store.Ping(r.Context())}, {"journal", g.Recorder.Healthy()}}
	if g.Ready != nil {
		checks = append(checks, g.Ready(r.Context())...)
	}
	status, body := http.StatusOK, map[string]string{}
	for _, c := range checks {
		body[c.Name] = "ok"
		if c.Err != nil {
			body[c.Name] = "not ready"
			status = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// bannerInfo is what the banner of this response says.
func (s *Site) bannerInfo(r *http.Request, v *view, live *impersonation.Live, now time.Time) (*banner.Info, error) {
	info := &banner.Info{
		Origin: s.origin(r), ImpersonationID: live.ID,
		Actor: v.who.Actor.DisplayName(), ActorUsername: v.who.Actor.Username,
		Target: v.who.User.DisplayName(), TargetUsername: v.who.User.Username,
		Mode: live.Mode, Reason: live.Reason, Now: now, ExpiresAt: live.ExpiresAt,
		Color: s.banner.Color, Position: s.banner.Position, Languages: r.Header.Get("Accept-Language"),
	}
	if s.bannerText != nil {
		text, err := s.bannerText.Expand(v.context())
		if err != nil {
			return nil, err
		}
		info.Text = text
	}
	return info, nil
}

// serveNotice forwards an own-account navigation and puts on the page, once, how the last impersonation ended.
func (s *Site) serveNotice(ow *ownWriter, r *http.Request, next Next, sess *session.Session, notice string, now time.Time) error {
	clearCache(ow.Header())
	banner.PrepareRequest(r)
	n := impersonation.ParseNotice(notice)
	nw := &noticeWriter{ownWriter: ow, info: &banner.Info{
		Origin: s.origin(r), Notice: n.Cause, Target: n.Target, Now: now, Languages: r.Header.Get("Accept-Language"),
	}}
	defer func() {
		if p := recover(); p != nil {
			if nw.banner != nil {
				nw.banner.Abort()
			}
			panic(p)
		}
	}()
	err := next(nw, r)
	if nw.banner != nil {
		if cerr := nw.banner.Close(); cerr != nil {
			panic(http.ErrAbortHandler) // the page is not whole
		}
		if nw.banner.Marked() {
			if _, err := sess.TakeNotice(r.Context()); err != nil {
				s.Log.Warn("a notice will be shown again: that it was can't be kept", "error", err)
			}
		}
	}
	if ow.record != nil {
		ow.record.answered(r, ow.status, err, s.StatusOf)
	}
	return err
}

// noticeWriter puts a notice on an own-account page. A page that can't carry it passes as it is: the next one will.
type noticeWriter struct {
	*ownWriter
	info   *banner.Info
	banner *banner.Writer
}

func (w *noticeWriter) WriteHeader(status int) {
	if w.banner != nil {
		return
	}
	if w.status == 0 && status >= 200 {
		if verdict, _ := banner.Decide(w.request, status, w.Header()); verdict == banner.Mark {
			w.look(status)
			w.banner = banner.NewWriter(w.ownWriter, status, w.info, banner.Options{AllowUnmarked: true})
			return
		}
	}
	w.ownWriter.WriteHeader(status)
}

func (w *noticeWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.banner != nil {
		return w.banner.Write(p)
	}
	return w.ownWriter.Write(p)
}

func (w *noticeWriter) FlushError() error {
	if w.banner != nil {
		return w.banner.FlushError()
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// withoutOurs is r as the app would see its cookies.
func withoutOurs(r *http.Request) *http.Request {
	app := &http.Request{Header: http.Header{"Cookie": slices.Clone(r.Header["Cookie"])}, URL: r.URL, Host: r.Host}
	session.StripCookie(app.Header)
	return app
}
