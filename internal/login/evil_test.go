package login

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// evilCases: what each scenario of the misbehaving provider must lead to. No reason: the login succeeds. The names of
// the OpenID Foundation's tests of relying parties stand behind those that are the same.
var evilCases = []struct {
	scenario string
	status   int
	reason   string
}{
	{"ok", 0, ""},

	{"iss-wrong", 502, "id_token_invalid"}, // InvalidIssuer
	{"iss-slash", 502, "id_token_invalid"},
	{"iss-missing", 502, "id_token_invalid"},
	{"aud-wrong", 502, "id_token_invalid"},   // InvalidAud
	{"aud-missing", 502, "id_token_invalid"}, // MissingAud
	{"aud-list-azp", 0, ""},
	{"aud-list-no-azp", 502, "id_token_invalid"},
	{"azp-other", 502, "id_token_invalid"},
	{"azp-other-single", 502, "id_token_invalid"},
	{"exp-past", 502, "id_token_expired"},
	{"exp-missing", 502, "id_token_expired"},
	{"iat-missing", 502, "id_token_invalid"}, // MissingIat
	{"iat-future", 502, "id_token_expired"},
	{"iat-old", 502, "id_token_expired"},
	{"iat-string", 502, "id_token_invalid"},
	{"nbf-future", 502, "id_token_invalid"},
	{"nonce-wrong", 502, "nonce_mismatch"}, // NonceInvalid
	{"nonce-missing", 502, "nonce_mismatch"},

	{"alg-none", 502, "id_token_invalid"}, // SigAlgNone
	{"alg-none-spelled", 502, "id_token_invalid"},
	{"alg-hs256-secret", 502, "id_token_invalid"},
	{"alg-hs256-public-key", 502, "id_token_invalid"},
	{"alg-not-promised", 502, "id_token_invalid"},
	{"key-stranger", 502, "id_token_invalid"},
	{"key-stranger-embedded", 502, "id_token_invalid"},
	{"key-stranger-jku", 502, "id_token_invalid"},
	{"kid-unknown", 502, "id_token_invalid"},
	{"kid-absent-single", 0, ""},   // KidAbsentSingle
	{"kid-absent-multiple", 0, ""}, // KidAbsentMultiple
	{"signature-cut", 502, "id_token_invalid"},
	{"payload-changed", 502, "id_token_invalid"},
	{"at-hash-wrong", 502, "id_token_invalid"},

	{"keys-down", 502, "id_token_invalid"},
	{"keys-endless", 502, "id_token_invalid"},
	{"keys-empty", 502, "id_token_invalid"},
	{"keys-not-json", 502, "id_token_invalid"},

	{"token-missing", 502, "id_token_missing"},
	{"token-number", 502, "id_token_missing"},
	{"token-garbage", 502, "id_token_invalid"},
	{"token-huge", 502, "id_token_invalid"},
	{"token-type", 0, ""}, // the access token is not needed
	{"token-no-access-token", 502, "token_endpoint"},
	{"token-endpoint-500", 502, "token_endpoint"},
	{"token-endpoint-html", 502, "token_endpoint"},
	{"token-endpoint-redirect", 502, "token_endpoint"},
	{"token-endpoint-endless", 502, "token_endpoint"},
	{"token-endpoint-silent", 503, "provider_unavailable"},
	{"token-endpoint-invalid-grant", 400, "code_refused"},

	{"state-changed", 400, "state_unknown"},
	{"state-missing", 400, "state_unknown"},
	{"state-twice", 400, "malformed"},
	{"code-missing", 400, "malformed"},
	{"code-twice", 400, "malformed"},
	{"code-huge", 400, "malformed"},
	{"mix-up", 400, "issuer_mismatch"},
	{"iss-parameter", 0, ""},
	{"iss-parameter-promised", 400, "issuer_mismatch"},
	{"error-denied", 403, "provider_error"},
	{"error-huge", 400, "provider_error"},
	{"error-and-code", 502, "provider_error"},

	{"sub-missing", 502, "subject_invalid"}, // MissingSub
	{"sub-empty", 502, "subject_invalid"},
	{"sub-number", 502, "id_token_invalid"},
	{"sub-long", 502, "subject_invalid"},
	{"sub-control", 502, "subject_invalid"},
	{"sub-other-spelling", 502, "subject_invalid"},
	{"username-missing", 403, "username_missing"},
	{"username-null", 403, "username_missing"},
	{"username-number", 403, "username_invalid"},
	{"username-empty", 403, "username_invalid"},
	{"username-spaces", 403, "username_invalid"},
	{"username-long", 403, "username_invalid"},
	{"username-newline", 403, "username_invalid"},
	{"username-nul", 403, "username_invalid"},
	{"username-bidi", 403, "username_invalid"},
	{"username-kelvin", 403, "username_invalid"},
	{"username-surrogate", 403, "username_invalid"},
	{"name-control", 403, "name_invalid"},
	{"name-long", 403, "name_invalid"},
	{"name-object", 403, "name_invalid"},
	{"email-long", 403, "email_invalid"},
	{"email-unverified", 0, ""}, // refused where it is the username: TestLoginByEmail
	{"groups-string", 0, ""},
	{"groups-missing-everywhere", 0, ""},
	{"groups-many", 403, "groups_invalid"},
	{"groups-long", 403, "groups_invalid"},
	{"groups-mixed", 403, "groups_invalid"},
	{"groups-object", 403, "groups_invalid"},
	{"groups-control", 403, "groups_invalid"},
	{"groups-elsewhere", 403, "groups_invalid"},
	{"claims-nested", 0, ""},

	{"userinfo-claims", 0, ""},
	{"userinfo-sub-other", 502, "userinfo"}, // InvalidSubInUserinfo
	{"userinfo-sub-missing", 502, "userinfo"},
	{"userinfo-500", 502, "userinfo"},
	{"userinfo-endless", 502, "userinfo"},
	{"userinfo-not-json", 502, "userinfo"},
	{"userinfo-redirect", 502, "userinfo"},
	{"userinfo-name-500", 0, ""},

	{"auth-time-missing", 0, ""},
	{"auth-time-zero", 0, ""},
	{"auth-time-old", 0, ""},
	{"auth-time-future", 0, ""},
	{"auth-time-string", 0, ""},
	{"auth-time-now", 0, ""},
	{"acr-mfa", 0, ""},

	{"discovery-other-issuer", 503, "provider_unavailable"}, // DiscoveryIssuerMismatch
	{"discovery-issuer-slash", 503, "provider_unavailable"},
	{"discovery-no-issuer", 503, "provider_unavailable"},
	{"discovery-no-token-endpoint", 503, "provider_unavailable"},
	{"discovery-no-keys", 503, "provider_unavailable"},
	{"discovery-bad-endpoint", 503, "provider_unavailable"},
	{"discovery-symmetric-only", 503, "provider_unavailable"},
	{"discovery-no-code-flow", 503, "provider_unavailable"},
	{"discovery-no-s256", 503, "provider_unavailable"},
	{"discovery-endless", 503, "provider_unavailable"},
	{"discovery-redirect", 503, "provider_unavailable"},
	{"discovery-html", 503, "provider_unavailable"},
	{"discovery-500", 503, "provider_unavailable"},
}

