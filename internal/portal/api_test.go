package portal_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const api = "/.impersonate/api/v1/"

func TestEveryStatus(t *testing.T) {
	g := newRig(t)
	admin, sam, nobody := g.login("admin"), g.login("sam"), g.anonymous()
	admin.begin("kim")
	js := "application/json"
	long := `{"target":"sam","reason":"` + strings.Repeat("a", 70<<10) + `"}`
	for _, tc := range []struct {
		who                *browser
		method, path, body string
		kind               string
		status             int
		problem            string // end of the type
		allow              string
	}{
		// Methods.
		{admin, "POST", api + "me", "{}", js, 405, "method-not-allowed", "GET, HEAD"},
		{admin, "DELETE", api + "users", "", "", 405, "method-not-allowed", "GET, HEAD"},
		{admin, "PUT", api + "impersonations", "{}", js, 405, "method-not-allowed", "GET, HEAD, POST"},
		{admin, "POST", api + "impersonations/current", "{}", js, 405, "method-not-allowed", "GET, HEAD, DELETE"},
		{admin, "PATCH", "/.impersonate/", "", "", 405, "method-not-allowed", "GET, HEAD"},
		{admin, "PUT", "/.impersonate/stop", "", "", 405, "method-not-allowed", "GET, HEAD, POST"},
		{nobody, "OPTIONS", api + "me", "", "", 405, "method-not-allowed", "GET, HEAD"},
		{nobody, "POST", "/.impersonate/assets/portal.css", "", "", 405, "method-not-allowed", "GET, HEAD"},
		{admin, "HEAD", api + "me", "", "", 200, "", ""},
		// Nobody logged in.
		{nobody, "GET", api + "me", "", "", 401, "login-required", ""},
		{nobody, "GET", api + "users", "", "", 401, "login-required", ""},
		{nobody, "POST", api + "impersonations", `{"target":"sam"}`, js, 401, "login-required", ""},
		{nobody, "GET", api + "impersonations", "", "", 401, "login-required", ""},
		{nobody, "DELETE", api + "impersonations/current", "", "", 401, "login-required", ""},
		{nobody, "GET", "/.impersonate/", "", "", 401, "login-required", ""},
		{nobody, "POST", "/.impersonate/start", "target=sam", "application/x-www-form-urlencoded", 401, "login-required", ""},
		// Not there.
		{admin, "GET", "/.impersonate/nothing", "", "", 404, "not-found", ""},
		{admin, "GET", api, "", "", 404, "not-found", ""},
		{admin, "GET", api + "users/", "", "", 404, "not-found", ""},
		{admin, "GET", api + "impersonations/", "", "", 404, "not-found", ""},
		{admin, "GET", api + "impersonations/00000000000000000000000000000000", "", "", 404, "not-found", ""},
		{admin, "GET", api + "impersonations/a%2fb", "", "", 404, "not-found", ""},
		{admin, "GET", api + "impersonations/" + strings.Repeat("a", 65), "", "", 404, "not-found", ""},
		{sam, "GET", api + "impersonations/current", "", "", 404, "not-found", ""},
		{sam, "DELETE", api + "impersonations/current", "", "", 404, "not-found", ""},
		{nobody, "GET", "/.impersonate/assets/other.css", "", "", 404, "not-found", ""},
		{nobody, "GET", "/.impersonate/assets/", "", "", 404, "not-found", ""},
		// Of later versions.
		{admin, "GET", api + "audit/requests", "", "", 403, "forbidden", ""},
		{admin, "PUT", api + "settings/retention", "{}", js, 403, "forbidden", ""},
		{admin, "PUT", api + "settings/other", "{}", js, 501, "not-available", ""},
		{nobody, "GET", "/.impersonate/scim/v2/Users", "", "", 404, "not-found", ""},
		// Users.
		{sam, "GET", api + "users", "", "", 403, "impersonation-refused", ""},
		{admin, "GET", api + "users?limit=0", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?limit=101", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?limit=ten", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?cursor=!", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?q=a&q=b", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?qq=a", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?q=%ff", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?q=" + strings.Repeat("a", 201), "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?may_impersonate=false", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "users?q=%zz", "", "", 400, "bad-request", ""},
		// Starts.
		{admin, "POST", api + "impersonations", `{"target":"sam"}`, "text/plain", 415, "unsupported-media-type", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam"}`, "", 415, "unsupported-media-type", ""},
		{admin, "POST", api + "impersonations", long, js, 413, "too-large", ""},
		{admin, "POST", api + "impersonations", ``, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `null`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `[]`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam"`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam"} {}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam","as":"kim"}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam","target":"kim"}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"Target":"sam"}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", "{\"target\":\"sam\",\"rea\u017fon\":\"long s\"}", js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":5}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"` + "\xff" + `"}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"reason":"because"}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam","duration":"soon"}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam","duration":-1}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam","duration":1e300}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam","duration":{}}`, js, 400, "bad-request", ""},
		{admin, "POST", api + "impersonations", `{"target":"sam","reason":"because"}`, js, 403, "impersonation-refused", ""},
		// Lists.
		{admin, "GET", api + "impersonations?state=now", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "impersonations?cursor=now", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "impersonations?limit=-1", "", "", 400, "bad-request", ""},
		{admin, "GET", api + "impersonations?actor=sam", "", "", 400, "bad-request", ""},
	} {
		var h []string
		if tc.kind != "" {
			h = []string{"Content-Type", tc.kind}
		}
		res := tc.who.do(tc.method, tc.path, tc.body, h...)
		name := fmt.Sprintf("%s %.80s %.60s", tc.method, tc.path, tc.body)
		if res.StatusCode != tc.status || res.Header.Get("Allow") != tc.allow {
			t.Errorf("%s: %d, Allow %q: %s", name, res.StatusCode, res.Header.Get("Allow"), res.body)
			continue
		}
		if tc.problem == "" {
			continue
		}
		if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
			t.Errorf("%s: %s", name, ct)
		}
		if p := res.object(t); p["type"] != "urn:caddy-impersonate:problem:"+tc.problem || p["title"] == "" || p["detail"] == "" || p["status"] != float64(tc.status) {
			t.Errorf("%s: %v", name, p)
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", name)
		}
	}
	if len(g.events.of(audit.EventImpersonationStarted)) != 1 {
		t.Error("something else was started")
	}
}

