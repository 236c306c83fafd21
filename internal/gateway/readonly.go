package gateway

import (
	"net/http"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

// refused is what the gateway itself refuses of an impersonated request, whatever the policy.
func (s *Site) refused(r *http.Request, mode string) (*problem.Problem, string) {
	switch {
	case s.deny.forbids(r):
		return denied, "denied_path"
	case r.Method == http.MethodTrace, r.Method == http.MethodConnect && !overConnect(r):
		// The app's answer to TRACE would be the request it got: cookies and headers that must not reach the browser.
		return methodRefused, "method_refused"
	case mode != policy.ModeReadOnly || s.reads(r):
		return nil, ""
	case isWebSocket(r) && !overridden(r): // its way up is guarded
		return nil, ""
	}
	return readOnly, policy.ModeReadOnly
}

// reads tells whether a request only reads: by its method, or because the operator calls it safe; and not made
// into something else by an override of its method, or of its path.
func (s *Site) reads(r *http.Request) bool {
	if overridden(r) {
		return false
	}
	if !isSafe(r) && (!s.safe.grants(r) || rerouted(r.Header)) {
		return false
	}
	return isWebSocket(r) || bodyReads(r)
}

// mayWrite tells whether a request may change something: by its method, or by an override of it in a header or the query.
func mayWrite(r *http.Request) bool { return !isSafe(r) || overridden(r) }

// overrideHeaders are how clients ask a framework to take a request for one of another method.
var overrideHeaders = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// overridden tells whether a header or the query asks for a method that is not safe.
func overridden(r *http.Request) bool {
	for name, values := range r.Header {
		if len(name) >= len("X-Http-Method") && isOverride(name) && !safeMethods(values) {
			return true
		}
	}
	return !fieldsRead(r.URL.RawQuery)
}

func isOverride(name string) bool { return named(name, overrideHeaders) }

// rerouted tells whether a header asks a framework to take the request for one of another path (CVE-2018-14773).
func rerouted(h http.Header) bool {
	for name := range h {
		if named(name, pathHeaders) {
			return true
		}
	}
	return false
}

// pathHeaders are such headers: of IIS's rewriting modules, and of what imitates them.
var pathHeaders = []string{"X-Original-Url", "X-Rewrite-Url"}

var folded = strings.NewReplacer("_", "-", ".", "-")

// named tells whether name is one of those, as CGI and its heirs fold names.
func named(name string, any []string) bool {
	for _, o := range any {
		if len(name) == len(o) && strings.EqualFold(folded.Replace(name), o) {
			return true
		}
	}
	return false
}

func safeMethods(methods []string) bool {
	for _, m := range methods {
		if !safeMethod(m) {
			return false
		}
	}
	return true
}

func safeMethod(m string) bool {
	switch strings.ToUpper(strings.TrimSpace(m)) {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}
