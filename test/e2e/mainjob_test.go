package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

const (
	groups   = "/admin/auth/group/"
	addGroup = "/admin/auth/group/add/"
)

// djangoParts are a real provider and a stock Django admin.
func djangoParts(t *testing.T) (*parts, *idptest.Provider) {
	t.Helper()
	p := &parts{Dir: t.TempDir(), Addr: freeport.Addr(t), Scheme: "http"}
	p.UsersFile = filepath.Join(p.Dir, "users.yaml")
	write(t, p.UsersFile, usersYAML)
	provider := startProvider(t, p.origin())
	p.Issuer = provider.Issuer
	p.App = startDjango(t)
	p.Site = `action "Added a group" POST ` + addGroup
	return p, provider
}

// django fails the test unless Django names this account on the page.
func (b *browser) django(username string) {
	b.t.Helper()
	b.wait("Django is there", css("#user-tools strong"))
	name, err := try[string](b, css("#user-tools strong")+".textContent")
	if err != nil || name != username {
		b.t.Fatalf("%s's browser: Django says %q (%v), not %s", b.name, name, err, username)
	}
}

// addsGroup goes through Django's form.
func (b *browser) addsGroup(origin, name string) {
	b.t.Helper()
	b.open(origin + addGroup)
	b.fill(css("#id_name"), name)
	b.pressAway(css("input[name=_save]"))
	if text := b.text(css(".messagelist")); b.status() != http.StatusOK || !strings.Contains(text, "“"+name+"” was added successfully") {
		b.t.Fatalf("%s's browser: adding a group answered %d: %s", b.name, b.status(), text)
	}
}

// The main job, for real: Alice logs in, opens an app nobody here wrote, becomes Sam, works under the banner, is back
// when the time is over, starts again and returns by the button. ClickHouse has it all.
func TestMainJobInABrowser(t *testing.T) {
	ch := chtest.Start(t)
	p, provider := djangoParts(t)
	p.ClickHouse = ch.DSN
	run(t, "impersonate", "schema", "apply", "--dsn", ch.DSN)
	g := startInProcess(t, p)
	origin := p.origin()

	alice := newBrowser(t, "main-alice")
	alice.logIn(origin+"/admin/", "alice", "demo")
	alice.at(origin, "/admin/")
	alice.django("alice")
	alice.noBanner()
	alice.addsGroup(origin, "Day shift")
	own := alice.cookies(origin)
	if own["sessionid"] == "" || own["csrftoken"] == "" {
		t.Fatalf("Django set no cookies: %v", own)
	}
	logins := provider.Requests("/auth")

	// The portal: search, button, question, reason.
	alice.find(origin, "sam", "Sam Reed")
	if text := alice.text(css("#ask")); !strings.Contains(text, "Log in as Sam Reed?") || !strings.Contains(text, "30 minutes") {
		t.Errorf("the question is: %s", text)
	}
	const reason = "Sam's booking 1042 won't complete"
	alice.fill(css("#ask textarea[name=reason]"), reason)
	alice.shot("confirm")
	alice.pressAway(named("#ask button", "Log in as Sam Reed"))

	// The app as Sam, under the banner.
	alice.django("sam")
	alice.bannerSays("Alice Ng", "Sam Reed", "Return to my account")
	left := inBanner(".left") + ".innerText"
	first := alice.text(inBanner(".left"))
	alice.wait("the banner counts down", left+" !== "+quote(first))
	if at, _, _ := strings.Cut(first, ":"); at < "25" || at > "30" { // a slow machine takes its time
		t.Errorf("the banner says %q at the start of 30 minutes", first)
	}
	alice.shot("banner")
	alice.viewport(390, 844)
	alice.banner()
	alice.shot("banner-phone")
	alice.viewport(1280, 800)

	// A write as Sam: Django's CSRF protection compares a cookie with the form.
	alice.addsGroup(origin, "Night shift")
	alice.django("sam")
	alice.banner()
	during := alice.cookies(origin)
	if during["sessionid"] != own["sessionid"] {
		t.Error("Django's session cookie of Sam's, which scripts must not read, is in the browser")
	}
	if during["csrftoken"] == own["csrftoken"] || during["csrftoken"] == "" {
		t.Error("Sam's csrftoken, which pages read, is not in the browser")
	}

	// The time passes while a form is open. It came from Sam's page: it is not carried out in Alice's name.
	alice.open(origin + addGroup)
	alice.fill(css("#id_name"), "Never created")
	g.advance(31 * time.Minute)
	alice.pressAway(css("input[name=_save]"))
	if text := alice.body(); alice.status() != http.StatusConflict || !strings.Contains(text, "You are in your own account again") || !strings.Contains(text, "not carried out") {
		t.Errorf("a stale form answered %d: %s", alice.status(), text)
	}
	alice.shot("stale")
	alice.pressAway(named("a", "Go on"))
	alice.at(origin, "/admin/")
	alice.django("alice")
	if notice := alice.banner(); !strings.Contains(notice, "Sam Reed") || !strings.Contains(notice, "You are in your own account again") {
		t.Errorf("the notice says %q", notice)
	}
	alice.shot("notice")
	alice.press(inBanner(".dismiss"))
	alice.wait("the notice goes", `!document.querySelector("impersonate-banner")`)
	alice.open(origin + groups)
	alice.django("alice")
	alice.noBanner() // told once
	if text := alice.body(); strings.Contains(text, "Never created") || !strings.Contains(text, "Night shift") {
		t.Errorf("the groups are: %s", text)
	}
	after := alice.cookies(origin)
	for _, name := range []string{"sessionid", "csrftoken", "impersonate"} {
		if after[name] != own[name] {
			t.Errorf("the cookie %s is not Alice's own again", name)
		}
	}
	alice.addsGroup(origin, "Evening shift") // with her own CSRF cookie

	// Again, and back by the button.
	alice.become(origin, "sam", "Sam Reed", "the same once more")
	alice.django("sam")
	alice.open(origin + groups)
	alice.returns()
	alice.at(origin, "/.impersonate/?q=sam") // where she started
	alice.noBanner()
	alice.open(origin + groups)
	alice.django("alice")
	alice.noBanner()
	if n := provider.Requests("/auth"); n != logins {
		t.Errorf("Alice went to the provider %d more times", n-logins)
	}

	checkRows(t, ch, reason)
}

