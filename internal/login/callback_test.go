package login

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// The address with the code, once used, is no good again: not from the history, not with the cookie put back.
func TestCallbackReplayed(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	callback := b.ToCallback(r.loginURL("/work"))
	var kept []string
	site, _ := url.Parse(r.site.URL)
	for _, c := range b.Jar.Cookies(site) {
		if strings.HasPrefix(c.Name, "impersonate-login-") {
			kept = append(kept, c.Name+"="+c.Value)
		}
	}
	if page := b.Login(callback); page.Body != "hello alice at /work" {
		t.Fatalf("ended at %s: %s", page.URL, page.Body)
	}
	r.events.take()
	r.seen = nil

	fresh := idptest.NewLoginClient(t, "alice")
	r.failedWith(fresh.Login(callback), fresh, http.StatusBadRequest, "state_unknown")

	thief := idptest.NewLoginClient(t, "alice")
	thief.Header.Set("Cookie", strings.Join(kept, "; "))
	r.failedWith(thief.Login(callback), thief, http.StatusBadRequest, "state_replayed")
}

// A code from one login brought to another of the same browser: PKCE and the provider's one-time codes refuse it.
func TestCallbackCodeReplayed(t *testing.T) {
	t.Parallel()
	for _, used := range []bool{false, true} {
		r, _ := withOP(t, nil)
		b := idptest.NewLoginClient(t, "alice")
		first := b.ToCallback(r.loginURL("/work"))
		if used {
			b.Get(first)
		}
		other := idptest.NewLoginClient(t, "alice")
		second := other.ToCallback(r.loginURL("/work"))
		u, _ := url.Parse(second)
		q := u.Query()
		q.Set("code", mustQuery(t, first).Get("code"))
		u.RawQuery = q.Encode()
		r.events.take()
		r.seen = nil
		r.failedWith(other.Login(u.String()), other, http.StatusBadRequest, "code_refused")
	}
}

// The attacker logs in, does not open the last address but has the victim open it: the victim would work in the
// attacker's account, and tell it what they know (login CSRF).
func TestCallbackInAnotherBrowser(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	attacker, victim := idptest.NewLoginClient(t, "bob"), idptest.NewLoginClient(t, "alice")
	callback := attacker.ToCallback(r.loginURL("/work"))
	r.failedWith(victim.Login(callback), victim, http.StatusBadRequest, "state_unknown")

	// Nor does it help that the victim is logging in too.
	victim.ToCallback(r.loginURL("/work"))
	r.failedWith(victim.Login(callback), victim, http.StatusBadRequest, "state_unknown")

	// And a victim who is logged in stays who they are.
	r.login(victim)
	victim.Login(callback)
	if who := r.who(victim); who != "hello alice at /" {
		t.Errorf("the victim is now %q", who)
	}
}

func TestCallbackTooLate(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	callback := b.ToCallback(r.loginURL("%2Fwork%3Fa%3Db%26c"))
	r.clock.Advance(pendingLife)
	page := b.Login(callback)
	if !strings.Contains(page.Body, `href="/.impersonate/login?return_to=%2Fwork%3Fa%3Db%26c"`) {
		t.Errorf("the way on forgets where the person was going: %s", page.Body)
	}
	r.failedWith(page, b, http.StatusBadRequest, "state_expired")
}

func TestCallbackCookieTampered(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b, other := idptest.NewLoginClient(t, "alice"), idptest.NewLoginClient(t, "alice")
	callback, otherCallback := b.ToCallback(r.loginURL("/work")), other.ToCallback(r.loginURL("/work"))
	name, otherName := pendingCookies(b, r.site.URL)[0], pendingCookies(other, r.site.URL)[0]
	value, otherValue := cookie(b, r.site.URL, name), cookie(other, r.site.URL, otherName)
	flipped := []byte(value)
	flipped[20] ^= 1
	for what, c := range map[string]struct{ name, value, callback string }{
		"bit flipped":           {name, string(flipped), callback},
		"cut":                   {name, value[:40], callback},
		"empty":                 {name, "", callback},
		"not base64":            {name, "%%%", callback},
		"of another attempt":    {name, otherValue, callback},
		"under the other name":  {otherName, value, otherCallback},
		"state of another":      {name, value, otherCallback},
		"name of the other way": {"__Host-" + name, value, callback},
	} {
		t.Run(what, func(t *testing.T) {
			victim := idptest.NewLoginClient(t, "alice")
			victim.Header.Set("Cookie", c.name+"="+c.value)
			page := victim.Get(c.callback)
			if page.Status != http.StatusBadRequest || !strings.Contains(page.Body, "login-expired") {
				t.Errorf("%d %s", page.Status, page.Body)
			}
		})
	}
}

