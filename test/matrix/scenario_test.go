package matrix

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp/kb"
)

// story is one app's run through the scenario.
type story struct {
	*browser
	app  app
	site *site
	own  *network.Cookie // Alice's session at the app
}

// do fails the test on an error.
func (s *story) do(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.app.name, what, err)
	}
}

// play is the scenario.
func play(t *testing.T, a app) {
	site := startSite(t, a)
	s := &story{browser: newBrowser(t, site.origin), app: a, site: site}

	s.logIn("alice")
	s.is(s.tab, "alice", false)
	if a.session != "" {
		own, err := s.cookie(a.session)
		s.do("Alice's session at the app", err)
		s.own = own
	}
	logins := site.provider.Requests("/auth")

	s.become("30m")
	s.is(s.tab, "sam", true)
	s.writes("Noted as Sam Reed", "sam")
	s.is(s.tab, "sam", true)
	second := s.newTab()
	s.is(second, "sam", true)

	s.returns()
	s.is(s.tab, "alice", false)
	s.survived()
	s.is(second, "alice", false)
	s.writes("Noted as Alice Ng", "alice")
	s.do("what Sam wrote is still Sam's", s.wrote("Noted as Sam Reed", "sam"))

	s.expire()
	s.survived()
	if n := site.provider.Requests("/auth"); n != logins {
		t.Errorf("the browser went to the provider %d more times", n-logins)
	}
	s.recorded()
}

// logIn opens the app, which leads to the provider's form, and fills that in.
func (s *story) logIn(username string) {
	s.t.Helper()
	s.do("opening the app", visit(s.tab, s.app.open))
	s.do("the login form", fill(s.tab, css("input[name=username]"), username))
	s.do("the login form", fill(s.tab, css("input[name=password]"), "demo"))
	s.do("logging in", leave(s.tab, func() error { return keys(s.tab, kb.Enter) }))
}

// is fails the test unless a tab, at the app, is whom it should be, and bears the banner if that is needed.
func (s *story) is(tab context.Context, username string, impersonating bool) {
	s.t.Helper()
	s.do("opening the app", visit(tab, s.app.open))
	s.do("being "+username, poll(tab, "the app names "+username, func() error {
		got, err := s.app.who(tab)
		if err == nil && got != s.app.named(username) {
			err = fmt.Errorf("it names %q", got)
		}
		return err
	}))
	if impersonating {
		s.do("the banner", wait(tab, bannerIsSeen))
		return
	}
	there, err := eval[bool](tab, css("impersonate-banner")+" !== null")
	if s.do("the banner", err); there {
		s.t.Errorf("%s: there is a banner on %s's own page", s.app.name, username)
	}
}

// bannerIsSeen: it is drawn within the window, above all else, and names both.
const bannerIsSeen = `(() => {
	const host = document.querySelector("impersonate-banner"), bar = host?.shadowRoot?.querySelector(".bar");
	if (!bar || !bar.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
	const r = bar.getBoundingClientRect();
	if (r.height < 20 || r.width < 150 || r.top < -1 || r.bottom > innerHeight + 1) return false;
	if (!bar.textContent.includes("Alice Ng") || !bar.textContent.includes("Sam Reed")) return false;
	const who = [...bar.querySelectorAll(".who, .short")].find(e => e.checkVisibility()).getBoundingClientRect();
	return document.elementFromPoint(who.x + who.width / 2, who.y + who.height / 2) === host;
})()`

// become goes through the portal, and confirms.
func (s *story) become(duration string) {
	s.t.Helper()
	if duration == "30m" { // the policy's own: as most people do it, by searching
		person := `[...document.querySelectorAll("#results li.person")].find(e => e.querySelector(".name").textContent === "Sam Reed")?.querySelector(".do button")`
		s.do("opening the portal", visit(s.tab, "/.impersonate/"))
		s.do("searching", fill(s.tab, css("#q"), "sam"))
		s.do("searching", wait(s.tab, `document.querySelectorAll("#results li.person").length === 1 && `+person))
		s.do("choosing", press(s.tab, person))
	} else { // by a link, as from a ticket
		s.do("opening the portal", visit(s.tab, "/.impersonate/?target=sam&duration="+duration))
	}
	s.do("giving a reason", fill(s.tab, css("form.confirm textarea[name=reason]"), "helping Sam"))
	s.do("confirming", pressAway(s.tab, titled("form.confirm button", "Log in as Sam Reed")))
}