func TestAPI(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	me := b.json("GET", api+"me", "").want(t, 200).object(t)
	if me["target"] != nil || me["impersonation"] != nil || len(me["roles"].([]any)) != 0 {
		t.Errorf("me: %v", me)
	}
	if a := me["actor"].(map[string]any); a["username"] != "admin" || a["name"] != "Alice Ng" || a["id"] != "id-admin" || a["email"] != "admin@example.com" || a["groups"].([]any)[0] != "admins" {
		t.Errorf("actor: %v", a)
	}
	if r := g.login("owner").json("GET", api+"me", "").object(t)["roles"]; fmt.Sprint(r) != "[owner]" {
		t.Errorf("roles: %v", r)
	}

	res := b.json("POST", api+"impersonations", `{"target":"SAM","reason":"because","ticket":"T-1","mode":"read_only","duration":"15m","return_to":"/bookings"}`).want(t, 201)
	i := res.object(t)
	id := i["id"].(string)
	if res.Header.Get("Location") != api+"impersonations/"+id || res.Header.Get("Clear-Site-Data") == "" {
		t.Errorf("headers %v", res.Header)
	}
	for k, want := range map[string]any{
		"state": "active", "mode": "read_only", "reason": "because", "ticket": "T-1", "policy": "support", "return_to": "/bookings", "site": g.server.URL,
		"started_at": "2026-03-01T09:00:00Z", "expires_at": "2026-03-01T09:15:00Z", "ended_at": nil, "end_cause": "",
	} {
		if i[k] != want {
			t.Errorf("%s is %v, want %v", k, i[k], want)
		}
	}
	if fmt.Sprint(i["actor"], i["target"]) != "map[id:id-admin name:Alice Ng username:admin] map[id:id-sam name:Sam Reed username:sam]" {
		t.Errorf("%v %v", i["actor"], i["target"])
	}
	me = b.json("GET", api+"me", "").object(t)
	if me["actor"].(map[string]any)["username"] != "admin" || me["target"].(map[string]any)["username"] != "sam" || fmt.Sprint(me["target"].(map[string]any)["groups"]) != "[fieldworkers]" {
		t.Errorf("me: %v", me)
	}
	if m := me["impersonation"].(map[string]any); m["id"] != id || m["mode"] != "read_only" || m["expires_at"] != "2026-03-01T09:15:00Z" || m["reason"] != "because" {
		t.Errorf("me: %v", m)
	}
	refused := b.json("POST", api+"impersonations", `{"target":"kim","reason":"because"}`).want(t, 403).object(t)
	if r := refused["refusal"].(map[string]any); r["code"] != "nested" || r["message"] != refused["detail"] {
		t.Errorf("refusal: %v", refused)
	}

	// Who else sees it: owners and auditors, and the same person from another browser. Nobody else, not even the target.
	for who, status := range map[string]int{"owner": 200, "auditor": 200, "admin": 200, "super": 404, "sam": 404} {
		o := g.login(who)
		o.json("GET", api+"impersonations/"+id, "").want(t, status)
		all := o.json("GET", api+"impersonations?state=active", "").want(t, 200).object(t)["impersonations"].([]any)
		if (len(all) == 1) != (status == 200) {
			t.Errorf("%s sees %v", who, all)
		}
	}
	if b2 := g.login("admin"); b2.json("GET", api+"impersonations/current", "").StatusCode != 404 {
		t.Error("another browser of the same person impersonates too")
	}

	// Auditors look; owners end; and that is told apart.
	g.login("auditor").json("DELETE", api+"impersonations/"+id, "").want(t, 403)
	g.login("super").json("DELETE", api+"impersonations/"+id, "").want(t, 404)
	owner := g.login("owner")
	owner.json("DELETE", api+"impersonations/"+id, "").want(t, 204)
	owner.json("DELETE", api+"impersonations/"+id, "").want(t, 204)
	if len(g.stopped) != 0 {
		t.Error("OnStop was called for the owner's own browser")
	}
	i = b.json("GET", api+"impersonations/"+id, "").want(t, 200).object(t)
	if i["state"] != "ended" || i["end_cause"] != "revoked" || i["ended_by"] != "owner" || i["ended_at"] != "2026-03-01T09:00:00Z" {
		t.Errorf("ended: %v", i)
	}

	// By oneself, as current; the second time there is none.
	b.json("POST", api+"impersonations", `{"target":"kim","reason":"because","duration":600}`).want(t, 201, "09:10:00Z")
	b.json("GET", api+"impersonations/current", "").want(t, 200, `"username":"kim"`)
	if res := b.json("DELETE", api+"impersonations/current", "").want(t, 204); res.Header.Get("Clear-Site-Data") == "" || len(g.stopped) != 1 {
		t.Error("OnStop was not called")
	}
	b.json("DELETE", api+"impersonations/current", "").want(t, 404)
	if got := b.json("GET", api+"impersonations?state=active", "").object(t)["impersonations"].([]any); len(got) != 0 {
		t.Errorf("live: %v", got)
	}
}

