//go:build browser

package banner

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// reports are what pages said of their banner.
type reports struct {
	mu  sync.Mutex
	all []string
}

func (s *reports) of(path string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.all {
		if strings.Contains(r, fmt.Sprintf(`"path":%q`, path)) {
			out = append(out, r)
		}
	}
	return out
}

// serveOwn answers in the portal's place: extensions are granted, but on pages whose name says otherwise, and reports
// kept.
func serveOwn(a *app) *reports {
	got := &reports{}
	a.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refused := strings.HasSuffix(r.Referer(), "/refused")
		switch r.Method + " " + r.URL.Path {
		case "POST " + pathMore:
			if refused {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusForbidden)
				return
			}
			var body struct{ Press int }
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Press < 1 {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"id":"imp-1","expires_at":%q,"extensions":%d,"extensions_left":%d}`,
				time.Now().Add(19*time.Minute).UTC().Format(time.RFC3339), body.Press, 2-body.Press)
		case "POST " + pathExtend, "GET " + pathEnded:
			fmt.Fprint(w, "an own page")
		case "POST " + pathReport:
			b, err := io.ReadAll(r.Body)
			if err == nil && r.Header.Get("Content-Type") == "application/json" {
				got.mu.Lock()
				got.all = append(got.all, string(b))
				got.mu.Unlock()
			}
			w.WriteHeader(http.StatusNoContent)
		default:
			a.ServeHTTP(w, r)
		}
	})
	return got
}

const testHead = `<!DOCTYPE html><html lang="en"><head><meta name="viewport" content="width=device-width"><style>body{margin:0}</style></head><body>`

var filler = strings.Repeat("<p>filler</p>", 100)

// skewed gives a check a clock of the page that it can put forward.
const skewed = `const real = win.performance.now.bind(win.performance); let skew = 0; win.performance.now = () => real() + skew; `

func TestExtendInBrowser(t *testing.T) {
	a := newApp(t)
	serveOwn(a)
	soon := func(i *Info) { i.ExpiresAt, i.Extension, i.Press = i.Now.Add(4*time.Minute), 15*time.Minute, 1 }
	for _, path := range []string{"/urgent", "/refused", "/elsewhere"} {
		a.pages[path] = testPage{body: testHead + filler, info: soon}
	}
	a.pages["/last"] = testPage{body: testHead + filler, info: func(i *Info) { soon(i); i.Press = 2 }}
	a.pages["/early"] = testPage{body: testHead + filler, info: func(i *Info) { i.Extension, i.Press = 15*time.Minute, 1 }}
	a.pages["/closed"] = testPage{body: testHead + filler, info: soon, headers: map[string]string{"Content-Security-Policy": "default-src 'none'; form-action 'none'"}}
	a.me = func(w http.ResponseWriter, r *http.Request) {
		until, done, left := time.Now().Add(4*time.Minute), 0, 2
		if strings.HasSuffix(r.Referer(), "/elsewhere") {
			until, done, left = until.Add(30*time.Minute), 2, 0
		}
		if strings.HasSuffix(r.Referer(), "/refused") {
			left = 0
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"impersonation":{"id":"imp-1","expires_at":%q,"extensions":%d,"extensions_left":%d}}`, until.UTC().Format(time.RFC3339), done, left)
	}
	runChecks(t, a, []check{
		{Name: "offered, and it stands out in the last minutes", Path: "/urgent", Settles: true, Want: []any{"Extend 15 min", true, true}, Check: `
			const s = (e) => win.getComputedStyle(find(e)).backgroundColor;
			return [find(".more").textContent, find(".bar").classList.contains("urgent"), s(".more") === s(".stop")]`},
		{Name: "offered, no more than that, before", Path: "/early", Settles: true, Want: []any{false, false}, Check: `
			const s = (e) => win.getComputedStyle(find(e)).backgroundColor; return [find(".bar").classList.contains("urgent"), s(".more") === s(".stop")]`},
		{Name: "adds its time, and says so", Path: "/urgent", Want: []any{true, true, "2", false, "/urgent"}, Check: `
			find(".more").click();
			const said = await until(() => /^The time was extended: 1[89]:\d\d left\.$/.test(find(".say").textContent));
			return [said, await until(() => /^1[89]:\d\d left$/.test(find(".left").textContent)), find(".more").value, find(".more").hidden, path()]`},
		{Name: "gone after the last, and the keyboard's place is not", Path: "/last", Want: []any{true, "stop"}, Check: `
			find(".more").focus(); find(".more").click(); return [await until(() => find(".more").hidden), host().shadowRoot.activeElement.className]`},
		{Name: "refused", Path: "/refused", Want: []any{true, true}, Check: `
			find(".more").click(); return [await until(() => find(".say").textContent === "The time could not be extended."), await until(() => find(".more").hidden)]`},
		{Name: "under a strict policy", Path: "/closed", Want: []any{true, "/closed"}, Check: `find(".more").click(); return [await until(() => find(".more").value === "2"), path()]`},
		{Name: "without a call, by the form", Path: "/urgent", Want: "/.impersonate/extend", Check: `
			find("form").target = "_self"; // the driver is at the top
			win.fetch = () => Promise.reject(new TypeError("blocked")); find(".more").click(); await until(() => path() !== "/urgent"); return path()`},
		{Name: "extended in another tab", Path: "/elsewhere", Want: []any{true, true, "3"}, Check: `const now = win.performance.now(); win.performance.now = () => now; // never time to ask by itself
			new win.BroadcastChannel("impersonate").postMessage({type: "extend", id: "imp-1"});
			const more = await until(() => find(".more").hidden); win.performance.now = () => now + 1; return [more, await until(() => /^3[34]:\d\d left$/.test(find(".left").textContent)), find(".more").value]`},
		{Name: "in the pill, when it matters", Path: "/urgent", Want: []any{"flex", "none"}, Check: `
			await until(() => find(".bar").classList.contains("urgent")); find(".fold").click(); return [win.getComputedStyle(find("form")).display, win.getComputedStyle(find(".stop")).display]`},
		{Name: "a warning taken back", Path: "/urgent", Want: []any{true, true, true}, Check: skewed + `skew = 190000;
			const soon = await until(() => find(".bar").classList.contains("soon")), said = find(".say").textContent.startsWith("Less than a minute"); find(".more").click();
			return [soon, said, await until(() => !find(".bar").classList.contains("soon"))]`},
		{Name: "fits a phone, for fingers", Path: "/urgent", Settles: true, Width: 320, Height: 640, Want: []any{true, true, true}, Check: `
			const r = [...host().shadowRoot.querySelectorAll(".who, .left, .stop, .more, .fold, .move, summary")].map((e) => e.getBoundingClientRect());
			return [r.every((b) => b.left >= 0 && b.right <= 320), find(".bar").offsetHeight < 150, r.slice(1).filter((b) => b.height < 24 || b.width < 24).length <= 1]`},
		{Name: "for fingers on a desktop", Path: "/urgent", Settles: true, Want: 0.0, Check: `
			return [...host().shadowRoot.querySelectorAll("button, summary")].map((e) => e.getBoundingClientRect()).filter((b) => b.height < 24 || b.width < 24).length`},
		{Name: "a pill where the window is low", Path: "/early", Width: 320, Height: 225, Settles: true, Want: []any{true, true}, Check: `return [find(".bar").classList.contains("folded"), find(".bar").offsetHeight < 60]`},
	})
}

