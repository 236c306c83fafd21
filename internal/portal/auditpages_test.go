package portal_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

const auditPages = "/.impersonate/audit"

// TestAuditPagesTell: a list, one impersonation's story, events, activity; for auditors only; each reading an event.
func TestAuditPagesTell(t *testing.T) {
	a := newAuditRig(t)
	b := a.login("auditor")
	b.get(auditPages).want(t, http.StatusOK, "Nothing yet")
	b.get(auditPages+"/activity").want(t, http.StatusOK, "Nothing stands out")
	a.aDay()
	pages := []string{auditPages, auditPages + "/events", auditPages + "/activity", auditPages + "/impersonations/imp-1"}
	for _, path := range pages {
		a.login("admin").get(path).want(t, http.StatusForbidden, "Only auditors and owners")
		got := a.login("owner").get(path).want(t, http.StatusOK)
		if _, err := html.Parse(strings.NewReader(got.body)); err != nil || strings.Contains(got.body, " style=") || strings.Contains(got.body, "<no value>") {
			t.Errorf("%s: %v: inline style or missing value", path, err)
		}
	}
	b.get(auditPages).want(t, http.StatusOK, "Alice Ng (admin)", "Sam Reed (sam)", "the booking won&#39;t complete", "T-17", "stopped", auditPages+"/impersonations/imp-1",
		"format=csv&amp;table=impersonations")
	b.get(auditPages+"/impersonations/imp-1").want(t, http.StatusOK, "Completed booking", "refused: path_denied", "GET /account/password", "leaf_hash", "0:10:00")
	b.get(auditPages+"/events?type=impersonation_ended").want(t, http.StatusOK, "Alice Ng, Sam Reed: impersonation_ended")
	b.get(auditPages+"/activity?from=2d").want(t, http.StatusOK, "<svg", "As a table", "First time in this account")
	b.get(auditPages+"?actor=nobody").want(t, http.StatusOK, "Nothing found")
	b.get(auditPages+"?from=noon").want(t, http.StatusBadRequest, "is no time", `value="noon"`)
	b.get(auditPages+"/activity?from=2001-01-01&step=hour").want(t, http.StatusBadRequest, "take a longer step")
	b.get(auditPages+"?cursor=AAAA&actor=admin").to(t, http.StatusSeeOther, auditPages+"?actor=admin")
	b.get(auditPages+"/impersonations/none").want(t, http.StatusNotFound)
	if got := a.events.of(audit.EventAuditRead); len(got) < 8 {
		t.Errorf("%d events of reading", len(got))
	}
	b.get("/.impersonate/").want(t, http.StatusOK, `href="/.impersonate/audit"`)
	if strings.Contains(a.login("admin").get("/.impersonate/").body, `href="/.impersonate/audit"`) {
		t.Error("the menu shows the audit to who may not read it")
	}
	if err := dropTable(a.path, "events"); err != nil {
		t.Fatal(err)
	}
	for _, path := range pages {
		b.get(path).want(t, http.StatusServiceUnavailable, "The audit can&#39;t be read right now")
	}
}

// TestAuditPagesHeadless: an impersonation whose start retention has removed is shown as what is left of it.
func TestAuditPagesHeadless(t *testing.T) {
	a := newAuditRig(t)
	a.aDay()
	if err := a.sink.Remove(t.Context(), audit.Prefix{LogID: "kxp3vbq2mwu7zdnc", Through: 2}); err != nil {
		t.Fatal(err)
	}
	b := a.login("auditor")
	shows := func(because, field string) {
		t.Helper()
		for _, path := range []string{auditPages, auditPages + "/impersonations/imp-1"} {
			got := b.get(path).want(t, http.StatusOK, "Alice Ng (admin)", "Sam Reed (sam)", because, "stopped", "0:10:00")
			if strings.Contains(got.body, "<no value>") || strings.Contains(got.body, "goes on</span>") {
				t.Errorf("%s: %s", path, got.body)
			}
		}
		rows := b.json("GET", auditAPI+"impersonations", "").want(t, http.StatusOK).list(t, "impersonations")
		if len(rows) != 1 || rows[0][field] != true || rows[0]["requests"] != 2.0 {
			t.Errorf("no %s: %v", field, rows)
		}
	}
	shows("Its beginning is missing, and not because of", "beginning_missing")
	applied := happened(time.Second, audit.EventRetentionApplied, "", audit.Detail("log", "kxp3vbq2mwu7zdnc", "through", 2))
	a.write(applied)
	shows("Its beginning was removed", "beginning_removed")
}

