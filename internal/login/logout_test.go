package login

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// wasLoggedOut checks that the browser's session is over, its impersonation too, and that the audit knows.
func (r *rig) wasLoggedOut(b *idptest.LoginClient, l *impersonation.Live, raw, by string) {
	r.t.Helper()
	r.endedByLogout(l, b.Username)
	if _, err := r.sessions.Get(r.t.Context(), raw); err == nil {
		r.t.Error("the session is still good")
	}
	if who := r.who(b); who != "nobody" {
		r.t.Errorf("the site says %q", who)
	}
	got := r.events.take()
	if len(got) != 1 || got[0].Type != audit.EventLogout || got[0].ActorUsername != b.Username || got[0].Detail != `{"by":"`+by+`"}` || got[0].ClientIP == "" {
		r.t.Errorf("events %+v", got)
	}
	r.noSecrets(r.log.String())
}

// loggedIn is a browser logged in, and its session's id.
func (r *rig) loggedIn(username string) (*idptest.LoginClient, string) {
	r.t.Helper()
	b := idptest.NewLoginClient(r.t, username)
	r.login(b)
	r.events.take()
	return b, cookie(b, r.site.URL, "impersonate")
}

func TestLogout(t *testing.T) {
	t.Parallel()
	r, op := withOP(t, nil)
	b, raw := r.loggedIn("alice")
	l := r.impersonating(raw)
	page := b.Post(r.site.URL+LogoutPath, url.Values{})
	to := page.Location()
	q := mustQuery(t, to)
	if !strings.HasPrefix(to, op.Issuer+"/session/end?") || q.Get("id_token_hint") == "" || q.Get("client_id") != clientID || q.Get("post_logout_redirect_uri") != r.site.URL+LoggedOutPath || len(q.Get("state")) != 43 {
		t.Errorf("sent on to %s", to)
	}
	if page.Status != http.StatusOK || !strings.Contains(page.Body, ">Go on</a>") {
		t.Errorf("a posted form leads to %d %s", page.Status, page.Body)
	}
	if page.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", page.Header)
	}
	program := idptest.NewLoginClient(t, "")
	program.Header.Set("Sec-Fetch-Mode", "cors")
	if page := program.Post(r.site.URL+LogoutPath, url.Values{}); page.Status != http.StatusSeeOther || !strings.HasPrefix(page.Location(), op.Issuer) || page.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("a program is answered %d %v", page.Status, page.Header)
	}
	end := b.Login(to)
	if end.URL.Path != LoggedOutPath || !strings.Contains(end.Body, "logged out here and at the identity provider") || !strings.Contains(end.Body, ">Log in again</a>") {
		t.Errorf("ended at %s: %s", end.URL, end.Body)
	}
	r.wasLoggedOut(b, l, raw, "person")
	if left := pendingCookies(b, r.site.URL); len(left) != 0 {
		t.Errorf("cookies %v are left", left)
	}
	asked := false
	b.LoginUntil(r.loginURL("/work"), func(a string) bool {
		asked = asked || strings.Contains(a, "/interaction/")
		return asked
	})
	if !asked {
		t.Error("the provider lets them in without a password: they were not logged out there")
	}
}

func TestLogoutProviderDown(t *testing.T) {
	t.Parallel()
	r, op := withOP(t, nil)
	b, raw := r.loggedIn("alice")
	l := r.impersonating(raw)
	op.Stop()
	page := b.Post(r.site.URL+LogoutPath, url.Values{})
	if page = b.Get(page.Location()); !strings.Contains(page.Body, "The identity provider can&#39;t be reached") {
		t.Errorf("page %s", page.Body)
	}
	r.wasLoggedOut(b, l, raw, "person")
}

func TestLogoutNoEndSessionEndpoint(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, func(o *Options) { o.HTTP = &http.Client{Transport: noEndSession{}} })
	b, raw := r.loggedIn("alice")
	l := r.impersonating(raw)
	page := b.Get(b.Post(r.site.URL+LogoutPath, url.Values{}).Location())
	if !strings.Contains(page.Body, "You may still be logged in at the identity provider") {
		t.Errorf("page %s", page.Body)
	}
	r.wasLoggedOut(b, l, raw, "person")
}

