package e2e

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// download presses a link, and returns what the browser saved.
func (b *browser) download(element string) (name string, data []byte) {
	b.t.Helper()
	dir := b.t.TempDir()
	b.do("choosing where downloads go", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
		return err
	}))
	b.press(element)
	waitFor(b.t, patience, "the browser has saved "+element, func() bool {
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 || strings.HasSuffix(files[0].Name(), ".crdownload") || strings.HasPrefix(files[0].Name(), ".") {
			return false
		}
		name = files[0].Name()
		data, err = os.ReadFile(filepath.Join(dir, name))
		return err == nil && len(data) > 0
	})
	return name, data
}

// exports: the files have every row of the filter, and nothing a spreadsheet would compute.
func (a *audited) exports(t *testing.T, b *browser) {
	b.open(a.origin() + auditPages)
	name, data := b.download(named("a", "Export as CSV"))
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(rows) == 0 || !strings.HasPrefix(name, "audit-impersonations-") || !strings.HasSuffix(name, ".csv") {
		t.Fatalf("%s: %d rows, %v", name, len(rows), err)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	var ids []string
	for _, row := range rows[1:] {
		id, reason := row[column("impersonation_id")], row[column("reason")]
		ids = append(ids, id)
		want := strings.TrimSpace(a.made[id].reason)
		if slices.Contains(formulas[:6], a.made[id].reason) {
			want = "'" + want
		}
		if reason != want {
			t.Errorf("the reason %q is exported as %q", a.made[id].reason, reason)
		}
		if row[column("actor_username")] != a.made[id].actor || row[column("target_username")] != a.made[id].target {
			t.Errorf("%s is exported as %v", id, row)
		}
	}
	same(t, "the CSV", ids, a.of(all))

	// JSON lines of a filter.
	ask(b, a.origin()+auditPages, "actor", "second")
	name, data = b.download(named("a", "Export as JSON lines"))
	ids = nil
	err = audit.ReadJSONL(bytes.NewReader(data), func(table string, values []string) error {
		if table != audit.TableImpersonations {
			return fmt.Errorf("a row of %s", table)
		}
		ids = append(ids, values[0])
		return nil
	})
	if err != nil || !strings.HasSuffix(name, ".jsonl") {
		t.Errorf("%s: %v", name, err)
	}
	same(t, "the JSON lines", ids, a.of(func(m *made) bool { return m.actor == "second" }))

	// All requests of one impersonation, from its page.
	b.open(a.origin() + auditPages + "/impersonations/" + a.no)
	_, data = b.download(named("a", "Export as CSV"))
	if rows, err = csv.NewReader(bytes.NewReader(data)).ReadAll(); err != nil || len(rows)-1 != a.made[a.no].requests {
		t.Errorf("%d requests, not %d (%v)", len(rows)-1, a.made[a.no].requests, err)
	}
	_, data = b.download(named("a", "Export as JSON lines"))
	kinds := map[string]int{}
	if err := audit.ReadJSONL(bytes.NewReader(data), func(table string, _ []string) error { kinds[table]++; return nil }); err != nil || kinds[audit.TableRequests] != a.made[a.no].requests || kinds[audit.TableEvents] != 2 {
		t.Errorf("the impersonation as JSON lines: %v (%v)", kinds, err)
	}

	// It is streamed: how long it is nobody knows when it begins.
	p := logIn(t, a.origin(), "auditor")
	for _, format := range []string{"csv", "jsonl"} {
		res, _ := p.do(http.MethodGet, "/.impersonate/api/v1/audit/export?format="+format+"&table=requests", "")
		if res.StatusCode != http.StatusOK || res.ContentLength != -1 || !slices.Equal(res.TransferEncoding, []string{"chunked"}) {
			t.Errorf("%s answered %d, length %d, %v", format, res.StatusCode, res.ContentLength, res.TransferEncoding)
		}
	}
}

// languages: words follow the browser's language; times are UTC whatever its time zone, as the page says.
func (a *audited) languages(t *testing.T, b *browser) {
	set := func(language, zone string) {
		b.do("changing language and time zone", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			if _, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}}); err != nil {
				return err
			}
			_, err := chromedp.Call(ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
			return err
		}))
	}
	path := a.origin() + auditPages + "?q=" + url.QueryEscape("予定を")
	b.open(path)
	when := b.text(css("tbody a"))
	if !strings.Contains(when, " 22:3") {
		t.Errorf("it began at %s, not at half past ten in the evening, UTC", when)
	}
	for language, words := range map[string][]string{
		"de": {"Anmeldungen als andere", "Zeiten sind in UTC", "Handelnde Person", "Als CSV exportieren"},
		"fr": {"Connexions en tant qu’autrui", "Les heures sont en UTC", "Exporter en CSV"},
		"es": {"Accesos como otra persona", "Las horas están en UTC", "Exportar como CSV"},
		"ja": {"代理ログイン", "時刻は UTC です", "CSV で書き出す"},
	} {
		set(language, "Asia/Tokyo")
		b.open(path)
		if text := b.text(css("main")); slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) || b.text(css("tbody a")) != when {
			t.Errorf("%s: at %s: %s", language, when, text)
		}
	}
	set("en", "")
}

