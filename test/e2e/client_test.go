package e2e

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// person is somebody logged in at the gateway, with a plain HTTP client.
type person struct {
	t      *testing.T
	origin string
	client *http.Client
	cookie string // the gateway's
}

func insecureClient() *http.Client {
	return &http.Client{
		Timeout: 2 * time.Minute,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // Caddy's own CA, on loopback
			MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// logIn goes through the provider's login page.
func logIn(t *testing.T, origin, username string) *person {
	t.Helper()
	c := idptest.NewLoginClient(t, username)
	page := c.Login(origin + "/.impersonate/login?return_to=/.impersonate/")
	if page.Status != http.StatusOK || !strings.HasPrefix(page.URL.String(), origin) {
		t.Fatalf("logging in as %s ended at %s with %d:\n%.500s", username, page.URL, page.Status, page.Body)
	}
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, origin: origin, client: insecureClient()}
	for _, k := range c.Jar.Cookies(u) {
		if k.Name == "impersonate" || k.Name == "__Host-impersonate" {
			p.cookie = k.Name + "=" + k.Value
		}
	}
	if p.cookie == "" {
		t.Fatalf("logging in as %s set no session cookie", username)
	}
	return p
}

// do sends a request with the session; edit may change it. It returns the response with its body read.
func (p *person) do(method, path, body string, edit ...func(*http.Request)) (*http.Response, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.origin+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Cookie", p.cookie)
	if strings.HasPrefix(path, "/.impersonate/api/") && body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, e := range edit {
		e(req)
	}
	res, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	return res, read(p.t, res.Body)
}

// become starts an impersonation and returns its id.
func (p *person) become(target string) string {
	p.t.Helper()
	res, body := p.do(http.MethodPost, "/.impersonate/api/v1/impersonations", `{"target":"`+target+`","reason":"helping with a booking"}`)
	if res.StatusCode != http.StatusCreated {
		p.t.Fatalf("starting as %s: %d %s", target, res.StatusCode, body)
	}
	var got struct{ ID string }
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.ID == "" {
		p.t.Fatalf("starting as %s answered %s", target, body)
	}
	return got.ID
}

// back ends it.
func (p *person) back() {
	p.t.Helper()
	if res, body := p.do(http.MethodPost, "/.impersonate/stop", ""); res.StatusCode != http.StatusSeeOther {
		p.t.Fatalf("returning: %d %s", res.StatusCode, body)
	}
}

// navigation is how a browser asks for a page.
func navigation(r *http.Request) {
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
}
