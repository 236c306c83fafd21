package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// headers is an app that answers with the headers it was sent.
func headers(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(r.Header)
}

func (a *answer) headers() http.Header {
	a.t.Helper()
	h := http.Header{}
	if err := json.Unmarshal([]byte(a.body), &h); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return h
}

// TestIdentityOfARequest: what a client sends under the names of the identity never arrives, what the gateway sets is
// one person's.
func TestIdentityOfARequest(t *testing.T) {
	w := newWorld(t)
	w.serve(headers)
	b := w.login("admin")
	forged := []string{
		"remote_user", "kim", "Remote.User", "kim", "REMOTE-GROUPS", "admins", "X_Impersonated_By", "kim", "x-assertion", "x",
		"Connection", "Remote-User, X-Assertion", "Cookie", "impersonate=" + b.raw + "; impersonate-login-x=1; __Host-impersonate=2; app=3",
	}
	own := b.fetch("GET", "/", "", forged...).want(200).headers()
	if own.Get("Remote-User") != "admin" || own.Get("Remote-Groups") != "admins" || own.Get("X-Impersonated-By") != "" || own.Get("Cookie") != "app=3" {
		t.Errorf("own account: %v", own)
	}
	b.begin("sam")
	got := b.fetch("GET", "/", "", forged...).want(200).headers()
	if got.Get("Remote-User") != "sam" || got.Get("Remote-Name") != "Sam Reed" || got.Get("Remote-Groups") != "fieldworkers" || got.Get("X-Impersonated-By") != "admin" {
		t.Errorf("impersonated: %v", got)
	}
	for name := range got {
		if f := identity.Fold(name); (f == "remote-user" || f == "remote-groups" || f == "x-assertion") && name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s arrived", name)
		}
	}
	if strings.Contains(fmt.Sprint(got["Cookie"]), "impersonate") {
		t.Errorf("cookies %v", got["Cookie"])
	}
}

// TestAssertion: the app can check who it is by the gateway's keys: for itself, for a minute, with the actor in act.
func TestAssertion(t *testing.T) {
	w := newWorld(t)
	w.serve(headers)
	b := w.login("admin")
	var keys jose.JSONWebKeySet
	w.must(json.Unmarshal([]byte(b.get("/.impersonate/jwks.json").want(200).body), &keys))
	check := func() (*identity.Claims, string) {
		t.Helper()
		raw := b.fetch("GET", "/", "").want(200).headers().Get("X-Assertion")
		tok, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
		w.must(err)
		known := keys.Key(tok.Headers[0].KeyID)
		if len(known) != 1 {
			t.Fatalf("kid %q is not in the key set", tok.Headers[0].KeyID)
		}
		var c identity.Claims
		w.must(tok.Claims(known[0].Key, &c))
		w.must(c.ValidateWithLeeway(jwt.Expected{AnyAudience: jwt.Audience{b.server.URL}, Issuer: b.server.URL, Time: w.clock.Now()}, 0))
		if life := c.Expiry.Time().Sub(w.clock.Now()); life > time.Minute || life < 30*time.Second {
			t.Errorf("good for %v", life)
		}
		return &c, raw
	}
	own, _ := check()
	if own.Subject != "admin" || own.Act != nil {
		t.Errorf("own account: %+v", own)
	}
	b.begin("sam")
	c, first := check()
	if c.Subject != "sam" || c.Act == nil || c.Act.Subject != "admin" || c.ImpersonationID != b.live().ID {
		t.Errorf("impersonated: %+v", c)
	}
	w.clock.Advance(50 * time.Second)
	if _, second := check(); second == first {
		t.Error("the same after 50 s")
	}
	b.stop()
	if c, _ := check(); c.Subject != "admin" || c.Act != nil || c.ImpersonationID != "" {
		t.Errorf("after the end: %+v", c)
	}
}