// read: that it was read and exported is in the audit, with who, and what was asked for.
func (a *audited) read(t *testing.T, b *browser) {
	details := func(kind string) (all []map[string]any) {
		t.Helper()
		ask(b, a.origin()+auditPages+"/events", "type", kind, "actor", "auditor")
		for page := 0; ; page++ {
			var texts []string
			decode(b, `JSON.stringify([...document.querySelectorAll(".audit-timeline li")].flatMap(e => {
				const value = name => [...e.querySelectorAll("dl > div")].find(d => d.querySelector("dt").textContent === name)?.querySelector("dd").textContent;
				return value("actor_name") === "Mei Tan" && value("client_ip") === "127.0.0.1" && e.querySelector(".line").textContent.includes("Mei Tan") ? [value("detail")] : [];
			}))`, &texts)
			for _, text := range texts {
				var d map[string]any
				if err := json.Unmarshal([]byte(text), &d); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				all = append(all, d)
			}
			if more, err := try[bool](b, "Boolean("+named("a", "Show more")+")"); err != nil || !more || page > 20 {
				return all
			}
			b.pressAway(named("a", "Show more"))
		}
	}
	is := func(all []map[string]any, want string) {
		t.Helper()
		var w map[string]any
		if err := json.Unmarshal([]byte(want), &w); err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			fits := true
			for k, v := range w {
				fits = fits && fmt.Sprint(d[k]) == fmt.Sprint(v)
			}
			if fits {
				return
			}
		}
		t.Errorf("nothing says %s, of %v", want, all)
	}
	// It reaches the sink a moment later.
	waitFor(t, patience, "the last export has arrived", func() bool { return len(details(audit.EventAuditExported)) == 12 })
	exported := details(audit.EventAuditExported)
	is(exported, fmt.Sprintf(`{"what":"impersonations","format":"csv","state":"done","impersonations":%d}`, len(a.made)))
	is(exported, `{"what":"impersonations","format":"jsonl","state":"begun","actor":"second"}`)
	is(exported, `{"what":"impersonations","format":"jsonl","state":"done","actor":"second","impersonations":12}`)
	is(exported, fmt.Sprintf(`{"what":"requests","format":"csv","state":"done","impersonation":%q,"requests":%d}`, a.no, a.made[a.no].requests))
	readings := details(audit.EventAuditRead)
	is(readings, `{"what":"impersonations","rows":50}`)
	is(readings, fmt.Sprintf(`{"what":"impersonations","actor":"second","target":"sam","rows":%d}`, 1))
	is(readings, `{"what":"impersonations","q":"EVIL.example","rows":1}`)
	is(readings, `{"what":"impersonations","actor":"nobody","rows":0}`)
	is(readings, fmt.Sprintf(`{"what":"timeline","impersonation":%q}`, a.approved))
	is(readings, `{"what":"events","type":"impersonation_started","rows":25}`)
	is(readings, `{"what":"activity"}`)
}

