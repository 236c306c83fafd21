package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// events: the page of events, over its pages.
func (a *audited) events(t *testing.T, b *browser) {
	ask(b, a.origin()+auditPages+"/events", "type", audit.EventImpersonationStarted)
	var ids []string
	for page := 0; ; page++ {
		var some []string
		decode(b, `JSON.stringify([...document.querySelectorAll(".audit-timeline details p a")].map(e => e.getAttribute("href").split("/").pop()))`, &some)
		ids = append(ids, some...)
		if more, err := try[bool](b, "Boolean("+named("a", "Show more")+")"); err != nil || !more || page > 20 {
			break
		}
		b.pressAway(named("a", "Show more"))
	}
	same(t, "events of starts", ids, a.of(all))
	if text := b.text(css(".audit-timeline")); !strings.Contains(text, "Priya Nair") || !strings.Contains(text, formulas[0]) {
		t.Errorf("the oldest starts: %s", text)
	}
	ask(b, a.origin()+auditPages+"/events", "type", audit.EventApprovalGranted)
	if text := b.text(css(".audit-timeline")); !strings.Contains(text, "approval_granted") || strings.Count(text, "HD-2244") != 1 {
		t.Errorf("the approval: %s", text)
	}
}

// activity: the plots' numbers are right, in the bars, their titles and the table; what is worth a look is named.
func (a *audited) activity(t *testing.T, b *browser) {
	b.open(a.origin() + auditPages + "/activity")
	requests, writes, refusals := 0, 0, 0
	days := map[string]int{}
	for _, m := range a.made {
		requests, writes, refusals = requests+m.requests, writes+m.writes, refusals+m.refusals
		days[m.day]++
	}
	var plots []struct {
		Role, Label string
		Bars        []string
		Heights     []float64
	}
	decode(b, `JSON.stringify([...document.querySelectorAll("figure svg")].map(e => ({
		Role: e.getAttribute("role"), Label: document.getElementById(e.getAttribute("aria-labelledby"))?.innerText,
		Bars: [...e.querySelectorAll("g title")].map(e => e.textContent), Heights: [...e.querySelectorAll("rect.audit-bar")].map(e => e.getBoundingClientRect().height),
	})))`, &plots)
	if len(plots) != 2 {
		t.Fatalf("the plots are %v", plots)
	}
	for i, want := range []struct {
		label string
		total int
	}{{"Impersonations per day", len(a.made)}, {"Requests per day Writes", requests}} {
		p, total, tallest, most := plots[i], 0, 0.0, 0
		for j, bar := range p.Bars {
			m := regexp.MustCompile(`^(\d{4}-\d\d-\d\d): (\d+)( \(Writes: \d+\))?$`).FindStringSubmatch(bar)
			if m == nil {
				t.Fatalf("a bar is called %q", bar)
			}
			n, _ := strconv.Atoi(m[2])
			if total += n; n > most {
				most, tallest = n, p.Heights[j]
			}
			if i == 0 && days[m[1]] != n {
				t.Errorf("on %s there were %d, not %d", m[1], days[m[1]], n)
			}
		}
		if p.Role != "img" || p.Label != want.label || total != want.total || len(p.Bars) == 0 || tallest != slices.Max(p.Heights) || tallest < 50 {
			t.Errorf("plot %d: %+v; want %+v", i, p, want)
		}
	}
	b.press(css("section details summary"))
	var table [][]string
	decode(b, `JSON.stringify([...document.querySelectorAll("section details tbody tr")].map(r => [...r.children].map(e => e.innerText)))`, &table)
	sums := [4]int{}
	for _, row := range table {
		for i := range sums {
			n, err := strconv.Atoi(row[i+1])
			if err != nil {
				t.Fatal(err)
			}
			sums[i] += n
		}
	}
	if want := [4]int{len(a.made), requests, writes, refusals}; sums != want {
		t.Errorf("the table's sums are %v, not %v", sums, want)
	}
	actors := b.text(css("section:last-of-type table"))
	for _, want := range []string{fmt.Sprintf("Priya Nair (supervisor) %d 7 %d 0 0", short, short), "Alice Ng (admin) 4 4", "Nina Bauer (second) 12 11"} {
		if !strings.Contains(actors, want) {
			t.Errorf("%q is not among the actors: %s", want, actors)
		}
	}
	b.shot("activity")

	var findings []struct{ Kind, Text, Href string }
	decode(b, `JSON.stringify([...document.querySelectorAll(".audit-findings li")].map(e => ({Kind: e.querySelector("b").innerText, Text: e.innerText.replace(/\s+/g, " "), Href: e.querySelector("a")?.getAttribute("href")})))`, &findings)
	for _, want := range []struct{ kind, text, href string }{
		{"Out of hours", "Alice Ng (admin) → 佐藤 ゆき (yuki)", a.late},
		{"First time in this account", "Alice Ng (admin) → José Márquez (jose)", a.long},
		{"Many refusals", "6 requests refused", a.no},
		{"Very long", "lasted 2:30:", a.long},
		{"Many accounts in a day", "Nina Bauer (second) 11 accounts", "actor=second&from=" + a.many},
		{"Many refused starts", "Sam Reed (sam) 6 starts refused", "actor=sam"},
	} {
		if !slices.ContainsFunc(findings, func(f struct{ Kind, Text, Href string }) bool {
			return f.Kind == want.kind && strings.Contains(f.Text, want.text) && strings.Contains(f.Href, want.href)
		}) {
			t.Errorf("%+v is not among %+v", want, findings)
		}
	}
	for _, f := range findings {
		if f.Kind == "Out of hours" && !strings.Contains(f.Href, a.late) {
			t.Errorf("out of hours, and was not: %v", f)
		}
	}
	// A finding leads to what it is about.
	b.pressAway(`[...document.querySelectorAll(".audit-findings li")].find(e => e.innerText.includes("Many accounts")).querySelector("a")`)
	ids, _ := listed(b)
	same(t, "those of many accounts", ids, a.of(func(m *made) bool { return m.actor == "second" && m.day == a.many }))
	b.open(a.origin() + auditPages + "/activity")
	b.pressAway(`[...document.querySelectorAll(".audit-findings li")].find(e => e.innerText.includes("refused starts")).querySelector("a")`)
	if n, err := try[int](b, "document.querySelectorAll('.audit-timeline li').length"); err != nil || n != 6 {
		t.Errorf("%d refused starts (%v)", n, err)
	}
}