// TestAnswerHeaders: the target's data stays out of caches, those of the account left behind are cleared, and the app
// can tie a request to its record.
func TestAnswerHeaders(t *testing.T) {
	w := newWorld(t, func(w *world) { w.options.Actions = []gateway.Action{{Name: "Did it", Method: "POST", Path: "/do/*"}} })
	b := w.login("admin")
	var id string
	w.serve(func(rw http.ResponseWriter, r *http.Request) error {
		id = r.Header.Get("X-Request-Id")
		rw.Header().Set("Cache-Control", "public, max-age=60")
		rw.Header().Set("Expires", "Thu, 01 Dec 2094 16:00:00 GMT")
		if r.URL.Path == "/logo" {
			rw.Header().Set("Content-Type", "image/png")
			_, err := rw.Write([]byte("\x89PNG"))
			return err
		}
		return page(rw, r)
	})
	if got := b.get("/").Header.Get("Cache-Control"); got != "public, max-age=60" {
		t.Errorf("own account: Cache-Control %q", got)
	}
	a := b.post("/.impersonate/start", map[string][]string{"target": {"sam"}}).want(http.StatusSeeOther)
	if got := a.Header.Get("Clear-Site-Data"); got != `"cache"` {
		t.Errorf("start: Clear-Site-Data %q", got)
	}
	for _, a := range []*answer{b.get("/"), b.fetch("GET", "/data", "")} {
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Expires") != "" {
			t.Errorf("%s: %v", a.Request.URL.Path, a.Header)
		}
	}
	if got := b.do("GET", "/logo", "", "Sec-Fetch-Dest", "image").Header.Get("Cache-Control"); got != "public, max-age=60" {
		t.Errorf("an image: Cache-Control %q", got)
	}
	b.fetch("POST", "/do/1", "abc")
	if rows := w.rows(4); rows[3].RequestID != id || id == "" || rows[3].Action != "Did it" || rows[3].Got != 3 || rows[3].Actor != "admin" || rows[3].Target != "sam" {
		t.Errorf("%+v, X-Request-Id %q", rows[3], id)
	}
	b.fetch("GET", "/", "", "X-Request-Id", "mine")
	if id != "mine" {
		t.Errorf("the client's X-Request-Id became %q", id)
	}
	if got := b.stop().Header.Get("Clear-Site-Data"); got != `"cache"` {
		t.Errorf("stop: Clear-Site-Data %q", got)
	}
	b.begin("sam")
	w.clock.Advance(31 * time.Minute)
	if got := b.get("/").Header.Get("Clear-Site-Data"); got != `"cache"` {
		t.Errorf("after expiry: Clear-Site-Data %q", got)
	}
}

// TestAnswersWithoutABody pass as they are, and so do informational ones.
func TestAnswersWithoutABody(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	for _, status := range []int{http.StatusNoContent, http.StatusNotModified, http.StatusFound} {
		w.serve(func(rw http.ResponseWriter, _ *http.Request) error {
			rw.Header().Set("Content-Type", "text/html")
			rw.Header().Set("Location", "/next")
			rw.WriteHeader(status)
			return nil
		})
		if a := b.get("/"); a.StatusCode != status || a.body != "" {
			t.Errorf("%d became %d %q", status, a.StatusCode, a.body)
		}
	}
	w.serve(page)
	if a := b.do("HEAD", "/", "", navigation...).want(200); a.body != "" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("HEAD: %v %q", a.Header, a.body)
	}
	w.serve(func(http.ResponseWriter, *http.Request) error { return nil })
	b.get("/").want(200)
	w.proxy(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Link", "</a.css>; rel=preload")
		rw.Header().Set("Set-Cookie", "sid=early; HttpOnly")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.Header().Del("Set-Cookie")
		_ = page(rw, r)
	})
	var hints []textproto.MIMEHeader
	r := b.request("GET", "/", "", navigation...)
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error { hints = append(hints, h); return nil }}))
	res, err := b.c.Do(r)
	w.must(err)
	b.read(res).want(200, bannerMark)
	if len(hints) != 1 || hints[0].Get("Link") == "" || hints[0].Get("Set-Cookie") != "" {
		t.Errorf("hints %v", hints)
	}
	for _, r := range w.rows(6) {
		if r.Outcome != "completed" || r.Status == 0 {
			t.Errorf("recorded as %+v", r)
		}
	}
}