// returns presses the banner's button in the app.
func (s *story) returns() {
	s.t.Helper()
	s.do("opening the app", visit(s.tab, s.app.open))
	s.do("returning", pressAway(s.tab, inBanner(".stop")))
}

// writes writes something and looks whether it is there.
func (s *story) writes(text, by string) {
	s.t.Helper()
	s.do("opening the app", visit(s.tab, s.app.open))
	s.do("writing as "+by, s.app.write(s.tab, text))
	s.do("what "+by+" wrote is there", s.wrote(text, by))
}

func (s *story) wrote(text, by string) error {
	return poll(s.tab, text, func() error { return s.app.wrote(s.tab, text, s.app.named(by)) })
}

// survived fails the test unless the session that the app gave to Alice is the one she has, unchanged.
func (s *story) survived() {
	s.t.Helper()
	if s.own == nil {
		return
	}
	now, err := s.cookie(s.app.session)
	s.do("Alice's session at the app", err)
	if now.Value != s.own.Value {
		s.t.Errorf("%s: Alice's session cookie %s is another one", s.app.name, now.Name)
	}
	if now.HTTPOnly != s.own.HTTPOnly || now.Secure != s.own.Secure || now.SameSite != s.own.SameSite || now.Path != s.own.Path || now.Domain != s.own.Domain || now.Session != s.own.Session {
		s.t.Errorf("%s: Alice's session cookie was %+v, and is %+v", s.app.name, *s.own, *now)
	}
}

// expire becomes Sam for a short time and waits until it is over. On a slow machine the time may be over before the
// app was there: then it is tried with more.
func (s *story) expire() {
	s.t.Helper()
	for long := 10 * time.Second; ; long *= 2 {
		s.become(long.String())
		seen := s.seenAs("sam")
		waitFor(s.t, long+patience, "the time is over", func() bool {
			live, err := s.live()
			return err == nil && !live
		})
		// The first page says what happened; there is no banner on the next.
		s.do("opening the app", visit(s.tab, s.app.open))
		s.is(s.tab, "alice", false)
		if seen {
			return
		}
		if long > patience {
			s.t.Fatalf("%s: the app did not name Sam within %v", s.app.name, long)
		}
	}
}

// seenAs opens the app and tells whether it names an account before the impersonation is over.
func (s *story) seenAs(username string) bool {
	s.t.Helper()
	seen := false
	s.do("opening the app", visit(s.tab, s.app.open))
	s.do("being "+username, poll(s.tab, "the app names "+username, func() error {
		got, err := s.app.who(s.tab)
		seen = err == nil && got == s.app.named(username)
		if live, liveErr := s.live(); seen || liveErr == nil && !live {
			return nil
		}
		return errors.Join(errNotYet, err)
	}))
	return seen
}

// live asks the gateway whether there is an impersonation.
func (s *story) live() (bool, error) {
	return eval[bool](s.tab, `fetch("/.impersonate/api/v1/me").then(r => r.json()).then(me => me.impersonation !== null)`)
}

// recorded looks into the audit: both impersonations with both their people, each request with both, and the write.
func (s *story) recorded() {
	s.t.Helper()
	const both = " actor_username = 'alice' AND actor_name = 'Alice Ng' AND target_username = 'sam' AND target_name = 'Sam Reed' "
	s.site.audit("the return is recorded", "SELECT count(*) FROM impersonations WHERE"+both+"AND end_cause = 'stopped' AND ended_by = 'alice' AND reason = 'helping Sam' AND requests > 3 AND writes > 0", 1)
	s.site.audit("the expiry is recorded", "SELECT min(count(*), 1) FROM impersonations WHERE"+both+"AND end_cause = 'expired' AND requests > 0", 1)
	s.site.audit("every impersonated request names both", "SELECT count(*) FROM requests WHERE NOT (impersonation_id <> '' AND"+both+")", 0)
	s.site.audit("no page was without a banner", "SELECT count(*) FROM requests WHERE content_type LIKE 'text/html%' AND banner = 'withheld'", 0)
	s.site.audit("pages bore the banner", "SELECT min(count(*), 1) FROM requests WHERE banner = 'marked'", 1)
}
