package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func TestHistoryAndObjection(t *testing.T) {
	g := newRig(t)
	r := rules()
	r.Policies[0].LockOnObjection = true
	g.use(r)
	sam := g.login("sam")
	page := sam.get("/.impersonate/history")
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, "Nobody has used your account") || !strings.Contains(page.body, "admins") {
		t.Fatalf("%d: %s", page.StatusCode, page.body)
	}
	admin := g.login("admin")
	admin.begin("sam")
	g.clock.Advance(5 * time.Minute)
	page = sam.get("/.impersonate/history")
	for _, want := range []string{"Alice Ng", "right now", "I did not expect this"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("%q is not in %s", want, page.body)
		}
	}
	all, err := g.imp.ListTarget(t.Context(), "sam", state.Place{}, 10)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	id := all[0].ID
	for who, want := range map[string]int{"kim": http.StatusNotFound, "admin": http.StatusNotFound, "owner": http.StatusNotFound} {
		if a := g.login(who).post("/.impersonate/history/objection", url.Values{"impersonation": {id}}); a.StatusCode != want {
			t.Errorf("%s objects: %d", who, a.StatusCode)
		}
	}
	if a := sam.post("/.impersonate/history/objection", url.Values{"impersonation": {id}}); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/.impersonate/history?said=locked" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	if page = sam.get("/.impersonate/history?said=locked"); !strings.Contains(page.body, "You said that you did not expect this") || !strings.Contains(page.body, "use your account again for now") || strings.Contains(page.body, "right now") {
		t.Errorf("%s", page.body)
	}
	if e := g.events.of(audit.EventObjectionRaised); len(e) != 1 {
		t.Errorf("events %+v", e)
	}
	if a := admin.post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"once more"}}); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "did not expect you") {
		t.Errorf("%d: %s", a.StatusCode, a.body)
	}
	// In the person's language.
	if a := sam.do("GET", "/.impersonate/history", "", "Accept", "text/html", "Accept-Language", "de"); !strings.Contains(a.body, "Das habe ich nicht erwartet") && !strings.Contains(a.body, "nicht erwartet zu haben") {
		t.Errorf("%s", a.body)
	}
}

func TestReviewPage(t *testing.T) {
	g := newRig(t)
	r := rules()
	r.Policies[0].LockOnObjection = true
	g.use(r)
	g.login("admin").begin("sam")
	all, err := g.imp.ListTarget(t.Context(), "sam", state.Place{}, 10)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	id := all[0].ID
	for _, who := range []string{"admin", "sam", "super"} {
		if a := g.login(who).get("/.impersonate/review"); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s reviews: %d", who, a.StatusCode)
		}
		if a := g.login(who).post("/.impersonate/review/mark", url.Values{"impersonation": {id}}); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s marks: %d", who, a.StatusCode)
		}
	}
	auditor, owner := g.login("auditor"), g.login("owner")
	const evil = `<script>alert(1)</script> =cmd|'/c calc'!A1`
	if a := auditor.post("/.impersonate/review/mark", url.Values{"impersonation": {id}, "note": {evil}}); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d: %s", a.StatusCode, a.body)
	}
	page := owner.get("/.impersonate/review")
	if !strings.Contains(page.body, "auditor, 2026-03-01") || strings.Contains(page.body, "<script>alert") || !strings.Contains(page.body, "&lt;script&gt;") {
		t.Errorf("%s", page.body)
	}
	if e := g.events.of(audit.EventReviewed); len(e) != 1 || e[0].ActorUsername != "auditor" {
		t.Errorf("events %+v", e)
	}
	if page = owner.get("/.impersonate/review?waiting=1"); !strings.Contains(page.body, "There is nothing to review") {
		t.Errorf("%s", page.body)
	}
	// A lock is an owner's to lift.
	if a := g.login("sam").post("/.impersonate/history/objection", url.Values{"impersonation": {id}}); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	if page = owner.get("/.impersonate/review"); !strings.Contains(page.body, "Lift the lock") {
		t.Errorf("%s", page.body)
	}
	pair := url.Values{"actor": {"admin"}, "target": {"sam"}, "note": {"talked to both"}}
	if a := auditor.post("/.impersonate/review/unlock", pair); a.StatusCode != http.StatusForbidden {
		t.Errorf("an auditor lifts: %d", a.StatusCode)
	}
	for _, note := range []string{"", " \u200b"} {
		owner.post("/.impersonate/review/unlock", url.Values{"actor": {"admin"}, "target": {"sam"}, "note": {note}}).want(t, http.StatusBadRequest, "why the lock is lifted")
	}
	owner.json("POST", "/.impersonate/api/v1/locks/lift", `{"actor":"admin","target":"sam"}`).want(t, http.StatusBadRequest, "why the lock is lifted")
	if a := owner.post("/.impersonate/review/unlock", pair); a.StatusCode != http.StatusSeeOther {
		t.Errorf("%d: %s", a.StatusCode, a.body)
	}
	if g.imp.Locked("admin", "sam") {
		t.Error("still locked")
	}
	if a := owner.post("/.impersonate/review/unlock", pair); a.StatusCode != http.StatusNotFound {
		t.Errorf("lifted twice: %d", a.StatusCode)
	}
}
