package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// TestReadOnly: in read_only nothing that writes reaches the app, however it is dressed up.
func TestReadOnly(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.options.Safe = []gateway.MethodPath{{Method: "POST", Path: "/search*"}}
	})
	b := w.login("admin").begin("sam", "mode", policy.ModeReadOnly)
	form := "application/x-www-form-urlencoded"
	tests := []struct {
		method, path, body string
		headers            []string
		ok                 bool
	}{
		{"GET", "/", "", nil, true},
		{"HEAD", "/", "", nil, true},
		{"OPTIONS", "/", "", nil, true},
		{"GET", "/?method=list", "", nil, true},
		{"POST", "/search", "q=x", []string{"Content-Type", form}, true},
		{"POST", "/search", `{"q":1}`, []string{"Content-Type", "application/json"}, true},
		{"POST", "/", "", nil, false},
		{"PUT", "/search", "", nil, false},
		{"DELETE", "/", "", nil, false},
		{"PROPPATCH", "/", "", nil, false},
		{"get", "/", "", nil, false},
		{"GET", "/", "", []string{"X-HTTP-Method-Override", "DELETE"}, false},
		{"GET", "/", "", []string{"x_http_method_override", "DELETE"}, false},
		{"GET", "/", "", []string{"X-Method-Override", "PUT"}, false},
		{"GET", "/", "", []string{"X-HTTP-Method", "MERGE"}, false},
		{"GET", "/?_method=DELETE", "", nil, false},
		{"GET", "/?_%6dethod=put", "", nil, false},
		{"GET", "/?a=%zz&_method=put", "", nil, false},
		{"POST", "/search?_method=delete", "q=x", []string{"Content-Type", form}, false},
		{"POST", "/search", "q=x&_method=delete", []string{"Content-Type", form}, false},
		{"POST", "/search", "a=" + strings.Repeat("x", 70_000) + "&_method=delete", []string{"Content-Type", form}, false},
		{"POST", "/search", "--x", []string{"Content-Type", "multipart/form-data; boundary=x"}, false},
		{"POST", "/search/../pay", "", nil, false},
		{"POST", "/search%2f..%2fpay", "", nil, false},
		{"POST", "/search//x", "", nil, false},
		{"POST", "/search", "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nhello\r\n--x--\r\n", []string{"Content-Type", "multipart/form-data; boundary=x"}, true},
		{"POST", "/search", "--x\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nPUT\r\n--x--\r\n", []string{"Content-Type", "multipart/form-data; boundary=x"}, false},
		{"POST", "/search", "_method=delete", nil, false},
		{"POST", "/search", `{"q":1,"_method":"DELETE"}`, []string{"Content-Type", "application/json"}, false},
		{"POST", "/search", "q=x", []string{"Content-Type", form, "X-Original-URL", "/pay"}, false},
		{"POST", "/search", "q=x", []string{"Content-Type", form, "x_rewrite_url", "/pay"}, false},
		{"GET", "/", "q=x", []string{"Content-Type", form}, true},
		{"GET", "/", "_method=put", []string{"Content-Type", form}, false},
		{"GET", "/?a=%zz&b=1;c=2", "", nil, true},
		{"GET", "/?a=1;_method=put", "", nil, false},
		{"GET", "/?.method=put", "", nil, false},
		{"GET", "/?X-HTTP-Method-Override=put", "", nil, false},
		{"GET", "/?_methodology=agile&payment_method=card", "", nil, true},
		{"GET", "/", "", []string{"Upgrade", "websocket", "Connection", "Upgrade"}, true}, // the way up is closed
		{"GET", "/", "x", []string{"Upgrade", "websocket", "Connection", "Upgrade"}, false},
		{"POST", "/", "", []string{"Upgrade", "websocket", "Connection", "Upgrade"}, false},
		{"GET", "/", "", []string{"Upgrade", "h2c", "Connection", "Upgrade"}, false},
		{"GET", "/", "", []string{"Upgrade", "websocket, tcp", "Connection", "Upgrade"}, false},
		{"GET", "/?_method=put", "", []string{"Upgrade", "websocket", "Connection", "Upgrade"}, false},
		{"SPLICE", "/", "", nil, false},
	}
	for _, tt := range tests {
		served := w.served.Load()
		a := b.fetch(tt.method, tt.path, tt.body, tt.headers...)
		what := fmt.Sprintf("%s %s %.40s %v", tt.method, tt.path, tt.body, tt.headers)
		if reached := w.served.Load() != served; reached != tt.ok {
			t.Errorf("%s: reached the app: %v", what, reached)
		}
		if !tt.ok && (a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "read_only")) {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
	}
	b.fetch("POST", "/search", "q=hello", "Content-Type", form)
	w.serve(func(rw http.ResponseWriter, r *http.Request) error {
		_, err := fmt.Fprintf(rw, "q=%s of %d", r.PostFormValue("q"), r.ContentLength)
		return err
	})
	b.fetch("POST", "/search", "q=hello", "Content-Type", form).want(200, "q=hello of 7")
}

