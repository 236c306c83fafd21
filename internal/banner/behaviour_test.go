//go:build browser

package banner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// driver runs checks, each a page in a frame of a phone's or a desktop's size and a function that is given the frame's
// window, one after the other in one browser and in real time, and posts what they return. until looks at a condition
// again and again till it holds, or the time given to a busy machine is over.
const driver = `<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><script>
const PATIENCE = 60000;
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const until = async (condition, patience = PATIENCE) => {
	const start = performance.now();
	for (;;) {
		let value;
		try { value = condition(); } catch {}
		if (value || performance.now() - start > patience) return value;
		await sleep(25);
	}
};
const checks = %s;
(async () => {
	const results = {};
	for (const c of checks) {
		sessionStorage.clear();
		const frame = document.createElement("iframe");
		frame.style = "border:0;display:block;width:" + c.width + "px;height:" + c.height + "px";
		await new Promise((done) => { frame.onload = done; frame.src = c.path; document.body.append(frame); });
		frame.onload = null;
		const win = frame.contentWindow;
		const host = () => win.document.querySelector("impersonate-banner");
		const find = (s) => host().shadowRoot.querySelector(s);
		const path = () => frame.contentWindow.location.pathname;
		if (c.live) await until(() => [win, ...Array.from(win.frames)].some((w) => w.document.querySelector("impersonate-banner[data-live]")));
		const check = new Function("win", "doc", "host", "find", "path", "until", "sleep", "return (async () => {" + c.check + "})()");
		const run = async () => {
			try { return await check(win, win.document, host, find, path, until, sleep); } catch (e) { return "exception: " + e; }
		};
		const start = performance.now();
		do {
			results[c.name] = await run();
		} while (c.settles && JSON.stringify(results[c.name]) !== JSON.stringify(c.want) && performance.now() - start < PATIENCE && (await sleep(50), true));
		frame.remove();
	}
	await fetch("/driver/results", { method: "POST", body: JSON.stringify(results) });
})();
</script>`

type check struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Check   string `json:"check"`   // a JavaScript function's body
	Settles bool   `json:"settles"` // it only looks, and may look again till it sees what is wanted
	Live    bool   `json:"live"`    // starts when the banner's script runs
	Want    any    `json:"want"`
}

// runChecks runs checks of pages whose banner's script runs.
func runChecks(t *testing.T, a *app, checks []check) {
	t.Helper()
	for i := range checks {
		checks[i].Live = true
	}
	results := driveChecks(t, a, checks)
	for _, c := range checks {
		got, _ := json.Marshal(results[c.Name])
		want, _ := json.Marshal(c.Want)
		if string(got) != string(want) {
			t.Errorf("%s: %s, want %s", c.Name, got, want)
		}
	}
}

// driveChecks runs the checks and returns what each returned.
func driveChecks(t *testing.T, a *app, checks []check) map[string]any {
	t.Helper()
	for i := range checks {
		if checks[i].Width == 0 {
			checks[i].Width, checks[i].Height = 1000, 700
		}
	}
	list, err := json.Marshal(checks)
	if err != nil {
		t.Fatal(err)
	}
	a.pages["/driver"] = testPage{bare: true, body: fmt.Sprintf(driver, list)}
	a.results = make(chan []byte, 1)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	exited := make(chan error, 1)
	go func() {
		_, err := chromium(ctx, t.TempDir(), a.URL+"/driver", "--window-size=1280,900", "--remote-debugging-port=0")
		exited <- err
	}()
	select {
	case body := <-a.results:
		stop()
		<-exited
		var results map[string]any
		if err := json.Unmarshal(body, &results); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return results
	case err := <-exited:
		t.Fatalf("the browser ended without results: %v", err)
	}
	return nil
}

