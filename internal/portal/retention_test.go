package portal_test

import (
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

const retentionAPI = api + "settings/retention"

// TestRetentionAPI: only an owner changes it, with a reason, not below the floor, and recorded.
func TestRetentionAPI(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	owner := g.login("owner")
	for _, who := range []string{"admin", "auditor", "super", "sam"} {
		b := g.login(who)
		b.json("GET", retentionAPI, "").want(t, 403, "forbidden")
		b.json("PUT", retentionAPI, `{"retention":"100d","reason":"mine"}`).want(t, 403, "forbidden")
	}
	g.anonymous().json("PUT", retentionAPI, `{"retention":"100d","reason":"mine"}`).want(t, 401)
	first := owner.json("GET", retentionAPI, "")
	if o := first.object(t); o["retention"] != "400d" || o["effective"] != "400d" || o["floor"] != "90d" || o["changed_at"] != nil || first.Header.Get("ETag") == "" {
		t.Fatalf("%v", o)
	}
	for body, want := range map[string]string{
		`{"retention":"89d","reason":"why"}`: "retention-too-short", `{"retention":"100d","reason":" "}`: "bad-request", `{"retention":"100d"}`: "bad-request",
		`{"retention":"100","reason":"why"}`: "bad-request", `{"reason":"why"}`: "bad-request", `{"retention":"100d","reason":"why","floor":"1d"}`: "bad-request",
	} {
		status := 400
		if want == "retention-too-short" {
			status = 422
		}
		owner.json("PUT", retentionAPI, body).want(t, status, want)
	}
	owner.do("PUT", retentionAPI, `{"retention":"100d","reason":"why"}`, "Content-Type", "application/json", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").want(t, 403, "cross-origin")
	owner.do("PUT", retentionAPI, `{"retention":"100d","reason":"why"}`, "Content-Type", "application/json", "Sec-Fetch-Site", "same-origin", "If-Match", `"old"`).want(t, 412, "changed-meanwhile")
	if n := len(g.events.of(audit.EventRetentionChanged)); n != 0 {
		t.Fatalf("%d changes recorded", n)
	}
	o := owner.do("PUT", retentionAPI, `{"retention":"100d","reason":"why"}`, "Content-Type", "application/json", "Sec-Fetch-Site", "same-origin", "If-Match", first.Header.Get("ETag")).want(t, 200).object(t)
	if o["retention"] != "100d" || o["effective"] != "400d" || o["effective_at"] != "2026-03-02T09:00:00Z" || o["changed_by"] != "owner" || o["reason"] != "why" {
		t.Errorf("%v", o)
	}
	e := g.events.of(audit.EventRetentionChanged)
	if len(e) != 1 || e[0].Detail != `{"old":"400d","new":"100d"}` || e[0].Reason != "why" || e[0].ActorUsername != "owner" || e[0].ClientIP != "192.0.2.7" {
		t.Errorf("%+v", e)
	}
	g.clock.Advance(retention.Grace)
	owner = g.login("owner")
	if o := owner.json("GET", retentionAPI, "").object(t); o["effective"] != "100d" || o["effective_at"] != nil {
		t.Errorf("%v", o)
	}
	g.events.mu.Lock()
	g.events.fail = errors.New("no space left on device")
	g.events.mu.Unlock()
	owner.json("PUT", retentionAPI, `{"retention":"forever","reason":"why"}`).want(t, 503)
	if o := owner.json("GET", retentionAPI, "").object(t); o["retention"] != "100d" {
		t.Errorf("changed without a record: %v", o)
	}
}

// TestRetentionPages: the form asks back with what would go, and works without a script.
func TestRetentionPages(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.db")
	sink, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	row := &audit.Request{Time: start.AddDate(0, 0, -150), LogID: "l", Seq: 1, Method: "GET"}
	row.Hash()
	if err := sink.Write(t.Context(), &audit.Batch{LogID: "l", From: 1, To: 1, Token: "t", Requests: []*audit.Request{row}}); err != nil {
		t.Fatal(err)
	}
	reader, err := sqlite.OpenReader(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	g := newRigOn(t, reader)
	owner := g.login("owner")
	const path = "/.impersonate/owner/retention"
	for _, who := range []string{"admin", "auditor", "sam"} {
		b := g.login(who)
		b.get(path).want(t, 403)
		b.post(path, url.Values{"days": {"100"}, "reason": {"mine"}}).want(t, 403)
	}
	sound(t, "owner", owner.get("/.impersonate/owner").want(t, 200, "How long the audit is kept", "400 days", "At least 90 days").body)
	sound(t, "retention", owner.get(path).want(t, 200, `name="days"`).body)
	for _, bad := range []struct{ form, want string }{
		{"days=89&reason=why", "At least 90 days"},
		{"days=1.5&reason=why", "whole days"},
		{"days=&reason=why", "whole days"},
		{"days=100&reason=", "Say why"},
		{"days=400&reason=why", "what it is now"},
		{"days=100&reason=why&version=old", "Somebody else"},
	} {
		form, _ := url.ParseQuery(bad.form)
		sound(t, "retention", owner.post(path, form).want(t, http.StatusUnprocessableEntity, bad.want).body)
	}
	page := owner.post(path, url.Values{"days": {"100"}, "reason": {`<b>"why"</b>`}}).want(t, 200, "From 400 days to 100 days?", "can’t be brought back", "1 requests and 0 events", "2025-10-02")
	sound(t, "retention", page.body)
	if strings.Contains(page.body, "<b>\"") || len(g.events.of(audit.EventRetentionChanged)) != 0 {
		t.Error("asked back, and done")
	}
	owner.post(path, formTo(t, page.body, path)).to(t, http.StatusSeeOther, "/.impersonate/owner#retention")
	if e := g.events.of(audit.EventRetentionChanged); len(e) != 1 || e[0].Reason != `<b>"why"</b>` {
		t.Errorf("%+v", e)
	}
	sound(t, "owner", owner.get("/.impersonate/owner").want(t, 200, "100 days", "by owner, 2026-03-01", "stays at 400 days", "2026-03-02").body)
	// Longer, and forever: nothing is lost.
	page = owner.post(path, url.Values{"days": {"100"}, "forever": {"1"}, "reason": {"a lawsuit"}}).want(t, 200, "to forever?", "Nothing more is deleted")
	owner.post(path, formTo(t, page.body, path)).to(t, http.StatusSeeOther, "/.impersonate/owner#retention")
	for language, want := range map[string]string{"de": "für immer", "fr": "toujours", "es": "para siempre", "ja": "無期限"} {
		res := owner.do("POST", path, "days=200&reason=x", "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Accept-Language", language)
		res.want(t, 200, want)
		if strings.Contains(res.body, "%!") {
			t.Errorf("%s: %s", language, res.body)
		}
		sound(t, "retention "+language, res.body)
	}
}
