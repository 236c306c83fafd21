package e2e

import (
	"strings"

	"github.com/chromedp/chromedp/kb"
)

// logIn opens an address of the app, which leads to the provider's form, and fills that in.
func (b *browser) logIn(address, username, password string) {
	b.t.Helper()
	b.open(address)
	b.wait("the login form is there", css("input[name=username]"))
	b.fill(css("input[name=username]"), username)
	b.fill(css("input[name=password]"), password)
	b.leave("logging in", func() { b.keys(kb.Enter) })
}

// find searches the portal for someone and presses their button.
func (b *browser) find(origin, query, name string) {
	b.t.Helper()
	b.open(origin + "/.impersonate/")
	b.fill(css("#q"), query)
	b.wait("the search has found "+name+" alone", `document.querySelectorAll("#results li.person").length === 1 && `+logInAs(name))
	b.press(logInAs(name))
	b.wait("the question is asked", `document.querySelector("#ask").matches(":modal")`)
}

// logInAs names the button "Log in as this user" of someone in the portal's list.
func logInAs(name string) string {
	return `[...document.querySelectorAll("#results li.person")].find(e => e.querySelector(".name").textContent === "` + name + `")?.querySelector(".do button")`
}

// become searches the portal for someone, and confirms.
func (b *browser) become(origin, query, name, reason string) {
	b.t.Helper()
	b.find(origin, query, name)
	b.fill(css("#ask textarea[name=reason]"), reason)
	b.pressAway(named("#ask button", "Log in as "+name))
}

// banner is what the banner says; it has to be drawn at an edge of the window, above all else.
func (b *browser) banner() string {
	b.t.Helper()
	b.wait("the banner is there", inBanner(".bar")+" && "+loaded)
	visible := `(() => {
		const host = document.querySelector("impersonate-banner"), bar = host.shadowRoot.querySelector(".bar");
		const r = bar.getBoundingClientRect();
		if (!bar.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || r.height < 20 || r.width < 150) return false;
		if (r.top < -1 || r.bottom > innerHeight + 1) return false;
		const who = [...host.shadowRoot.querySelectorAll(".who, .short")].find(e => e.checkVisibility()).getBoundingClientRect();
		return document.elementFromPoint(who.x + who.width / 2, who.y + who.height / 2) === host;
	})()`
	b.wait("the banner is visible", visible)
	return b.text(inBanner(".bar"))
}

// bannerSays fails the test unless the banner is visible and says all of it.
func (b *browser) bannerSays(parts ...string) {
	b.t.Helper()
	text := b.banner()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			b.t.Errorf("%s's browser: the banner says %q, not %q", b.name, text, part)
		}
	}
}

// noBanner fails the test if the page has a banner. That one's account is used by somebody else may be told, once.
func (b *browser) noBanner() {
	b.t.Helper()
	b.wait("the page is there", loaded)
	if there, err := try[bool](b, `document.querySelector("impersonate-banner") !== null`); err != nil || there && !strings.Contains(b.text(inBanner(".bar")), "is using your account") {
		b.t.Errorf("%s's browser: there is a banner on %s: %s", b.name, b.location(), b.text(inBanner(".bar")))
	}
}

// returns presses the banner's button.
func (b *browser) returns() {
	b.t.Helper()
	b.pressAway(inBanner(".stop"))
}

// at fails the test unless the page is at a path of the origin.
func (b *browser) at(origin, path string) {
	b.t.Helper()
	if got := b.location(); got != origin+path {
		b.t.Errorf("%s's browser is at %s, not at %s", b.name, got, origin+path)
	}
}
