package gateway

import (
	"net/http"
	"net/url"
	"testing"
)

func TestPattern(t *testing.T) {
	tests := []struct {
		method, pattern string
		request         string
		want            bool
	}{
		{"", "/static/*", "GET /static/a/b.css", true},
		{"", "/static/*", "GET /static/", true},
		{"", "/static/*", "GET /static", false},
		{"", "/static/*", "GET /statics/x", false},
		{"", "/billing*", "GET /billing", true},
		{"", "/billing*", "GET /billing/cards", true},
		{"", "/billing*", "GET /BILLING2", true},
		{"", "/healthz", "GET /healthz", true},
		{"", "/healthz", "GET /healthz/", false},
		{"POST", "/bookings/*/complete", "POST /bookings/17/complete", true},
		{"POST", "/bookings/*/complete", "GET /bookings/17/complete", false},
		{"POST", "/bookings/*/complete", "POST /bookings/17/x/complete", false},
		{"POST", "/bookings/*/complete", "POST /bookings/17/complete/2", false},
		{"POST", "/b/x-*/complete", "POST /b/x-9/complete", true},
		{"", "/*", "GET /", true},
		{"", "/a*b*", "GET /axbyy/z", true},
		{"", "/a*b*", "GET /xb", false},
	}
	for _, tc := range tests {
		p, err := NewPattern(tc.method, tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		r := request(t, tc.request)
		if got := (patterns{p}).any(r.Method, cleanedKeep(r.URL.Path)); got != tc.want {
			t.Errorf("%s %s on %s: %v", tc.method, tc.pattern, tc.request, got)
		}
	}
	for _, bad := range []string{"", "static/*", "/[x"} {
		if _, err := NewPattern("", bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

// A path is written so that the gateway reads it one way and the app another: deny must still catch it, and public
// and safe must not.
func TestPatternAmbiguousPaths(t *testing.T) {
	deny, err := NewPattern("", "/account/password*")
	if err != nil {
		t.Fatal(err)
	}
	public, err := NewPattern("", "/static/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{
		"/account/password", "/Account/Password", "//account//password", "/x/../account/password", "/account/./password",
		"/account/%70assword", "/account/%2570assword", "/account%2fpassword", `/account\password`, "/account;v=1/password", "/static/../account/password",
		"/static/%2e%2e/account/password", "/static/..;/account/password", "/static%2f..%2faccount/password",
	} {
		r := request(t, "GET "+p)
		if !(patterns{deny}).forbids(r) {
			t.Errorf("%s is not denied", p)
		}
		if (patterns{public}).grants(r) {
			t.Errorf("%s is public", p)
		}
	}
	if !(patterns{public}).grants(request(t, "GET /static/app.css")) {
		t.Error("/static/app.css is not public")
	}
}

func TestOwnPath(t *testing.T) {
	tests := map[string]struct{ own, disguised bool }{
		"/.impersonate/":            {true, false},
		"/.impersonate":             {true, false},
		"/.impersonate/api/v1/me":   {true, false},
		"/.impersonate/../bookings": {false, true},
		"/.impersonate/%2e%2e/x":    {true, false}, // stays ours, whatever is inside
		"/.Impersonate/stop":        {false, true},
		"//.impersonate/stop":       {false, true},
		"/x/../.impersonate/stop":   {false, true},
		"/%2eimpersonate/stop":      {false, true},
		`/\.impersonate/stop`:       {false, true},
		"/.impersonated":            {false, false},
		"/bookings/1":               {false, false},
		"/bookings/a.css":           {false, false},
		"/docs/.impersonate/":       {false, false},
	}
	for p, want := range tests {
		own, disguised := ownPath(p)
		if own != want.own || disguised != want.disguised {
			t.Errorf("%s: own %v, disguised %v; want %v, %v", p, own, disguised, want.own, want.disguised)
		}
	}
}

func request(t *testing.T, s string) *http.Request {
	t.Helper()
	var method, target string
	for i := range s {
		if s[i] == ' ' {
			method, target = s[:i], s[i+1:]
			break
		}
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{Method: method, URL: u}
}

func cleanedKeep(p string) string {
	b := []byte(p)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}