// checkRows looks at what TestMainJobInABrowser left in ClickHouse.
func checkRows(t *testing.T, ch *chtest.Server, reason string) {
	t.Helper()
	waitFor(t, 3*time.Minute, "both impersonations are in ClickHouse", func() bool {
		return ch.Count("SELECT count() FROM impersonate.impersonations WHERE ended IS NOT NULL") == 2
	})
	for what, q := range map[string]string{
		"the expired one": `SELECT count() FROM impersonate.impersonations WHERE end_cause = 'expired' AND actor_username = 'alice' AND actor_name = 'Alice Ng'
			AND target_username = 'sam' AND target_name = 'Sam Reed' AND reason = ` + quoteSQL(reason) + ` AND policy = 'support' AND mode = 'full' AND requests > 3 AND writes = 1 AND refusals = 0`,
		"how long the expired one took": `SELECT count() FROM impersonate.events WHERE type = 'impersonation_ended' AND JSONExtractString(detail, 'cause') = 'expired' AND JSONExtractInt(detail, 'duration_s') = 1800`,
		"the stopped one": `SELECT count() FROM impersonate.impersonations WHERE end_cause = 'stopped' AND actor_username = 'alice' AND target_username = 'sam'
			AND reason = 'the same once more' AND requests > 0 AND writes = 0 AND ended_by = 'alice'`,
		"the write": `SELECT count() FROM impersonate.requests WHERE actor_username = 'alice' AND target_username = 'sam' AND method = 'POST' AND path = '` + addGroup + `'
			AND action = 'Added a group' AND status = 302 AND outcome = 'completed' AND client_ip = '127.0.0.1' AND scheme = 'http' AND user_agent LIKE '%Chrome%'`,
		"the write's line":         `SELECT count() FROM impersonate.actions WHERE line = 'Alice Ng (impersonating Sam Reed): Added a group'`,
		"any other write":          `SELECT count() + 1 FROM impersonate.requests WHERE method != 'GET' AND action != 'Added a group'`,
		"any request of one's own": `SELECT count() + 1 FROM impersonate.requests WHERE impersonation_id = ''`,
		"any page without banner":  `SELECT count() + 1 FROM impersonate.requests WHERE content_type LIKE 'text/html%' AND status = 200 AND banner != 'marked'`,
		"the one login":            `SELECT count() FROM impersonate.events WHERE type = 'login' AND actor_username = 'alice'`,
	} {
		if n := ch.Count(q); n != 1 {
			t.Errorf("%s: %d rows, want 1, of %s", what, n, q)
		}
	}
	if n := ch.Count("SELECT count() FROM impersonate.requests WHERE path = '" + groups + "' AND status = 200 AND banner = 'marked' AND outcome = 'completed' AND query = ''"); n < 2 {
		t.Errorf("%d pages of the list of groups are recorded as marked, want 2", n)
	}
	if n := ch.Count("SELECT count() FROM impersonate.actions WHERE line = 'Alice Ng (impersonating Sam Reed): GET " + groups + "'"); n < 2 {
		t.Errorf("%d lines tell of the list of groups, want 2", n)
	}
	if n, unique := ch.Count("SELECT count() FROM impersonate.requests"), ch.Count("SELECT uniqExact(request_id) FROM impersonate.requests"); n != unique {
		t.Errorf("%d rows, %d request ids", n, unique)
	}
}