// rights: an auditor reads, and that is all; nobody else reads.
func (a *audited) rights(t *testing.T, b *browser) {
	b.open(a.origin() + "/.impersonate/")
	if n, err := try[int](b, "[...document.querySelectorAll('main button:not(:disabled)')].filter(e => e.textContent.includes('Log in')).length"); err != nil || n != 0 {
		t.Errorf("an auditor is offered %d accounts to use (%v)", n, err)
	}
	b.open(a.origin() + "/.impersonate/confirm?target=sam")
	if form, err := try[bool](b, css("main textarea, main form")+" !== null"); err != nil || form || !strings.Contains(b.body(), "You may not impersonate anyone") {
		t.Errorf("an auditor is asked why they want to be Sam: %s (%v)", b.body(), err)
	}
	for path, want := range map[string]int{"/.impersonate/owner/retention": http.StatusForbidden, "/.impersonate/owner": http.StatusForbidden} {
		b.open(a.origin() + path)
		if got := b.status(); got != want {
			t.Errorf("%s answers an auditor %d, not %d: %.300s", path, got, want, b.body())
		}
	}
	p := logIn(t, a.origin(), "auditor")
	if res, body := p.do(http.MethodPost, "/.impersonate/api/v1/impersonations", `{"target":"sam","reason":"I would like to see it"}`); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "You may not impersonate anyone") {
		t.Errorf("an auditor starts: %d %s", res.StatusCode, body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		if res, body := p.do(method, "/.impersonate/api/v1/settings/retention", ""); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s of the retention by an auditor: %d %s", method, res.StatusCode, body)
		}
	}
	if res, body := p.do(http.MethodDelete, "/.impersonate/api/v1/impersonations/"+a.live, ""); res.StatusCode != http.StatusForbidden && res.StatusCode != http.StatusNotFound {
		t.Errorf("an auditor ends an impersonation: %d %s", res.StatusCode, body)
	}
	for _, who := range []string{"admin", "supervisor", "sam"} {
		b.wear(logIn(t, a.origin(), who))
		for _, path := range []string{"", "/events", "/activity", "/impersonations/" + a.no} {
			b.open(a.origin() + auditPages + path)
			if text := b.body(); b.status() != http.StatusForbidden || strings.Contains(text, "Priya Nair (supervisor)") || strings.Contains(text, "Submitted a timesheet") {
				t.Errorf("%s reads %s: %d %.300s", who, path, b.status(), text)
			}
		}
		b.open(a.origin() + "/.impersonate/history")
		if there, err := try[bool](b, `Boolean(document.querySelector("a[href^='/.impersonate/audit']"))`); err != nil || there {
			t.Errorf("%s is shown the way to the audit (%v)", who, err)
		}
	}
	for _, path := range []string{"/impersonations", "/events", "/export?format=csv"} {
		if res, body := logIn(t, a.origin(), "admin").do(http.MethodGet, "/.impersonate/api/v1/audit"+path, ""); res.StatusCode != http.StatusForbidden || strings.Contains(body, "Priya") {
			t.Errorf("an admin reads %s: %d", path, res.StatusCode)
		}
	}
	// Whom it was refused is in the audit as well.
	waitFor(t, 3*time.Minute, "the auditor's attempt is there", func() bool {
		_, body := p.do(http.MethodGet, "/.impersonate/api/v1/audit/events?type=impersonation_refused&actor=auditor", "")
		return strings.Contains(body, "I would like to see it")
	})
}

// tail: `audit tail -f` prints what is read as it is, and Ctrl-C is no error.
func (a *audited) tail(t *testing.T, b *browser) {
	out := &logBuffer{}
	cmd := exec.Command(binary, "impersonate", "audit", "tail", "-f", "--utc", "--config", filepath.Join(a.Dir, "Caddyfile"))
	cmd.Stdout, cmd.Stderr = out, out
	write(t, filepath.Join(a.Dir, "Caddyfile"), a.Config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	waitFor(t, patience, "it prints the last rows", func() bool { return strings.Contains(out.String(), "* Mei Tan: audit_read") })
	ask(b, a.origin()+auditPages, "q", "what the terminal shows")
	waitFor(t, patience, "the reading is printed", func() bool { return strings.Contains(out.String(), "q: what the terminal shows") })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Ctrl-C: %v\n%s", err, out.String())
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		t.Errorf("Ctrl-C does not end it:\n%s", out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("colours in a file: %q", out.String())
	}
}
