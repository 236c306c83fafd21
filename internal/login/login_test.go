package login

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	alice := identity.Identity{ID: "alice", Username: "alice", Name: "Alice Ng", Email: "alice@example.test", Groups: []string{"support", "staff"}}
	for _, c := range []struct {
		name     string
		https    bool
		secret   string
		method   string
		userinfo bool
	}{
		{name: "client_secret_basic", secret: clientSecret},
		{name: "client_secret_basic, percent-encoded", secret: "a secret/with:odd+characters & more"},
		{name: "client_secret_post", secret: clientSecret, method: "client_secret_post"},
		{name: "public client"},
		{name: "claims at userinfo", secret: clientSecret, userinfo: true},
		{name: "https", https: true, secret: clientSecret},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.https)
			client := s.client(c.secret)
			client.AuthMethod = c.method
			op := idptest.StartOP(t, idptest.Config{Clients: []idptest.Client{client}, Users: users, ClaimsAtUserinfo: c.userinfo})
			r := newRig(t, s, op.Issuer, func(o *Options) {
				o.ClientSecret = c.secret
				if c.method == "" {
					// The provider offers both; hold it to the one it has registered.
					o.HTTP = &http.Client{Transport: &onlyMethod{method: "client_secret_basic"}}
				} else {
					o.HTTP = &http.Client{Transport: &onlyMethod{method: c.method}}
				}
			})
			b := idptest.NewLoginClient(t, "alice")

			page, stopped := b.LoginUntil(r.loginURL("%2Fwork%3Fa%3D1%23part"), func(a string) bool { return strings.HasPrefix(a, s.URL+"/work") })
			if want := s.URL + "/work?a=1#part"; stopped != want || page.Status != http.StatusSeeOther {
				t.Fatalf("sent on to %q with %d, want %q: %s\n%s", stopped, page.Status, want, page.Body, r.log)
			}
			name := "impersonate"
			if c.https {
				name = "__Host-impersonate"
			}
			i := slices.IndexFunc(page.Cookies, func(k *http.Cookie) bool { return k.Name == name })
			if i < 0 {
				t.Fatalf("no cookie %s among %v", name, page.Cookies)
			}
			if k := page.Cookies[i]; !k.HttpOnly || k.Secure != c.https || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.Domain != "" {
				t.Errorf("session cookie %+v", k)
			}
			if left := pendingCookies(b, s.URL); len(left) != 0 {
				t.Errorf("cookies %v are left of the attempt", left)
			}

			v, err := r.sessions.Get(t.Context(), page.Cookies[i].Value)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(alice, v.Claims); d != "" {
				t.Errorf("claims (-want +got):\n%s", d)
			}
			if v.Issuer != op.Issuer || v.Subject != "alice" || v.SID == "" || v.ACR != "urn:test:mfa" {
				t.Errorf("issuer %q, subject %q, sid %q, acr %q", v.Issuer, v.Subject, v.SID, v.ACR)
			}
			if token, err := v.IDToken(page.Cookies[i].Value); err != nil || strings.Count(token, ".") != 2 {
				t.Errorf("kept ID token %q: %v", token, err)
			}
			got := r.events.take()
			if len(got) != 1 || got[0].Type != audit.EventLogin || got[0].ActorUsername != "alice" || got[0].ActorID != "1" || got[0].ActorName != "Alice Ng" || got[0].ClientIP != "127.0.0.1" {
				t.Errorf("events %+v", got)
			}
			if len(r.seen) != 1 || r.seen[0].Username != "alice" || r.seen[0].Subject != "alice" || r.seen[0].LastSeen.IsZero() {
				t.Errorf("seen %+v", r.seen)
			}
			r.noSecrets(got[0].Detail, r.log.String())
		})
	}
}

// onlyMethod hides from a discovery document all ways of authenticating but one.
type onlyMethod struct{ method string }

func (o *onlyMethod) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		return res, err
	}
	return rewriteJSON(res, func(m map[string]any) { m["token_endpoint_auth_methods_supported"] = []string{o.method} })
}

