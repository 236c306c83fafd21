package login

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// The provider is down when the gateway starts. Whoever wants to log in is told so, and can as soon as it is back,
// without anybody doing anything.
func TestProviderDownThenUp(t *testing.T) {
	t.Parallel()
	r, op := withOP(t, nil)
	op.Stop()
	b := idptest.NewLoginClient(t, "alice")
	page := b.Get(r.loginURL("/work"))
	if !strings.Contains(page.Body, "The identity provider can&#39;t be reached") || !strings.Contains(page.Body, "retried automatically") {
		t.Errorf("page %s", page.Body)
	}
	if page.Header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After %q", page.Header.Get("Retry-After"))
	}
	r.failedWith(page, b, http.StatusServiceUnavailable, "provider_unavailable")
	if r.Ready() == nil {
		t.Error("says it is ready")
	}

	op.Start()
	r.clock.Advance(firstRetry)
	r.login(b)
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
}

// The same without a visitor: Run tries again, waiting longer each time.
func TestRunRetries(t *testing.T) {
	t.Parallel()
	site := newSite(t, false)
	op := idptest.StartOP(t, idptest.Config{Clients: []idptest.Client{site.client(clientSecret)}, Users: users})
	op.Stop()
	watched := &watchedClock{Manual: clock.NewManual(time.Now()), waits: make(chan time.Duration, 100)}
	r := newRig(t, site, op.Issuer, func(o *Options) { o.Clock = watched })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()

	for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		want *= time.Second
		wait := <-watched.waits
		if wait > want || wait < want*4/5 {
			t.Errorf("wait %d is %v, want %v or a little less", i, wait, want)
		}
		if i == 6 {
			op.Start()
		}
		watched.Advance(wait)
	}
	if wait := <-watched.waits; wait < refreshEvery*4/5 {
		t.Errorf("found, it waits %v", wait)
	}
	if err := r.Ready(); err != nil {
		t.Error(err)
	}

	// Later outages don't undo what is known.
	op.Stop()
	watched.Advance(refreshEvery)
	<-watched.waits
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	cancel()
	<-ended
}

type watchedClock struct {
	*clock.Manual
	waits chan time.Duration
}

func (c *watchedClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	timer := c.Manual.AfterFunc(d, f)
	c.waits <- d
	return timer
}

// Visitors during an outage do not make the gateway hammer the provider.
func TestVisitorsDoNotHammer(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tries := 0
	r := newRig(t, newSite(t, false), "http://127.0.0.1:1", func(o *Options) {
		o.HTTP = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			tries++
			return nil, fmt.Errorf("refused")
		})}
	})
	b := idptest.NewLoginClient(t, "")
	for range 20 {
		b.Get(r.loginURL("/"))
	}
	if tries != 1 {
		t.Errorf("%d tries", tries)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// SigningKeyRotation
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	r, op := withOP(t, nil)
	b := idptest.NewLoginClient(t, "alice")
	for range 3 {
		r.login(b)
		r.login(b)
		op.Rotate()
	}
	if n := op.Requests("/jwks"); n != 3 {
		t.Errorf("the keys were asked for %d times, want once for each", n)
	}
}

// SigningKeyRotationJustBeforeSigning: the key changes while the person is at the provider.
func TestKeyRotationDuringLogin(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b := idptest.NewLoginClient(t, "alice")
	r.login(b)
	callback := b.ToCallback(r.loginURL("/work"))
	evil.Rotate()
	if page := b.Login(callback); page.Body != "hello alice at /work" {
		t.Errorf("ended at %s: %s", page.URL, page.Body)
	}
}