// The same without JavaScript: search, question, banner and return are plain pages and forms.
func TestMainJobWithoutScript(t *testing.T) {
	p, _ := djangoParts(t)
	startGateway(t, p)
	origin := p.origin()
	alice := newBrowser(t, "noscript-alice")
	alice.noScript()
	alice.logIn(origin+"/.impersonate/", "alice", "demo")
	alice.fill(css("#q"), "sam")
	alice.leave("searching", func() { alice.keys(kb.Enter) })
	alice.shot("portal")
	alice.pressAway(logInAs("Sam Reed"))
	if title := alice.text(css("h1")); title != "Log in as Sam Reed?" {
		t.Errorf("the question is %q", title)
	}
	alice.fill(css("textarea[name=reason]"), "no scripts on this machine")
	alice.shot("confirm")
	alice.pressAway(named("button", "Log in as Sam Reed"))
	alice.django("sam")
	alice.bannerSays("Alice Ng", "Sam Reed", "30 min left", "Return to my account")
	alice.shot("banner")
	alice.viewport(390, 844)
	alice.banner()
	alice.shot("banner-phone")
	alice.viewport(1280, 800)
	alice.addsGroup(origin, "Without script")
	alice.banner()
	alice.returns()
	alice.at(origin, "/.impersonate/?q=sam")
	alice.open(origin + "/admin/")
	alice.django("alice")
	alice.noBanner()

	// From the portal's own menu too.
	alice.open(origin + "/.impersonate/confirm?target=sam")
	alice.fill(css("textarea[name=reason]"), "once more, without scripts")
	alice.pressAway(named("button", "Log in as Sam Reed"))
	alice.django("sam")
	alice.open(origin + "/.impersonate/")
	alice.press(css("details.menu summary"))
	alice.pressAway(css("details.menu form[action$=stop] button"))
	alice.open(origin + "/admin/")
	alice.django("alice")
}

// The same without a mouse.
func TestMainJobByKeyboard(t *testing.T) {
	p, _ := djangoParts(t)
	startGateway(t, p)
	origin := p.origin()
	alice := newBrowser(t, "keyboard-alice")
	alice.open(origin + "/.impersonate/")
	alice.tabTo(css("input[name=username]"))
	alice.keys("alice")
	alice.tabTo(css("input[name=password]"))
	alice.keys("demo")
	alice.leave("logging in", func() { alice.keys(kb.Enter) })

	alice.tabTo(css("a.skip"))
	alice.tabTo(css("#q"))
	alice.keys("sam")
	alice.wait("the search has found Sam alone", `document.querySelectorAll("#results li.person").length === 1 && `+logInAs("Sam Reed"))
	alice.tabTo(logInAs("Sam Reed"))
	alice.shot("portal")
	alice.keys(kb.Enter)
	alice.wait("the reason has the focus", `document.activeElement.name === "reason" && document.querySelector("#ask").matches(":modal")`)
	alice.keys(kb.Escape)
	alice.wait("Escape closes the question", `!document.querySelector("#ask").open`)
	alice.wait("the button has the focus again", `document.activeElement === `+logInAs("Sam Reed"))
	alice.keys(kb.Enter)
	alice.wait("the reason has the focus", `document.activeElement.name === "reason"`)
	alice.keys("the mouse is broken")
	alice.tabTo(named("#ask button", "Log in as Sam Reed"))
	alice.shot("confirm")
	alice.leave("confirming", func() { alice.keys(kb.Enter) })
	alice.django("sam")
	alice.bannerSays("Alice Ng", "Sam Reed")

	// The banner's tools, then the way back.
	alice.tabTo(inBanner(".fold"))
	alice.keys(kb.Enter)
	alice.wait("the banner is small", inBanner(".bar.folded"))
	alice.banner()
	alice.shot("folded")
	alice.keys(kb.Enter)
	alice.wait("the banner is large again", inBanner(".bar:not(.folded)"))
	alice.open(origin + "/admin/")
	alice.tabTo(inBanner(".stop"))
	alice.shot("return")
	alice.leave("returning", func() { alice.keys(kb.Enter) })
	alice.noBanner()

	// The account menu.
	alice.tabTo(css("details.menu summary"))
	alice.keys(kb.Enter)
	alice.wait("the menu is open", css("details.menu")+".open")
	alice.shot("menu")
	alice.keys(kb.Escape)
	alice.wait("Escape closes the menu", "!"+css("details.menu")+".open")
	alice.open(origin + "/admin/")
	alice.django("alice")
}