// A provider that is asked to log somebody in again sends the browser back with a different code; the site must give
// it a different session, and forget the one before: whoever planted or copied that one has nothing (session fixation).
func TestLoginRotatesSession(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	r.login(b)
	first := cookie(b, r.site.URL, "impersonate")
	l := r.impersonating(first)
	r.login(b)
	second := cookie(b, r.site.URL, "impersonate")
	if first == second || second == "" {
		t.Errorf("session %q became %q", first, second)
	}
	if _, err := r.sessions.Get(t.Context(), first); err == nil {
		t.Error("the session before is still good")
	}
	r.endedByLogout(l, "alice")

	// The attacker's own id, planted in a browser that then logs in.
	victim := idptest.NewLoginClient(t, "bob")
	victim.Header.Set("Cookie", "impersonate="+second)
	victim.Login(r.loginURL("/work"))
	if who := r.who(b); who != "nobody" {
		t.Errorf("the planted session is now %q", who)
	}
}

func TestLoginPendingCookie(t *testing.T) {
	t.Parallel()
	for _, https := range []bool{false, true} {
		s := newSite(t, https)
		evil := idptest.StartEvil(t, "ok")
		newRig(t, s, evil.Issuer, nil)
		page := idptest.NewLoginClient(t, "").Get(s.URL + LoginPath)
		if page.Status != http.StatusSeeOther || len(page.Cookies) != 1 {
			t.Fatalf("status %d, cookies %v", page.Status, page.Cookies)
		}
		k, prefix := page.Cookies[0], "impersonate-login-"
		if https {
			prefix = "__Host-" + prefix
		}
		if !strings.HasPrefix(k.Name, prefix) || !k.HttpOnly || k.Secure != https || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.Domain != "" || k.MaxAge != 600 {
			t.Errorf("https %v: cookie %+v", https, k)
		}
		to := page.Location()
		q := mustQuery(t, to)
		for name, want := range map[string]string{
			"response_type": "code", "client_id": clientID, "redirect_uri": s.URL + CallbackPath, "code_challenge_method": "S256",
			"scope": "openid profile email groups", "prompt": "", "max_age": "", "acr_values": "",
		} {
			if q.Get(name) != want {
				t.Errorf("parameter %s is %q, want %q", name, q.Get(name), want)
			}
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if len(q.Get(name)) != 43 {
				t.Errorf("parameter %s is %q, want 256 bits", name, q.Get(name))
			}
			if strings.Contains(k.Value, q.Get(name)) {
				t.Errorf("%s can be read in the cookie", name)
			}
		}
	}
}

// The longest way back fits in what browsers store, whatever it is made of.
func TestLoginLongReturnTo(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, true), evil.Issuer, nil)
	for _, c := range []string{"x", "&", "%"} {
		to := "/?" + strings.Repeat(c, maxReturnTo-2)
		page := idptest.NewLoginClient(t, "alice").Get(r.loginURL(url.QueryEscape(to)))
		if k := page.Cookies[0]; len(k.Name)+len(k.Value) > 4096 {
			t.Errorf("%q: a cookie of %d bytes", c, len(k.Name)+len(k.Value))
		}
		b := idptest.NewLoginClient(t, "alice")
		if page := b.Login(r.loginURL(url.QueryEscape(to))); page.Body != "hello alice at "+to {
			t.Errorf("%q: ended at %s: %d", c, page.URL, page.Status)
		}
	}
}

// Five tabs may be logging in at once; the sixth takes the place of the oldest.
func TestLoginManyAtOnce(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b := idptest.NewLoginClient(t, "alice")
	var callbacks []string
	for range maxPending + 1 {
		callbacks = append(callbacks, b.ToCallback(r.loginURL("/work")))
		r.clock.Advance(1e9)
	}
	if got := pendingCookies(b, r.site.URL); len(got) != maxPending {
		t.Fatalf("%d cookies: %v", len(got), got)
	}
	r.events.take()
	r.failedWith(b.Get(callbacks[0]), b, http.StatusBadRequest, "state_unknown")
	for i, callback := range callbacks[1:] {
		if page := b.Login(callback); page.Body != "hello alice at /work" {
			t.Errorf("tab %d ended at %s: %s", i+1, page.URL, page.Body)
		}
	}
}