type noEndSession struct{}

func (noEndSession) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		return res, err
	}
	return rewriteJSON(res, func(m map[string]any) { delete(m, "end_session_endpoint") })
}

// Without a session there is nothing to end here, but the provider's may be.
func TestLogoutWithoutSession(t *testing.T) {
	t.Parallel()
	r, op := withOP(t, nil)
	r.loggedIn("bob") // so that the provider is known
	b := idptest.NewLoginClient(t, "alice")
	page := b.Post(r.site.URL+LogoutPath, url.Values{})
	if to := page.Location(); !strings.HasPrefix(to, op.Issuer) || strings.Contains(to, "id_token_hint") {
		t.Errorf("sent on to %s", to)
	}
	if got := r.events.take(); len(got) != 0 {
		t.Errorf("events %+v", got)
	}
}

// The database is out of order: the browser's session is over all the same.
func TestLogoutWithoutStore(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b, raw := r.loggedIn("alice")
	l := r.impersonating(raw)
	r.o.Sessions = brokenSessions(t, r.clock)
	page := b.Post(r.site.URL+LogoutPath, url.Values{})
	if page.Location() == "" || cookie(b, r.site.URL, "impersonate") != "" {
		t.Errorf("%d, cookies %v", page.Status, page.Cookies)
	}
	if _, err := r.o.Sessions.Get(t.Context(), raw); err == nil {
		t.Error("the session is still good")
	}
	r.endedByLogout(l, "")
}

// RPInitLogout NoState and InvalidState: what the page then says is no more than what is known.
func TestLoggedOut(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	for query, want := range map[string]string{
		"":                            "You are logged out here.<",
		"?state=":                     "You are logged out here.<",
		"?state=invalid":              "You are logged out here.<",
		"?provider=unreachable":       "you may still be logged in there",
		"?provider=%3Cscript%3E":      "You are logged out here.<",
		"?state=x&provider=none":      "You are logged out here.<",
		"?provider=none&provider=alt": "You may still be logged in",
	} {
		page := b.Get(r.site.URL + LoggedOutPath + query)
		if page.Status != http.StatusOK || !strings.Contains(page.Body, want) {
			t.Errorf("%q: %d %s", query, page.Status, page.Body)
		}
	}
	r.login(b)
	if page := b.Get(r.site.URL + LoggedOutPath); page.Location() != r.site.URL+prefix {
		t.Errorf("somebody who is logged in is told %d %s", page.Status, page.Body)
	}
	program := idptest.NewLoginClient(t, "")
	program.Header.Set("Sec-Fetch-Mode", "cors")
	if page := program.Get(r.site.URL + LoggedOutPath); page.Body != `{"logged_out":true,"provider":"unknown"}`+"\n" {
		t.Errorf("a program is told %s", page.Body)
	}
}

// A state of a login is none of a logout, nor the other way round.
func TestLogoutStateIsItsOwn(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	callback := b.ToCallback(r.loginURL("/work"))
	page := b.Get(r.site.URL + LoggedOutPath + "?state=" + mustQuery(t, callback).Get("state"))
	if strings.Contains(page.Body, "at the identity provider") {
		t.Errorf("page %s", page.Body)
	}
	if page := b.Login(callback); page.Body != "hello alice at /work" {
		t.Errorf("the login ended at %s: %s", page.URL, page.Body)
	}
}

// Logged out at the provider by another way, the provider tells the gateway.
func TestBackchannelLogoutFromOP(t *testing.T) {
	t.Parallel()
	r, op := withOP(t, nil)
	b, raw := r.loggedIn("alice")
	l := r.impersonating(raw)
	other, _ := r.loggedIn("alice") // another browser, another session at the provider
	bob, _ := r.loggedIn("bob")
	b.Login(op.Issuer + "/session/end")
	r.wasLoggedOut(b, l, raw, "provider")
	if who := r.who(other); who != "hello alice at /" {
		t.Errorf("another browser of hers: %q", who)
	}
	if who := r.who(bob); who != "hello bob at /" {
		t.Errorf("another person: %q", who)
	}
}