func TestBehaviour(t *testing.T) {
	a := newApp(t)
	const head = `<!DOCTYPE html><html lang="en"><head><meta name="viewport" content="width=device-width">`
	filler := strings.Repeat("<p>filler</p>", 100)
	a.pages["/plain"] = testPage{body: head + "<style>h1{margin:0}</style></head><body style='margin:0'><h1 id=h>Title</h1>" + filler}
	a.pages["/header"] = testPage{body: head + "<style>header{position:fixed;top:0;left:0;right:0;height:50px;background:#ccc}body{margin:60px 0 0}</style></head><body><header>App</header>" + filler}
	a.pages["/sticky"] = testPage{body: head + "<style>header{position:sticky;top:0;height:50px;background:#ccc}body{margin:0}</style></head><body><header>App</header>" + filler}
	a.pages["/both"] = testPage{body: head + "<style>header,footer{position:fixed;top:0;left:0;right:0;height:50px;background:#ccc}footer{top:auto;bottom:0}</style></head><body><header>App</header>" + filler + "<footer>App</footer>"}
	a.pages["/shell"] = testPage{body: head + "<style>html,body{margin:0;height:100%;overflow:hidden}main{height:100%;overflow:auto;background:#eee}</style></head><body><main id=m>" + filler + "</main>"}
	a.pages["/fixedshell"] = testPage{body: head + "<style>html,body{margin:0;height:100%;overflow:hidden}main{position:fixed;inset:0;overflow:auto}header{position:fixed;inset:0 0 auto;height:50px;background:#ccc}footer{position:fixed;inset:auto 0 0;height:50px;background:#ccc}</style></head><body><main>" + filler + "</main><header>x</header><footer>x</footer>"}
	a.pages["/flex"] = testPage{body: head + "<style>body{display:flex;margin:0}main{flex:1}</style></head><body><nav id=n style='width:200px'>nav</nav><main id=m>" + filler + "</main>"}
	a.pages["/hostile"] = testPage{body: head + "<style>*{display:none!important;position:static!important;color:green!important}html,body,p{display:block!important}impersonate-banner{opacity:0!important;visibility:hidden!important;transform:scale(0)!important}</style></head><body><p>x</p>"}
	a.pages["/short"] = testPage{body: a.pages["/plain"].body, info: func(i *Info) { i.ExpiresAt = i.Now.Add(100e9) }}
	a.pages["/bottom"] = testPage{body: a.pages["/plain"].body, info: func(i *Info) { i.Position = "bottom" }}
	a.pages["/notice"] = testPage{body: a.pages["/plain"].body, info: func(i *Info) { i.Notice = "expired" }}
	a.pages["/xhtml"] = testPage{
		headers: map[string]string{"Content-Type": "application/xhtml+xml"},
		body:    `<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head><body><p>x</p></body></html>`,
	}
	a.pages["/base"] = testPage{body: head + `<base href="https://elsewhere.example/x/" target="_blank"></head><body><p>x</p>`}
	a.pages["/.impersonate/ended"] = testPage{bare: true, body: "ended"}
	a.pages["/frames"] = testPage{body: "<html><head><title>x</title></head><frameset cols='50%,*'><frame name=one src=/one><frame name=two src=/two></frameset><noframes><body>x</body></noframes></html>"}
	a.pages["/one"] = testPage{bare: true, body: "one"}
	a.pages["/two"] = testPage{bare: true, body: "two"}
	gone := false
	a.me = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if gone {
			fmt.Fprint(w, `{"impersonation":null}`)
			return
		}
		until := a.expires()
		if strings.HasSuffix(r.Referer(), "/short") {
			until = a.info.Now.Add(-time.Hour) // its check runs ahead of the server's clock
		}
		fmt.Fprintf(w, `{"impersonation":{"id":"imp-1","expires_at":%q}}`, until.UTC().Format(time.RFC3339))
		w.(http.Flusher).Flush()
	}

	const where = `return [host().dataset.position, find(".bar").classList.contains("folded")]`
	runChecks(t, a, []check{
		{
			Name: "live, and nothing covered", Path: "/plain", Settles: true, Want: []any{true, true, "fixed", true, "29"},
			Check: `const bar = find(".bar").getBoundingClientRect(); return [host().dataset.live === "", doc.getElementById("h").getBoundingClientRect().top === bar.height,
				win.getComputedStyle(find(".bar")).position, bar.width === win.innerWidth, find(".left").textContent.slice(0, 2)]`,
		},
		{Name: "put back when removed", Path: "/plain", Want: []any{true, true}, Check: `const h = host(); h.remove(); await until(() => doc.body.firstChild === h); return [host() === h, doc.body.firstChild === h]`},
		{Name: "put back when the body is emptied", Path: "/plain", Want: true, Check: `const h = host(); doc.body.textContent = ""; return until(() => host() === h)`},
		{Name: "put back when the body is replaced", Path: "/plain", Want: true, Check: `const h = host(); doc.body = doc.createElement("body"); return until(() => doc.body.firstChild === h)`},
		{Name: "put back when the document is replaced", Path: "/plain", Want: true, Check: `const h = host(); doc.documentElement.replaceWith(doc.createElement("html")); return until(() => host() === h)`},
		{Name: "put back when the document is written anew", Path: "/plain", Want: true, Check: `const h = host(); doc.open(); doc.write("<body><p>new"); doc.close(); return until(() => host() === h && h.isConnected)`},
		{Name: "put back beside a body that keeps throwing it out", Path: "/plain", Want: []any{true, true}, Check: `const h = host();
			new win.MutationObserver(() => { if (h.parentNode === doc.body) h.remove() }).observe(doc.body, {childList: true});
			h.remove(); await until(() => h.parentNode === doc.documentElement); return [h.isConnected, h.parentNode === doc.documentElement]`},
		{Name: "a framework's copy is dropped", Path: "/plain", Want: 1, Check: `doc.body.append(host().cloneNode(true)); await until(() => doc.querySelectorAll("impersonate-banner").length === 1); return doc.querySelectorAll("impersonate-banner").length`},
		{Name: "out of the way of a fixed header", Path: "/header", Settles: true, Want: []any{"bottom", false}, Check: where},
		{Name: "out of the way of a sticky header once it sticks", Path: "/sticky", Want: []any{"top", "bottom"}, Check: `const p = host().dataset.position; win.scrollTo(0, 500); await until(() => host().dataset.position !== p); return [p, host().dataset.position]`},
		{Name: "folded between two", Path: "/both", Settles: true, Want: []any{"top", true}, Check: where},
		{Name: "a shell is made smaller", Path: "/shell", Settles: true, Want: []any{"top", false, true, true}, Check: `const m = doc.getElementById("m").getBoundingClientRect(); ` +
			`return [host().dataset.position, find(".bar").classList.contains("folded"), m.top === find(".bar").offsetHeight, m.bottom === win.innerHeight]`},
		{Name: "a shell that can't be", Path: "/fixedshell", Settles: true, Want: []any{"top", true}, Check: where},
		{Name: "a body that is a row", Path: "/flex", Settles: true, Want: []any{0.0, 200.0, true}, Check: `const n = doc.getElementById("n").getBoundingClientRect(), m = doc.getElementById("m").getBoundingClientRect(); return [n.left, m.left, n.top === find(".bar").offsetHeight]`},
		{Name: "bottom", Path: "/bottom", Settles: true, Want: []any{true, true}, Check: `win.scrollTo(0, 1e6); return [find(".bar").getBoundingClientRect().bottom === win.innerHeight, doc.body.lastElementChild.getBoundingClientRect().bottom <= find(".bar").getBoundingClientRect().top]`},
		{Name: "the page's styles don't reach in", Path: "/hostile", Settles: true, Want: []any{"flex", "visible", "1", "none", "rgb(255, 255, 255)"}, Check: `const s = win.getComputedStyle(find(".bar")), h = win.getComputedStyle(host()); return [s.display, s.visibility, h.opacity, h.transform, s.color]`},
		{Name: "fold and move, remembered", Path: "/plain", Want: []any{true, "false", "Enlarge the banner", "bottom", `{"folded":false,"position":"bottom"}`}, Check: `find(".fold").click(); const folded = find(".bar").classList.contains("folded");
			const r = [folded, find(".fold").getAttribute("aria-expanded"), find(".fold").title]; find(".fold").click(); find(".move").click(); return [...r, host().dataset.position, win.sessionStorage.getItem("impersonate-banner")]`},
		{Name: "warns, then goes where the time is over", Path: "/short", Want: []any{"", true, "Less than a minute left in the account of Sam Reed.", true, "/.impersonate/ended?from=%2Fshort"}, Check: `
			const real = win.performance.now.bind(win.performance); let skew = 0; win.performance.now = () => real() + skew;
			const before = find(".say").textContent; skew = 50000; const soon = await until(() => find(".bar").classList.contains("soon")), said = find(".say").textContent;
			skew = 100000; const over = await until(() => find(".say").textContent.includes("is over"));
			await until(() => path() !== "/short"); return [before, soon, said, over, path() + win.location.search]`},
		{Name: "dismissed notice stays away", Path: "/notice", Want: []any{false, true, true}, Check: `const form = find("form") !== null; const h = host(); find(".dismiss").click(); doc.body.append("more"); await sleep(100); return [form, host() === null, doc.getElementById("h").getBoundingClientRect().top === 0]`},
		{Name: "XHTML", Path: "/xhtml", Settles: true, Want: []any{true, "fixed"}, Check: `return [host().shadowRoot !== null, win.getComputedStyle(find(".bar")).position]`},
		{Name: "the page's base does not lead the banner astray", Path: "/base", Settles: true, Want: []any{true, "_top", true}, Check: `return [find("form").action === location.origin + "/.impersonate/stop", find("form").target, host().dataset.live === ""]`},
		{Name: "a page of frames", Path: "/frames", Settles: true, Want: []any{3, "one", "two", true, true, "/.impersonate/stop"}, Check: `const f = doc.querySelectorAll("frame"), b = f[0].contentDocument.querySelector("impersonate-banner");
			const r = [f.length, win.one.document.body.textContent, win.two.document.body.textContent, b.dataset.live === "", b.shadowRoot.querySelector(".bar").offsetHeight <= f[0].offsetHeight];
			return [...r, new URL(b.shadowRoot.querySelector("form").action).pathname]`},
		{Name: "on a phone", Path: "/plain", Settles: true, Width: 320, Height: 640, Want: []any{true, true, true}, Check: `const r = [...host().shadowRoot.querySelectorAll(".who, .left, .stop, .fold, .move, summary")].map((e) => e.getBoundingClientRect());
			return [r.every((b) => b.left >= 0 && b.right <= 320), find(".bar").offsetHeight < 110, doc.documentElement.scrollWidth <= 320]`},
	})

	gone = true
	runChecks(t, a, []check{
		{Name: "ended elsewhere, told by another tab", Path: "/plain", Want: []any{true, "/.impersonate/ended"}, Check: `const now = win.performance.now(); win.performance.now = () => now; // never time to ask by itself
			new win.BroadcastChannel("impersonate").postMessage({type: "stop"});
			const said = await until(() => find(".say").textContent.includes("no longer")); await until(() => path() !== "/plain"); return [said, path()]`},
		{Name: "ended elsewhere, found by asking", Path: "/plain", Want: "/.impersonate/ended", Check: `const real = win.performance.now.bind(win.performance); win.performance.now = () => real() + 16000;
			await until(() => path() !== "/plain"); return path()`},
	})
}
