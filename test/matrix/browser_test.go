package matrix

import (
	"context"
	"errors"
	"fmt"
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
)

// patience is how long a page may take on a busy machine.
const patience = 2 * time.Minute

// browser is one person's Chromium with a profile of its own. A context of chromedp is a tab.
type browser struct {
	t      *testing.T
	origin string
	tab    context.Context // the first

	mu       sync.Mutex
	troubles []string // what pages complained of that the gateway may be to blame for
}

type originKey struct{}

// newBrowser starts Chromium with an empty profile, ended with the test. The test fails if a page complained of
// something of the gateway's.
func newBrowser(t *testing.T, origin string) *browser {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	options = append(options,
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("headless", "new"), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en-US"),
		chromedp.Flag("ignore-certificate-errors-spki-list", pin),
		chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")), chromedp.WindowSize(1280, 800), chromedp.WSURLReadTimeout(patience),
	)
	if runtime.GOOS == "linux" {
		options = append(options, chromedp.ExecPath("/usr/bin/chromium"))
	}
	allocator, stop := chromedp.NewExecAllocator(context.WithValue(context.Background(), originKey{}, origin), options...)
	b := &browser{t: t, origin: origin}
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithListener(b.listen), chromedp.WithErrorf(func(string, ...any) {}))
	b.tab = ctx
	t.Cleanup(func() {
		for _, trouble := range b.complaints() {
			t.Errorf("the browser complained: %s", trouble)
		}
		cancel()
		stop()
	})
	b.enter(ctx)
	return b
}

// newTab opens another tab of the same person.
func (b *browser) newTab() context.Context {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.tab, chromedp.WithListener(b.listen))
	b.t.Cleanup(cancel)
	b.enter(ctx)
	return ctx
}

// enter starts a tab and gives it the focus, so that its timers run on time.
func (b *browser) enter(tab context.Context) {
	b.t.Helper()
	err := chromedp.Do(tab, chromedp.EmulateViewport(1280, 800), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	}))
	if err != nil {
		b.t.Fatalf("opening a tab of Chromium (test/setup.sh installs it): %v", err)
	}
	b.t.Cleanup(func() {
		if b.t.Failed() {
			ctx, cancel := context.WithTimeout(tab, 10*time.Second)
			defer cancel()
			text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body?.innerText`))
			b.t.Logf("a tab shows (%v):\n%.1500s", err, text)
		}
	})
}

// listen collects what pages complain of. What an app's own scripts stumble over is its own affair.
func (b *browser) listen(ev any) {
	trouble := ""
	switch ev := ev.(type) {
	case *cdpruntime.EventExceptionThrown:
		trouble = ev.ExceptionDetails.URL + " " + ev.ExceptionDetails.Text
		if ev.ExceptionDetails.Exception != nil {
			trouble += " " + ev.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError {
			trouble = ev.Entry.URL + " " + ev.Entry.Text
		}
	}
	if !strings.Contains(trouble, "/.impersonate/") && !strings.Contains(trouble, "impersonate-banner") {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = append(b.troubles, trouble)
}

func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.troubles
}

// cookie is the browser's cookie for the site whose name begins so.
func (b *browser) cookie(prefix string) (*network.Cookie, error) {
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	res, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{b.origin}})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range res.Cookies {
		if strings.HasPrefix(c.Name, prefix) {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return nil, fmt.Errorf("the browser has no cookie %s, only %v", prefix, names)
}

// eval evaluates an expression; a promise is waited for. An error may be a page that is being left.
func eval[T any](ctx context.Context, js string) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// poll asks until there is no error.
func poll(ctx context.Context, what string, ask func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v: %w", what, patience, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var errNotYet = errors.New("it isn't so")

// wait waits until an expression is true on the page; it may await.
func wait(ctx context.Context, js string) error {
	return poll(ctx, "waiting for "+js, func() error {
		if ok, err := eval[bool](ctx, "(async () => Boolean("+js+"))()"); err != nil || !ok {
			return errors.Join(errNotYet, err)
		}
		return nil
	})
}

// text is what an element says, its white space folded; an error if it is not there.
func text(ctx context.Context, element string) (string, error) {
	s, err := eval[string](ctx, element+".textContent")
	return strings.Join(strings.Fields(s), " "), err
}

const loaded = `document.readyState === "complete"`

// visit goes to a path of the site and waits for the page.
func visit(ctx context.Context, path string) error {
	return leave(ctx, func() error {
		origin, _ := ctx.Value(originKey{}).(string)
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: origin + path})
			return err
		}))
	})
}

// follow goes to a path as a link on the page does: with a referrer.
func follow(ctx context.Context, path string) error {
	return leave(ctx, func() error {
		_, err := eval[bool](ctx, "location.assign("+strconv.Quote(path)+"), true")
		return err
	})
}

// leave does what makes the tab go to another page, and waits for that.
func leave(ctx context.Context, do func() error) error {
	if _, err := eval[bool](ctx, "window.leaving = true"); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return wait(ctx, "!window.leaving && location.href !== 'about:blank' && "+loaded)
}

// press clicks an element in its middle, once it is there, holds still and nothing covers it. Elements are named by a
// JavaScript expression, see css, titled and inBanner.
func press(ctx context.Context, element string) error {
	find := `(() => {
		const e = ` + element + `;
		if (!e || document.readyState === "loading" || e.matches(":disabled")) return "";
		e.scrollIntoView({ block: "center", behavior: "instant" });
		const r = e.getBoundingClientRect();
		const x = r.x + r.width / 2, y = r.y + r.height / 2;
		if (!r.width || !r.height) return "";
		const hit = e.getRootNode().elementFromPoint(x, y);
		if (!hit || !(e === hit || e.contains(hit) || hit.contains(e) && hit.matches("label, summary, button, a"))) return "";
		return x + " " + y;
	})()`
	var x, y float64
	last := ""
	err := poll(ctx, "pressing "+element, func() error {
		at, err := eval[string](ctx, find)
		still := err == nil && at != "" && at == last
		last = at
		if !still {
			return errors.Join(errNotYet, err)
		}
		_, err = fmt.Sscan(at, &x, &y)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, chromedp.MouseClickXY(x, y))
}

// pressAway is press on what leads to another page.
func pressAway(ctx context.Context, element string) error {
	if err := wait(ctx, "("+element+") && "+loaded); err != nil {
		return err
	}
	return leave(ctx, func() error { return press(ctx, element) })
}

// fill clicks a field and types.
func fill(ctx context.Context, element, text string) error {
	if err := press(ctx, element); err != nil {
		return err
	}
	return keys(ctx, text)
}

// keys types into what has the focus; see chromedp/kb for special keys.
func keys(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, chromedp.KeyEvent(text))
}

// css names the first element that a selector matches.
func css(selector string) string { return "document.querySelector(" + strconv.Quote(selector) + ")" }

// titled names the first visible element of a selector with this text.
func titled(selector, text string) string {
	return "[...document.querySelectorAll(" + strconv.Quote(selector) + ")].find(e => e.checkVisibility() && e.textContent.replace(/\\s+/g, ' ').trim() === " + strconv.Quote(text) + ")"
}

// inBanner names an element of the banner.
func inBanner(selector string) string {
	return `document.querySelector("impersonate-banner")?.shadowRoot?.querySelector(` + strconv.Quote(selector) + `)`
}