func logoutClaims(issuer string, now time.Time) map[string]any {
	return map[string]any{
		"iss": issuer, "aud": clientID, "iat": now.Unix(), "exp": now.Unix() + 120, "jti": "token-1", "sub": "alice",
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
}

func postLogoutToken(b *idptest.LoginClient, site, token string) *idptest.Page {
	return b.Post(site+BackchannelLogoutPath, url.Values{"logout_token": {token}})
}

func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	set := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) { c[name] = value }
	}
	drop := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	type claims = map[string]any
	now := time.Now().Unix()
	for _, c := range []struct {
		name   string
		by     string
		header claims
		change func(claims)
		ok     bool
	}{
		{name: "by sub", ok: true},
		{name: "by sid", change: func(c claims) { delete(c, "sub"); c["sid"] = "sid-of-alice" }, ok: true},
		{name: "by both", change: set("sid", "sid-of-alice"), ok: true},
		{name: "typ logout+jwt", header: claims{"typ": "logout+jwt"}, ok: true},
		{name: "no typ", header: claims{"typ": nil}, ok: true},
		{name: "audience list", change: set("aud", []string{clientID, "other"}), ok: true},
		{name: "event with members", change: set("events", claims{logoutEvent: claims{"a": 1}, "other": claims{}}), ok: true},

		{name: "AlgNone", by: "none", header: claims{"alg": "none"}},
		{name: "WrongAlg, HMAC with the secret", by: "secret", header: claims{"alg": "HS256"}},
		{name: "WrongAlg, HMAC with the public key", by: "public", header: claims{"alg": "HS256"}},
		{name: "WrongAlg, not promised", header: claims{"alg": "RS384"}},
		{name: "signed by a stranger", by: "stranger"},
		{name: "WrongIssuer", change: set("iss", "http://evil.test")},
		{name: "no issuer", change: drop("iss")},
		{name: "WrongAud", change: set("aud", "other")},
		{name: "no audience", change: drop("aud")},
		{name: "NoEvent", change: drop("events")},
		{name: "WrongEvent", change: set("events", claims{"http://schemas.openid.net/event/other": claims{}})},
		{name: "event no object", change: set("events", claims{logoutEvent: true})},
		{name: "event null", change: set("events", claims{logoutEvent: nil})},
		{name: "events in other spelling", change: func(c claims) { c["EVENTS"] = c["events"]; delete(c, "events") }},
		{name: "WithNonce", change: set("nonce", "x")},
		{name: "with an empty nonce", change: set("nonce", "")},
		{name: "with a null nonce", change: set("nonce", nil)},
		{name: "no iat", change: drop("iat")},
		{name: "iat in the future", change: set("iat", now+3600)},
		{name: "iat long ago", change: set("iat", now-2*86400)},
		{name: "no exp", change: drop("exp")},
		{name: "expired", change: set("exp", now-60)},
		{name: "no jti", change: drop("jti")},
		{name: "empty jti", change: set("jti", "")},
		{name: "long jti", change: set("jti", strings.Repeat("x", 300))},
		{name: "neither sub nor sid", change: drop("sub")},
		{name: "sub in other spelling", change: func(c claims) { delete(c, "sub"); c["SUB"] = "alice" }},
		{name: "sub no text", change: set("sub", 7)},
		{name: "an ID token", change: func(c claims) { delete(c, "events"); c["nonce"] = "x" }},
		{name: "an access token", header: claims{"typ": "at+jwt"}},
		{name: "huge", change: set("padding", strings.Repeat("x", maxToken))},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, newSite(t, false), evil.Issuer, nil)
			b, raw := r.loggedIn("alice")
			l := r.impersonating(raw)
			payload := logoutClaims(evil.Issuer, r.clock.Now())
			if c.change != nil {
				c.change(payload)
			}
			if c.by == "" {
				c.by = "current"
			}
			provider := idptest.NewLoginClient(t, "")
			page := postLogoutToken(provider, r.site.URL, evil.Sign(c.by, c.header, payload))
			if page.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", page.Header.Get("Cache-Control"))
			}
			if c.ok {
				if page.Status != http.StatusOK || page.Body != "" {
					t.Errorf("%d %s\nlog: %s", page.Status, page.Body, r.log)
				}
				r.wasLoggedOut(b, l, raw, "provider")
				return
			}
			if page.Status != http.StatusBadRequest || page.Body != `{"error":"invalid_request"}`+"\n" {
				t.Errorf("%d %s", page.Status, page.Body)
			}
			if who := r.who(b); who != "hello alice at /" || !l.Live() {
				t.Errorf("the site says %q, impersonation ended %+v", who, l.Ended())
			}
			r.noSecrets(page.Body, r.log.String())
		})
	}
}

