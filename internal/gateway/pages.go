package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// found is who asks for one of the gateway's own pages, looked up once.
type found struct {
	site    *Site
	sess    *session.Session
	raw     string
	browser *browser
	err     error
}

// clear has the browser forget the pages of the account left behind, and what they stored if the site asks for that.
func (f *found) clear(h http.Header) { clearSiteData(h, f.clearsStorage()) }

func (f *found) clearsStorage() bool { return f.site != nil && f.site.clearStorage }

type foundKey struct{}

func (g *Gateway) found(r *http.Request) *found {
	if f, ok := r.Context().Value(foundKey{}).(*found); ok {
		return f
	}
	f := &found{}
	if f.sess, f.raw, f.err = g.lookup(r); f.sess != nil {
		f.browser, f.err = g.browserOf(r.Context(), f.sess, f.raw)
	}
	if f.err != nil {
		f.sess = nil
	}
	return f
}

// servePages answers everything under Prefix. Whatever page comes first after an end gives the browser the
// actor's own cookies back.
func (s *Site) servePages(w http.ResponseWriter, r *http.Request) {
	if forEveryone(r.URL.Path) {
		s.own.ServeHTTP(w, r)
		return
	}
	f := s.found(r)
	f.site = s
	if f.sess != nil {
		if live := s.Impersonations.Of(r.Context(), f.sess.ID); live == nil {
			f.browser.restore(s.Gateway, w.Header(), f.clearsStorage(), s.Clock.Now())
		} else if held := f.browser.jar.Load(); held != nil && held.impersonation == live.ID {
			held.Observe(withoutOurs(r))
		}
	}
	s.own.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), foundKey{}, f)))
}

// scimPrefix is where an identity provider writes accounts. It has a token and no cookie.
const scimPrefix = Prefix + "scim/v2/"

// forEveryone tells which pages are the same for all, and may be kept by caches: no cookie goes with them.
func forEveryone(path string) bool {
	switch path {
	case Prefix + "jwks.json", Prefix + "healthz", Prefix + "readyz":
		return true
	}
	return strings.HasPrefix(path, Prefix+"assets/") || strings.HasPrefix(path, scimPrefix)
}

// needsState answers in a page's place while nobody can tell who asks for it: they may well be logged in.
func (g *Gateway) needsState(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if forEveryone(r.URL.Path) || g.found(r).err == nil {
			page.ServeHTTP(w, r)
			return
		}
		g.Log.Error("sessions can't be read", "error", g.found(r).err)
		p := *stateDown
		p.Links = []problem.Link{problem.Return}
		problem.Write(w, r, &p)
	})
}

// onStart is called by the portal once an impersonation has begun, before it answers.
func (g *Gateway) onStart(w http.ResponseWriter, r *http.Request, live *impersonation.Live) {
	f := g.found(r)
	if f.sess != nil {
		f.browser.begin(g, w.Header(), r, live, f.clearsStorage(), g.Clock.Now())
	}
	f.clear(w.Header())
}

// onStop is called by the portal once an impersonation has ended, before it answers.
func (g *Gateway) onStop(w http.ResponseWriter, r *http.Request, _ *impersonation.Live) {
	f := g.found(r)
	if f.sess != nil {
		f.browser.restore(g, w.Header(), f.clearsStorage(), g.Clock.Now())
	}
	f.clear(w.Header())
}

// clearSiteData has the browser forget cached pages of the account left behind; with storage also what pages stored
// and the site's service workers. Never "cookies": that reaches every site of the domain.
// https://www.w3.org/TR/clear-site-data/
func clearSiteData(h http.Header, storage bool) {
	if storage {
		h.Set("Clear-Site-Data", `"cache", "storage"`)
	} else {
		h.Set("Clear-Site-Data", `"cache"`)
	}
}

func (g *Gateway) serveLogout(w http.ResponseWriter, r *http.Request) {
	f := g.found(r)
	if f.sess != nil {
		f.browser.leave(g, w.Header(), f.clearsStorage(), g.Clock.Now())
	}
	f.clear(w.Header())
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

// framePath is the banner in a frame of its own, for pages of frames, which can't hold it otherwise.
const framePath = Prefix + "frame"

func (g *Gateway) serveFrame(w http.ResponseWriter, r *http.Request) {
	sess, _, err := g.lookup(r)
	if err != nil || sess == nil {
		banner.ServeFrame(w, nil)
		return
	}
	live := g.Impersonations.Of(r.Context(), sess.ID)
	if live == nil {
		banner.ServeFrame(w, nil)
		return
	}
	info := &banner.Info{
		Origin: g.origin(r), ImpersonationID: live.ID, Actor: live.ActorName, ActorUsername: live.ActorUsername,
		Target: live.TargetName, TargetUsername: live.TargetUsername, Mode: live.Mode, Reason: live.Reason,
		Now: g.Clock.Now(), ExpiresAt: live.ExpiresAt, Languages: r.Header.Get("Accept-Language"),
	}
	byPolicy(info, live)
	banner.ServeFrame(w, info)
}

// byPolicy adds what the impersonation's policy says of its banner.
func byPolicy(info *banner.Info, live *impersonation.Live) {
	info.Emergency = live.Emergency
	if left, by := live.Extension(); left > 0 {
		info.Extension, info.Press = by, live.Extensions+1
	}
	if color := live.Color(); color != "" {
		info.Color = color
	}
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
	byPolicy(info, live)
	if s.bannerText != nil {
		text, err := s.bannerText.Expand(v.context())
		if err != nil {
			return nil, err
		}
		info.Text = text
	}
	return info, nil
}

// withoutOurs is r as the app would see its cookies.
func withoutOurs(r *http.Request) *http.Request {
	app := &http.Request{Header: http.Header{"Cookie": slices.Clone(r.Header["Cookie"])}, URL: r.URL, Host: r.Host}
	session.StripCookie(app.Header)
	return app
}
