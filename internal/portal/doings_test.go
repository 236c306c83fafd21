package portal_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

const mine = "/.impersonate/history/mine"

// TestDoings: one sees what one did as others, with its numbers, and nothing of what others did.
func TestDoings(t *testing.T) {
	a := newAuditRig(t)
	r := rules()
	r.Policies[0].Ticket = policy.Ticket{URL: "https://tickets.example.com/browse/{ticket}"}
	a.use(r)
	admin := a.login("admin")
	admin.get(mine).want(t, 200, "You have used nobody’s account", `href="/.impersonate/"`)
	a.aDay()
	other := happened(30*time.Minute, audit.EventImpersonationStarted, "imp-2", `{"policy":"support"}`)
	other.ActorID, other.ActorUsername, other.ActorName, other.TargetUsername, other.TargetName, other.Reason = "id-owner", "owner", "Olga Owner", "kim", "Kim Field", "not to be seen"
	before := happened(40*time.Minute, audit.EventImpersonationStarted, "imp-3", `{"policy":"support"}`)
	before.ActorID, before.TargetName, before.Reason = "id-of-another-admin", "Otto Office", "not to be seen"
	a.write(other, before)
	page := admin.get(mine).want(t, 200, "Sam Reed (sam)", "the booking won&#39;t complete", `href="https://tickets.example.com/browse/T-17"`,
		"Requests: 3 · changes: 1 · refused: 1", "2026-03-01 08:00 – 08:10 UTC", "you returned to your own account", `href="/.impersonate/history/mine" aria-current="page"`).body
	sound(t, "mine", regexp.MustCompile(`href="https://[^"]*"`).ReplaceAllString(page, `href="/"`))
	for _, no := range []string{"Kim Field", "Otto Office", "not to be seen"} {
		if strings.Contains(page, no) {
			t.Errorf("%s is in %s", no, page)
		}
	}
	if got := len(a.events.of(audit.EventAuditRead)); got != 0 {
		t.Errorf("%d events of reading one's own", got)
	}
	// What goes on is there before the audit's tables have it.
	admin.begin("office")
	admin.get(mine).want(t, 200, "Otto Office (office)", "right now", "Sam Reed (sam)")
	rows := admin.json("GET", api+"history/mine", "").want(t, 200).list(t, "impersonations")
	if len(rows) != 1 || rows[0]["impersonation_id"] != "imp-1" || rows[0]["requests"] != 3.0 || rows[0]["writes"] != 1.0 || rows[0]["ticket_url"] != "https://tickets.example.com/browse/T-17" {
		t.Errorf("%v", rows)
	}
	a.login("sam").get(mine).want(t, 200, "You have used nobody’s account")
	a.login("sam").get("/.impersonate/history").want(t, 200, "Nobody has used your account", "Who used my account", "What I did as others")
	a.anonymous().get(mine).want(t, http.StatusFound)
	for _, l := range lang.All {
		got := admin.do("GET", mine, "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Accept-Language", l).want(t, 200, `lang="`+l+`"`)
		if strings.Contains(got.body, "%!") || strings.Contains(got.body, "<h1></h1>") {
			t.Errorf("%s: %s", l, got.body)
		}
	}

	// Over in the same moment: it has no length, and none is missed.
	a.write(happened(50*time.Minute, audit.EventImpersonationStarted, "imp-4", `{"policy":"support"}`), happened(50*time.Minute, audit.EventImpersonationEnded, "imp-4", `{"cause":"stopped"}`))
	if got := admin.get(mine).want(t, 200, "2026-03-01 08:10 – 08:10 UTC").body; strings.Contains(strings.Join(strings.Fields(got), " "), "· ·") {
		t.Errorf("something is missing: %s", got)
	}

	// The audit is lost: what the gateway itself knows is shown, and that it is not all.
	if err := dropTable(a.path, "events"); err != nil {
		t.Fatal(err)
	}
	admin.get(mine).want(t, 200, "can’t be read right now", "Otto Office (office)")
	admin.json("GET", api+"history/mine", "").want(t, http.StatusServiceUnavailable, "audit-unreadable")
	bare := newRig(t)
	bare.login("admin").get(mine).want(t, 200, "can’t be read right now")
}

// TestDoingsArePaged: each once, by their place in the audit, also those of one moment and those recorded meanwhile.
func TestDoingsArePaged(t *testing.T) {
	a := newAuditRig(t)
	var rows []any
	for n := range 50 {
		e := happened(time.Hour, audit.EventImpersonationStarted, fmt.Sprintf("imp-%02d", n), `{}`) // at once
		e.TargetName, e.TargetUsername = fmt.Sprintf("Target %02d", n), ""
		rows = append(rows, e)
	}
	a.write(rows...)
	admin := a.login("admin")
	seen := map[string]int{}
	more := regexp.MustCompile(`href="(/\.impersonate/history/mine\?cursor=[^"]+)"`)
	next := mine
	for n := 0; next != ""; n++ {
		page := admin.get(html.UnescapeString(next)).want(t, 200).body
		for _, m := range regexp.MustCompile(`Target \d\d`).FindAllString(page, -1) {
			seen[m]++
		}
		if n == 0 {
			a.write(happened(time.Minute, audit.EventImpersonationStarted, "imp-later", `{}`))
		} else if !strings.Contains(page, "Back to the newest") {
			t.Error("there is no way back")
		}
		next = ""
		if m := more.FindStringSubmatch(page); m != nil {
			next = m[1]
		}
		if n > 5 {
			t.Fatal("no end")
		}
	}
	for n := range 50 {
		if name := fmt.Sprintf("Target %02d", n); seen[name] != 1 {
			t.Errorf("%s is there %d times", name, seen[name])
		}
	}
	admin.get(mine+"?cursor=made-up").to(t, http.StatusSeeOther, mine)
	admin.json("GET", api+"history/mine?cursor=made-up", "").want(t, 400)
	admin.json("GET", api+"history/mine?actor=owner", "").want(t, 400, "unknown")
}

