package portal_test

import (
	"encoding/json"
	"net/http"
	"net/url"
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

// tricks are addresses of elsewhere, as attackers write them.
var tricks = []string{
	"//evil.example", "///evil.example", "////evil.example", `/\evil.example`, `\/evil.example`, `\\evil.example`, `/\/evil.example`, "https:evil.example", "https:/evil.example", "https://evil.example",
	"HTTPS:\\\\evil.example", "http:evil.example", "%2f%2fevil.example", "/%2fevil.example", "/%2F%2Fevil.example", "/%5cevil.example", "%5c%5cevil.example", "/%09/evil.example",
	"/\t/evil.example", "\t//evil.example", "/\n/evil.example", "/\r\n/evil.example", " //evil.example", "\u00a0//evil.example", "\u3000//evil.example", "/.//evil.example", "/..//evil.example",
	"/x/..//evil.example", "/%2e%2e//evil.example", "data:text/html,<script>alert(1)</script>", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "vbscript:x", "blob:x", "file:///etc/passwd",
	"@evil.example", "//evil.example@app", "//app@evil.example", "///\\;@evil.example", "/\u2215evil.example", "\uff0f\uff0fevil.example", "?//evil.example", "#//evil.example", "..//evil.example", "evil.example",
	"/a\r\nLocation: https://evil.example", "/a%0d%0aLocation:%20https://evil.example", "[::1]", "//[::1]/", "//2130706433/",
}

// TestNobodyIsSentAway: no address that leads on leads to another site, whichever way that is written.
func TestNobodyIsSentAway(t *testing.T) {
	g := newRig(t)
	here, _ := url.Parse(g.server.URL + "/.impersonate/x")
	stays := func(what, trick string, res *answerOf) {
		t.Helper()
		for _, name := range []string{"Location", "Refresh"} {
			to := res.Header.Get(name)
			u, err := here.Parse(to)
			if err != nil || u.Host != here.Host || u.Scheme != here.Scheme || u.User != nil || strings.HasPrefix(u.Path, "//") || strings.ContainsAny(to, "\\\t\r\n") {
				t.Errorf("%s with %q: %s %q leads away", what, trick, name, to)
			}
		}
	}
	led := 0
	for _, trick := range tricks {
		q := url.QueryEscape(trick)
		b := g.login("admin")
		page := b.get("/.impersonate/confirm?target=sam&next=" + q + "&return_to=" + q)
		sound(t, "confirm "+trick, page.body)
		start := b.post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"testing"}, "next": {trick}, "return_to": {trick}}).want(t, http.StatusSeeOther)
		stays("next", trick, start)
		stays("ended while it lasts", trick, b.get("/.impersonate/ended?from="+q))
		stays("extend", trick, b.do("POST", "/.impersonate/extend", "", "Content-Type", "application/x-www-form-urlencoded", "Referer", strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(trick)))
		stop := b.post("/.impersonate/stop", url.Values{"return_to": {trick}, "next": {trick}}).want(t, http.StatusSeeOther)
		stays("return_to", trick, stop)
		stays("stop again", trick, b.post("/.impersonate/stop", url.Values{"return_to": {trick}}))
		ended := b.get("/.impersonate/ended?from=" + q)
		stays("ended", trick, ended)
		sound(t, "ended "+trick, ended.body)
		stays("login first", trick, g.anonymous().get("/.impersonate/?return_to="+q))
		body, _ := json.Marshal(map[string]string{"target": "sam", "reason": "testing", "return_to": trick})
		b.json("POST", api+"impersonations", string(body))
		stays("return_to of the API", trick, b.post("/.impersonate/stop", nil))
		if start.Header.Get("Location") != "" && stop.Header.Get("Location") != "" {
			led++
		}
	}
	if led != len(tricks) {
		t.Errorf("%d of %d led anywhere", led, len(tricks))
	}
}
