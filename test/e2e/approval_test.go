package e2e

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// TestApprovalInABrowser: Alice asks, Bob approves with one press, Alice's page goes on by itself; a fresh login at the
// provider leads into Sam's account. Then an emergency, which asks nobody and is louder.
func TestApprovalInABrowser(t *testing.T) {
	p := newParts(t)
	p.App = startMirror(t)
	p.OIDC, p.Require = "step_up 5m", "reason approval step_up"
	p.Policy = "approvers user bob\n\t\t\temergency"
	startGateway(t, p)
	origin := p.origin()
	alice, bob := newBrowser(t, "approval-alice"), newBrowser(t, "approval-bob")
	for _, b := range []*browser{alice, bob} {
		b.expect("/.impersonate/") // a page that is left while it asks what is new
	}
	alice.logIn(origin+"/page", "alice", "demo")
	alice.find(origin, "sam", "Sam Reed")
	alice.fill(css("#ask textarea[name=reason]"), "Sam can't complete a booking, and the customer waits in front of the door")
	alice.looks("ask", "#ask")
	alice.pressAway(named("#ask button", "Ask for it"))
	alice.wait("she waits", css(".request-status")+`.textContent.includes("Waiting")`)
	alice.looks("waiting", "main")
	request := alice.location()

	// Whoever has the link logs in and is there.
	bob.logIn(request, "bob", "demo")
	bob.wait("he is asked", named("button", "Approve"))
	bob.looks("decide", "main")
	if text := bob.text(css("main")); !strings.Contains(text, "Alice Ng (alice)") || !strings.Contains(text, "Sam Reed (sam)") || !strings.Contains(text, "in front of the door") {
		t.Errorf("Bob sees: %s", text)
	}
	bob.open(origin + "/.impersonate/")
	bob.wait("the portal says so", css(".notice")+`.textContent.includes("One request waits for your decision.")`)
	bob.shot("portal")
	bob.open(origin + "/.impersonate/requests")
	bob.looks("list", "main")
	bob.open(request)
	bob.pressAway(named("button", "Approve"))
	bob.wait("it is approved", css(".request-status")+`.textContent.includes("Approved")`)
	bob.shot("approved")

	// Her page goes on by itself; her login is too old by now, so she is led to the provider, and from there on in.
	alice.wait("she is asked to log in again", css("input[name=password]"))
	alice.fill(css("input[name=username]"), "alice")
	alice.fill(css("input[name=password]"), "demo")
	alice.keys(kb.Enter)
	alice.wait("she is in the app", `location.pathname === "/" && `+loaded)
	alice.as(origin, "sam", true)
	alice.bannerSays("Alice Ng", "Sam Reed")
	bob.wait("his page says so", css(".request-status")+`.textContent.includes("Started")`)
	alice.returns()
	alice.as(origin, "alice", false)

	alice.find(origin, "sam", "Sam Reed")
	alice.fill(css("#ask textarea[name=reason]"), "the lift is stuck with people in it")
	alice.press(css("#ask details summary"))
	alice.looks("emergency-ask", "#ask")
	alice.pressAway(named("#ask button", "Start without agreement"))
	alice.wait("she is in the app", `location.pathname === "/" && `+loaded)
	alice.as(origin, "sam", true)
	alice.bannerSays("EMERGENCY", "Alice Ng", "Sam Reed")
	alice.shot("emergency")
	alice.viewport(390, 844)
	alice.shot("emergency-phone")

	want := "approval_requested approval_granted impersonation_started impersonation_ended emergency_started impersonation_started"
	var got string
	waitFor(t, 3*time.Minute, "the audit has it all", func() bool {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(p.Dir, "audit.db")+"?mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = db.QueryRow(`SELECT coalesce(group_concat(type, ' '), '') FROM (SELECT type FROM events WHERE type LIKE 'approval%' OR type LIKE 'impersonation%' OR type LIKE 'emergency%' ORDER BY seq)`).Scan(&got)
		return err == nil && got == want
	})
	if got != want {
		t.Errorf("events: %s", got)
	}
}

// looks takes pictures of a page: on a desktop and a phone, in light and dark. Nothing of it may stick out at the side.
func (b *browser) looks(name, of string) {
	b.t.Helper()
	b.shot(name)
	b.dark(true)
	b.shot(name + "-dark")
	b.viewport(390, 844)
	b.shot(name + "-phone-dark")
	b.dark(false)
	b.shot(name + "-phone")
	if wide, err := try[bool](b, css(of)+`.scrollWidth > innerWidth || document.documentElement.scrollWidth > innerWidth`); err != nil || wide {
		b.t.Errorf("%s: wider than a phone (%v)", name, err)
	}
	b.viewport(1280, 800)
}
