package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keyboardScript lists what Tab has to reach, and says where the focus is and whether that can be seen. Both look into
// shadow roots. Of radio buttons one is reached; what a pop-up covers is not.
const keyboardScript = `window.keyboard = (() => {
	const within = root => [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? within(e.shadowRoot) : [])]);
	const name = e => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (e.className ? "." + e.className : "") + " " + (e.ariaLabel || e.name || e.textContent || "").trim().slice(0, 30);
	const reachable = e => e.matches("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]") && e.tabIndex >= 0 && !e.matches(":disabled") &&
		e.checkVisibility({ visibilityProperty: true }) && !(e.type === "radio" && !e.checked);
	const active = () => {
		let a = document.activeElement;
		while (a && a.shadowRoot && a.shadowRoot.activeElement) a = a.shadowRoot.activeElement;
		return a === document.body || a === document.documentElement ? null : a;
	};
	const seen = e => {
		const r = e.getBoundingClientRect(), s = getComputedStyle(e);
		const wrong = [];
		if (!e.matches(":focus-visible")) wrong.push("the browser does not show the focus");
		if (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2) wrong.push("no outline");
		if (r.bottom <= 0 || r.right <= 0 || r.top >= innerHeight || r.left >= innerWidth) wrong.push("outside the window");
		else {
			const points = [[0.5, 0.5], [0.1, 0.5], [0.9, 0.5], [0.5, 0.1], [0.5, 0.9]].map(([x, y]) => e.getRootNode().elementFromPoint(r.x + r.width * x, r.y + r.height * y));
			if (!points.some(p => p && (p === e || e.contains(p) || p.contains(e)))) wrong.push("covered");
		}
		return wrong.join(", ");
	};
	const all = () => {
		const modal = document.querySelector("dialog:modal");
		return within(document).filter(e => reachable(e) && (!modal || modal.contains(e)));
	};
	const first = all(); // what closes or opens on the way is not asked for
	return {
		list: () => JSON.stringify(first.map(name)),
		at: () => { const a = active(); return JSON.stringify(a ? { index: first.indexOf(a), there: true, name: name(a), wrong: seen(a) } : { index: -1 }); },
		gone: () => JSON.stringify(first.map(e => !e.isConnected || !reachable(e))),
	};
})(), true`

// walk presses Tab through a page and returns what is wrong with that.
func (b *browser) walk() []string {
	b.t.Helper()
	if _, err := try[bool](b, keyboardScript); err != nil {
		b.t.Fatal(err)
	}
	var list []string
	decode(b, "keyboard.list()", &list)
	var wrong []string
	reached := map[int]bool{}
	last, around := -1, 0
	for range 2*len(list) + 10 {
		b.keys(kb.Tab)
		var at struct {
			Index       int
			There       bool
			Name, Wrong string
		}
		decode(b, "keyboard.at()", &at)
		switch {
		case at.There && at.Index < 0: // came on the way
			continue
		case at.Index < 0: // the browser's own controls, or the page's end
			last = -1
			if around++; around > 3 || len(reached) == len(list) {
				return append(wrong, b.missed(list, reached)...)
			}
			continue
		case reached[at.Index]:
			if len(reached) < len(list) && at.Index == last {
				return append(wrong, "the focus is trapped at "+at.Name)
			}
			if at.Index < last || at.Index == last {
				return append(wrong, b.missed(list, reached)...) // around once
			}
		case at.Index < last:
			wrong = append(wrong, fmt.Sprintf("%q comes after %q", at.Name, list[last]))
		}
		if at.Wrong != "" && !reached[at.Index] {
			wrong = append(wrong, at.Name+": "+at.Wrong)
		}
		reached[at.Index] = true
		last = at.Index
	}
	return append(wrong, "the walk does not end")
}

func (b *browser) missed(list []string, reached map[int]bool) (wrong []string) {
	var gone []bool
	decode(b, "keyboard.gone()", &gone)
	for i, name := range list {
		if !reached[i] && !gone[i] {
			wrong = append(wrong, "not reached: "+name)
		}
	}
	return wrong
}

// TestKeyboard: by Tab alone one gets everywhere on every page, in the order of the page, and sees where one is. Nothing
// moves for those who asked for that; on paper the page is there, without what can only be pressed.
func TestKeyboard(t *testing.T) {
	s := newStage(t, 40)
	b := newBrowser(t, "keyboard")
	b.expect("Failed to load resource")
	b.expect("Failed to fetch")
	for _, c := range scenes {
		who := strings.Fields(c.who)[0]
		s.enter(b, c, who)
		for _, wrong := range b.walk() {
			t.Errorf("%s, %s: %s", c.name, who, wrong)
		}
		b.media("", "prefers-reduced-motion", "reduce")
		moving, err := try[string](b, `[...document.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? e.shadowRoot.querySelectorAll("*") : [])]).filter(e => { const s = getComputedStyle(e); return parseFloat(s.transitionDuration) > 0 || (s.animationName || "none") !== "none"; }).map(e => e.tagName + "." + e.className).join(", ")`)
		if err != nil || moving != "" {
			t.Errorf("%s: moves although nothing should: %s (%v)", c.name, moving, err)
		}
		b.media("print", "", "")
		b.shot(c.name + "-print")
		onPaper, err := try[string](b, `[...document.querySelectorAll(location.pathname.startsWith("/.impersonate/") ? ".nav, .menu, .search, .skip, .more, dialog, button, .button" : "dialog")].filter(e => e.checkVisibility()).map(e => e.tagName + "." + e.className).join(", ")`)
		if err != nil || onPaper != "" {
			t.Errorf("%s: on paper there is %s (%v)", c.name, onPaper, err)
		}
		b.media("", "", "")
	}
}

// TestKeyboardCanFail: a page with an order of its own, a hidden focus and a trap is found out.
func TestKeyboardCanFail(t *testing.T) {
	b := newBrowser(t, "keyboard")
	for page, want := range map[string]string{
		`<a href="/1">one</a><a href="/2" tabindex="1">two</a>`:                                "comes after",
		`<style>:focus { outline: none }</style><button>press</button>`:                        "no outline",
		`<button>a</button><div style="position:fixed;inset:0;background:#fff"></div>`:         "covered",
		`<input id=a><button id=x>b</button><script>x.onfocus = () => a.focus()</script>`:      "trapped",
		`<button>a</button><button id=x>b</button><script>x.onfocus = () => x.blur()</script>`: "not reached",
	} {
		b.open(serve(t, "<!DOCTYPE html><title>x</title><body>"+page))
		if wrong := strings.Join(b.walk(), "; "); !strings.Contains(wrong, want) {
			t.Errorf("%s: found %q, want %s", page, wrong, want)
		}
	}
}

// media emulates a medium and a preference; empty: as it is.
func (b *browser) media(medium, feature, value string) {
	b.t.Helper()
	p := emulation.SetEmulatedMediaParams{Media: medium}
	if feature != "" {
		p.Features = []*emulation.MediaFeature{{Name: feature, Value: value}}
	}
	b.do("changing the medium", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, p)
		return err
	}))
}
