package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What people, apps and browsers can get shown to others. Each would set window.pwned if it ran, or leave an element
// that no page has, or turn the words around it.
const (
	evilImage  = `"'><img src=x onerror="window.pwned=1"><b0rk>`
	evilScript = `</script></textarea></title><script>window.pwned=1</script><b0rk>`
	evilVector = `<svg onload=window.pwned=1><b0rk x=` + "`'\""
	evilFocus  = `x' autofocus onfocus='window.pwned=1' x="`
	evilLink   = `javascript:window.pwned=1//`
	evilBidi   = "\u202etiderC \u2066x\u200f"
	evilTag    = `</bdi></dd></impersonate-banner></template><b0rk>{{.}}${window.pwned=1}`
)

var evilLong = strings.Repeat("W", 480)

// hostile are people whose every fact is an attack, as far as a directory takes it: what turns text it refuses.
var hostile = []role{
	{"owner", evilScript, "x", []string{"account-owners", "staff"}},
	{"admin", evilImage + evilTag, "x", []string{"admins", evilVector, evilImage}},
	{"second", "\u200ftiderC " + evilVector, "x", []string{"admins", "\u200f" + evilTag}},
	{"supervisor", evilLong, "x", []string{"supervisors", evilLong[:200]}},
	{"auditor", evilFocus, "x", []string{"auditors", evilFocus}},
	{`x"'><img src=x onerror=window.pwned=1>`, evilImage, "x", []string{"fieldworkers", "team-north", evilScript, evilLink}},
	{evilScript, evilScript + evilVector, "x", []string{"fieldworkers", evilImage, evilTag, evilFocus}},
	{evilLink, evilLink, "x", []string{"office", evilVector}},
	{strings.Repeat("w", 60), strings.Repeat("Ӝ̷", 120), "x", []string{"fieldworkers", evilLong[:250]}},
}

// harm is what of an attack got through on the page.
func (b *browser) harm() []string {
	b.t.Helper()
	b.wait("the page holds still", loaded+still)
	var said []string
	decode(b, `JSON.stringify((() => {
		const said = [];
		if (window.pwned !== undefined) said.push("a script ran");
		const within = root => [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? within(e.shadowRoot) : [])]);
		for (const e of within(document)) {
			if (/^(b0rk|img|iframe|object|embed|base)$/i.test(e.localName) || e.localName === "svg" && e.hasAttribute("onload")) said.push("an element: " + e.outerHTML.slice(0, 100));
			for (const a of e.attributes) if (/^on/.test(a.name)) said.push("a handler: " + e.outerHTML.slice(0, 100));
			for (const n of ["href", "src", "action", "formaction"]) if (/^\s*(javascript|data|vbscript):/i.test(e.getAttribute(n) || "")) said.push("an address: " + e.outerHTML.slice(0, 100));
			if (e.localName === "script" && !e.src) said.push("a script: " + e.outerHTML.slice(0, 100));
		}
		const text = within(document).flatMap(e => [...e.childNodes]).filter(n => n.nodeType === 3).map(n => n.data).join("");
		const turned = text.match(/[\u202a-\u202e\u2066-\u2069\u0000-\u0008\u001b]/);
		if (turned) said.push("a character that turns text: U+" + turned[0].charCodeAt(0).toString(16) + " in " + text.slice(Math.max(0, turned.index - 40), turned.index + 40));
		return said;
	})())`, &said)
	b.mu.Lock()
	said = append(said, b.broken...)
	b.broken = nil
	b.mu.Unlock()
	return said
}

// TestHarmIsSeen: what gets through is found, or finding nothing would mean nothing.
func TestHarmIsSeen(t *testing.T) {
	b := newBrowser(t, "harm")
	b.expect("")
	for payload, want := range map[string]string{
		evilImage: "an element", evilScript: "a script ran", evilVector: "a handler", evilBidi: "turns text", `<a href="` + evilLink + `">x</a>`: "an address", evilTag: "an element",
		`<meta http-equiv="Content-Security-Policy" content="img-src 'none'">` + evilImage: "Content Security Policy",
	} {
		b.open(serve(t, "<!DOCTYPE html><meta charset=utf-8><title>x</title><link rel=icon href=data:,><p>"+payload))
		if said := strings.Join(b.harm(), "; "); !strings.Contains(said, want) {
			t.Errorf("%q: seen %q, want %s", payload, said, want)
		}
	}
}

