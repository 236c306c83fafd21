package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a page may take on a busy machine.
const patience = 2 * time.Minute

// browser is one person's Chromium with a profile of its own and one tab. Elements are named by a JavaScript
// expression, see css, named and inBanner; they are pressed with the mouse where they are drawn, or reached by keys.
type browser struct {
	t    *testing.T
	name string // begins the names of screenshots
	ctx  context.Context

	mu       sync.Mutex
	troubles []string // what pages complained of
	expected []string // parts of complaints that belong to the test
	broken   []string // content security policies that pages broke
}

// newBrowser starts Chromium with an empty profile. It ends with the test, which fails if a page threw, logged an
// error, broke its content security policy or could not load something of the gateway's.
func newBrowser(t *testing.T, name string) *browser {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	options = append(options,
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("headless", "new"), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en-US"),
		chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")), chromedp.WindowSize(1280, 800), chromedp.WSURLReadTimeout(patience),
	)
	if runtime.GOOS == "linux" {
		options = append(options, chromedp.ExecPath("/usr/bin/chromium"))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	b := &browser{t: t, name: name}
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithListener(b.listen), chromedp.WithErrorf(func(string, ...any) {}))
	b.ctx = ctx
	t.Cleanup(func() {
		b.complain()
		if t.Failed() {
			b.lastWords()
		}
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium (see test/setup.sh): %v", err)
	}
	b.do("giving the page the focus", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	}))
	b.viewport(1280, 800)
	return b
}

