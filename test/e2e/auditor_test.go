package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

const auditPages = "/.impersonate/audit"

// TestAuditorInABrowser: an auditor reads, searches, pages, looks at one impersonation and at plots, and takes the rows
// away, of a history made through the gateway, on either engine. What they may not do they can't, what they did is there.
func TestAuditorInABrowser(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { auditorsWork(t, newAudited(t, nil), "auditor-sqlite") })
	t.Run("clickhouse", func(t *testing.T) { auditorsWork(t, newAudited(t, chtest.Start(t)), "auditor-clickhouse") })
}

func auditorsWork(t *testing.T, a *audited, name string) {
	b := newBrowser(t, name)
	b.expect("Failed to load resource") // pages that are refusals
	b.logIn(a.origin()+auditPages, "auditor", "demo")
	b.at(a.origin(), auditPages)
	for _, part := range []struct {
		name string
		do   func(*testing.T, *browser)
	}{
		{"pages", a.pagesThrough},
		{"filters", a.filters},
		{"story", a.story},
		{"events", a.events},
		{"activity", a.activity},
		{"exports", a.exports},
		{"languages", a.languages},
		{"read", a.read},
		{"tail", a.tail},
		{"rights", a.rights},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			outer := b.t
			b.t = t
			defer func() { b.t = outer }()
			part.do(t, b)
		}) {
			return
		}
	}
}

const rowLinks = `[...document.querySelectorAll("tbody a")].map(e => e.getAttribute("href")).filter(h => h.startsWith("/.impersonate/audit/impersonations/")).map(h => h.split("/").pop())`

// listed are the ids of the impersonations on this page and those after it.
func listed(b *browser) (ids []string, pages int) {
	b.t.Helper()
	for {
		var some []string
		decode(b, "JSON.stringify("+rowLinks+")", &some)
		ids = append(ids, some...)
		pages++
		if more, err := try[bool](b, "Boolean("+named("a", "Show more")+")"); err != nil || !more || pages > 20 {
			return ids, pages
		}
		b.pressAway(named("a", "Show more"))
	}
}

// same fails the test unless exactly these are there, each once.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	count := map[string]int{}
	for _, id := range got {
		count[id]++
	}
	var wrong []string
	for _, id := range want {
		if count[id] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s is there %d times", id, count[id]))
		}
		delete(count, id)
	}
	for id := range count {
		wrong = append(wrong, id+" is there")
	}
	if len(wrong) > 0 || len(want) == 0 {
		t.Errorf("%s: of %d that were made %d are shown: %.1000s", what, len(want), len(got), strings.Join(wrong, ", "))
	}
}

func all(*made) bool { return true }

// pagesThrough: every row of the list once, over its pages and back.
func (a *audited) pagesThrough(t *testing.T, b *browser) {
	if text := b.body(); !strings.Contains(text, "Times are in UTC") || !strings.Contains(text, "Priya Nair (supervisor)") {
		t.Errorf("the list says: %.500s", text)
	}
	ids, pages := listed(b)
	same(t, "the list", ids, a.of(all))
	if want := (len(a.made) + 49) / 50; pages != want {
		t.Errorf("%d pages, not %d", pages, want)
	}
	if ids[0] != a.live || !strings.Contains(b.body(), "Round ") {
		t.Errorf("the first is not the newest, %s, but %s", a.live, ids[0])
	}
	b.pressAway(named("a", "Back to the beginning"))
	var first []string
	decode(b, "JSON.stringify("+rowLinks+")", &first)
	if len(first) == 0 || first[0] != a.live {
		t.Errorf("the beginning is %v", first)
	}
}

// ask fills in filters by their names, and shows what they find.
func ask(b *browser, path string, fields ...string) {
	b.t.Helper()
	b.open(path)
	for i := 0; i < len(fields); i += 2 {
		field := css(".audit-filters [name=" + fields[i] + "]")
		if isList, err := try[bool](b, field+".matches('select')"); err == nil && isList {
			if _, err := try[string](b, field+".value = "+quote(fields[i+1])); err != nil {
				b.t.Fatal(err)
			}
			continue
		}
		b.fill(field, fields[i+1])
	}
	b.pressAway(named(".audit-filters button", "Show"))
}

