package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// as fails the test unless the app is told this username, and the banner is there as it should be.
func (b *browser) as(origin, username string, impersonating bool) {
	b.t.Helper()
	b.open(origin + "/page")
	if who := b.text(css("#who")); who != username {
		b.t.Errorf("%s's browser: the app is told %s, want %s", b.name, who, username)
	}
	if impersonating {
		b.banner()
	} else {
		b.noBanner()
	}
}

// One admin in two browsers: each is whom they became in it, and returns in it. Sam's own browser takes no part
// (others keyed the session to the target: pressing "exit" there made the target the admin).
func TestTwoBrowsersSameAdmin(t *testing.T) {
	p := newParts(t)
	p.App = startMirror(t)
	startGateway(t, p)
	origin := p.origin()
	office, home, sam := newBrowser(t, "office"), newBrowser(t, "home"), newBrowser(t, "sam")
	office.logIn(origin+"/page", "alice", "demo")
	home.logIn(origin+"/page", "alice", "demo")
	sam.logIn(origin+"/page", "sam", "demo")

	office.become(origin, "sam", "Sam Reed", "from the office")
	office.as(origin, "sam", true)
	home.as(origin, "alice", false)
	sam.as(origin, "sam", false)

	home.become(origin, "sam", "Sam Reed", "from home")
	home.as(origin, "sam", true)
	office.returns()
	office.as(origin, "alice", false)
	home.as(origin, "sam", true)

	// Sam's browser has nothing to return from, and ends nobody's.
	sam.open(origin + "/.impersonate/stop")
	if text := sam.text(css("main")); !strings.Contains(text, "You are using your own account") {
		t.Errorf("sam is shown: %s", text)
	}
	samsPost := logIn(t, origin, "sam")
	if res, body := samsPost.do(http.MethodPost, "/.impersonate/stop", ""); res.StatusCode != http.StatusSeeOther {
		t.Errorf("a stop with nothing to stop answered %d: %s", res.StatusCode, body)
	}
	sam.as(origin, "sam", false)
	home.as(origin, "sam", true)
	home.returns()
	home.as(origin, "alice", false)
	office.as(origin, "alice", false)
}

// bell fails the test unless the page of one's own account tells that it is used by somebody else, visibly.
func (b *browser) bell(parts ...string) {
	b.t.Helper()
	b.bannerSays(append(parts, "My access history")...)
	if stop, err := try[bool](b, inBanner(".stop")+" !== null"); err != nil || stop {
		b.t.Errorf("%s's browser: the notice offers to return, %v", b.name, err)
	}
}

// dismisses presses the notice's button; it goes, and does not come again.
func (b *browser) dismisses(origin string) {
	b.t.Helper()
	b.press(inBanner(".dismiss"))
	b.wait("the notice goes", `!document.querySelector("impersonate-banner")`)
	b.open(origin + "/page")
	b.wait("the page is there", loaded)
	if there, err := try[bool](b, `document.querySelector("impersonate-banner") !== null`); err != nil || there {
		b.t.Errorf("%s's browser tells again what was dismissed, %v", b.name, err)
	}
}

// Two admins use the same account at once, while its owner is logged in too; each comes back as themselves (others came
// back as each other). The owner goes on undisturbed, and is told: once that it is used, and once that it was.
func TestTwoAdminsOneTarget(t *testing.T) {
	p := newParts(t)
	p.App = startMirror(t)
	startGateway(t, p)
	origin := p.origin()
	alice, bob, sam := newBrowser(t, "two-alice"), newBrowser(t, "two-bob"), newBrowser(t, "two-sam")
	alice.logIn(origin+"/page", "alice", "demo")
	bob.logIn(origin+"/page", "bob", "demo")
	sam.logIn(origin+"/page", "sam", "demo")
	own := sam.cookies(origin)["impersonate"]
	samIs := func() {
		t.Helper()
		if who := sam.text(css("#who")); who != "sam" || sam.cookies(origin)["impersonate"] != own {
			t.Errorf("sam's browser: the app is told %s, or the login changed", who)
		}
	}
	samIs()

	alice.become(origin, "sam", "Sam Reed", "Alice looks into it")
	sam.open(origin + "/page")
	samIs()
	sam.bell("Alice Ng is using your account, since", "Alice looks into it")
	sam.looks("bell", "body")
	sam.dismisses(origin)
	bob.become(origin, "sam", "Sam Reed", "Bob looks into it")
	alice.as(origin, "sam", true)
	alice.bannerSays("Alice Ng")
	bob.as(origin, "sam", true)
	bob.bannerSays("Bob Stone")
	sam.open(origin + "/page")
	samIs()
	sam.bell("Bob Stone is using your account, since", "Bob looks into it")

	alice.returns()
	alice.as(origin, "alice", false)
	bob.as(origin, "sam", true)
	bob.bannerSays("Bob Stone")
	sam.open(origin + "/page")
	samIs()
	sam.bell("Alice Ng used your account,")
	sam.shot("bell-over")
	sam.pressAway(inBanner("a[href$=history]"))
	sam.at(origin, "/.impersonate/history")
	for _, want := range []string{"Alice Ng", "Bob Stone", "right now", "Alice looks into it", "I did not expect this"} {
		if text := sam.text(css("main")); !strings.Contains(text, want) {
			t.Errorf("sam's history lacks %q: %s", want, text)
		}
	}
	bob.returns()
	bob.as(origin, "bob", false)
	alice.as(origin, "alice", false)
	sam.open(origin + "/page")
	samIs()
	sam.bell("Bob Stone used your account,")
	sam.dismisses(origin)
	samIs()
}