// TestContentLength: a length the app announced fits what is sent, whatever was done to the page.
func TestContentLength(t *testing.T) {
	const html = "<!doctype html><html><head></head><body>hello</body></html>"
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	w.serve(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Content-Length", fmt.Sprint(len(html)))
		_, err := io.WriteString(rw, html)
		return err
	})
	if a := b.get("/").want(200, bannerMark, "hello"); a.ContentLength != int64(len(a.body)) || a.err != nil {
		t.Errorf("length %d of %d, %v", a.ContentLength, len(a.body), a.err)
	}
	w.serve(func(rw http.ResponseWriter, _ *http.Request) error { // answered by the gateway in its place
		rw.Header().Set("Content-Type", "text/html; charset=utf-7")
		rw.Header().Set("Content-Length", fmt.Sprint(len(html)))
		_, err := io.WriteString(rw, html)
		return err
	})
	b.get("/").want(http.StatusBadGateway).without("hello")
}

// TestFailures: panics and errors of the app's handler are answered, passed on and recorded as what they are.
func TestFailures(t *testing.T) {
	tests := []struct {
		name    string
		app     appFunc
		status  int // 0: cut off
		outcome string
		record  int
	}{
		{"error", func(http.ResponseWriter, *http.Request) error { return statusError(http.StatusBadGateway) }, 502, "failed", 502},
		{"not found", func(http.ResponseWriter, *http.Request) error { return statusError(http.StatusNotFound) }, 404, "failed", 404},
		{"any error", func(http.ResponseWriter, *http.Request) error { return errors.New("boom") }, 500, "failed", 500},
		{"abort at once", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, 0, "failed", 0},
		{"abort in a page", func(rw http.ResponseWriter, r *http.Request) error {
			_ = page(rw, r)
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		}, 0, "failed", 200},
		{"panic", func(http.ResponseWriter, *http.Request) error { panic("oops") }, 0, "failed", 0},
	}
	for _, tt := range tests {
		for _, impersonating := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s impersonating=%v", tt.name, impersonating), func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.all = !impersonating })
				w.serve(tt.app)
				b := w.login("admin")
				if impersonating {
					b.begin("sam")
				}
				res, err := b.c.Do(b.request("POST", "/", "x", "Accept", "text/html", "Sec-Fetch-Dest", "document"))
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				switch {
				case tt.status == 0 && err == nil:
					t.Errorf("the browser took it for whole: %d", res.StatusCode)
				case tt.status != 0 && (err != nil || res.StatusCode != tt.status):
					t.Errorf("%v, %+v", err, res)
				}
				if r := w.rows(1)[0]; r.Outcome != tt.outcome || r.Status != tt.record {
					t.Errorf("recorded as %+v", r)
				}
			})
		}
	}
}

