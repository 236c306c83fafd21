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

// Two admins use the same account at once; each comes back as themselves (others came back as each other).
func TestTwoAdminsOneTarget(t *testing.T) {
	p := newParts(t)
	p.App = startMirror(t)
	startGateway(t, p)
	origin := p.origin()
	alice, bob := newBrowser(t, "alice"), newBrowser(t, "bob")
	alice.logIn(origin+"/page", "alice", "demo")
	bob.logIn(origin+"/page", "bob", "demo")
	alice.become(origin, "sam", "Sam Reed", "Alice looks into it")
	bob.become(origin, "sam", "Sam Reed", "Bob looks into it")
	alice.as(origin, "sam", true)
	alice.bannerSays("Alice Ng")
	bob.as(origin, "sam", true)
	bob.bannerSays("Bob Stone")

	alice.returns()
	alice.as(origin, "alice", false)
	bob.as(origin, "sam", true)
	bob.bannerSays("Bob Stone")
	bob.returns()
	bob.as(origin, "bob", false)
	alice.as(origin, "alice", false)
}
