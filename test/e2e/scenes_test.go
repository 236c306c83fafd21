package e2e

import (
	"context"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// scene is a page as somebody sees it. A new page of the portal is a line here: what must hold of every page is then
// held of it.
type scene struct {
	name string // of its pictures
	who  string // one or more of the stage's roles; "nobody" is not logged in. The first is in the pictures
	path string
	act  func(*browser) // what is done on the page before it is looked at
	shot string         // which pictures are for the documentation: of desktop, phone, dark, phone-dark; or most, which is all but the last
}

var scenes = []scene{
	{"home", "admin owner auditor", "/.impersonate/", nil, "most"},
	{"home-few", "supervisor", "/.impersonate/?only=1", nil, ""},
	{"home-denied", "sam office", "/.impersonate/", nil, "phone"},
	{"home-search", "admin", "/.impersonate/?q=sam", nil, ""},
	{"home-empty", "admin", "/.impersonate/?q=zzz", nil, "phone"},
	{"home-live", "impersonating looking", "/.impersonate/", nil, "desktop phone"},
	{"home-offline", "admin", "/.impersonate/", searchOffline, ""},
	{"menu", "admin impersonating", "/.impersonate/?q=reed", func(b *browser) { b.press(css("details.menu summary")) }, ""},
	{"confirm", "admin", "/.impersonate/?target=sam", nil, "most"},
	{"confirm-page", "admin supervisor", "/.impersonate/confirm?target=sam", nil, ""},
	{"confirm-approval", "second", "/.impersonate/confirm?target=lena&reason=The+plan+for+Monday&ticket=HD-2250", func(b *browser) { b.press(css("details.needs summary")) }, "phone"},
	{"refused", "admin", "/.impersonate/?target=owner", nil, "desktop"},
	{"refused-page", "admin sam", "/.impersonate/confirm?target=former", nil, ""},
	{"refused-start", "admin", "/.impersonate/confirm?target=sam", func(b *browser) {
		b.wait("the form is there", css("form.confirm"))
		b.leave("starting without a reason", func() {
			_, _ = try[bool](b, css("form.confirm")+".noValidate = true; "+css("form.confirm")+".submit(), true")
		})
	}, "phone"},
	{"requests", "admin owner sam supervisor", "/.impersonate/requests", nil, "desktop"},
	{"request-decide", "owner", "/.impersonate/requests/{pending}", nil, "desktop phone-dark"},
	{"request-waiting", "admin", "/.impersonate/requests/{pending}", nil, ""},
	{"request-approved", "owner", "/.impersonate/requests/{approved}", nil, ""},
	{"request-refused", "second", "/.impersonate/requests/{refused}", nil, ""},
	{"request-expired", "admin", "/.impersonate/requests/{expired}", nil, ""},
	{"request-consent", "sam", "/.impersonate/requests/{consent}", nil, "phone"},
	{"bell", "jose", "/", nil, "desktop phone"}, // told once: before other pages of his
	{"history", "sam", "/.impersonate/history", func(b *browser) { b.press(css("details.did summary")) }, "desktop phone-dark"},
	{"history-none", "auditor", "/.impersonate/history", nil, ""},
	{"history-mine", "admin", "/.impersonate/history/mine", nil, "desktop phone"},
	{"history-mine-none", "sam", "/.impersonate/history/mine", nil, ""},
	{"audit", "auditor owner", "/.impersonate/audit", nil, "desktop phone"},
	{"audit-filters", "auditor", "/.impersonate/audit?actor=admin&from=90d", nil, "phone"},
	{"audit-empty", "auditor", "/.impersonate/audit?q=zzz", nil, ""},
	{"audit-bad", "auditor", "/.impersonate/audit?from=noon", nil, ""},
	{"audit-events", "auditor", "/.impersonate/audit/events", openFirst, ""},
	{"audit-activity", "auditor", "/.impersonate/audit/activity", nil, "desktop"},
	{"audit-table", "auditor", "/.impersonate/audit/activity", openFirst, ""},
	{"audit-story", "auditor owner", "/.impersonate/audit/impersonations/{used}", openFirst, "desktop phone-dark"},
	{"review", "owner auditor", "/.impersonate/review", nil, "desktop phone"},
	{"review-waiting", "owner", "/.impersonate/review?waiting=1", nil, ""},
	{"owner", "owner", "/.impersonate/owner", nil, "desktop phone"},
	{"retention", "owner", "/.impersonate/owner/retention", nil, "desktop phone"},
	{"stop", "impersonating sam", "/.impersonate/stop", nil, ""},
	{"ended", "admin", "/.impersonate/ended?from=/", nil, ""},
	{"login", "nobody", "/.impersonate/login?return_to=/", nil, ""},
	{"login-wrong", "nobody", "/.impersonate/login?return_to=/", wrongPassword, ""},
	{"login-deactivated", "nobody", "/.impersonate/login?return_to=/", deactivated, "phone"},
	{"login-failed", "nobody", "/.impersonate/callback?code=x&state=y", nil, ""},
	{"logged-out", "nobody", "/.impersonate/logged-out", nil, ""},
	{"not-found", "admin", "/.impersonate/nothing", nil, ""},
	{"not-yours", "admin", "/.impersonate/audit", nil, ""},
	{"app", "impersonating", "/bookings/1042", nil, "most"},
	{"app-reason", "impersonating", "/bookings/1042", func(b *browser) { b.press(inBanner(".why summary")) }, ""},
	{"app-looking", "looking", "/", nil, ""},
	{"app-forbidden", "impersonating", "/account/password", nil, "phone"},
	{"app-own", "admin", "/", nil, ""},
	{"frame", "impersonating", "/.impersonate/frame", nil, ""},
	{"app-folded", "impersonating", "/bookings/1042", func(b *browser) { b.press(inBanner(".fold")) }, "phone"}, // last: the browser remembers it
}

// openFirst opens the first thing on the page that folds, but for the filters, which do so on a phone alone.
func openFirst(b *browser) { b.press(css("main details:not(.menu):not(.fields) summary")) }

// searchOffline types into the search without a network.
func searchOffline(b *browser) {
	b.offline(true)
	b.fill(css("#q"), "sam")
	b.wait("the page says that it failed", css("#count")+".textContent === "+css("#count")+".dataset.failed")
}

// offline cuts the network, or mends it.
func (b *browser) offline(on bool) {
	b.t.Helper()
	b.do("cutting the network", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{Offline: on, DownloadThroughput: -1, UploadThroughput: -1}},
		})
		return err
	}))
}

func wrongPassword(b *browser) {
	b.fill(css("input[name=username]"), "sam")
	b.fill(css("input[name=password]"), "wrong")
	b.leave("logging in", func() { b.keys("\r") })
}

func deactivated(b *browser) {
	b.fill(css("input[name=username]"), "former")
	b.fill(css("input[name=password]"), "demo")
	b.leave("logging in", func() { b.keys("\r") })
}

// enter opens a scene's page as one of those who see it.
func (s *stage) enter(b *browser, c scene, who string) {
	b.t.Helper()
	b.viewport(1280, 800)
	b.dark(false)
	b.offline(false)
	b.wear(s.roles[who])
	b.open(s.address(c.path))
	if c.act != nil {
		c.act(b)
	}
	b.wait("the page holds still", loaded+still)
}

const still = ` && document.fonts.status === "loaded" && document.getAnimations().length === 0`

// wear gives the browser somebody's login, in place of what it had; nil: none.
func (b *browser) wear(p *person) {
	b.t.Helper()
	b.do("changing cookies", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil || p == nil {
			return err
		}
		name, value, _ := strings.Cut(p.cookie, "=")
		_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: p.origin + "/", HTTPOnly: new(true), SameSite: network.CookieSameSiteLax})
		return err
	}))
}