// TestAuditPagesEscape: what apps and people put into rows is text on every page.
func TestAuditPagesEscape(t *testing.T) {
	a := newAuditRig(t)
	const attack = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	e := happened(time.Hour, audit.EventImpersonationStarted, "imp-1", `{"policy":"`+`<script>alert(1)</script>`+`","site":"javascript:alert(1)"}`)
	e.Reason, e.Ticket, e.ActorName, e.TargetName, e.TargetUsername = attack, attack, attack, attack, attack
	a.write(e, recorded(time.Minute, "imp-1", "POST", "/"+attack, func(r *audit.Request) {
		r.Action, r.UserAgent, r.Query, r.Refusal, r.Outcome, r.ActorName = attack, attack, attack, attack, audit.OutcomeRefused, attack
		r.Fields = "title, " + attack
	}))
	b := a.login("auditor")
	for _, path := range []string{
		auditPages, auditPages + "/events", auditPages + "/activity", auditPages + "/impersonations/imp-1",
		auditPages + "?q=" + url.QueryEscape(attack), auditPages + "?from=" + url.QueryEscape(attack), auditPages + "/events?type=" + url.QueryEscape(attack),
	} {
		got := b.get(path)
		for _, bad := range []string{"<script>alert", "<img", `href="javascript:`} {
			if strings.Contains(got.body, bad) {
				t.Errorf("%s: %s is markup: %s", path, bad, got.body)
			}
		}
	}
	b.get(auditPages+"/impersonations/imp-1").want(t, http.StatusOK, `<span class="fields">fields: <bdi>title, &#34;&gt;&lt;script`)
}

// TestAuditTexts: every language has every word, and the numbers where they belong.
func TestAuditTexts(t *testing.T) {
	a := newAuditRig(t)
	a.aDay()
	for _, l := range lang.All {
		got := a.login("auditor").do("GET", auditPages+"/activity?from=2d", "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Accept-Language", l)
		got.want(t, http.StatusOK, `lang="`+l+`"`)
		if strings.Contains(got.body, "%!") || strings.Contains(got.body, "<b></b>") {
			t.Errorf("%s: a word is missing: %s", l, got.body)
		}
	}
}

// TestThousandsOfRows: a long list is shown in parts, each in bounds.
func TestThousandsOfRows(t *testing.T) {
	a := newAuditRig(t)
	var rows []any
	for i := range 3000 {
		rows = append(rows, happened(time.Duration(i+1)*time.Second, audit.EventImpersonationStarted, fmt.Sprint("imp-", i), `{}`))
	}
	a.write(rows...)
	b := a.login("auditor")
	next, seen := auditPages, 0
	more := regexp.MustCompile(`<a class="button secondary" href="([^"]*cursor=[^"]*)"`)
	for range 4 {
		got := b.get(html.UnescapeString(next)).want(t, http.StatusOK)
		n := strings.Count(got.body, `href="/.impersonate/audit/impersonations/`)
		if n != 50 || len(got.body) > 200<<10 {
			t.Fatalf("%d rows, %d bytes", n, len(got.body))
		}
		seen += n
		m := more.FindStringSubmatch(got.body)
		if m == nil {
			t.Fatal("there is no way on")
		}
		next = m[1]
	}
	if seen != 200 {
		t.Errorf("%d rows", seen)
	}
}

// TestAuditShots leaves pages for a browser where a directory asks for them.
func TestAuditShots(t *testing.T) {
	dir := os.Getenv("SHOTS")
	a := newAuditRig(t)
	a.aDay()
	for i := range 12 {
		who := []string{"admin", "super", "owner"}[i%3]
		id := fmt.Sprint("more-", i)
		e := happened(time.Duration(i*31+3)*time.Hour, audit.EventImpersonationStarted, id, `{"policy":"support"}`)
		e.ActorUsername, e.ActorName = who, "Name of "+who
		a.write(e)
		for j := range 3 + i%5*4 {
			a.write(recorded(time.Duration(i*31+3)*time.Hour-time.Duration(j)*time.Minute, id, []string{"GET", "POST"}[j%3/2], "/bookings/17", func(r *audit.Request) {
				r.ActorUsername, r.ActorName = who, "Name of "+who
			}))
		}
	}
	for name, path := range map[string]string{
		"list": auditPages, "story": auditPages + "/impersonations/imp-1", "events": auditPages + "/events", "activity": auditPages + "/activity", "empty": auditPages + "?q=zzz",
		"bad": auditPages + "?from=noon",
	} {
		got := a.login("auditor").get(path)
		if dir == "" {
			continue
		}
		css, err := filepath.Abs("assets/portal.css")
		if err != nil {
			t.Fatal(err)
		}
		page := regexp.MustCompile(`/\.impersonate/assets/portal\.[^"]*css`).ReplaceAllString(got.body, "file://"+css)
		if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