// listen collects what pages complain of.
func (b *browser) listen(ev any) {
	trouble := ""
	switch ev := ev.(type) {
	case *cdpruntime.EventExceptionThrown:
		trouble = ev.ExceptionDetails.Text
		if ev.ExceptionDetails.Exception != nil {
			trouble += " " + ev.ExceptionDetails.Exception.Description
		}
	case *cdpruntime.EventConsoleAPICalled:
		if ev.Type != cdpruntime.ConsoleAPICalledTypeError {
			return
		}
		for _, a := range ev.Args {
			trouble += string(a.Value) + a.Description + " "
		}
	case *log.EventEntryAdded:
		// That the app answers 404 or 422 is its own affair.
		if ev.Entry.Level != log.EntryLevelError || ev.Entry.Source == log.EntrySourceNetwork && !strings.Contains(ev.Entry.URL, "/.impersonate/") {
			return
		}
		trouble = fmt.Sprintf("%s: %s (%s)", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL)
		if ev.Entry.Source == log.EntrySourceSecurity || strings.Contains(trouble, "Content Security Policy") {
			b.mu.Lock()
			b.broken = append(b.broken, trouble)
			b.mu.Unlock()
		}
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = append(b.troubles, trouble)
}

// expect names a part of a complaint that belongs to the test.
func (b *browser) expect(part string) { b.expected = append(b.expected, part) }

func (b *browser) complain() {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, trouble := range b.troubles {
		for _, part := range b.expected {
			if strings.Contains(trouble, part) {
				continue next
			}
		}
		b.t.Errorf("%s's browser complained: %s", b.name, trouble)
	}
}

// lastWords shows where a failed test was.
func (b *browser) lastWords() {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + (document.body ? document.body.innerText : "")`))
	if err != nil {
		text = err.Error()
	}
	b.t.Logf("%s's browser shows:\n%.1500s", b.name, text)
	if png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		b.keep("failed", png)
	}
}

// do runs actions, within patience.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s's browser: %s: %v", b.name, what, err)
	}
}

// try evaluates an expression; an error is a page that is being left, or an element that is not there yet.
func try[T any](b *browser, js string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		b.t.Fatalf("%s's browser does not answer: %v", b.name, err)
	}
	return v, err
}

// wait waits until an expression is true on the page.
func (b *browser) wait(what, js string) {
	b.t.Helper()
	waitFor(b.t, patience, b.name+"'s browser: "+what, func() bool {
		ok, err := try[bool](b, "Boolean("+js+")")
		return err == nil && ok
	})
}

// text is what an element says.
func (b *browser) text(element string) string {
	b.t.Helper()
	var text string
	waitFor(b.t, patience, b.name+"'s browser: "+element+" is there", func() (ok bool) {
		var err error
		text, err = try[string](b, element+".innerText")
		return err == nil
	})
	return strings.Join(strings.Fields(text), " ")
}

// body is the text of the page.
func (b *browser) body() string { return b.text("document.body") }

func (b *browser) location() string { return b.text("({innerText: location.href})") }

// status is the HTTP status of the page.
func (b *browser) status() int {
	b.t.Helper()
	n, err := try[int](b, `performance.getEntriesByType("navigation")[0].responseStatus`)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

const loaded = `document.readyState === "complete"`

// open goes to an address and waits for the page.
func (b *browser) open(address string) {
	b.t.Helper()
	b.leave("going to "+address, func() {
		b.do("going to "+address, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: address})
			return err
		}))
	})
}

// reload asks for the page again, as the button does.
func (b *browser) reload() {
	b.t.Helper()
	b.leave("reloading", func() {
		b.do("reloading", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, page.Reload, page.ReloadParams{})
			return err
		}))
	})
}

// leave does what makes the browser go to another page, and waits for that.
func (b *browser) leave(what string, do func()) {
	b.t.Helper()
	if _, err := try[bool](b, "window.leaving = true"); err != nil {
		b.t.Fatalf("%s's browser: %s: %v", b.name, what, err)
	}
	do()
	b.wait(what+" leads to another page", "!window.leaving && location.href !== 'about:blank' && "+loaded)
}

// press clicks an element in its middle, once it is there, holds still and nothing covers it.
func (b *browser) press(element string) {
	b.t.Helper()
	find := `(() => {
		const e = ` + element + `;
		if (!e || ` + "!(" + loaded + ")" + ` || e.matches(":disabled")) return "";
		e.scrollIntoView({ block: "nearest", behavior: "instant" });
		const r = e.getBoundingClientRect();
		const x = r.x + r.width / 2, y = r.y + r.height / 2;
		if (!r.width || !r.height) return "";
		const hit = e.getRootNode().elementFromPoint(x, y);
		if (!hit || !(e === hit || e.contains(hit) || hit.contains(e) && hit.matches("label, summary, button, a"))) return "";
		return x + " " + y;
	})()`
	var x, y float64
	last := ""
	waitFor(b.t, patience, b.name+"'s browser: "+element+" can be pressed", func() bool {
		at, err := try[string](b, find)
		still := err == nil && at != "" && at == last
		last = at
		if still {
			_, err = fmt.Sscan(at, &x, &y)
		}
		return still && err == nil
	})
	b.do("pressing "+element, chromedp.MouseClickXY(x, y))
}

// pressAway is press on what leads to another page.
func (b *browser) pressAway(element string) {
	b.t.Helper()
	b.wait(element+" is there", element)
	b.leave("pressing "+element, func() { b.press(element) })
}

// fill clicks a field and types.
func (b *browser) fill(element, text string) {
	b.t.Helper()
	b.press(element)
	b.keys(text)
}

// keys types into what has the focus.
func (b *browser) keys(text string) {
	b.t.Helper()
	b.do("typing", chromedp.KeyEvent(text))
}

// tabTo presses Tab until an element has the focus, as someone without a mouse does.
func (b *browser) tabTo(element string) {
	b.t.Helper()
	b.wait(element+" is there", "("+element+") && "+loaded)
	focused := `(() => {
		let a = document.activeElement;
		while (a && a.shadowRoot && a.shadowRoot.activeElement) a = a.shadowRoot.activeElement;
		return a === (` + element + `);
	})()`
	for range 60 {
		if at, err := try[bool](b, focused); err == nil && at {
			if seen, err := try[bool](b, element+`.matches(":focus-visible")`); err != nil || !seen {
				b.t.Errorf("%s's browser does not show that %s has the focus", b.name, element)
			}
			return
		}
		b.keys(kb.Tab)
	}
	b.t.Fatalf("%s's browser: %s can't be reached by Tab", b.name, element)
}

// viewport sets the window's size; below 600 it is a phone's.
func (b *browser) viewport(width, height int64) {
	b.t.Helper()
	if width < 600 {
		b.do("turning into a phone", chromedp.EmulateViewport(width, height, chromedp.EmulateMobile, chromedp.EmulatePortrait, chromedp.EmulateScale(2)))
	} else {
		b.do("resizing", chromedp.EmulateViewport(width, height))
	}
}

// dark asks pages for their dark colours.
func (b *browser) dark(on bool) {
	b.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	b.do("choosing colours", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// noScript switches the pages' scripts off.
func (b *browser) noScript() {
	b.t.Helper()
	b.do("switching scripts off", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

// cookies are the browser's for an address, by name.
func (b *browser) cookies(address string) map[string]string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	res, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{address}})
	if err != nil {
		b.t.Fatal(err)
	}
	values := map[string]string{}
	for _, c := range res.Cookies {
		values[c.Name] = c.Value
	}
	return values
}

// shot takes a picture for people to look at.
func (b *browser) shot(name string) []byte {
	b.t.Helper()
	b.wait("the page holds still", loaded+` && document.fonts.status === "loaded" && document.getAnimations().length === 0`)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	b.keep(name, png)
	return png
}

// keep writes a picture into $E2E_SCREENSHOTS, or else beside the test's other files.
func (b *browser) keep(name string, png []byte) {
	dir := os.Getenv("E2E_SCREENSHOTS")
	if dir == "" {
		dir = b.t.TempDir()
	}
	path := filepath.Join(dir, b.name+"-"+name+".png")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Error(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Error(err)
	}
}

// css names the first element that a selector matches.
func css(selector string) string { return "document.querySelector(" + strconv.Quote(selector) + ")" }

// named names the first visible element of a selector with this text.
func named(selector, text string) string {
	return "[...document.querySelectorAll(" + strconv.Quote(selector) + ")].find(e => e.checkVisibility() && e.textContent.replace(/\\s+/g, ' ').trim() === " + strconv.Quote(text) + ")"
}

// inBanner names an element of the banner.
func inBanner(selector string) string {
	return `document.querySelector("impersonate-banner")?.shadowRoot?.querySelector(` + strconv.Quote(selector) + `)`
}

// quote makes a JavaScript string.
func quote(s string) string { return strconv.Quote(s) }

// quoteSQL makes an SQL string.
func quoteSQL(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