// impatient waits for a token only as long as it takes to see that none comes.
func impatient(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/token" {
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		r = r.WithContext(ctx)
	}
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
}

func TestLoginAtEvilProvider(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	var listed []string
	for _, c := range evilCases {
		listed = append(listed, c.scenario)
		t.Run(c.scenario, func(t *testing.T) {
			evil.Scenario(c.scenario)
			r := newRig(t, newSite(t, false), evil.Issuer, func(o *Options) {
				if strings.HasSuffix(c.scenario, "-silent") {
					o.HTTP.Transport = roundTrip(impatient)
				}
			})
			b := idptest.NewLoginClient(t, "alice")
			page := b.Login(r.loginURL("/work"))
			if c.reason == "" {
				if page.Body != "hello alice at /work" {
					t.Errorf("the login ended at %s: %d %s\nlog: %s", page.URL, page.Status, page.Body, r.log)
				}
				return
			}
			r.failedWith(page, b, c.status, c.reason)
			if left := pendingCookies(b, r.site.URL); len(left) > 0 && !slices.Contains([]string{"state-changed", "state-missing", "state-twice", "code-twice"}, c.scenario) {
				// Which attempt failed is not known without its state.
				t.Errorf("cookies %v are left of the attempt", left)
			}
			if len(page.Body) > 4096 {
				t.Errorf("a page of %d bytes", len(page.Body))
			}
		})
	}
	for _, name := range evil.Scenarios() {
		if !slices.Contains(listed, name) {
			t.Errorf("scenario %s is not in the table", name)
		}
	}
}