// TestKeptInSight: what the page does to hide the banner is undone, and reported where that fails.
func TestKeptInSight(t *testing.T) {
	a := newApp(t)
	got := serveOwn(a)
	page := func(more string) testPage { return testPage{body: testHead + filler + more} }
	for path, more := range map[string]string{
		"/plain":     "",
		"/over":      `<div style="position:fixed;inset:0;z-index:2147483647;background:#fff">over all</div>`,
		"/faint":     `<style>body{opacity:.1}</style>`,
		"/moved":     `<style>body{transform:translateY(-300px)}</style>`,
		"/cutout":    `<style>body{clip-path:inset(200px 0 0 0)}</style>`,
		"/none":      `<style>body{display:none}</style>`,
		"/dialog":    `<dialog id=d>small</dialog>`,
		"/sheet":     `<dialog id=d style="inset:0;width:100vw;height:100vh;max-width:none;max-height:none;border:0;box-sizing:border-box">a sheet</dialog>`,
		"/silenced":  "",
		"/fights":    `<script>setInterval(() => { const h = document.querySelector("impersonate-banner"); if (h && h.shadowRoot) h.shadowRoot.querySelector(".bar").style.setProperty("opacity", "0", "important") }, 5)</script>`,
		"/hides":     `<script>setInterval(() => document.querySelector("impersonate-banner").shadowRoot.querySelector(".bar").style.setProperty("visibility", "hidden", "important"), 5)</script>`,
		"/throws":    `<script>setInterval(() => { const h = document.querySelector("impersonate-banner"); if (h) h.remove() }, 5)</script>`,
		"/shrinks":   `<script>setInterval(() => { const s = document.querySelector("impersonate-banner").shadowRoot.querySelector(".who").style; s.setProperty("width", "1px", "important"); s.setProperty("flex", "none", "important") }, 5)</script>`,
		"/pushes":    `<script>setInterval(() => document.querySelector("impersonate-banner").shadowRoot.querySelector(".bar").style.setProperty("translate", "0 -500px", "important"), 5)</script>`,
		"/pops":      `<div popover=manual id=p style="position:fixed;inset:0;width:100vw;height:100vh;border:0;margin:0">over all</div><script>setInterval(() => { p.togglePopover(false); p.showPopover() }, 5)</script>`,
		"/wellmeant": `<header style="position:sticky;top:0;background:#ccc">App</header>`,
	} {
		a.pages[path] = page(more)
	}
	const sees = `const seen = () => { const b = find(".bar").getBoundingClientRect(); return doc.elementFromPoint(b.left + b.width / 2, b.top + b.height / 2) === host() && b.top >= 0 && b.bottom <= win.innerHeight; }; `
	const patient = 60_000 // ms: some of these pages keep the browser busy
	reported := func(name, path, why string) check {
		return check{Name: name, Path: path, Want: true, Check: fmt.Sprintf(
			`const real = win.fetch; let sent = false; win.fetch = (...a) => { if (a[0].endsWith("/banner") && JSON.parse(a[1].body).why === %q) sent = true; return real.apply(win, a); };
			return until(() => sent, %d)`, why, patient)}
	}
	runChecks(t, a, []check{
		{Name: "the bar taken out of its root", Path: "/plain", Want: []any{true, true}, Check: `const bar = find(".bar"); bar.remove(); const back = await until(() => find(".bar") === bar); find(".who").remove(); return [back, await until(() => find(".who") !== null)]`},
		{Name: "the sentence written anew", Path: "/plain", Want: true, Check: `find(".who").textContent = "You are Sam Reed"; return until(() => find(".who").textContent === "Alice Ng is using the account of Sam Reed")`},
		{Name: "its stylesheet taken away", Path: "/plain", Want: true, Check: `find("link").remove(); return until(() => find("link") && win.getComputedStyle(find(".bar")).position === "fixed")`},
		{Name: "covered by all that a page can", Path: "/over", Want: []any{true, true}, Check: sees + `return [await until(seen), find(".bar").matches(":popover-open")]`},
		{Name: "behind a faint body", Path: "/faint", Want: true, Check: sees + `return until(() => seen() && find(".bar").matches(":popover-open"))`},
		{Name: "pushed out of the window with the body", Path: "/moved", Want: true, Check: sees + `return until(seen)`},
		{Name: "cut out with the body", Path: "/cutout", Want: true, Check: sees + `return until(seen)`},
		{Name: "not shown with the body", Path: "/none", Want: true, Check: sees + `return until(seen)`},
		{Name: "silenced by a library", Path: "/silenced", Want: true, Check: `host().inert = true; host().setAttribute("aria-hidden", "true"); return until(() => !host().inert && !host().hasAttribute("aria-hidden"))`},
		{Name: "a dialog is no cover", Path: "/dialog", Want: []any{false, "top", false}, Check: `doc.getElementById("d").showModal(); await sleep(5000); return [find(".bar").classList.contains("folded"), host().dataset.position, find(".bar").matches(":popover-open")]`},
		{Name: "a dialog that fills the window", Path: "/sheet", Want: []any{true, true}, Check: `doc.getElementById("d").showModal(); const bar = find(".bar");
			const pill = await until(() => bar.classList.contains("folded") && bar.matches(":popover-open")); doc.getElementById("d").close(); return [pill, await until(() => !bar.classList.contains("folded"))]`},
		{Name: "a sticky header is no fight", Path: "/wellmeant", Want: false, Check: `await sleep(5000); return find(".bar").matches(":popover-open")`},
		reported("made transparent again and again", "/fights", "transparent"),
		reported("hidden again and again", "/hides", "hidden"),
		reported("taken out again and again", "/throws", "removed"),
		reported("what it says shrunk again and again", "/shrinks", "empty"),
		reported("pushed out again and again", "/pushes", "offscreen"),
		reported("covered again and again", "/pops", "covered"),
	})
	for _, quiet := range []string{"/plain", "/over", "/faint", "/moved", "/cutout", "/none", "/dialog", "/sheet", "/silenced", "/wellmeant"} {
		if r := got.of(quiet); len(r) > 0 {
			t.Errorf("%s: reported %v, though it was mended, or is right", quiet, r)
		}
	}
	if r := got.of("/fights"); !slices.Equal(r, []string{`{"why":"transparent","path":"/fights"}`}) {
		t.Errorf("reported %v", r)
	}
}