func (a *audited) filters(t *testing.T, b *browser) {
	path := a.origin() + auditPages
	day := a.many
	for what, q := range map[string]struct {
		fields []string
		fit    func(*made) bool
	}{
		"actor":            {[]string{"actor", "admin"}, func(m *made) bool { return m.actor == "admin" }},
		"target":           {[]string{"target", "jose"}, func(m *made) bool { return m.target == "jose" }},
		"both":             {[]string{"actor", "second", "target", "sam"}, func(m *made) bool { return m.actor == "second" && m.target == "sam" }},
		"a day":            {[]string{"from", day, "to", day}, func(m *made) bool { return m.day == day }},
		"goes on":          {[]string{"outcome", "active"}, func(m *made) bool { return m == a.made[a.live] }},
		"stopped":          {[]string{"outcome", "stopped"}, func(m *made) bool { return m != a.made[a.live] }},
		"text":             {[]string{"q", "EVIL.example"}, func(m *made) bool { return m == a.made[a.formula] }},
		"Japanese":         {[]string{"q", "予定を"}, func(m *made) bool { return m == a.made[a.late] }},
		"text of an actor": {[]string{"q", "round", "actor", "supervisor"}, func(m *made) bool { return strings.HasPrefix(m.reason, "Round") }},
	} {
		if typed := what == "actor" || what == "a day" || what == "goes on"; typed {
			ask(b, path, q.fields...)
		} else {
			values := url.Values{}
			for i := 0; i < len(q.fields); i += 2 {
				values.Set(q.fields[i], q.fields[i+1])
			}
			b.open(path + "?" + values.Encode())
		}
		ids, _ := listed(b)
		same(t, what, ids, a.of(q.fit))
	}

	// What is asked for stays in the form, and is taken away by one press.
	b.open(path)
	b.viewport(390, 844)
	if folded, err := try[bool](b, "!"+css("#f-actor")+".checkVisibility({contentVisibilityAuto: true, visibilityProperty: true}) || "+css("#f-actor")+".getBoundingClientRect().height === 0"); err != nil || !folded {
		t.Errorf("on a phone the filters are not folded away (%v)", err)
	}
	b.press(css(".audit-filters summary"))
	b.fill(css("#f-actor"), "nobody")
	b.pressAway(named(".audit-filters button", "Show"))
	if text := b.body(); !strings.Contains(text, "Nothing found") || !strings.Contains(text, "Filters (1)") {
		t.Errorf("nobody did: %.500s", text)
	}
	if open, err := try[string](b, css("details.fields")+".open + ' ' + "+css("#f-actor")+".value"); err != nil || open != "true nobody" {
		t.Errorf("what is asked for is %q (%v)", open, err)
	}
	b.pressAway(named(".audit-filters a", "Clear"))
	b.at(a.origin(), auditPages)
	b.viewport(1280, 800)
	ids, _ := listed(b)
	same(t, "cleared", ids, a.of(all))

	ask(b, path, "from", "noon")
	if text := b.body(); b.status() != http.StatusBadRequest || !strings.Contains(text, "is no time") || !strings.Contains(text, "2026-03-01") {
		t.Errorf("noon answered %d: %.500s", b.status(), text)
	}
}

// facts are a list of terms, as they are read.
func facts(b *browser, selector string) map[string]string {
	b.t.Helper()
	var all map[string]string
	decode(b, `JSON.stringify(Object.fromEntries([...document.querySelectorAll("`+selector+` > div")].map(e => [e.querySelector("dt").innerText, e.querySelector("dd").innerText])))`, &all)
	return all
}

// story: one impersonation's page has who, whom, why, who agreed, and each request.
func (a *audited) story(t *testing.T, b *browser) {
	ask(b, a.origin()+auditPages, "target", "lena")
	b.pressAway(css("tbody a"))
	b.at(a.origin(), auditPages+"/impersonations/"+a.approved)
	got := facts(b, ".card dl")
	for term, want := range map[string]string{
		"Actor": "Alice Ng (admin)", "Target": "Lena Vogel (lena)", "Reason": a.made[a.approved].reason, "Ticket": "HD-2244", "Mode": "full", "Policy": "office",
		"Agreed": "owner", "Site": a.origin(), "Address": "127.0.0.1", "Requests": "1 · Writes 0 · Refused 0",
	} {
		if got[term] != want {
			t.Errorf("%s is %q, not %q", term, got[term], want)
		}
	}
	text := b.text(css(".audit-timeline"))
	last := -1
	for _, step := range []string{"approval_requested", "approval_granted", "impersonation_started", "GET /", "impersonation_ended"} {
		i := strings.Index(text, step)
		if i < last || i < 0 {
			t.Errorf("%s does not come in its place in: %s", step, text)
		}
		last = i
	}
	b.press(named(".audit-timeline li:nth-child(2) summary", b.text(css(".audit-timeline li:nth-child(2) summary"))))
	granted := facts(b, ".audit-timeline li:nth-child(2) dl")
	if !strings.Contains(granted["detail"], `"by":"owner"`) || !strings.Contains(granted["detail"], "Until noon please") || len(granted["leaf_hash"]) != 64 {
		t.Errorf("the approval is told as %v", granted)
	}

	// Refusals and writes are marked.
	b.open(a.origin() + auditPages + "/impersonations/" + a.no)
	m := a.made[a.no]
	if got := facts(b, ".card dl")["Requests"]; got != fmt.Sprintf("%d · Writes %d · Refused %d", m.requests, m.writes, m.refusals) {
		t.Errorf("requests: %s, made %+v", got, m)
	}
	for selector, want := range map[string]int{"li.bad": m.refusals, "li.write": m.writes, "li:not(.event)": m.requests} {
		if n, err := try[int](b, fmt.Sprintf("document.querySelectorAll('.audit-timeline %s').length", selector)); err != nil || n != want {
			t.Errorf("%d entries are %s, not %d (%v)", n, selector, want, err)
		}
	}
	if text := b.text(css(".audit-timeline")); !strings.Contains(text, "Submitted a timesheet") || strings.Count(text, "refused: denied_path") != m.refusals {
		t.Errorf("what happened: %s", text)
	}
}