// Garbage in the cookies of the login is taken back, a bounded number at a time.
func TestLoginDropsUnreadableCookies(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b := idptest.NewLoginClient(t, "alice")
	var all []string
	for i := range 40 {
		all = append(all, "impersonate-login-x"+strings.Repeat("y", i)+"=garbage")
	}
	b.Header.Set("Cookie", strings.Join(all, "; "))
	page := b.Get(r.loginURL("/"))
	if n := len(page.Cookies); n != maxCookieDeletes+1 {
		t.Errorf("%d Set-Cookie lines", n)
	}
}

func TestLoginMethods(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	for path, allow := range map[string]string{LoginPath: "GET", CallbackPath: "GET", LogoutPath: "POST", LoggedOutPath: "GET", BackchannelLogoutPath: "POST"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} {
			if method == allow {
				continue
			}
			page, err := idptest.NewLoginClient(t, "").Try(method, r.site.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if page.Status != http.StatusMethodNotAllowed || page.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q", method, path, page.Status, page.Header.Get("Allow"))
			}
		}
	}
}

// Another site could send the browser through a login, which would end the session's impersonation. A browser that is
// logged in is just sent on.
func TestLoginFromAnotherSite(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	r.login(b)
	before := cookie(b, r.site.URL, "impersonate")
	l := r.impersonating(before)
	b.Header.Set("Sec-Fetch-Site", "cross-site")
	if page := b.Get(r.loginURL("/work")); page.Location() != r.site.URL+"/work" {
		t.Errorf("sent on to %q", page.Location())
	}
	if after := cookie(b, r.site.URL, "impersonate"); after != before {
		t.Errorf("session %q became %q", before, after)
	}
	if !l.Live() {
		t.Errorf("the impersonation ended: %+v", l.Ended())
	}
	fresh := idptest.NewLoginClient(t, "bob")
	fresh.Header.Set("Sec-Fetch-Site", "cross-site")
	r.login(fresh)
}

func TestLoginDeactivated(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	op := idptest.StartOP(t, idptest.Config{Clients: []idptest.Client{s.client(clientSecret)}, Users: map[string]idptest.User{"former": {}}})
	r := newRig(t, s, op.Issuer, nil)
	b := idptest.NewLoginClient(t, "former")
	page := b.Login(r.loginURL("/"))
	if got := r.events.all; len(got) != 1 || got[0].ActorUsername != "former" || got[0].ActorID != "3" {
		t.Errorf("events %+v", got)
	}
	r.failedWith(page, b, http.StatusForbidden, "deactivated")
	if !strings.Contains(page.Body, "Account deactivated") {
		t.Errorf("page %s", page.Body)
	}
}

// An event that can't be written does not keep people out: they would not get in to mend it.
func TestLoginWithoutAudit(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	r.events.err = http.ErrServerClosed
	r.login(idptest.NewLoginClient(t, "alice"))
}

// Programs get JSON that says the same.
func TestLoginFailureJSON(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b := idptest.NewLoginClient(t, "")
	b.Header.Set("Accept", "application/json")
	b.Header.Set("Sec-Fetch-Mode", "cors")
	page := b.Get(r.site.URL + CallbackPath + "?state=x&code=y")
	if page.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(page.Body, `"type":"urn:caddy-impersonate:problem:login-expired"`) || !strings.Contains(page.Body, `"reason":"state_unknown"`) {
		t.Errorf("%s: %s", page.Header.Get("Content-Type"), page.Body)
	}
}

// Anybody can make logins fail; the audit does not grow as fast as they like, and says what it left out.
func TestLoginFailuresAreBounded(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b := idptest.NewLoginClient(t, "")
	for range failedBurst + 20 {
		b.Get(r.site.URL + CallbackPath + "?state=x")
	}
	if n := len(r.events.take()); n != failedBurst {
		t.Errorf("%d events", n)
	}
	r.clock.Advance(failedEvery)
	b.Get(r.site.URL + CallbackPath + "?state=x")
	if got := r.events.take(); len(got) != 1 || !strings.Contains(got[0].Detail, `"unrecorded":20`) {
		t.Errorf("events %+v", got)
	}
}