func TestListOfImpersonationsPages(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	for range 7 {
		b.begin("sam")
		g.clock.Advance(time.Second)
		b.post("/.impersonate/stop", nil).want(t, http.StatusSeeOther)
	}
	b.begin("kim")
	g.login("super").begin("sam")
	var seen []string
	cursor := ""
	for range 10 {
		o := b.json("GET", api+"impersonations?limit=3&cursor="+url.QueryEscape(cursor), "").want(t, 200).object(t)
		for _, i := range o["impersonations"].([]any) {
			seen = append(seen, i.(map[string]any)["id"].(string))
		}
		if cursor = o["next_cursor"].(string); cursor == "" {
			break
		}
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != 8 {
		t.Errorf("%d of 8 seen: %v", len(seen), seen)
	}
	if n := len(g.login("owner").json("GET", api+"impersonations?state=active", "").object(t)["impersonations"].([]any)); n != 2 {
		t.Errorf("an owner sees %d live, want 2", n)
	}
	if n := len(b.json("GET", api+"impersonations?state=ended", "").object(t)["impersonations"].([]any)); n != 7 {
		t.Errorf("%d ended, want 7", n)
	}
}

func crowd(n int) []directory.User {
	users := crew()
	for i := range n {
		g := "fieldworkers"
		if i%4 == 0 {
			g = "elsewhere"
		}
		users = append(users, user(fmt.Sprintf("u%06d", i), fmt.Sprintf("%s %s %d", given[i%len(given)], family[i/7%len(family)], i), i%11 != 0, g))
	}
	return users
}

var (
	given  = []string{"Ada", "Bela", "Chidi", "Dana", "Eyl\u00fcl", "Fatima", "Goran", "Hana", "Ivo", "Jos\u00e9", "Kemi", "Liam", "Mei", "Noor", "Olu", "Pia"}
	family = []string{"Abe", "Brandt", "Castro", "Diaz", "Eze", "Fox", "Gupta", "Haas", "Ito", "Jansen", "Khan", "Lopez", "M\u00fcller", "Novak", "Okafor", "Park", "Quist", "Rossi", "Sato"}
)

func TestPagingOverAThousand(t *testing.T) {
	g := newRig(t, crowd(1200)...)
	b := g.login("super")
	// The API: everybody once, by name.
	seen := map[string]bool{}
	cursor, pages := "", 0
	for {
		o := b.json("GET", api+"users?limit=100&cursor="+cursor, "").want(t, 200).object(t)
		for _, u := range o["users"].([]any) {
			m := u.(map[string]any)
			name := m["username"].(string)
			if seen[name] {
				t.Fatalf("%s twice", name)
			}
			seen[name] = true
			if m["may_impersonate"].(bool) != (m["refusal"] == nil) {
				t.Fatalf("%v", m)
			}
		}
		pages++
		if cursor = o["next_cursor"].(string); cursor == "" {
			break
		}
	}
	if len(seen) != 1208 || pages != 13 {
		t.Errorf("%d users on %d pages", len(seen), pages)
	}
	// The pages: the same, theirs first; following "Show more".
	count := func(path string) (names []string, enabled int) {
		sawOther := false
		for path != "" {
			doc := parse(t, b.get(path).want(t, 200).body)
			path = ""
			for n := range doc.Descendants() {
				if n.Data == "li" && hasClass(n, "person") {
					names = append(names, text(n))
					off := false
					for d := range n.Descendants() {
						if d.Data == "button" {
							_, off = attr(d, "disabled")
						}
					}
					if !off {
						enabled++
						if sawOther {
							t.Fatalf("one of theirs after another: %s", text(n))
						}
					}
					sawOther = sawOther || off
				}
				if _, ok := attr(n, "data-next"); ok {
					path, _ = attr(n, "href")
				}
			}
		}
		return names, enabled
	}
	names, enabled := count("/.impersonate/")
	mine := 0
	for _, u := range crowd(1200) {
		if u.Active && slices.Contains(u.Groups, "fieldworkers") {
			mine++
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != 1208 || enabled != mine {
		t.Errorf("%d people, %d to log in as; want 1208 and %d", len(names), enabled, mine)
	}
	if names, _ := count("/.impersonate/?only=1"); len(names) != mine {
		t.Errorf("%d with the filter, want %d", len(names), mine)
	}
	if names, _ := count("/.impersonate/?q=mei"); len(names) != 75 {
		t.Errorf("%d found, want 75", len(names))
	}
	o := b.json("GET", api+"users?limit=100&may_impersonate=true&q=mei", "").want(t, 200).object(t)
	for _, u := range o["users"].([]any) {
		if u.(map[string]any)["may_impersonate"] != true {
			t.Error(u)
		}
	}
}

// TestShownIsNotDecided: the button was offered, then the facts changed (pomerium #881).
func TestShownIsNotDecided(t *testing.T) {
	g := newRig(t)
	b := g.login("admin")
	b.get("/.impersonate/confirm?target=sam").want(t, 200, `action="/.impersonate/start"`)
	g.change("sam", func(u *directory.User) { u.Active = false })
	b.post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"because"}}).want(t, 403, "deactivated")
	b.json("POST", api+"impersonations", `{"target":"sam","reason":"because"}`).want(t, 403, "target_inactive")
	g.change("admin", func(u *directory.User) { u.Groups = []string{"former-admins"} })
	b.json("POST", api+"impersonations", `{"target":"kim","reason":"because"}`).want(t, 403, "no_policy")
	b.json("GET", api+"users", "").want(t, 403, "no_policy")
	g.change("admin", func(u *directory.User) { u.Groups = []string{"admins"} })
	g.use(policy.Rules{})
	b.json("POST", api+"impersonations", `{"target":"kim","reason":"because"}`).want(t, 403, "no_policy")
}