func TestBackchannelLogoutRequests(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b, _ := r.loggedIn("alice")
	token := evil.Sign("current", nil, logoutClaims(evil.Issuer, r.clock.Now()))
	for name, form := range map[string]url.Values{
		"no token":      {},
		"empty token":   {"logout_token": {""}},
		"two tokens":    {"logout_token": {token, token}},
		"no JWT":        {"logout_token": {"x"}},
		"huge form":     {"logout_token": {token}, "x": {strings.Repeat("x", 1<<20)}},
		"another field": {"token": {token}},
	} {
		if page := b.Post(r.site.URL+BackchannelLogoutPath, form); page.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, page.Status, page.Body)
		}
	}
	if page := b.Post(r.site.URL+BackchannelLogoutPath+"?logout_token="+token, url.Values{}); page.Status != http.StatusBadRequest {
		t.Errorf("in the query: %d", page.Status)
	}
	other := idptest.NewLoginClient(t, "")
	other.Header.Set("Content-Type", "text/plain")
	if page := postLogoutToken(other, r.site.URL, token); page.Status != http.StatusBadRequest {
		t.Errorf("as text: %d", page.Status)
	}
	if who := r.who(b); who != "hello alice at /" {
		t.Errorf("the site says %q", who)
	}
	if page := postLogoutToken(b, r.site.URL, token); page.Status != http.StatusOK {
		t.Errorf("as it should be: %d", page.Status)
	}
}

// A logout token caught once must not log the person out for ever.
func TestBackchannelLogoutReplayed(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b, _ := r.loggedIn("alice")
	payload := logoutClaims(evil.Issuer, r.clock.Now())
	payload["exp"] = r.clock.Now().Add(30 * 24 * time.Hour).Unix()
	token := evil.Sign("current", nil, payload)
	if page := postLogoutToken(b, r.site.URL, token); page.Status != http.StatusOK {
		t.Fatalf("status %d", page.Status)
	}
	r.login(b)
	for _, later := range []time.Duration{0, 59 * time.Minute} {
		r.clock.Advance(later)
		if page := postLogoutToken(b, r.site.URL, token); page.Status != http.StatusBadRequest {
			t.Errorf("after %v: %d", later, page.Status)
		}
		if who := r.who(b); who != "hello alice at /" {
			t.Errorf("after %v: the site says %q", later, who)
		}
	}
	r.clock.Advance(logoutTokenLife)
	if page := postLogoutToken(b, r.site.URL, token); page.Status != http.StatusBadRequest {
		t.Errorf("once it is forgotten: %d", page.Status)
	}
}

// When not every session could be ended, the provider hears of it and may try again with the same token.
func TestBackchannelLogoutWithoutStore(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b, _ := r.loggedIn("alice")
	token := evil.Sign("current", nil, logoutClaims(evil.Issuer, r.clock.Now()))
	good := r.o.Sessions
	r.o.Sessions = brokenSessions(t, r.clock)
	if page := postLogoutToken(b, r.site.URL, token); page.Status != http.StatusBadRequest {
		t.Errorf("status %d", page.Status)
	}
	r.o.Sessions = good
	if page := postLogoutToken(b, r.site.URL, token); page.Status != http.StatusOK {
		t.Errorf("tried again: %d", page.Status)
	}
	if who := r.who(b); who != "nobody" {
		t.Errorf("the site says %q", who)
	}
}
