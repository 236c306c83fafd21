package idptest_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

const callback = "http://127.0.0.1:1/.impersonate/callback"

func authorize(issuer, endpoint string) string {
	return issuer + endpoint + "?" + url.Values{
		"client_id": {"gateway"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge_method": {"S256"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
	}.Encode()
}

func TestOP(t *testing.T) {
	t.Parallel()
	op := idptest.StartOP(t, idptest.Config{
		Clients: []idptest.Client{{ID: "gateway", Secret: "secret", RedirectURIs: []string{callback}}},
		Users:   map[string]idptest.User{"alice": {}},
	})
	back := idptest.NewLoginClient(t, "alice").ToCallback(authorize(op.Issuer, "/auth"))
	if !strings.Contains(back, "state=s") || !strings.Contains(back, "code=") {
		t.Errorf("came back with %s", back)
	}

	wrong := idptest.NewLoginClient(t, "alice")
	wrong.Password = "wrong"
	if page := wrong.Login(authorize(op.Issuer, "/auth")); !strings.Contains(page.Body, "Wrong name or password") {
		t.Errorf("a wrong password led to %s: %s", page.URL, page.Body)
	}

	issuer := op.Issuer
	op.Stop()
	if _, err := wrong.Try("GET", issuer, nil); err == nil {
		t.Error("stopped, it still answers")
	}
	op.Start()
	if op.Issuer != issuer {
		t.Errorf("started again as %s, was %s", op.Issuer, issuer)
	}
	op.Rotate()
	wrong.Get(issuer + "/jwks")
	if n := op.Requests("/jwks"); n != 1 {
		t.Errorf("counted %d requests", n)
	}
}

func TestEvil(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "state-changed")
	back := idptest.NewLoginClient(t, "").ToCallback(authorize(evil.Issuer, "/authorize"))
	if !strings.Contains(back, "state=x") {
		t.Errorf("came back with %s", back)
	}
	if parts := strings.Split(evil.Sign("none", map[string]any{"alg": "none", "kid": nil}, map[string]any{"a": 1}), "."); len(parts) != 3 || parts[2] != "" {
		t.Errorf("an unsigned token of parts %q", parts)
	}
	evil.Rotate()
	for _, name := range evil.Scenarios() {
		evil.Scenario(name)
	}
}