// TestDeny: a denied path is, in every way an app may read it; one's own account may use it.
func TestDeny(t *testing.T) {
	w := newWorld(t, func(w *world) { w.options.Deny = []string{"/account/password*", "/billing*"} })
	b, own := w.login("admin").begin("sam"), w.login("boss")
	for _, path := range []string{
		"/account/password", "/account/password/new", "/ACCOUNT/Password", "/account//password", "/account/./password", "/x/../account/password",
		"/account%2fpassword", "/account/%70assword", "/account/%2570assword", "/account;v=1/password", "/account\\password", "/billing", "/billing/1", "//billing",
	} {
		served := w.served.Load()
		a := b.raw10("GET", path)
		if a.StatusCode != http.StatusForbidden || w.served.Load() != served {
			t.Errorf("%s: status %d, the app saw %d requests", path, a.StatusCode, w.served.Load()-served)
		}
		if a := own.raw10("GET", path); a.StatusCode != http.StatusOK {
			t.Errorf("%s: one's own account: %d", path, a.StatusCode)
		}
	}
	b.get("/account").want(200)
	if r := w.rows(15)[0]; r.Outcome != "refused" || r.Refusal != "denied_path" || r.Status != http.StatusForbidden {
		t.Errorf("recorded as %+v", r)
	}
}

// raw10 sends a path as it is written.
func (b *browser) raw10(method, path string) *answer {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.url().Host)
	b.must(err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAccept: application/json\r\nCookie: impersonate=%s\r\n\r\n", method, path, b.url().Host, b.raw)
	b.must(err)
	r := b.request(method, "/", "")
	r.URL = &url.URL{Path: path}
	res, err := http.ReadResponse(bufio.NewReader(conn), r)
	b.must(err)
	return b.read(res)
}

// TestOwnPathsAreNeverProxied: nothing the app could take for one of the gateway's pages reaches it.
func TestOwnPathsAreNeverProxied(t *testing.T) {
	w := newWorld(t, func(w *world) { w.options.Public = []string{"/*"} })
	b := w.login("admin")
	for _, path := range []string{
		"/.impersonate", "/.impersonate/", "/.impersonate/nothing", "/.impersonate/api/v1/me", "/.impersonate/assets/nothing", "/.Impersonate/", "/.IMPERSONATE/stop",
		"//.impersonate/", "/./.impersonate/", "/x/../.impersonate/stop", "/%2eimpersonate/", "/%2Eimpersonate/stop", "/%252eimpersonate/", "/.%69mpersonate/",
		"/.impersonate%2fstop", "/.impersonate;x=1/stop", "/;x/.impersonate/", "/\\.impersonate/", "/.impersonate\\stop", "/.impersonate/../.impersonate/stop",
		"/.impersonate//stop", "/.impersonate/x/../../app", "/.impersonate/scim/v2/Users",
	} {
		for _, method := range []string{"GET", "POST", "PROPFIND"} {
			for _, who := range []*browser{b, w.anonymous()} {
				if who.raw10(method, path); w.served.Load() != 0 {
					t.Fatalf("%s %s reached the app", method, path)
				}
			}
		}
	}
	b.raw10("GET", "/.impersonated").want(200)
	b.raw10("GET", "/x/.impersonate/").want(200)
}

// TestPublic: public paths need no login, and carry no identity; other paths do.
func TestPublic(t *testing.T) {
	w := newWorld(t, func(w *world) { w.options.Public = []string{"/healthz", "/static/*"} })
	x := w.anonymous()
	forged := []string{"Remote-User", "boss", "X-Impersonated-By", "boss", "X-Assertion", "x"}
	x.do("GET", "/static/a.css", "", forged...).want(200, "user= by= ")
	x.do("GET", "/healthz", "").want(200, "user= ")
	for _, path := range []string{"/", "/healthz/x", "/static/../secret", "/static/..%2fsecret", "/static//x", "/static/%2e%2e/secret", "/static\\..\\secret", "/static/;/x"} {
		served := w.served.Load()
		if a := x.raw10("GET", path); a.StatusCode != http.StatusUnauthorized || w.served.Load() != served {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	a := x.get("/deep/link?a=b").want(http.StatusFound)
	if got := a.Header.Get("Location"); got != "/.impersonate/login?return_to=%2Fdeep%2Flink%3Fa%3Db" {
		t.Errorf("sent to %s", got)
	}
	x.fetch("POST", "/x", "").want(http.StatusUnauthorized, "login-required")
	// With a session, a public path is a path like any other.
	w.login("admin").begin("sam").get("/static/page").want(200, "user=sam by=admin", bannerMark)
}

// TestStateDownIsNotLoggedOut: while sessions can't be read nobody is sent to log in, and nothing reaches the app.
func TestStateDownIsNotLoggedOut(t *testing.T) {
	w := newWorld(t)
	b, cached := w.login("admin"), w.login("boss")
	w.restart()
	cached.asActor("boss")
	w.must(w.store.Close())
	served := w.served.Load()
	for _, path := range []string{"/", "/.impersonate/", "/.impersonate/confirm?target=sam", "/.impersonate/ended"} {
		b.get(path).want(http.StatusServiceUnavailable, "state-unavailable")
	}
	for _, path := range []string{"/x", "/.impersonate/api/v1/me", "/.impersonate/api/v1/users"} {
		b.fetch("GET", path, "").want(http.StatusServiceUnavailable, "state-unavailable")
	}
	b.post("/.impersonate/stop", nil).want(http.StatusServiceUnavailable, "Return to my account")
	if w.served.Load() != served {
		t.Error("the app was asked")
	}
	b.get("/.impersonate/assets/portal.css").want(200)
	b.get("/.impersonate/healthz").want(200)
	b.get("/.impersonate/readyz").want(http.StatusServiceUnavailable)
	cached.asActor("boss")
}
