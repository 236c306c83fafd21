package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// asking is a rig whose first policy asks for what edit says.
func asking(t *testing.T, edit func(*policy.Policy)) *rig {
	g := newRig(t)
	r := rules()
	r.StepUp = policy.StepUp{Within: 5 * time.Minute}
	edit(&r.Policies[0])
	g.use(r)
	return g
}

func byOthers(p *policy.Policy) {
	p.RequireApproval, p.Approvers = true, policy.Match{Groups: []string{"supervisors", "auditors"}}
}

var pick = url.Values{"target": {"sam"}, "reason": {"<b>the lift is stuck</b>"}, "ticket": {"https://tickets.example/7"}, "mode": {"read_only"}, "duration": {"600"}, "next": {"/bookings?page=2"}}

// idOf is the id in a request's address.
func idOf(t *testing.T, a *answerOf) string {
	t.Helper()
	id, ok := strings.CutPrefix(a.Header.Get("Location"), "/.impersonate/requests/")
	if a.StatusCode != http.StatusSeeOther || !ok {
		t.Fatalf("%d %s: %s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
	return id
}

func TestApprovalPages(t *testing.T) {
	g := asking(t, byOthers)
	admin, super, office := g.login("admin"), g.login("super"), g.login("office")
	admin.get("/.impersonate/confirm?target=sam").want(t, 200, "Somebody else has to approve this", "Ask for it")
	at := "/.impersonate/requests/" + idOf(t, admin.post("/.impersonate/start", pick))
	if admin.get(at).want(t, 200, "Your request to use the account of Sam Reed", "Waiting", "Check again", "&lt;b&gt;the lift is stuck", `href="https://tickets.example/7"`, "10 min", "Read only"); len(g.started) != 0 {
		t.Fatal("started")
	}
	// Whoever opens the portal sees that somebody waits for them, and the way there.
	super.get("/.impersonate/").want(t, 200, "One request waits for your decision.", `href="/.impersonate/requests"`)
	super.get("/.impersonate/requests").want(t, 200, "Alice Ng asks to use the account of Sam Reed", at)
	page := super.get(at).want(t, 200, "Alice Ng (admin)", "Sam Reed (sam)", "Approve", "Refuse")
	if strings.Contains(page.body, "<b>the lift") || strings.Contains(page.body, "data-go") {
		t.Error("what the actor wrote is markup, or the approver's page starts something")
	}
	for _, b := range []*browser{office, g.login("sam")} {
		b.get(at).want(t, 404)
		b.post(at+"/approve", nil).want(t, 404)
		if strings.Contains(b.get("/.impersonate/requests").want(t, 200).body, "Alice") {
			t.Error("others see it")
		}
	}
	admin.post(at+"/approve", nil).want(t, 403, "This is not yours to decide.")
	admin.post(at+"/start", nil).want(t, 403, "Somebody else has to approve this first.")
	// In the reader's language.
	super.do("GET", at, "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Accept-Language", "de").want(t, 200, "Genehmigen", "Ablehnen", `lang="de"`)
	// From another site nothing is decided.
	super.do("POST", at+"/approve", "", "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").want(t, 403)
	before := admin.get(at+"?part=1").want(t, 200)
	if strings.Contains(before.body, "<html") || strings.Contains(before.body, "data-go") {
		t.Error("not a part, or it goes on too early")
	}

	super.post(at+"/approve", url.Values{"note": {"go ahead"}}).to(t, 303, at)
	super.get(at).want(t, 200, "Approved", "Take it back", "go ahead")
	after := admin.get(at+"?part=1").want(t, 200, "data-go", "Log in as Sam Reed", "Sue Pervisor")
	if v := func(s string) string { return s[strings.Index(s, "data-version"):][:30] }; v(before.body) == v(after.body) {
		t.Error("the waiting page can't tell that it was approved")
	}
	super.post(at+"/start", nil).want(t, 403)
	admin.post(at+"/start", nil).to(t, 303, "/bookings?page=2")
	started := g.events.of(audit.EventImpersonationStarted)
	if len(started) != 1 || len(g.started) != 1 || started[0].Mode != "read_only" || started[0].Ticket != "https://tickets.example/7" || !strings.Contains(started[0].Detail, `"duration_s":600`) {
		t.Fatalf("%+v", started)
	}
	admin.post(at+"/start", nil).want(t, 403)
	if strings.Contains(admin.get(at).want(t, 200, "Started").body, "data-go") {
		t.Error("it goes on again")
	}
}

func TestRefuseAndCancelPages(t *testing.T) {
	g := asking(t, byOthers)
	admin, super := g.login("admin"), g.login("super")
	at := "/.impersonate/requests/" + idOf(t, admin.post("/.impersonate/start", pick))
	super.post(at+"/refuse", url.Values{"note": {"ask Otto"}}).to(t, 303, at)
	admin.get(at).want(t, 200, "Refused", "By super.", "ask Otto")
	super.post(at+"/approve", nil).want(t, 403, "This request has been dealt with")
	at = "/.impersonate/requests/" + idOf(t, admin.post("/.impersonate/start", pick))
	admin.post(at+"/cancel", nil).to(t, 303, at)
	super.get(at).want(t, 200, "Cancelled")
	super.get("/.impersonate/requests").want(t, 200, "Nothing waits for your decision.", "Lately")
	for _, path := range []string{at + "/", at + "/approve/x", at + "/nothing", "/.impersonate/requests/", "/.impersonate/requests/..%2f", "/.impersonate/requests/" + strings.Repeat("a", 65)} {
		super.get(path).want(t, 404)
	}
	super.get(at+"/approve").to(t, 303, at) // where a login leads back to
}

func TestConsentPages(t *testing.T) {
	g := asking(t, func(p *policy.Policy) { p.RequireConsent = true })
	admin, sam := g.login("admin"), g.login("sam")
	at := "/.impersonate/requests/" + idOf(t, admin.post("/.impersonate/start", pick))
	admin.get(at).want(t, 200, "Sam Reed has to agree.")
	sam.get("/.impersonate/").want(t, 200, "One request waits for your decision.")
	sam.get(at).want(t, 200, "I agree")
	g.login("super").get(at).want(t, 404)
	sam.post(at+"/approve", nil).to(t, 303, at)
	admin.post(at+"/start", nil).to(t, 303, "/bookings?page=2")
}

// freshly is a browser in which that person has just proved who they are.
func (g *rig) freshly(username string) *browser {
	g.t.Helper()
	b := g.anonymous()
	_, raw, err := g.sessions.Create(g.t.Context(), session.Login{
		Claims: identity.Identity{ID: "id-" + username, Username: username}, Issuer: "https://idp.example", Subject: username, AuthTime: g.clock.Now(),
	})
	if err != nil {
		g.t.Fatal(err)
	}
	u, _ := url.Parse(g.server.URL)
	b.c.Jar.SetCookies(u, []*http.Cookie{{Name: session.CookieName(false), Value: raw, Path: "/"}})
	b.raw = raw
	return b
}

// TestStepUpPages: the start is kept on the server while its person logs in again, in a new session.
func TestStepUpPages(t *testing.T) {
	g := asking(t, func(p *policy.Policy) { p.RequireStepUp = true })
	admin := g.login("admin")
	admin.get("/.impersonate/confirm?target=sam").want(t, 200, "You may be asked to log in again.")
	admin.post("/.impersonate/start", pick).to(t, 303, "https://idp.example/auth")
	if len(g.stepped) != 1 || !strings.HasPrefix(g.stepped[0], "admin /.impersonate/requests/") {
		t.Fatalf("%v", g.stepped)
	}
	_, at, _ := strings.Cut(g.stepped[0], " ")
	page := admin.get(at).want(t, 200, "Waiting for a fresh login", "Log in again and start")
	if strings.Contains(page.body, "data-go") {
		t.Error("it would go round in circles")
	}
	admin.post(at+"/start", nil).to(t, 303, "https://idp.example/auth")
	for _, who := range []string{"super", "owner", "sam"} {
		g.freshly(who).get(at).want(t, 404)
		g.freshly(who).post(at+"/start", nil).want(t, 404)
	}
	again := g.freshly("admin")
	again.get(at).want(t, 200, "Ready", "data-go")
	again.post(at+"/start", nil).to(t, 303, "/bookings?page=2")
	e := g.events.of(audit.EventImpersonationStarted)
	if len(e) != 1 || e[0].Reason != "<b>the lift is stuck</b>" || e[0].Mode != "read_only" {
		t.Fatalf("%+v", e)
	}
	again.post(at+"/start", nil).want(t, 404)
}

// TestApprovedWithAnOldLogin: when the approval comes and the login is too old by then, the page leads through a fresh one by
// itself, once, and the button does without script.
func TestApprovedWithAnOldLogin(t *testing.T) {
	g := asking(t, func(p *policy.Policy) { byOthers(p); p.RequireStepUp = true })
	admin := g.freshly("admin")
	at := "/.impersonate/requests/" + idOf(t, admin.post("/.impersonate/start", pick))
	if page := admin.get(at).want(t, 200, "Waiting", `data-live="`+at+`"`).body; strings.Contains(page, "data-go") {
		t.Error("it goes on before it may")
	}
	g.clock.Advance(20 * time.Minute)
	g.login("super").post(at+"/approve", nil).to(t, 303, at)
	for _, path := range []string{at, at + "?part=1"} {
		admin.get(path).want(t, 200, `action="`+at+`/start" data-go="login"`, "Log in again and start")
	}
	admin.post(at+"/start", nil).to(t, 303, "https://idp.example/auth")
	back := "admin " + at + "?logged-in=1"
	if g.stepped[len(g.stepped)-1] != back {
		t.Fatalf("%v", g.stepped)
	}
	// A provider that did not have them log in: no going round in circles, by the page or by its piece.
	for _, path := range []string{at + "?logged-in=1", at + "?logged-in=1&part=1"} {
		page := admin.get(path).want(t, 200, "Log in again and start", "right after a fresh login").body
		if strings.Contains(page, "data-go") {
			t.Errorf("%s: it would go round in circles", path)
		}
	}
	admin.get(at+"?logged-in=1").want(t, 200, `data-live="`+at+`?logged-in=1"`)
	again := g.freshly("admin")
	again.get(at+"?logged-in=1").want(t, 200, `data-go="start"`, "Log in as Sam Reed")
	again.post(at+"/start", nil).to(t, 303, "/bookings?page=2")
}

func TestEmergencyPages(t *testing.T) {
	g := asking(t, func(p *policy.Policy) { byOthers(p); p.Emergency = true })
	admin := g.login("admin")
	page := admin.get("/.impersonate/confirm?target=sam").want(t, 200, "In an emergency", "Start without agreement").body
	// Enter in a field presses the first button of the form.
	if first := page[strings.Index(page, `<form class="confirm"`):]; strings.Index(first, "<button dir") > strings.Index(first, `name="emergency"`) {
		t.Error("the emergency is the form's default button")
	}
	f := url.Values{"target": {"sam"}, "reason": {""}, "emergency": {"1"}}
	admin.post("/.impersonate/start", f).want(t, 403, "Write down why")
	f.Set("reason", "the lift is stuck")
	admin.post("/.impersonate/start", f).to(t, 303, "/")
	if e := g.events.of(audit.EventEmergencyStarted); len(e) != 1 || e[0].ActorUsername != "admin" {
		t.Fatalf("%+v", e)
	}
	j := admin.json("GET", "/.impersonate/api/v1/impersonations/current", "").want(t, 200).object(t)
	if j["emergency"] != true || j["approved_by"] != "" {
		t.Errorf("%v", j)
	}
}

func TestRequestsAPI(t *testing.T) {
	g := asking(t, func(p *policy.Policy) { byOthers(p); p.RequireStepUp = true })
	admin, super := g.login("admin"), g.login("super")
	const api = "/.impersonate/api/v1"
	res := admin.json("POST", api+"/impersonations", `{"target":"sam","reason":"the lift is stuck","duration":"10m"}`).want(t, 202)
	r := res.object(t)
	id, _ := r["id"].(string)
	if r["state"] != "pending" || r["duration"] != 600.0 || r["own"] != true || r["may_decide"] != false || res.Header.Get("Location") != api+"/requests/"+id ||
		r["needs"].([]any)[0] != "approval" || r["url"] != g.server.URL+"/.impersonate/requests/"+id || r["start_by"] != nil {
		t.Errorf("%s", res.body)
	}
	list := super.json("GET", api+"/requests", "").want(t, 200).object(t)
	if all := list["requests"].([]any); len(all) != 1 || all[0].(map[string]any)["may_decide"] != true {
		t.Errorf("%v", list)
	}
	g.login("office").json("GET", api+"/requests/"+id, "").want(t, 404)
	g.login("sam").json("POST", api+"/requests/"+id+"/approve", "").want(t, 404)
	code := func(a *answerOf, want string) {
		t.Helper()
		if got := a.want(t, 403).object(t)["refusal"].(map[string]any)["code"]; got != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	code(admin.json("POST", api+"/requests/"+id+"/approve", ""), policy.RefusedApprover)
	code(admin.json("POST", api+"/impersonations", `{"request":"`+id+`"}`), policy.RefusedApproval)
	super.json("POST", api+"/requests/"+id+"/approve", `{"nope":"x"}`).want(t, 400)
	ok := super.json("POST", api+"/requests/"+id+"/approve", `{"note":"fine"}`).want(t, 200).object(t)
	if ok["state"] != "approved" || ok["approved_by"] != "super" || ok["note"] != "fine" || ok["start_by"] == nil {
		t.Errorf("%v", ok)
	}
	// The fresh login comes last: a problem of its own type, with the way there.
	p := admin.json("POST", api+"/impersonations", `{"request":"`+id+`"}`).want(t, 403).object(t)
	if p["type"] != "urn:caddy-impersonate:problem:step-up-required" || p["step_up"] != "/.impersonate/step-up?return_to=%2F.impersonate%2F" || p["refusal"].(map[string]any)["code"] != policy.RefusedStepUp {
		t.Errorf("%v", p)
	}
	again := g.freshly("admin")
	again.json("POST", api+"/impersonations", `{"request":"`+id+`","target":"kim"}`).want(t, 400)
	i := again.json("POST", api+"/impersonations", `{"request":"`+id+`"}`).want(t, 201).object(t)
	if i["request"] != id || i["approved_by"] != "super" || i["target"].(map[string]any)["username"] != "sam" {
		t.Errorf("%v", i)
	}
	code(super.json("POST", api+"/requests/"+id+"/refuse", ""), policy.RefusedRequestClosed)
	// And the rest of the verbs.
	g.clock.Advance(time.Second)
	second := admin.json("POST", api+"/impersonations", `{"target":"kim","reason":"the lift is stuck"}`).want(t, 202).object(t)["id"].(string)
	if c := admin.json("POST", api+"/requests/"+second+"/cancel", "").want(t, 200).object(t); c["state"] != "cancelled" || c["closed_by"] != "admin" {
		t.Errorf("%v", c)
	}
	all := admin.json("GET", api+"/requests?state=all&limit=1", "").want(t, 200).object(t)
	if next := all["next_cursor"].(string); len(all["requests"].([]any)) != 1 || next == "" {
		t.Errorf("%v", all)
	} else if rest := admin.json("GET", api+"/requests?state=all&cursor="+url.QueryEscape(next), "").want(t, 200).object(t); len(rest["requests"].([]any)) != 1 {
		t.Errorf("%v", rest)
	}
	admin.json("GET", api+"/requests?state=closed", "").want(t, 400)
	admin.json("GET", api+"/requests?state=open&cursor=2026-03-01T09:00:00Z", "").want(t, 400)
	admin.json("DELETE", api+"/requests/"+id, "").want(t, 405)
	g.anonymous().json("GET", api+"/requests", "").want(t, 401)
}