// TestBrowserGoesAway is recorded as aborted.
func TestBrowserGoesAway(t *testing.T) {
	w := newWorld(t)
	w.serve(func(rw http.ResponseWriter, r *http.Request) error {
		_, _ = io.WriteString(rw, "x")
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	b := w.login("admin").begin("sam")
	res, err := b.c.Do(b.request("GET", "/", "", "Sec-Fetch-Dest", "empty"))
	w.must(err)
	_ = res.Body.Close()
	if r := w.rows(1)[0]; r.Outcome != "aborted" {
		t.Errorf("recorded as %+v", r)
	}
}

// TestStreaming: while impersonating a page passes piece by piece, as the app flushes it.
func TestStreaming(t *testing.T) {
	pieces := []string{"<!doctype html><html><head><title>x</title></head>", "<body>", "<p>first</p>", "<p>second</p>", "</body></html>"}
	for _, kind := range []string{"text/html", "text/plain", "text/event-stream"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			next := make(chan struct{})
			w.proxy(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", kind)
				for _, p := range pieces {
					_, _ = io.WriteString(rw, p)
					_ = http.NewResponseController(rw).Flush()
					select {
					case <-next:
					case <-r.Context().Done():
						return
					}
				}
			})
			b := w.login("admin").begin("sam")
			res, err := b.c.Do(b.request("GET", "/", "", navigation...))
			w.must(err)
			defer func() { _ = res.Body.Close() }()
			var got strings.Builder
			buf := make([]byte, 64<<10)
			for _, p := range pieces {
				for !strings.Contains(got.String(), p) { // hangs if it does not pass
					n, err := res.Body.Read(buf)
					got.Write(buf[:n])
					if err != nil {
						t.Fatalf("%v after %s", err, got.String())
					}
				}
				next <- struct{}{}
			}
			if strings.Contains(got.String(), bannerMark) != (kind == "text/html") {
				t.Errorf("%s", got.String())
			}
		})
	}
}

// TestRequestsAll: where the operator wants it, requests of people's own accounts are recorded too, and wait for
// nothing.
func TestRequestsAll(t *testing.T) {
	w := newWorld(t, func(w *world) { w.all = true })
	b := w.login("admin")
	release := w.fs.Block("sync")
	a := b.asActor("admin")
	b.fetch("POST", "/x", "abc").want(200)
	release()
	b.begin("sam")
	b.asTarget("sam")
	rows := w.rows(3)
	if r := rows[0]; r.Actor != "admin" || r.Target != "" || r.Outcome != "completed" || r.Status != 200 || r.Sent != int64(len(a.body)) {
		t.Errorf("recorded as %+v; %d bytes", r, len(a.body))
	}
	if r := rows[1]; r.Got != 3 || r.Method != "POST" {
		t.Errorf("recorded as %+v", r)
	}
	if rows[2].Target != "sam" {
		t.Errorf("recorded as %+v", rows[2])
	}
}

// TestHTTP2: over HTTP/2 what is under way is cut too, and an end that comes as a request finishes harms nothing.
func TestHTTP2(t *testing.T) {
	w := newWorld(t)
	ts := httptest.NewUnstartedServer(w.server.Config.Handler)
	ts.EnableHTTP2 = true
	ts.StartTLS()
	t.Cleanup(ts.Close)
	b := w.login("admin").begin("sam")
	do := func(path string) (*http.Response, error) {
		r := b.request("GET", path, "", append([]string{"Cookie", "impersonate=" + b.raw}, navigation...)...)
		r.URL.Scheme, r.URL.Host = "https", ts.Listener.Addr().String()
		return ts.Client().Do(r)
	}
	done := make(chan error, 1)
	h := connections(&w.begun, done)
	w.serve(func(rw http.ResponseWriter, r *http.Request) error { h(rw, r); return nil })
	res, err := do("/sse")
	w.must(err)
	if res.ProtoMajor != 2 {
		t.Fatalf("HTTP/%d", res.ProtoMajor)
	}
	live := b.live()
	w.clock.Advance(31 * time.Minute)
	<-live.Context().Done()
	at := time.Now()
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("the browser took it for whole")
	}
	_ = res.Body.Close()
	<-done
	// How quick it is TestInvariant9EndingEnds tells, of many.
	if took := time.Since(at); took > 20*time.Second {
		t.Errorf("cut after %v", took)
	}
	for range 50 {
		b.begin("sam")
		id := b.live().ID
		ended := make(chan error, 1)
		go func() { ended <- w.node.Impersonations.End(t.Context(), id, "stopped", "admin") }()
		if res, err := do("/"); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		w.must(<-ended)
		res, err := do("/")
		w.must(err)
		b.read(res).want(200, "user=admin")
	}
}
