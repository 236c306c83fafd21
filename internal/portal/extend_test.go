package portal_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

const (
	extendForm = "/.impersonate/extend"
	extendAPI  = api + "impersonations/current/extend"
)

// extendable is the rig with a policy that lets 15 minutes be added twice.
func extendable(t *testing.T) *rig {
	g := newRig(t)
	r := rules()
	r.Policies[0].Idle, r.Policies[0].Extension, r.Policies[0].Extensions = 0, 15*time.Minute, 2
	g.use(r)
	return g
}

func (b *browser) me() map[string]any {
	b.t.Helper()
	m, _ := b.json("GET", api+"me", "").want(b.t, 200).object(b.t)["impersonation"].(map[string]any)
	return m
}

func (e *events) broken(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = err
}

func TestExtendByForm(t *testing.T) {
	g := extendable(t)
	b := g.login("admin")
	b.get("/.impersonate/confirm?target=sam").want(t, 200, "You can add 15 minutes to it, 2 times.", `aria-describedby="ask-more"`)
	b.begin("sam")
	if me := b.me(); me["extensions_left"] != 2.0 || me["extensions"] != 0.0 || me["expires_at"] != "2026-03-01T09:30:00Z" {
		t.Errorf("%v", me)
	}
	press := func(form url.Values, referer string) *answerOf {
		return b.do("POST", extendForm, form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html",
			"Origin", g.server.URL, "Sec-Fetch-Site", "same-origin", "Referer", referer)
	}
	press(url.Values{"press": {"1"}}, g.server.URL+"/bookings/7?day=1").to(t, http.StatusSeeOther, "/bookings/7?day=1")
	if me := b.me(); me["extensions_left"] != 1.0 || me["extensions"] != 1.0 || me["expires_at"] != "2026-03-01T09:45:00Z" {
		t.Errorf("%v", me)
	}
	// Pressed twice by a shaking hand, it counts once.
	press(url.Values{"press": {"1"}}, "").to(t, http.StatusSeeOther, "/")
	if me := b.me(); me["extensions"] != 1.0 {
		t.Errorf("%v", me)
	}
	// Wherever a page says it was on, the way back is on this site.
	for _, evil := range []string{"https://evil.example/", "http://" + strings.TrimPrefix(g.server.URL, "http://") + ".evil.example/", g.server.URL + "//evil.example", "javascript:alert(1)", ":"} {
		to := press(url.Values{"press": {"1"}}, evil).want(t, http.StatusSeeOther).Header.Get("Location")
		if to != "/" {
			t.Errorf("from %s: leads to %s", evil, to)
		}
	}
	press(nil, g.server.URL+"/x").to(t, http.StatusSeeOther, "/x")
	press(nil, g.server.URL+"/x").want(t, 403, "can’t be extended", "any further", `href="/x"`, `action="/.impersonate/stop"`)
	press(url.Values{"press": {"-1"}}, "").want(t, 400)
	press(url.Values{"press": {"two"}}, "").want(t, 400)
	b.do("GET", extendForm, "").to(t, http.StatusSeeOther, "/.impersonate/")

	// Over first: as with the button that returns.
	g.clock.Advance(31 * time.Minute)
	b.me()
	g.clock.Advance(31 * time.Minute)
	press(nil, g.server.URL+"/x").to(t, http.StatusSeeOther, "/.impersonate/")
	if n := len(g.events.of(audit.EventImpersonationExtended)); n != 2 {
		t.Errorf("%d on record", n)
	}
}

