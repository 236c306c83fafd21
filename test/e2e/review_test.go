package e2e

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/receivers"
)

// TestEmergencyReview: Alice starts without the agreement she needs. It looks another colour, owners are told at once,
// it waits for a review that she can't give herself, and the owner's is noted, with who and why, in the record.
func TestEmergencyReview(t *testing.T) {
	box := receivers.Mail(t, receivers.Config{})
	p := newParts(t)
	p.App = startMirror(t)
	p.Require = "reason approval"
	p.Policy = "emergency"
	p.More = "notify email smtp://" + box.Addr() + " {\n\t\t\tfrom \"Help desk <help@example.test>\"\n\t\t}"
	startGateway(t, p)
	origin := p.origin()
	alice, owner := newBrowser(t, "review-alice"), newBrowser(t, "review-owner")
	for _, b := range []*browser{alice, owner} {
		b.expect("/.impersonate/") // what is not theirs
	}
	alice.logIn(origin+"/page", "alice", "demo")
	owner.logIn(origin+"/.impersonate/review?waiting=1", "owner", "demo")
	if text := owner.text(css("main")); !strings.Contains(text, "nothing to review") {
		t.Errorf("before, the owner sees: %s", text)
	}
	alice.find(origin, "sam", "Sam Reed")
	alice.fill(css("#ask textarea[name=reason]"), "the lift is stuck with people in it")
	alice.press(css("#ask details summary"))
	alice.pressAway(named("#ask button", "Start without agreement"))
	alice.as(origin, "sam", true)
	alice.bannerSays("EMERGENCY", "Alice Ng", "Sam Reed")
	colour, err := try[string](alice, `getComputedStyle(`+inBanner(".bar")+`).backgroundColor`)
	if err != nil || colour == "rgb(185, 28, 28)" || colour == "" {
		t.Errorf("the banner's colour is %s, as always (%v)", colour, err)
	}

	// The owner is told by mail, whose link leads to the review.
	mail := ""
	for !strings.Contains(mail, "owner@example.test") {
		mail = string(box.Next().Raw)
	}
	mail = strings.ReplaceAll(mail, "=\r\n", "")
	if !strings.Contains(mail, "/.impersonate/review") || !strings.Contains(mail, "the lift is stuck") || !strings.Contains(strings.ToLower(mail), "emergency") {
		t.Errorf("the owner is told:\n%s", mail)
	}
	owner.open(origin + "/.impersonate/review?waiting=1")
	owner.wait("it is listed", css(".entry.odd"))
	owner.looks("live", "main")
	if text := owner.text(css(".entry.odd")); !strings.Contains(text, "Alice Ng → Sam Reed") || !strings.Contains(strings.ToLower(text), "emergency") || !strings.Contains(text, "right now") {
		t.Errorf("the owner sees: %s", text)
	}
	alice.returns()
	alice.as(origin, "alice", false)

	// It is not Alice's to review.
	alice.open(origin + "/.impersonate/review")
	if alice.status() != 403 {
		t.Errorf("Alice reviews: %d %s", alice.status(), alice.body())
	}
	owner.reload()
	owner.fill(css(".entry.odd input[name=note]"), "Asked the fire brigade: it was so")
	owner.pressAway(named("button", "Mark as reviewed"))
	owner.wait("it is reviewed", css(".entry.odd")+`.textContent.includes("Asked the fire brigade")`)
	owner.looks("reviewed", "main")
	if text := owner.text(css(".entry.odd")); !strings.Contains(text, "owner, ") || strings.Contains(text, "Mark as reviewed") {
		t.Errorf("after the review: %s", text)
	}
	owner.open(origin + "/.impersonate/review?waiting=1")
	if text := owner.text(css("main")); !strings.Contains(text, "nothing to review") {
		t.Errorf("after it, the owner sees: %s", text)
	}

	want := "emergency_started/alice/sam/the lift is stuck with people in it impersonation_started/alice/sam/the lift is stuck with people in it impersonation_ended/alice/sam/ reviewed/owner/sam/Asked the fire brigade: it was so"
	got := ""
	waitFor(t, 3*time.Minute, "the record has it", func() bool {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(p.Dir, "audit.db")+"?mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = db.QueryRow(`SELECT coalesce(group_concat(type || '/' || actor_username || '/' || target_username || '/' || CASE type WHEN 'impersonation_ended' THEN '' ELSE reason END, ' '), '')
			FROM (SELECT * FROM events WHERE type LIKE 'impersonation%' OR type LIKE 'emergency%' OR type = 'reviewed' ORDER BY seq)`).Scan(&got)
		return err == nil && strings.Contains(got, "reviewed/")
	})
	if got != want {
		t.Errorf("the record says %s\nwant %s", got, want)
	}
}
