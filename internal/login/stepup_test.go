package login

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

func within5m(o *Options) {
	o.StepUp, o.StepUpACR = 5*time.Minute, []string{"urn:other", "urn:test:mfa"}
}

// TestServeStepUp: at the real provider. The person proves themselves again, in a new session; nobody else can do it
// for them, and then the session there was stays.
func TestServeStepUp(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, within5m)
	r.site.handler.Load().HandleFunc(StepUpPath, r.ServeStepUp)
	b := idptest.NewLoginClient(t, "alice")
	r.login(b)
	first := cookie(b, r.site.URL, "impersonate")
	at := r.site.URL + StepUpPath + "?return_to=/.impersonate/requests/abc"
	page0 := b.Get(at)
	q := mustQuery(t, page0.Location())
	if q.Get("prompt") != "login" || q.Get("max_age") != "300" || q.Get("acr_values") != "urn:other urn:test:mfa" {
		t.Errorf("asked for %v", q)
	}
	r.events.take()

	// The same browser, in which the provider has somebody else log in.
	other := idptest.NewLoginClient(t, "bob")
	other.Jar.SetCookies(page0.URL, []*http.Cookie{{Name: "impersonate", Value: first, Path: "/"}})
	page := other.Login(at)
	if page.Status != http.StatusForbidden || !strings.Contains(page.Body, "somebody else logged in") || !strings.Contains(page.Body, StepUpPath+"?return_to=%2F.impersonate%2Frequests%2Fabc") {
		t.Errorf("%d: %s", page.Status, page.Body)
	}
	if got := r.events.take(); len(got) != 1 || !strings.Contains(got[0].Detail, "subject_changed") {
		t.Errorf("events %+v", got)
	}
	if v, err := r.sessions.Get(t.Context(), first); err != nil || v.Claims.Username != "alice" || cookie(other, r.site.URL, "impersonate") != first {
		t.Errorf("the session before: %+v, %v", v, err)
	}

	page = b.Login(at)
	if page.Body != "hello alice at /.impersonate/requests/abc" {
		t.Fatalf("%d at %s: %s", page.Status, page.URL, page.Body)
	}
	second := cookie(b, r.site.URL, "impersonate")
	v, err := r.sessions.Get(t.Context(), second)
	if err != nil || second == first || v.AuthTime.IsZero() || time.Since(v.AuthTime) > 5*time.Minute || v.ACR != "urn:test:mfa" {
		t.Errorf("session %+v: %v", v, err)
	}
	// Another site can't begin one.
	if to := crossSite(t, b, at).Location(); to != r.site.URL+"/.impersonate/requests/abc" {
		t.Errorf("from another site it leads to %s", to)
	}
}

func crossSite(t *testing.T, b *idptest.LoginClient, address string) *idptest.Page {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	c := &http.Client{Jar: b.Jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return &idptest.Page{URL: req.URL, Status: res.StatusCode, Header: res.Header}
}

// TestStepUpNotProven: what a provider does not prove to be fresh is not, and the session there was goes on.
func TestStepUpNotProven(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	for scenario, reason := range map[string]string{
		"auth-time-missing": "not_fresh", "auth-time-zero": "not_fresh", "auth-time-old": "not_fresh", "auth-time-future": "not_fresh",
		"auth-time-string": "not_fresh", "auth-time-now": "acr_not_met", "ok": "acr_not_met", "nonce-wrong": "nonce_mismatch", "acr-mfa": "",
	} {
		t.Run(scenario, func(t *testing.T) {
			evil.Scenario("ok")
			r := newRig(t, newSite(t, false), evil.Issuer, within5m)
			r.site.handler.Load().HandleFunc(StepUpPath, r.ServeStepUp)
			b := idptest.NewLoginClient(t, "alice")
			r.login(b)
			r.events.take()
			first := cookie(b, r.site.URL, "impersonate")
			evil.Scenario(scenario)
			page := b.Login(r.site.URL + StepUpPath + "?return_to=/work")
			if reason == "" {
				if page.Body != "hello alice at /work" {
					t.Errorf("%d: %s", page.Status, page.Body)
				}
				return
			}
			got := r.events.take()
			if page.Status < 400 || len(got) != 1 || !strings.Contains(got[0].Detail, reason) || !strings.Contains(page.Body, StepUpPath+"?return_to=%2Fwork") {
				t.Errorf("%d %+v: %s", page.Status, got, page.Body)
			}
			if v, err := r.sessions.Get(t.Context(), first); err != nil {
				t.Errorf("the session before: %+v, %v", v, err)
			}
			if who := r.who(b); who != "hello alice at /" {
				t.Errorf("the browser is %s", who)
			}
		})
	}
}