// TestHostileInput: names, groups, emails, reasons, tickets, notes, browsers' names and addresses that are attacks are
// text on every page, in the banner with every word of it from them, on the bell, and in the record.
func TestHostileInput(t *testing.T) {
	s := raise(t, hostile, 0, stageConfig("{impersonate.actor.name} / {impersonate.user.name} / {impersonate.user.email} / {impersonate.user.groups} / {impersonate.mode}"))
	people := map[string]string{"field": hostile[5].username, "field2": hostile[6].username, "office": hostile[7].username, "long": hostile[8].username}
	for _, name := range []string{"owner", "admin", "second", "supervisor", "auditor"} {
		s.roles[name] = logIn(t, s.origin(), name)
	}
	for name, username := range people {
		s.roles[name] = logIn(t, s.origin(), username)
	}
	evilBrowser := func(r *http.Request) {
		navigation(r)
		r.Header.Set("User-Agent", evilImage+evilScript)
		r.Header.Set("Referer", s.origin()+"/"+evilLink)
	}
	ask := func(p *person, target, ticket string) string {
		t.Helper()
		body, _ := json.Marshal(map[string]any{"target": target, "reason": evilImage + evilBidi + evilScript + evilTag + evilVector, "ticket": ticket})
		res, answer := p.do(http.MethodPost, "/.impersonate/api/v1/impersonations", string(body), func(r *http.Request) { r.Header.Set("User-Agent", evilImage) })
		var got struct{ ID string }
		if err := json.Unmarshal([]byte(answer), &got); err != nil || got.ID == "" {
			t.Fatalf("becoming %s answered %d: %s", target, res.StatusCode, answer)
		}
		return got.ID
	}
	used := ask(s.roles["admin"], people["field"], evilVector)
	for _, path := range []string{"/", "/bookings/%3Cscript%3Ewindow.pwned=1%3C/script%3E", "/timesheets?q=%22%3E%3Cimg%20src=x%20onerror=window.pwned=1%3E&x=%E2%80%AE", "/account/password?%3Cb0rk%3E"} {
		s.roles["admin"].do(http.MethodGet, path, "", evilBrowser)
	}
	s.roles["admin"].do(http.MethodPost, "/bookings/1042/complete", "x="+evilScript, evilBrowser)
	s.roles["admin"].back()
	form := func(p *person, path, body string) {
		t.Helper()
		if res, answer := p.do(http.MethodPost, path, body, formBody); res.StatusCode >= 400 {
			t.Fatalf("%s answered %d: %s", path, res.StatusCode, answer)
		}
	}
	const note = "note=%22%3E%3Cimg+src=x+onerror=window.pwned=1%3E%3Cb0rk%3E%E2%80%AEx"
	pending := ask(s.roles["admin"], people["office"], evilImage)
	refused := ask(s.roles["second"], people["office"], evilLink)
	form(s.roles["owner"], "/.impersonate/requests/"+refused+"/refuse", note)
	objected := ask(s.roles["second"], people["field2"], evilBidi)
	s.roles["second"].back()
	form(s.roles["field2"], "/.impersonate/history/objection", "impersonation="+objected)
	form(s.roles["owner"], "/.impersonate/review/mark", "impersonation="+used+"&"+note)
	consent := ask(s.roles["supervisor"], people["field"], evilTag)
	ask(s.roles["second"], people["long"], evilLong[:100])
	live := logIn(t, s.origin(), "admin")
	s.roles["impersonating"] = live
	ask(live, people["field2"], evilImage)
	s.names = strings.NewReplacer("{used}", used, "{pending}", pending, "{refused}", refused, "{consent}", consent)
	waitFor(t, 3*time.Minute, "the record has it", func() bool {
		_, answer := s.roles["auditor"].do(http.MethodGet, "/.impersonate/api/v1/audit/requests?impersonation="+used, "")
		return strings.Contains(answer, "b0rk") && strings.Contains(answer, "complete")
	})

	const q = "%22%3E%3Cimg%20src=x%20onerror=window.pwned=1%3E%3Cb0rk%3E%E2%80%AE%27%20onfocus=window.pwned=1%20autofocus"
	b := newBrowser(t, "hostile")
	b.expect("Failed to load resource")
	for _, c := range []scene{
		{"home", "admin second owner auditor supervisor field impersonating", "/.impersonate/", nil, ""},
		{"search", "admin owner", "/.impersonate/?q=" + q, nil, ""},
		{"return", "admin", "/.impersonate/?return_to=" + q + "&next=" + q, nil, ""},
		{"link", "admin", "/.impersonate/?target=" + q + "&reason=" + q + "&ticket=" + q + "&mode=" + q + "&duration=" + q, nil, ""},
		{"ask", "admin", "/.impersonate/?target=" + url.QueryEscape(people["field"]) + "&reason=" + q + "&ticket=" + q, nil, ""},
		{"ask-page", "admin", "/.impersonate/confirm?target=" + url.QueryEscape(people["field2"]) + "&reason=" + q + "&ticket=" + q, nil, ""},
		{"ask-long", "admin", "/.impersonate/confirm?target=" + url.QueryEscape(people["long"]), nil, ""},
		{"ask-approval", "second", "/.impersonate/confirm?target=" + url.QueryEscape(people["office"]), nil, ""},
		{"menu", "admin second supervisor", "/.impersonate/", func(b *browser) { b.press(css("details.menu summary")) }, ""},
		{"requests", "admin second owner supervisor field", "/.impersonate/requests", nil, ""},
		{"pending", "owner admin", "/.impersonate/requests/{pending}", nil, ""},
		{"refused", "second", "/.impersonate/requests/{refused}", nil, ""},
		{"consent", "field supervisor", "/.impersonate/requests/{consent}", nil, ""},
		{"bell", "field long", "/", nil, ""},
		{"history", "field2 field long", "/.impersonate/history?said=" + q + "&before=" + q, nil, ""},
		{"history-actions", "field", "/.impersonate/history", func(b *browser) { b.press(css("details.did summary")) }, ""},
		{"audit", "auditor", "/.impersonate/audit", nil, ""},
		{"audit-search", "auditor", "/.impersonate/audit?q=" + q + "&actor=" + q + "&target=" + q, nil, ""},
		{"audit-bad", "auditor", "/.impersonate/audit?from=" + q + "&outcome=" + q, nil, ""},
		{"events", "auditor", "/.impersonate/audit/events", openAll, ""},
		{"activity", "auditor", "/.impersonate/audit/activity", openAll, ""},
		{"story", "auditor owner", "/.impersonate/audit/impersonations/{used}", openAll, ""},
		{"review", "owner auditor", "/.impersonate/review", nil, ""},
		{"owner", "owner", "/.impersonate/owner", nil, ""},
		{"stop", "impersonating", "/.impersonate/stop", nil, ""},
		{"ended", "impersonating admin", "/.impersonate/ended?from=" + q, nil, ""},
		{"not-found", "admin", "/.impersonate/" + q, nil, ""},
		{"callback", "nobody", "/.impersonate/callback?error=" + q + "&error_description=" + q + "&state=" + q, nil, ""},
		{"logged-out", "nobody", "/.impersonate/logged-out?state=" + q, nil, ""},
		{"banner", "impersonating", "/", nil, ""},
		{"banner-reason", "impersonating", "/timesheets?" + q, func(b *browser) { b.press(inBanner(".why summary")) }, ""},
		{"frame", "impersonating", "/.impersonate/frame", nil, ""},
		{"forbidden", "impersonating", "/account/password?" + q, nil, ""},
	} {
		for _, who := range strings.Fields(c.who) {
			s.enter(b, c, who)
			for _, said := range b.harm() {
				t.Errorf("%s, %s: %s", c.name, who, said)
			}
			b.shot(c.name + "-" + who)
			b.viewport(360, 740)
			b.wait("the page holds still", loaded+still)
			if wide, err := try[string](b, tooWide(360)); err != nil || wide != "" && !strings.HasPrefix(c.path, "/timesheets") && c.path != "/" {
				t.Errorf("%s, %s: wider than a phone, by %s (%v)", c.name, who, wide, err)
			}
			b.shot(c.name + "-" + who + "-phone")
		}
	}

	// The banner says it all, and what it says is its own.
	s.enter(b, scene{path: "/"}, "impersonating")
	if text := b.banner(); !strings.Contains(text, "onerror") || !strings.Contains(text, "<b0rk>") {
		t.Errorf("the banner says %q", text)
	}
	if name, err := try[string](b, inBanner(".stop")+".textContent"); err != nil || name != "Return to my account" {
		t.Errorf("the way back is called %q, %v", name, err)
	}
	b.returns()
	b.noBanner()
}

// openAll opens all that folds.
func openAll(b *browser) {
	b.wait("the page is there", loaded)
	if _, err := try[bool](b, `document.querySelectorAll("main details").forEach(e => e.open = true), true`); err != nil {
		b.t.Fatal(err)
	}
}
