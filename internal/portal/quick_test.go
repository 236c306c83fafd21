package portal_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const favourites = "/.impersonate/favourites"

// tiles are the usernames of the favourites or recent people that a page begins with.
func tiles(t testing.TB, body, heading string) []string {
	t.Helper()
	out := []string{}
	for _, s := range find(parse(t, body), func(n *html.Node) bool {
		by, _ := attr(n, "aria-labelledby")
		return n.Data == "section" && by == heading
	}) {
		for _, b := range find(s, func(n *html.Node) bool { return hasClass(n, "tile") }) {
			v, _ := attr(b, "value")
			out = append(out, v)
		}
	}
	return out
}

func wantTiles(t *testing.T, b *browser, marked, recent []string) {
	t.Helper()
	page := b.get("/.impersonate/").want(t, 200).body
	if got := tiles(t, page, "h-f"); !slices.Equal(got, marked) {
		t.Errorf("favourites %q, want %q", got, marked)
	}
	if got := tiles(t, page, "h-r"); !slices.Equal(got, recent) {
		t.Errorf("recent %q, want %q", got, recent)
	}
	sound(t, "home", page)
}

func TestFavourites(t *testing.T) {
	g := newRig(t)
	admin := g.login("admin")
	wantTiles(t, admin, []string{}, []string{})
	page := admin.get("/.impersonate/?q=sam").body
	form := formTo(t, page, favourites)
	star := func(body, username string) *html.Node {
		t.Helper()
		all := find(parse(t, body), func(n *html.Node) bool { v, _ := attr(n, "value"); return hasClass(n, "star") && v == username })
		if len(all) == 0 {
			t.Fatalf("%s has no star in %s", username, body)
		}
		return all[0]
	}
	if on, _ := attr(star(page, "sam"), "aria-pressed"); on != "false" {
		t.Error("marked already")
	}
	// Without script: the form, and back to the list it was in.
	form.Set("add", "sam")
	admin.post(favourites, form).to(t, http.StatusSeeOther, "/.impersonate/?q=sam")
	admin.post(favourites, form).to(t, http.StatusSeeOther, "/.impersonate/?q=sam")
	if on, _ := attr(star(admin.get("/.impersonate/?q=sam").body, "sam"), "aria-pressed"); on != "true" {
		t.Error("not marked")
	}
	g.clock.Advance(time.Second)
	admin.post(favourites, url.Values{"add": {"KIM"}, "list": {"https://evil.example/"}}).to(t, http.StatusSeeOther, "/.impersonate/")
	wantTiles(t, admin, []string{"sam", "kim"}, []string{})
	wantTiles(t, g.login("admin"), []string{"sam", "kim"}, []string{}) // of the person, not of the browser
	wantTiles(t, g.login("super"), []string{}, []string{})
	if strings.Contains(admin.get("/.impersonate/?q=s").body, "h-f") {
		t.Error("favourites are in the way of a search")
	}
	piece := admin.get("/.impersonate/?quick=1&part=1").want(t, 200, "Favourites").body
	if strings.Contains(piece, "<html") {
		t.Error("not a piece")
	}

	// Whom they may not impersonate now is not shown, and is there again later.
	g.change("kim", func(u *directory.User) { u.Active = false })
	wantTiles(t, admin, []string{"sam"}, []string{})
	g.change("kim", func(u *directory.User) { u.Active, u.Groups = true, []string{"fieldworkers", "admins"} }) // protected
	wantTiles(t, admin, []string{"sam"}, []string{})
	g.change("kim", func(u *directory.User) { u.Groups, u.ID = []string{"fieldworkers"}, "somebody-else" })
	wantTiles(t, admin, []string{"sam"}, []string{})
	g.change("kim", func(u *directory.User) { u.ID = "id-kim" })
	wantTiles(t, admin, []string{"sam", "kim"}, []string{})
	admin.post(favourites, url.Values{"remove": {"sam"}}).to(t, http.StatusSeeOther, "/.impersonate/")
	wantTiles(t, admin, []string{"kim"}, []string{})

	for who, status := range map[string]int{"auditor": 403, "sam": 403} {
		g.login(who).post(favourites, url.Values{"add": {"kim"}}).want(t, status)
		if strings.Contains(g.login(who).get("/.impersonate/").body, `class="star"`) {
			t.Errorf("%s has stars", who)
		}
	}
	admin.post(favourites, url.Values{"add": {"nobody"}}).want(t, 404)
	admin.post(favourites, url.Values{}).want(t, 400)
	admin.do("POST", favourites, "add=sam", "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example").want(t, 403, "cross-origin")

	// While another account is used nobody else can be.
	admin.begin("sam")
	page = admin.get("/.impersonate/").want(t, 200, "Return to your own account first").body
	if got := tiles(t, page, "h-f"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// TestFavouritesAreBounded: there are so many and no more; those of accounts that are gone make room.
func TestFavouritesAreBounded(t *testing.T) {
	users := crew()
	for n := range state.MaxFavourites + 1 {
		users = append(users, user(fmt.Sprintf("w%02d", n), fmt.Sprint("Worker ", n), true, "fieldworkers"))
	}
	g := newRig(t, users...)
	admin := g.login("admin")
	for n := range state.MaxFavourites {
		admin.post(favourites, url.Values{"add": {fmt.Sprintf("w%02d", n)}}).want(t, http.StatusSeeOther)
	}
	last := fmt.Sprintf("w%02d", state.MaxFavourites)
	admin.post(favourites, url.Values{"add": {last}}).want(t, http.StatusConflict, "as many favourites as you can have")
	admin.do("POST", favourites, "add="+last, "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Accept-Language", "fr").want(t, http.StatusConflict, "plus de favoris")
	page := admin.get("/.impersonate/").want(t, 200).body
	if got := tiles(t, page, "h-f"); len(got) != state.MaxFavourites {
		t.Errorf("%d favourites", len(got))
	}
	sound(t, "home", page)
	g.change("w03", func(u *directory.User) { u.ID = "another" })
	admin.post(favourites, url.Values{"add": {last}}).want(t, http.StatusSeeOther)
	if got := tiles(t, admin.get("/.impersonate/").body, "h-f"); slices.Contains(got, "w03") || got[len(got)-1] != last || len(got) != state.MaxFavourites {
		t.Errorf("%q", got)
	}
}

func TestRecent(t *testing.T) {
	users := crew()
	for n := range 8 {
		users = append(users, user(fmt.Sprint("w", n), fmt.Sprint("Worker ", n), true, "fieldworkers"))
	}
	g := newRig(t, users...)
	admin := g.login("admin")
	use := func(target string) {
		t.Helper()
		admin.begin(target)
		g.clock.Advance(time.Second)
		admin.post("/.impersonate/stop", url.Values{}).want(t, http.StatusSeeOther)
		g.clock.Advance(time.Second)
	}
	for _, who := range []string{"sam", "kim", "sam", "office"} {
		use(who)
	}
	wantTiles(t, admin, []string{}, []string{"office", "sam", "kim"})
	wantTiles(t, g.login("owner"), []string{}, []string{})
	admin.post(favourites, url.Values{"add": {"sam"}}).want(t, http.StatusSeeOther)
	wantTiles(t, admin, []string{"sam"}, []string{"office", "kim"}) // once is enough
	g.change("office", func(u *directory.User) { u.Active = false })
	wantTiles(t, admin, []string{"sam"}, []string{"kim"})
	for n := range 8 {
		use(fmt.Sprint("w", n))
	}
	wantTiles(t, admin, []string{"sam"}, []string{"w7", "w6", "w5", "w4", "w3"})

	names := func(path string) []string {
		t.Helper()
		var out []string
		for _, u := range admin.json("GET", api+path, "").want(t, 200).object(t)["users"].([]any) {
			out = append(out, u.(map[string]any)["username"].(string))
		}
		return out
	}
	if got := names("recent"); !slices.Equal(got, []string{"w7", "w6", "w5", "w4", "w3"}) {
		t.Errorf("%q", got)
	}
	admin.json("POST", api+"favourites", `{"target":"kim"}`).want(t, http.StatusNoContent)
	if got := names("favourites"); !slices.Equal(got, []string{"sam", "kim"}) {
		t.Errorf("%q", got)
	}
	admin.json("DELETE", api+"favourites?target=sam", "").want(t, http.StatusNoContent)
	if got := names("favourites"); !slices.Equal(got, []string{"kim"}) {
		t.Errorf("%q", got)
	}
	for _, u := range admin.json("GET", api+"users?q=kim", "").object(t)["users"].([]any) {
		if u := u.(map[string]any); u["favourite"] != true {
			t.Errorf("%v", u)
		}
	}
	admin.json("POST", api+"favourites", `{"target":"nobody"}`).want(t, 404)
	admin.json("POST", api+"favourites", `{"who":"kim"}`).want(t, 400)
	admin.json("DELETE", api+"favourites", "").want(t, 400)
	g.login("sam").json("GET", api+"recent", "").want(t, 403, "no_policy")
	g.login("sam").json("POST", api+"favourites", `{"target":"kim"}`).want(t, 403)
}

// TestMine: the home page tells of the account in use, and what can be done with it.
func TestMine(t *testing.T) {
	g := newRig(t)
	r := rules()
	r.Policies[0].Extension, r.Policies[0].Extensions = 15*time.Minute, 2
	r.Policies[0].Ticket = policy.Ticket{URL: "https://tickets.example.com/browse/{ticket}"}
	g.use(r)
	admin := g.login("admin")
	admin.post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"can't <b>complete</b>"}, "ticket": {"T-1"}, "mode": {"read_only"}}).want(t, http.StatusSeeOther)
	page := admin.get("/.impersonate/").want(t, 200, "You are using the account of Sam Reed (sam).", "Read only", "can&#39;t &lt;b&gt;complete", `href="https://tickets.example.com/browse/T-1"`,
		"30 minutes left", "Add 15 minutes", "You can add 15 minutes to it, 2 times.", "2026-03-01 09:00 UTC", "Return to your own account first").body
	form := formTo(t, page, "/.impersonate/extend")
	res := admin.do("POST", "/.impersonate/extend", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", g.server.URL,
		"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Referer", g.server.URL+"/.impersonate/")
	res.to(t, http.StatusSeeOther, "/.impersonate/")
	admin.get("/.impersonate/").want(t, 200, "45 minutes left", "to it once")
	// Its other browser has none of it, and is led nowhere by it.
	if other := g.login("admin").get("/.impersonate/").body; strings.Contains(other, "You are using") {
		t.Error("told to the wrong browser")
	}
	// To be somebody else, too, is not possible; a link from elsewhere says so.
	admin.get("/.impersonate/?target=kim").want(t, 200, "You are impersonating someone already")
	for _, path := range []string{"", "history", "requests"} {
		menu := find(parse(t, admin.get("/.impersonate/"+path).body), func(n *html.Node) bool { return n.Data == "details" && hasClass(n, "menu") })
		if len(menu) != 1 || !strings.Contains(text(menu[0]), "Return to my account") {
			t.Errorf("%s: the menu leads nowhere back", path)
		}
	}
	admin.post("/.impersonate/stop", url.Values{}).want(t, http.StatusSeeOther)
	if strings.Contains(admin.get("/.impersonate/").body, "Return to my account") {
		t.Error("still there")
	}
}