func TestAssets(t *testing.T) {
	g := newRig(t)
	b := g.anonymous()
	page := g.login("admin").get("/.impersonate/").body
	for _, kind := range []string{"css", "js"} {
		i := strings.Index(page, "/.impersonate/assets/portal.")
		if kind == "js" {
			i = strings.LastIndex(page, "/.impersonate/assets/portal.")
		}
		path := page[i : i+strings.Index(page[i:], `"`)]
		res := b.get(path).want(t, 200)
		if res.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || !strings.Contains(res.Header.Get("Content-Type"), kind[:1]) {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
	res := b.get("/.impersonate/assets/portal.css").want(t, 200, ":root")
	if strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Error("a name without hash is for ever")
	}
	b.do("GET", "/.impersonate/assets/portal.css", "", "If-None-Match", res.Header.Get("ETag")).want(t, 304)
	// Style and script fetch nothing from elsewhere, and need nothing inline.
	all := res.body + b.get("/.impersonate/assets/portal.js").body
	for _, bad := range []string{"http://", "https://", "//cdn", "@import", "url(", "innerHTML", "eval(", "document.write"} {
		if strings.Contains(all, bad) {
			t.Errorf("%q in the assets", bad)
		}
	}
}

// TestUsersMembers makes sure that what programs get is stable: exactly the contract's members.
func TestUsersMembers(t *testing.T) {
	g := newRig(t)
	res := g.login("super").json("GET", api+"users?q=sam", "").want(t, 200)
	var got struct {
		Users []map[string]json.RawMessage `json:"users"`
		Next  *string                      `json:"next_cursor"`
	}
	if err := json.Unmarshal([]byte(res.body), &got); err != nil || len(got.Users) != 1 || got.Next == nil {
		t.Fatalf("%v: %s", err, res.body)
	}
	var names []string
	for k := range got.Users[0] {
		names = append(names, k)
	}
	slices.Sort(names)
	if want := []string{"active", "email", "favourite", "groups", "id", "may_impersonate", "name", "needs", "refusal", "username"}; !slices.Equal(names, want) {
		t.Errorf("members %v", names)
	}
	if string(got.Users[0]["refusal"]) != "null" || string(got.Users[0]["may_impersonate"]) != "true" {
		t.Errorf("%s", res.body)
	}
}

// TestPagesOfOneMoment: starts of the same microsecond are each on one page, of the lists of the API and of the pages.
func TestPagesOfOneMoment(t *testing.T) {
	g := newRig(t)
	want := map[string]bool{}
	for n := range 7 {
		actor := []string{"admin", "super"}[n%2]
		g.login(actor).begin([]string{"sam", "kim"}[n/2%2]) // the clock stands still
	}
	all, err := g.imp.List(t.Context(), "", "all", state.Place{}, 100)
	if err != nil || len(all) != 7 {
		t.Fatal(len(all), err)
	}
	for _, i := range all {
		if !i.StartedAt.Equal(all[0].StartedAt) {
			t.Fatal("not at once")
		}
		want[i.ID] = true
	}
	auditor := g.login("auditor")
	for _, st := range []string{"all", "active"} {
		got, cursor := map[string]bool{}, ""
		for range 10 {
			page := auditor.json("GET", api+"impersonations?state="+st+"&limit=2&cursor="+url.QueryEscape(cursor), "").want(t, 200).object(t)
			for _, i := range page["impersonations"].([]any) {
				id := i.(map[string]any)["id"].(string)
				if got[id] {
					t.Errorf("%s: %s comes twice", st, id)
				}
				got[id] = true
			}
			if cursor = page["next_cursor"].(string); cursor == "" {
				break
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %d of %d", st, len(got), len(want))
		}
	}
	// A cursor of before there were ids in them still is one.
	old := all[0].StartedAt.Add(time.Second).Format(time.RFC3339Nano)
	if got := auditor.json("GET", api+"impersonations?cursor="+url.QueryEscape(old), "").want(t, 200).object(t)["impersonations"].([]any); len(got) != 7 {
		t.Errorf("%d", len(got))
	}
	for _, bad := range []string{"~", "x~y", old + "~<", old + "~" + strings.Repeat("a", 65), "0001-01-01T00:00:00Z~a"} {
		auditor.json("GET", api+"impersonations?cursor="+url.QueryEscape(bad), "").want(t, 400, "cursor")
	}
}