// TestOwnerUnlocks: owners see the pairs that objections keep apart, on what account, and lift that with a reason.
func TestOwnerUnlocks(t *testing.T) {
	g := newRig(t)
	r := rules()
	r.Policies[0].LockOnObjection = true
	r.Policies[0].Ticket = policy.Ticket{URL: "https://tickets.example.com/browse/{ticket}"}
	g.use(r)
	owner, auditor := g.login("owner"), g.login("auditor")
	owner.get("/.impersonate/owner").want(t, 200, "No pair is locked")
	g.login("admin").post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"<i>curious</i>"}, "ticket": {"T-9"}}).want(t, http.StatusSeeOther)
	id := owner.json("GET", api+"impersonations?state=active", "").list(t, "impersonations")[0]["id"].(string)
	owner.get("/.impersonate/owner").want(t, 200, `href="https://tickets.example.com/browse/T-9"`)
	g.login("sam").post("/.impersonate/history/objection", url.Values{"impersonation": {id}}).want(t, http.StatusSeeOther)
	page := owner.get("/.impersonate/owner").want(t, 200, "<bdi>Alice Ng (admin)</bdi> → <bdi>Sam Reed (sam)</bdi>", "&lt;i&gt;curious", "/.impersonate/audit/impersonations/"+id, `href="https://tickets.example.com/browse/T-9"`).body
	form := formTo(t, page, "/.impersonate/owner/unlock")
	owner.post("/.impersonate/owner/unlock", form).want(t, 400, "why the lock is lifted")
	form.Set("note", "talked to both")
	auditor.post("/.impersonate/owner/unlock", form).want(t, 403)
	g.login("admin").post("/.impersonate/owner/unlock", form).want(t, 403)
	owner.do("POST", "/.impersonate/owner/unlock", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example").want(t, 403, "cross-origin")
	if !g.imp.Locked("admin", "sam") {
		t.Fatal("lifted by somebody who may not")
	}
	owner.post("/.impersonate/owner/unlock", form).to(t, http.StatusSeeOther, "/.impersonate/owner#locks")
	owner.post("/.impersonate/owner/unlock", form).want(t, 404)
	if g.imp.Locked("admin", "sam") {
		t.Error("still locked")
	}
	if e := g.events.of(audit.EventPairUnlocked); len(e) != 1 || e[0].Reason != "talked to both" || e[0].ActorUsername != "owner" {
		t.Errorf("%+v", e)
	}
	for _, l := range lang.All {
		if got := owner.do("GET", "/.impersonate/owner", "", "Accept", "text/html", "Accept-Language", l).body; strings.Contains(got, "%!") || !strings.Contains(got, `id="locks">`) {
			t.Errorf("%s: %s", l, got)
		}
	}
}

// TestWhoMayUseMine: "My access history" says by which rules others may use one's account, in one's language.
func TestWhoMayUseMine(t *testing.T) {
	g := newRig(t)
	sam := g.login("sam")
	sam.get("/.impersonate/history").want(t, 200, "People in the group admins or account-owners may log in as people in the group fieldworkers or office.", "For 30 minutes at most.", "People in the group supervisors")
	for language, want := range map[string]string{"de": "Höchstens für 30 Minuten.", "fr": "Pendant 30 minutes au plus.", "es": "Durante 30 minutos como máximo.", "ja": "最長30分。"} {
		sam.do("GET", "/.impersonate/history", "", "Accept", "text/html", "Accept-Language", language).want(t, 200, want)
	}
	g.login("admin").get("/.impersonate/history").want(t, 200, "nobody may use your account")
}

// TestTicketsAreLinked: wherever a ticket is shown, it leads to where it can be read.
func TestTicketsAreLinked(t *testing.T) {
	a := newAuditRig(t)
	r := rules()
	r.Policies[0].Ticket = policy.Ticket{URL: "https://tickets.example.com/browse/{ticket}"}
	a.use(r)
	start := happened(time.Hour, audit.EventImpersonationStarted, "imp-1", `{"policy":"support","ticket_url":"https://tickets.example.com/browse/T-17"}`)
	a.write(start)
	a.login("admin").post("/.impersonate/start", url.Values{"target": {"sam"}, "reason": {"because"}, "ticket": {"T-17"}}).want(t, http.StatusSeeOther)
	const link = `href="https://tickets.example.com/browse/T-17"`
	for path, who := range map[string]string{
		"history": "sam", "history/mine": "admin", "review": "auditor", "owner": "owner", "audit": "auditor", "audit/events": "auditor", "audit/impersonations/imp-1": "auditor",
	} {
		if got := a.login(who).get("/.impersonate/"+path).want(t, 200).body; !strings.Contains(got, link) {
			t.Errorf("%s: it is not", path)
		}
	}
	// One that would lead elsewhere than to a page is text.
	bad := happened(time.Hour, audit.EventImpersonationStarted, "imp-2", `{"policy":"gone","ticket_url":"javascript:alert(1)"}`)
	bad.Ticket = "javascript:alert(2)"
	a.write(bad)
	for _, path := range []string{"audit", "audit/events", "audit/impersonations/imp-2"} {
		if strings.Contains(a.login("auditor").get("/.impersonate/"+path).want(t, 200).body, `href="javascript:`) {
			t.Errorf("%s leads to a script", path)
		}
	}
}