// The page for a claim that is missing tells how to configure another.
func TestLoginUsernameMissingPage(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "username-missing")
	r := newRig(t, newSite(t, false), evil.Issuer, func(o *Options) { o.Claims = map[string]string{"username": "login.name"} })
	b := idptest.NewLoginClient(t, "alice")
	page := b.Login(r.loginURL("/"))
	for _, want := range []string{"&#34;login.name&#34;", "claim username …", "oidc block"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("no %s in %s", want, page.Body)
		}
	}
	r.failedWith(page, b, http.StatusForbidden, "username_missing")
}

// Whoever can enter any address at the provider must not become its owner here.
func TestLoginByEmail(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	for scenario, reason := range map[string]string{"ok": "", "email-unverified": "username_invalid"} {
		t.Run(scenario, func(t *testing.T) {
			evil.Scenario(scenario)
			r := newRig(t, newSite(t, false), evil.Issuer, func(o *Options) { o.Claims = map[string]string{"username": "email"} })
			b := idptest.NewLoginClient(t, "alice@example.test")
			if reason == "" {
				r.login(b)
				return
			}
			r.failedWith(b.Login(r.loginURL("/")), b, http.StatusForbidden, reason)
		})
	}
}

func TestLoginClaimPaths(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "claims-nested")
	for path, want := range map[string][]string{
		"realm_access.roles":           {"nested"},
		"https://example.com/groups":   {"by-url"},
		"resource.access.my.app.roles": {"dotted"},
		"realm_access":                 nil, // an object: refused
		"preferred_username":           {"alice"},
		"not.there":                    {},
	} {
		t.Run(path, func(t *testing.T) {
			r := newRig(t, newSite(t, false), evil.Issuer, func(o *Options) {
				o.Claims = map[string]string{"groups": path, "mail": "email", "logged_in_at": "auth_time"}
			})
			b := idptest.NewLoginClient(t, "alice")
			page := b.Login(r.loginURL("/work"))
			if want == nil {
				r.failedWith(page, b, http.StatusForbidden, "groups_invalid")
				return
			}
			v, err := r.sessions.Get(t.Context(), cookie(b, r.site.URL, "impersonate"))
			if err != nil {
				t.Fatalf("%v: %s", err, page.Body)
			}
			if !slices.Equal(v.Claims.Groups, want) {
				t.Errorf("groups %q, want %q", v.Claims.Groups, want)
			}
			if v.Claims.Attributes["mail"] != "alice@example.test" || v.Claims.Attributes["logged_in_at"] == "" {
				t.Errorf("attributes %v", v.Claims.Attributes)
			}
		})
	}
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	for _, c := range []struct {
		name, scenario string
		ask            BeginOptions
		reason         string
	}{
		{"nothing asked, auth_time missing", "auth-time-missing", BeginOptions{}, ""},
		{"max_age met", "auth-time-now", BeginOptions{MaxAge: 5 * time.Minute}, ""},
		{"max_age, auth_time missing", "auth-time-missing", BeginOptions{MaxAge: 5 * time.Minute}, "not_fresh"},
		{"max_age, auth_time 0", "auth-time-zero", BeginOptions{MaxAge: 5 * time.Minute}, "not_fresh"},
		{"max_age, auth_time old", "auth-time-old", BeginOptions{MaxAge: 5 * time.Minute}, "not_fresh"},
		{"max_age, auth_time old but allowed", "auth-time-old", BeginOptions{MaxAge: 3 * time.Hour}, ""},
		{"max_age, auth_time in the future", "auth-time-future", BeginOptions{MaxAge: 5 * time.Minute}, "not_fresh"},
		{"max_age, auth_time no number", "auth-time-string", BeginOptions{MaxAge: 5 * time.Minute}, "not_fresh"},
		{"prompt=login met", "auth-time-now", BeginOptions{Prompt: "login"}, ""},
		{"prompt=login, auth_time old", "auth-time-old", BeginOptions{Prompt: "login"}, "not_fresh"},
		{"prompt=login, auth_time missing", "auth-time-missing", BeginOptions{Prompt: "login"}, "not_fresh"},
		{"acr met", "acr-mfa", BeginOptions{ACR: "urn:other urn:test:mfa"}, ""},
		{"acr missing", "ok", BeginOptions{ACR: "urn:test:mfa"}, "acr_not_met"},
		{"acr other", "acr-mfa", BeginOptions{ACR: "urn:test:mf"}, "acr_not_met"},
		{"acr and max_age met", "acr-mfa", BeginOptions{ACR: "urn:test:mfa", MaxAge: time.Minute, Prompt: "login"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			evil.Scenario(c.scenario)
			r := newRig(t, newSite(t, false), evil.Issuer, nil)
			c.ask.ReturnTo = "/work"
			r.site.handler.Load().HandleFunc("/step-up", func(w http.ResponseWriter, req *http.Request) { r.Begin(w, req, c.ask) })
			b := idptest.NewLoginClient(t, "alice")
			page := b.Login(r.site.URL + "/step-up")
			if c.reason == "" {
				if page.Body != "hello alice at /work" {
					t.Errorf("the login ended at %s: %d %s", page.URL, page.Status, page.Body)
				}
				return
			}
			r.failedWith(page, b, http.StatusForbidden, c.reason)
		})
	}
}