func TestExtendByAPI(t *testing.T) {
	g := extendable(t)
	b, other, nobody := g.login("admin"), g.login("admin"), g.anonymous()
	nobody.json("POST", extendAPI, "").want(t, 401, "login-required")
	b.json("POST", extendAPI, "").want(t, 404, "not-found")
	b.begin("sam")
	// The same person in another browser has nothing to extend there.
	other.json("POST", extendAPI, "").want(t, 404, "not-found")
	g.login("sam").json("POST", extendAPI, "").want(t, 404, "not-found")

	got := b.json("POST", extendAPI, `{"press":1}`).want(t, 200).object(t)
	if got["expires_at"] != "2026-03-01T09:45:00Z" || got["extensions"] != 1.0 || got["extensions_left"] != 1.0 || got["state"] != "active" {
		t.Errorf("%v", got)
	}
	if again := b.json("POST", extendAPI, `{"press":1}`).want(t, 200).object(t); again["expires_at"] != got["expires_at"] {
		t.Errorf("%v", again)
	}
	for _, bad := range []string{`{"press":"1"}`, `{"press":-1}`, `{"times":1}`, `[]`, `{"press":1,"press":2}`} {
		b.json("POST", extendAPI, bad).want(t, 400, "bad-request")
	}
	b.json("GET", extendAPI, "").want(t, 405)
	b.json("POST", extendAPI, "").want(t, 200)
	refused := b.json("POST", extendAPI, "").want(t, 403, "impersonation-refused").object(t)
	if r := refused["refusal"].(map[string]any); r["code"] != policy.RefusedExtensionsUsed {
		t.Errorf("%v", refused)
	}

	super := g.login("super")
	super.json("POST", api+"impersonations", `{"target":"kim"}`).want(t, 201)
	super.json("POST", extendAPI, "").want(t, 403, policy.RefusedExtension)

	b.json("DELETE", api+"impersonations/current", "").want(t, 204)
	b.json("POST", extendAPI, "").want(t, 404)
	b.begin("sam")
	if me := b.me(); me["extensions_left"] != 2.0 {
		t.Errorf("the next one: %v", me)
	}
	g.events.broken(errors.New("disk full"))
	b.json("POST", extendAPI, "").want(t, 503, "unavailable")
	if me := b.me(); me["extensions"] != 0.0 {
		t.Errorf("extended without a record: %v", me)
	}
	g.events.broken(nil)

	// Decided on the facts of now.
	g.change("admin", func(u *directory.User) { u.Groups = []string{} })
	b.json("POST", extendAPI, "").want(t, 404)
	if b.me() != nil {
		t.Error("it goes on")
	}
}

// TestExtendRefusesOthers: another site's page can't press it, a page that hides its origin can.
func TestExtendRefusesOthers(t *testing.T) {
	g := extendable(t)
	b := g.login("admin")
	b.begin("sam")
	for _, path := range []string{extendForm, extendAPI, api + "banner"} {
		for _, h := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null", "Sec-Fetch-Site", "cross-site"}} {
			b.do("POST", path, "", h...).want(t, 403, "cross-origin")
		}
	}
	if n := len(g.events.of(audit.EventImpersonationExtended)); n != 0 {
		t.Errorf("%d on record", n)
	}
	b.do("POST", extendForm, "", "Origin", "null").to(t, http.StatusSeeOther, "/") // on plain http no more is said
}

func TestBannerReport(t *testing.T) {
	g := extendable(t)
	b := g.login("admin")
	body := `{"why":"covered","path":"/bookings/7?token=secret#x"}`
	g.anonymous().json("POST", api+"banner", body).want(t, 401)
	b.json("POST", api+"banner", body).want(t, 404)
	b.begin("sam")
	b.json("POST", api+"banner", body).want(t, 204)
	for _, bad := range []string{`{"why":"because","path":"/"}`, `{"path":"/"}`, `{"why":"covered","path":7}`, `{"why":"covered","x":1}`, ``} {
		if res := b.json("POST", api+"banner", bad); res.StatusCode != 400 && res.StatusCode != 415 {
			t.Errorf("%s: %d", bad, res.StatusCode)
		}
	}
	b.json("GET", api+"banner", "").want(t, 405)
	events := g.events.of(audit.EventBannerMissing)
	if len(events) != 1 || events[0].Detail != `{"why":"covered","path":"/bookings/7"}` || events[0].ActorUsername != "admin" || events[0].TargetUsername != "sam" {
		t.Errorf("%+v", events)
	}
	for range 100 {
		b.json("POST", api+"banner", body).want(t, 204)
	}
	if n := len(g.events.of(audit.EventBannerMissing)); n != 10 {
		t.Errorf("%d on record", n)
	}
}