// A login begun at one site is not completed at another with the same configuration.
func TestCallbackAtAnotherSite(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	callback := b.ToCallback(r.loginURL("/work"))
	b.Header.Set("Cookie", pendingCookies(b, r.site.URL)[0]+"="+cookie(b, r.site.URL, pendingCookies(b, r.site.URL)[0]))
	elsewhere := strings.Replace(callback, "127.0.0.1", "localhost", 1)
	if elsewhere == callback {
		t.Fatal("not another site")
	}
	page := b.Get(elsewhere)
	if page.Status != http.StatusBadRequest || !strings.Contains(page.Body, "login-expired") {
		t.Errorf("%d %s", page.Status, page.Body)
	}
}

func TestCallbackQueries(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	for name, c := range map[string]struct{ query, reason string }{
		"nothing":           {"", "state_unknown"},
		"code alone":        {"code=x", "state_unknown"},
		"error alone":       {"error=access_denied&error_description=%3Cscript%3E", "state_unknown"},
		"huge":              {"state=x&code=" + strings.Repeat("y", maxCallbackQuery), "malformed"},
		"semicolon":         {"state=x;code=y", "malformed"},
		"bad escape":        {"state=%zz", "malformed"},
		"state twice":       {"state=x&state=y", "malformed"},
		"state of nul":      {"state=%00", "state_unknown"},
		"unknown parameter": {"state=x&session_state=a&session_state=b", "state_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, newSite(t, false), evil.Issuer, nil)
			b := idptest.NewLoginClient(t, "")
			page := b.Get(r.site.URL + CallbackPath + "?" + c.query)
			r.failedWith(page, b, http.StatusBadRequest, c.reason)
		})
	}
}

// Cancelled at the real provider: its words are shown as text.
func TestCallbackCancelled(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	var form string
	_, form = b.LoginUntil(r.loginURL("/work"), func(a string) bool { return strings.Contains(a, "/interaction/") })
	page := b.Login(form + "/cancel")
	if !strings.Contains(page.Body, "&lt;b&gt;cancelled&lt;/b&gt;") {
		t.Errorf("page %s", page.Body)
	}
	r.failedWith(page, b, http.StatusForbidden, "provider_error")
}

// The store is out of order: no session, no cookie, and the page says that it is not the person's fault.
func TestCallbackWithoutStore(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	callback := b.ToCallback(r.loginURL("/work"))
	r.o.Sessions = brokenSessions(t, r.clock)
	page := b.Login(callback)
	r.failedWith(page, b, http.StatusServiceUnavailable, "internal")
	if cookie(b, r.site.URL, "impersonate") != "" || page.Header.Get("Retry-After") == "" {
		t.Errorf("cookies %v", page.Cookies)
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	o := newOnce(3)
	use := func(v string, want bool) {
		t.Helper()
		if got := o.use(v, now, now.Add(time.Minute)); got != want {
			t.Errorf("use %s: %v", v, got)
		}
	}
	use("a", true)
	use("a", false)
	use("b", true)
	use("c", true)
	use("d", true) // forgets a
	use("b", false)
	use("a", true) // forgets b
	o.forget("d")
	use("d", true)
	now = now.Add(time.Minute)
	use("a", true)
	for range 100 {
		use(time.Now().String(), true)
	}
	if len(o.until) > 3 || len(o.order) > 3 {
		t.Errorf("%d, %d kept", len(o.until), len(o.order))
	}
}
