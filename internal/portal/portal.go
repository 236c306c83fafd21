// Package portal is the gateway's own pages and its JSON API below /.impersonate/: who may be impersonated, the
// question before a start, the way back, and the same for programs.
//
// Pages are rendered on the server and work without script; the script only makes them quicker. Nothing here is
// trusted to have been shown before it is asked for: each start is decided again on the facts of that moment
// (pomerium #881 hid the form and did not check the endpoint). It keeps no state of its own and does not know Caddy,
// the provider, or how the app is served.
package portal

import (
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

const (
	root    = "/.impersonate"
	apiRoot = root + "/api/v1"
	// maxBody bounds what is read of a form or a JSON object.
	maxBody = 64 << 10
)

// Options are what the portal works with. LoginURL, LogoutURL, OnStart, OnStop and StepUp may be left out.
type Options struct {
	// Session finds the browser's login; false when there is none.
	Session func(*http.Request) (*session.Session, string, bool)
	// Rules are the ones in force.
	Rules          func() impersonation.Rules
	Impersonations *impersonation.Manager
	// Favourites keeps whom people have marked in the list; nil: nobody can mark anybody.
	Favourites Favourites
	// Audit answers auditors; nil: the record can't be read here. Events takes what they read as events.
	Audit  audit.Reader
	Events audit.Events
	// Retention is how long the record is kept; nil: nobody changes that here.
	Retention *retention.Keeper
	Clock     clock.Clock
	// Zone is the one people are told times in; nil: UTC.
	Zone *time.Location
	Log  *slog.Logger
	// Site is the origin the browser sees, such as https://app.example.com.
	Site func(*http.Request) string
	// ClientIP is the browser's address, as far as trusted proxies tell.
	ClientIP func(*http.Request) netip.Addr
	// LoginURL and LogoutURL default to /.impersonate/login and /.impersonate/logout.
	LoginURL, LogoutURL string
	// OnStart and OnStop are called before the answer that starts or ends an impersonation of this browser's session is
	// written, to add to its headers.
	OnStart, OnStop func(http.ResponseWriter, *http.Request, *impersonation.Live)
	// StepUp sends the browser to log in afresh, as that session's person, and then to the path given.
	StepUp func(w http.ResponseWriter, r *http.Request, s *session.Session, returnTo string)
}

type portal struct {
	Options
	routes   map[string]methods
	readings *readings
}

// methods maps a method to what serves it.
type methods map[string]http.HandlerFunc

// New returns the handler of everything below /.impersonate/ that is not the login's.
func New(o Options) http.Handler {
	if o.LoginURL == "" {
		o.LoginURL = root + "/login"
	}
	if o.LogoutURL == "" {
		o.LogoutURL = root + "/logout"
	}
	nothing := func(http.ResponseWriter, *http.Request, *impersonation.Live) {}
	if o.OnStart == nil {
		o.OnStart = nothing
	}
	if o.OnStop == nil {
		o.OnStop = nothing
	}
	p := &portal{Options: o}
	p.register()
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(crossOrigin))
	guarded := csrf.Handler(http.HandlerFunc(p.route))
	return securely(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (r.URL.Path == root+"/stop" || r.URL.Path == root+"/extend") && opaqueOrigin(r) {
			p.route(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	}))
}

// register makes the table of addresses that have no id in them.
func (p *portal) register() {
	p.routes = map[string]methods{
		root:                        {"GET": p.serveRoot},
		root + "/":                  {"GET": p.page(p.serveHome)},
		root + "/confirm":           {"GET": p.page(p.serveConfirm)},
		root + "/start":             {"GET": p.serveRoot, "POST": p.page(p.serveStart)},
		root + "/stop":              {"GET": p.serveAskStop, "POST": p.serveStop},
		root + "/extend":            {"GET": p.serveRoot, "POST": p.page(p.serveExtend)},
		root + "/ended":             {"GET": p.serveEnded},
		apiRoot + "/me":             {"GET": p.api(p.apiMe)},
		apiRoot + "/users":          {"GET": p.api(p.apiUsers)},
		apiRoot + "/impersonations": {"GET": p.api(p.apiList), "POST": p.api(p.apiStart)},
		apiRoot + "/banner":         {"POST": p.api(p.apiBanner)},
		extendCurrent:               {"POST": p.api(p.apiExtend)},
	}
	maps.Copy(p.routes, p.quickRoutes())
	maps.Copy(p.routes, p.requestRoutes())
	maps.Copy(p.routes, p.historyRoutes())
	maps.Copy(p.routes, p.reviewRoutes())
	maps.Copy(p.routes, p.ownerRoutes())
	maps.Copy(p.routes, p.retentionRoutes())
	p.readings = &readings{events: p.Events, clock: p.Clock, log: p.Log, open: map[readingKey]*reading{}}
	maps.Copy(p.routes, p.auditRoutes())
}

// opaqueOrigin tells of a form sent by a page that keeps its origin to itself (Referrer-Policy: no-referrer), in a
// browser that says no more, as on plain http. The banner's buttons must work from such a page too. Another site gains nothing
// by it: its requests don't carry the session's cookie, which is SameSite=Lax.
func opaqueOrigin(r *http.Request) bool {
	return r.Header.Get("Origin") == "null" && r.Header.Get("Sec-Fetch-Site") == ""
}

// securely sets the headers of every answer. Problem pages set their own policy over it.
func securely(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// contentPolicy: everything from here, nothing inline, no frames. Forms are sent here, but form-action also
// restricts where their answers may redirect to (CSP3 section 4.2.5, done so by Chromium), and that is the provider's
// logout, or wherever the app sends people from the page a start or a return lands on.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self' https: http:; frame-ancestors 'none'; base-uri 'none'"

func (p *portal) route(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasPrefix(path, assetRoot) {
		serveAsset(w, r)
		return
	}
	m := p.routes[path]
	if id, ok := strings.CutPrefix(path, apiRoot+"/impersonations/"); m == nil && ok && validID(id) {
		m = methods{"GET": p.api(p.apiGet), "DELETE": p.api(p.apiEnd)}
	}
	if m == nil {
		m = p.requestRoute(path)
	}
	if m == nil {
		m = p.auditRoute(path)
	}
	if m == nil {
		if later(path) {
			problem.Write(w, r, notAvailable())
			return
		}
		problem.Write(w, r, notFound())
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	serve := m[method]
	if serve == nil {
		problem.Write(w, r, methodNotAllowed(w, m.allow()))
		return
	}
	serve(w, r)
}

func (m methods) allow() string {
	var a []string
	for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
		if m[method] == nil {
			continue
		}
		a = append(a, method)
		if method == "GET" {
			a = append(a, "HEAD")
		}
	}
	return strings.Join(a, ", ")
}

// later are the addresses kept for what this version does not have.
func later(path string) bool {
	for _, p := range []string{apiRoot + "/settings/"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// validID keeps what can't be an impersonation's id from the store.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func (p *portal) serveRoot(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, root+"/", http.StatusSeeOther)
}