// Anybody can send tokens that name unknown keys. They must not make the gateway ask for the keys each time, nor keep
// people from logging in after a rotation meanwhile.
func TestUnknownKeysDoNotHammer(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "ok")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	b := idptest.NewLoginClient(t, "alice")
	r.login(b)
	before := evil.Requests("/jwks")
	token := evil.Sign("stranger", map[string]any{"kid": "nobody"}, logoutClaims(evil.Issuer, r.clock.Now()))
	for range 10 * keyBurst {
		if page := postLogoutToken(b, r.site.URL, token); page.Status != http.StatusBadRequest {
			t.Fatalf("status %d", page.Status)
		}
	}
	if n := evil.Requests("/jwks") - before; n != keyBurst {
		t.Errorf("the keys were asked for %d times, want %d", n, keyBurst)
	}
	evil.Rotate()
	r.login(b)
	r.clock.Advance(keyEvery)
	postLogoutToken(b, r.site.URL, token)
	postLogoutToken(b, r.site.URL, token)
	if n := evil.Requests("/jwks") - before; n != keyBurst+2 {
		t.Errorf("the keys were asked for %d times, want %d", n, keyBurst+2)
	}
}

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value  string
		secure bool
		ok     bool
	}{
		{"https://idp.test/token", true, true},
		{"https://idp.test/token?tenant=1", true, true},
		{"http://127.0.0.1:1/token", false, true},
		{"https://idp.test/token", false, true},
		{"http://idp.test/token", true, false},
		{"", true, false},
		{"/token", true, false},
		{"//idp.test/token", true, false},
		{"javascript:alert(1)", false, false},
		{"https://user:pass@idp.test/token", true, false},
		{"https://idp.test/token#x", true, false},
		{"https:///token", true, false},
		{"file:///etc/passwd", false, false},
		{"https://idp.test/\x00", true, false},
	} {
		if err := checkEndpoint(c.value, c.secure); (err == nil) != c.ok {
			t.Errorf("%q, secure %v: %v", c.value, c.secure, err)
		}
	}
}

func TestAuthStyle(t *testing.T) {
	t.Parallel()
	const plain, odd = "plain-secret_1.2~3", "s+/=&"
	const basic, post = "client_secret_basic", "client_secret_post"
	for _, c := range []struct {
		name, secret string
		methods      []string
		want         oauth2.AuthStyle
	}{
		{"not said", odd, nil, oauth2.AuthStyleInHeader},
		{"basic", odd, []string{basic}, oauth2.AuthStyleInHeader},
		{"post", plain, []string{post}, oauth2.AuthStyleInParams},
		{"both", plain, []string{post, basic}, oauth2.AuthStyleInHeader},
		{"both, encoding changes the secret", odd, []string{basic, post}, oauth2.AuthStyleInParams},
		{"neither", plain, []string{"private_key_jwt"}, oauth2.AuthStyleInHeader},
		{"public client", "", []string{basic}, oauth2.AuthStyleInParams},
	} {
		if got := authStyle(c.secret, c.methods); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"no client id":    func(o *Options) { o.ClientID = "" },
		"short key":       func(o *Options) { o.SealKey = make([]byte, 31) },
		"no sessions":     func(o *Options) { o.Sessions = nil },
		"no issuer":       func(o *Options) { o.Issuer = "" },
		"issuer query":    func(o *Options) { o.Issuer += "?a" },
		"issuer no URL":   func(o *Options) { o.Issuer = "idp.test" },
		"issuer password": func(o *Options) { o.Issuer = "https://a:b@idp.test" },
	} {
		r := newRig(t, newSite(t, false), "https://idp.test", nil)
		o := r.o
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Unix(0, 0))
	b := newBucket(c, 3, time.Second)
	take := func(want int) {
		t.Helper()
		got := 0
		for b.take() {
			got++
		}
		if got != want {
			t.Errorf("took %d, want %d", got, want)
		}
	}
	take(3)
	take(0)
	c.Advance(time.Second)
	take(1)
	c.Advance(time.Hour)
	take(3)
	c.Advance(-time.Hour) // a clock set back must not lock anybody out for longer than that
	c.Advance(time.Hour + 3*time.Second)
	take(3)
}

func TestBoundedBody(t *testing.T) {
	t.Parallel()
	evil := idptest.StartEvil(t, "discovery-endless")
	r := newRig(t, newSite(t, false), evil.Issuer, nil)
	idptest.NewLoginClient(t, "").Get(r.loginURL("/"))
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "larger than 512 KiB") {
		t.Errorf("got %v", err)
	}
}