// The real provider asks for the password again, and says when it did.
func TestStepUpAtOP(t *testing.T) {
	t.Parallel()
	r, _ := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	r.login(b)
	r.site.handler.Load().HandleFunc("/step-up", func(w http.ResponseWriter, req *http.Request) {
		r.Begin(w, req, BeginOptions{ReturnTo: "/work", Prompt: "login", MaxAge: 1500 * time.Millisecond, ACR: "urn:test:mfa"})
	})
	if q := mustQuery(t, b.Get(r.site.URL+"/step-up").Location()); q.Get("prompt") != "login" || q.Get("max_age") != "2" || q.Get("acr_values") != "urn:test:mfa" {
		t.Errorf("asked for %v", q)
	}
	again := false
	page, _ := b.LoginUntil(r.site.URL+"/step-up", func(a string) bool {
		again = again || strings.Contains(a, "/interaction/")
		return false
	})
	if page.Body != "hello alice at /work" || !again {
		t.Fatalf("asked again: %v; ended at %s: %s", again, page.URL, page.Body)
	}
	v, err := r.sessions.Get(t.Context(), cookie(b, r.site.URL, "impersonate"))
	if err != nil || v.AuthTime.IsZero() || v.ACR != "urn:test:mfa" {
		t.Errorf("session %+v: %v", v, err)
	}
}