// TestLeavingIsNotHeldUp: when the time is over the page is left, whatever it thinks of that, with the address it has
// by then.
func TestLeavingIsNotHeldUp(t *testing.T) {
	a := newApp(t)
	serveOwn(a)
	stays := `<script>
		window.onbeforeunload = (e) => { parent.asked = true; e.preventDefault(); return "stay"; };
		addEventListener("beforeunload", (e) => { parent.asked = true; e.preventDefault(); e.returnValue = "stay"; });
		if (window.navigation) navigation.addEventListener("navigate", (e) => { if (e.canIntercept) e.intercept(); });
	</script>`
	a.pages["/stays"] = testPage{body: testHead + filler + stays, info: func(i *Info) { i.ExpiresAt = i.Now.Add(70 * time.Second) }}
	a.pages["/routes"] = a.pages["/stays"]
	a.pages["/.impersonate/stop"] = testPage{bare: true, body: "stopped"}
	until := func(r *http.Request) time.Time { return time.Now().Add(-time.Hour) } // of no matter: the page's own clock runs ahead
	a.me = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"impersonation":{"id":"imp-1","expires_at":%q}}`, until(r).UTC().Format(time.RFC3339))
	}
	runChecks(t, a, []check{
		{
			Name: "the time is over", Path: "/stays", Want: []any{true, "/.impersonate/ended?from=%2Fview%2F7%3Fday%3D1%23x", false},
			Check: skewed + `window.asked = false; win.history.pushState({}, "", "/view/7?day=1#x"); skew = 75000;
			const said = await until(() => find(".say").textContent.includes("is over"));
			await until(() => path() === "/.impersonate/ended"); return [said, path() + win.location.search, window.asked]`,
		},
		{Name: "the way back is no view of the page's router", Path: "/routes", Want: []any{true, "/.impersonate/stop"}, Check: `
			find("form").target = "_self"; // the driver is at the top
			win.onbeforeunload = null; find(".stop").click(); return [await until(() => path() === "/.impersonate/stop"), path()]`},
	})
}
