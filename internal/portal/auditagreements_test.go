package portal_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// TestAuditStoryAgreed: one impersonation's page says who agreed, on each of its parts, and begins with how they were asked.
func TestAuditStoryAgreed(t *testing.T) {
	a := newAuditRig(t)
	a.write(
		happened(3*time.Hour, audit.EventApprovalRequested, "", `{"request":"req-1","policy":"support"}`),
		happened(2*time.Hour, audit.EventApprovalRequested, "", `{"request":"req-other","policy":"support","note":"see req-1"}`),
		happened(2*time.Hour, audit.EventApprovalGranted, "", `{"request":"req-1","by":"owner","note":"until noon"}`),
		happened(time.Hour, audit.EventImpersonationStarted, "imp-1", `{"policy":"support","request":"req-1","approved_by":"owner","consented":true}`),
		happened(40*time.Minute, audit.EventEmergencyStarted, "imp-2", `{"policy":"support","emergency":true}`),
		happened(40*time.Minute, audit.EventImpersonationStarted, "imp-2", `{"policy":"support","emergency":true}`),
		happened(30*time.Minute, audit.EventImpersonationStarted, "imp-3", `{"policy":"support"}`),
	)
	for i := range 40 {
		a.write(recorded(time.Hour-time.Second*time.Duration(i+1), "imp-1", "GET", "/bookings/17", nil))
	}
	b := a.login("auditor")
	first := b.get(auditPages+"/impersonations/imp-1").want(t, http.StatusOK, "<dt>Agreed</dt><dd dir=\"auto\">owner · the target</dd>", "by: owner, note: until noon")
	asked, granted, started := strings.Index(first.body, "approval_requested"), strings.Index(first.body, "approval_granted"), strings.Index(first.body, "impersonation_started")
	if asked < 0 || asked > granted || granted > started || strings.Contains(first.body, "req-other") {
		t.Errorf("asked at %d, granted at %d, started at %d: %s", asked, granted, started, first.body)
	}
	_, rest, _ := strings.Cut(first.body, "?cursor=")
	cursor, _, _ := strings.Cut(rest, `"`)
	if second := b.get(auditPages+"/impersonations/imp-1?cursor="+cursor).want(t, http.StatusOK, "owner · the target"); strings.Contains(second.body, "approval_granted") {
		t.Errorf("its second part begins again: %s", second.body)
	}
	b.get(auditPages+"/impersonations/imp-2").want(t, http.StatusOK, `<b class="chip bad">nobody: an emergency</b>`)
	if none := b.get(auditPages+"/impersonations/imp-3").want(t, http.StatusOK); strings.Contains(none.body, "Agreed") {
		t.Errorf("nobody was asked, and somebody agreed: %s", none.body)
	}
}

// TestAuditListSays: how many there are, whether that is all, and what was asked for, also what the lists don't offer.
func TestAuditListSays(t *testing.T) {
	a := newAuditRig(t)
	var rows []any
	for i := range 120 {
		rows = append(rows, happened(time.Duration(i+1)*time.Second, audit.EventImpersonationStarted, fmt.Sprint("imp-", i), `{}`))
	}
	a.write(append(rows, happened(time.Minute, audit.EventRetentionChanged, "", `{"old":"forever","new":"90d","policies":{"a":"long"},"site":"x"}`))...)
	b := a.login("auditor")
	path := auditPages
	for _, want := range []string{"The first 50; there are more ·", "The next 50 ·", "The last 20 ·"} {
		got := b.get(path).want(t, http.StatusOK, want)
		_, rest, _ := strings.Cut(got.body, "?cursor=")
		cursor, _, _ := strings.Cut(rest, `"`)
		path = auditPages + "?cursor=" + cursor
	}
	b.get(auditPages+"?target=sam&to=1m&from=2h").want(t, http.StatusOK, "The first 50; there are more", "Filters (3)", `<details class="fields" open>`)
	if none := b.get(auditPages).body; !strings.Contains(none, `<details class="fields"><summary>Filters</summary>`) {
		t.Errorf("the filters are not folded, or count: %s", none)
	}
	b.get(auditPages+"?from=noon").want(t, http.StatusBadRequest, `<details class="fields" open>`, `name="outcome"`)
	events := b.get(auditPages+"/events?type=retention_changed").want(t, http.StatusOK, "<option selected>retention_changed</option>", "old: forever, new: 90d</span>")
	for _, kind := range audit.EventTypes() {
		if !strings.Contains(events.body, "<option>"+kind+"<") && !strings.Contains(events.body, "<option selected>"+kind+"<") {
			t.Errorf("%s can't be chosen", kind)
		}
	}
	b.get(auditPages+"?impersonation=imp-3").want(t, http.StatusOK, "1 found ·", ">Clear</a>") // from an address alone: it can be taken away
	if bad := b.get(auditPages+"/events?type=%E2%80%AEx").want(t, http.StatusBadRequest, `name="type"`); strings.Contains(bad.body, "<option selected>") || strings.Contains(bad.body, "\u202e") {
		t.Errorf("what is no type can be chosen: %s", bad.body)
	}
	b.get(auditPages+"/events?type=made_up").want(t, http.StatusOK, "<option selected>made_up</option>")
	for _, cause := range audit.EndCauses() {
		b.get(auditPages+"?outcome="+cause).want(t, http.StatusOK, `<option value="`+cause+`" selected>`)
	}
}