// TestNeeds: the list and the API tell what a start needs, and who is locked.
func TestNeeds(t *testing.T) {
	g := newRig(t)
	r := rules()
	r.StepUp = policy.StepUp{Within: 5 * time.Minute}
	r.Policies[0].RequireApproval, r.Policies[0].RequireConsent, r.Policies[0].RequireStepUp, r.Policies[0].LockOnObjection = true, true, true, true
	g.use(r)
	admin, super := g.login("admin"), g.login("super")
	admin.get("/.impersonate/?q=sam").want(t, 200, "Needs a fresh login · Needs approval · Needs their agreement", "Log in as this user")
	needs := func(b *browser) (needs []any, refusal any) {
		t.Helper()
		u := b.json("GET", api+"users?q=sam", "").want(t, 200).object(t)["users"].([]any)[0].(map[string]any)
		return u["needs"].([]any), u["refusal"]
	}
	if got, _ := needs(admin); fmt.Sprint(got) != "[reason step_up approval consent]" {
		t.Errorf("%v", got)
	}
	if got, _ := needs(super); len(got) != 0 {
		t.Errorf("%v", got)
	}
	// A login that is fresh is not needed again.
	fresh := g.anonymous()
	_, raw, err := g.sessions.Create(t.Context(), session.Login{Claims: user("admin", "Alice Ng", true).Identity, Issuer: "https://idp.example", Subject: "admin", AuthTime: g.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(g.server.URL)
	fresh.c.Jar.SetCookies(u, []*http.Cookie{{Name: session.CookieName(false), Value: raw, Path: "/"}})
	if got, _ := needs(fresh); fmt.Sprint(got) != "[reason approval consent]" {
		t.Errorf("%v", got)
	}

	r.Policies[1].LockOnObjection = true
	r.Policies[1].RequireReason = false
	g.use(r)
	super.begin("sam")
	live, err := g.imp.ListTarget(t.Context(), "sam", state.Place{}, 1)
	if err != nil || len(live) != 1 {
		t.Fatal(live, err)
	}
	g.login("sam").post("/.impersonate/history/objection", url.Values{"impersonation": {live[0].ID}}).want(t, http.StatusSeeOther)
	for language, want := range map[string]string{"en": "did not expect you to use their account", "de": "nicht erwartet hat, dass Sie", "fr": "ne s’attendait pas à ce que vous", "es": "no esperaba que usted", "ja": "あなたによるアカウントの使用に心当たりがない"} {
		super.do("GET", "/.impersonate/?q=sam", "", "Accept", "text/html", "Accept-Language", language).want(t, 200, want)
	}
	if got, refusal := needs(super); len(got) != 0 || refusal.(map[string]any)["code"] != policy.RefusedLocked || !strings.Contains(refusal.(map[string]any)["message"].(string), "did not expect") {
		t.Errorf("%v %v", got, refusal)
	}
	if got := super.json("GET", api+"users?may_impersonate=true&q=sam", "").object(t)["users"].([]any); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if _, refusal := needs(admin); refusal != nil {
		t.Errorf("locked for somebody else: %v", refusal)
	}
	wantTiles(t, super, []string{}, []string{})
}

// TestQuickTexts: no word is missing in any language.
func TestQuickTexts(t *testing.T) {
	g := newRig(t)
	r := rules()
	r.Policies[0].RequireApproval = true
	r.Policies[1].Extension = time.Hour
	g.use(r)
	admin, super := g.login("admin"), g.login("super")
	admin.post(favourites, url.Values{"add": {"sam"}}).want(t, http.StatusSeeOther)
	super.begin("kim")
	for _, l := range lang.All {
		for _, b := range []*browser{admin, super} {
			got := b.do("GET", "/.impersonate/", "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Accept-Language", l).want(t, 200, `lang="`+l+`"`)
			if strings.Contains(got.body, "%!") || strings.Contains(got.body, "<dt></dt>") || strings.Contains(got.body, `"h-f"></h2>`) {
				t.Errorf("%s: a word is missing: %s", l, got.body)
			}
			sound(t, l, got.body)
		}
	}
}
