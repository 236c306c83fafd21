package portal_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/portal"
)

// everyRoute are all addresses of the portal, those with an id in them too.
func everyRoute() map[string][]string {
	routes := portal.Routes()
	const id = "0123456789abcdef"
	routes[api+"impersonations/"+id] = []string{"GET", "DELETE"}
	routes["/.impersonate/audit/impersonations/"+id] = []string{"GET"}
	routes["/.impersonate/requests/"+id] = []string{"GET"}
	for _, what := range []string{"approve", "refuse", "cancel", "start"} {
		routes["/.impersonate/requests/"+id+"/"+what] = []string{"GET", "POST"}
	}
	for _, what := range []string{"approve", "refuse", "cancel"} {
		routes[api+"requests/"+id+"/"+what] = []string{"POST"}
	}
	routes["/.impersonate/nothing"] = []string{"GET"}
	routes["/.impersonate/assets/portal.css"] = []string{"GET"}
	return routes
}

// TestNothingIsFramed: whatever the portal answers, to whomever, another site can't frame it (so nobody is led to
// press "Log in as this user" under a game), can't run scripts in it, and no cache keeps it.
func TestNothingIsFramed(t *testing.T) {
	g := newRig(t)
	impersonating := g.login("admin")
	impersonating.begin("sam")
	routes := everyRoute()
	if len(routes) < 35 {
		t.Fatalf("only %d routes", len(routes))
	}
	for path, methods := range routes {
		for who, b := range map[string]*browser{"nobody": g.anonymous(), "admin": g.login("admin"), "owner": g.login("owner"), "sam": g.login("sam"), "impersonating": impersonating} {
			for _, method := range append(methods, "HEAD", "PATCH") {
				if who == "impersonating" && method != "GET" {
					continue
				}
				res := b.do(method, path, "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin")
				h, name := res.Header, who+" "+method+" "+path
				csp := h.Get("Content-Security-Policy")
				if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(csp, "frame-ancestors 'none'") && !strings.Contains(csp, "frame-ancestors 'self'") {
					t.Errorf("%s: %d can be framed: X-Frame-Options %q, policy %q", name, res.StatusCode, h.Get("X-Frame-Options"), csp)
				}
				if strings.Contains(csp, "unsafe") || !strings.HasPrefix(csp, "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: %d, policy %q, X-Content-Type-Options %q", name, res.StatusCode, csp, h.Get("X-Content-Type-Options"))
				}
				if h.Get("Cache-Control") != "no-store" && !strings.Contains(path, "/assets/") {
					t.Errorf("%s: %d may be cached: %q", name, res.StatusCode, h.Get("Cache-Control"))
				}
			}
		}
	}
}

// TestOtherSitesChangeNothing: whatever changes something refuses another site's pages, of a subdomain too.
func TestOtherSitesChangeNothing(t *testing.T) {
	g := newRig(t)
	owner := g.login("owner")
	changes := 0
	for path, methods := range everyRoute() {
		for _, method := range methods {
			if slices.Contains([]string{"GET", "HEAD"}, method) {
				continue
			}
			changes++
			for _, h := range [][]string{
				{"Origin", "https://evil.example"},
				{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
				{"Sec-Fetch-Site", "cross-site"},
				{"Origin", "https://other.app.example.com", "Sec-Fetch-Site", "same-site"},
				{"Origin", "null", "Sec-Fetch-Site", "cross-site"},
			} {
				res := owner.do(method, path, "id=1", append(h, "Content-Type", "application/x-www-form-urlencoded")...)
				if res.StatusCode != http.StatusForbidden || !strings.Contains(res.body, "cross-origin") {
					t.Errorf("%s %s with %v: %d %.200s", method, path, h, res.StatusCode, res.body)
				}
			}
		}
	}
	if changes < 12 {
		t.Fatalf("only %d changes", changes)
	}
}
