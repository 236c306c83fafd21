package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// believer is an app that answers the first trusted header with a session cookie of its own, and believes that from
// then on. Its cookie is one that scripts may read, or not.
func believer(httpOnly bool) appFunc {
	var mu sync.Mutex
	users := map[string]string{}
	return func(w http.ResponseWriter, r *http.Request) error {
		mu.Lock()
		defer mu.Unlock()
		user := ""
		if c, err := r.Cookie("sid"); err == nil {
			user = users[c.Value]
		}
		if user == "" {
			user = r.Header.Get("Remote-User")
			id := fmt.Sprintf("sid-%d", len(users))
			users[id] = user
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: id, Path: "/", HttpOnly: httpOnly})
		}
		w.Header().Set("Content-Type", "text/html")
		_, err := fmt.Fprintf(w, "<!doctype html><html><body>user=%s by= cookies=[%s]</body></html>", user, r.Header.Get("Cookie"))
		return err
	}
}

// TestAppCookies: an app that believes its own cookie over the header shows the target while impersonating, and the
// actor after, however it ends.
func TestAppCookies(t *testing.T) {
	ends := map[string]func(w *world, b *browser){
		"stop":   func(_ *world, b *browser) { b.stop() },
		"expiry": func(w *world, _ *browser) { w.clock.Advance(31 * time.Minute) },
		"expiry during a restart": func(w *world, _ *browser) {
			w.close()
			w.clock.Advance(31 * time.Minute)
			w.open()
		},
		"restart and stop": func(w *world, b *browser) {
			w.restart()
			b.asTarget("sam")
			b.stop()
		},
		"reload and stop": func(w *world, b *browser) {
			w.configure()
			b.asTarget("sam")
			b.stop()
		},
		"deactivation": func(w *world, _ *browser) { w.users(crew[0], crew[1], crew[3]) },
	}
	for name, end := range ends {
		for _, httpOnly := range []bool{true, false} {
			for _, before := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s httponly=%v before=%v", name, httpOnly, before), func(t *testing.T) {
					w := newWorld(t)
					w.serve(believer(httpOnly))
					b := w.login("admin")
					actors := ""
					if before { // the actor has the app's cookie already
						b.asActor("admin")
						actors = b.cookies("/")["sid"]
					}
					b.begin("sam")
					b.asTarget("sam").without(session.CookieName(false) + "=")
					b.asTarget("sam")
					if sid, kept := b.cookies("/")["sid"]; httpOnly && kept && sid != actors {
						t.Errorf("the target's session is in the actor's browser: %q", sid)
					}
					w.until("the jar is kept", func() bool {
						j, err := w.store.Jar(t.Context(), b.live().ID, "")
						return err == nil && len(j.Sealed) > 100
					})
					end(w, b)
					b.asActor("admin").without("user=sam", session.CookieName(false)+"=")
					b.asActor("admin").without("user=sam")
					if got := b.cookies("/")["sid"]; before && got != actors {
						t.Errorf("the actor's cookie is %q, was %q", got, actors)
					}
					b.begin("kim")
					b.asTarget("kim")
					b.stop()
					b.asActor("admin")
				})
			}
		}
	}
}

// TestCookiesOfASessionThatIsOver: the session ends behind the browser's back while it holds cookies of the target's.
// Whoever logs in next is not taken for the target by them.
func TestCookiesOfASessionThatIsOver(t *testing.T) {
	ends := map[string]func(w *world, b *browser){
		"lifetime": func(w *world, _ *browser) { w.clock.Advance(13 * time.Hour) },
		"provider": func(w *world, b *browser) { w.must(w.node.Sessions.Delete(t.Context(), b.id)) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.options.Public = []string{"/public"} })
			w.serve(believer(false))
			b := w.login("admin").begin("sam")
			b.asTarget("sam")
			if b.cookies("/")["sid"] == "" {
				t.Fatal("the app's cookie is not mirrored")
			}
			end(w, b)
			if name == "provider" {
				b.get("/public").want(200, "cookies=[]")
			} else {
				b.get("/").want(http.StatusFound)
			}
			if left := b.cookies("/")["sid"]; left == "sid-0" {
				t.Errorf("the target's cookie is left: %v", b.cookies("/"))
			}
			b.relogin("admin", b.raw)
			b.setCookie("sid", "")
			b.asActor("admin")
		})
	}
}

// TestCookiesThatComeBack: an answer with the target's cookie that arrives after the end leaves it in the browser; the
// app does not see it all the same, and it is taken out again.
func TestCookiesThatComeBack(t *testing.T) {
	w := newWorld(t)
	w.serve(believer(false))
	b := w.login("admin").begin("sam")
	b.asTarget("sam")
	sams := b.cookies("/")["sid"]
	b.stop()
	b.setCookie("sid", sams)
	b.asActor("admin").without(sams)
	if got := b.cookies("/")["sid"]; got == sams {
		t.Error("it is still there")
	}
}

// TestNoCookieWithAGatewaysAnswer: what the app set on an answer that is replaced does not reach the browser.
func TestNoCookieWithAGatewaysAnswer(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	w.serve(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Set("Set-Cookie", "sid=sams; Path=/; HttpOnly")
		w.clock.Advance(31 * time.Minute)
		rw.WriteHeader(http.StatusOK)
		return nil
	})
	a := b.fetch("GET", "/", "").want(http.StatusConflict)
	if set := a.Header["Set-Cookie"]; len(set) != 0 {
		t.Errorf("set %q", set)
	}
	b.begin("sam")
	w.serve(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Set("Set-Cookie", "sid=sams; Path=/; HttpOnly")
		return statusError(http.StatusTeapot)
	})
	a = b.get("/").want(http.StatusTeapot)
	if set := strings.Join(a.Header["Set-Cookie"], " "); strings.Contains(set, "sams") {
		t.Errorf("set %q", set)
	}
}

// TestAppCannotSetTheGatewaysCookie: not for somebody, not while impersonating, not where nobody is logged in.
func TestAppCannotSetTheGatewaysCookie(t *testing.T) {
	w := newWorld(t, func(w *world) { w.options.Public = []string{"/public"} })
	w.serve(func(rw http.ResponseWriter, r *http.Request) error {
		rw.Header().Add("Set-Cookie", session.CookieName(false)+"="+strings.Repeat("A", 43)+"; Path=/")
		return page(rw, r)
	})
	check := func(a *answer) {
		t.Helper()
		if set := strings.Join(a.Header["Set-Cookie"], " "); strings.Contains(set, "AAAA") {
			t.Errorf("set %q", set)
		}
	}
	check(w.anonymous().get("/public").want(200))
	b := w.login("admin")
	check(b.asActor("admin"))
	b.begin("sam")
	check(b.asTarget("sam"))
}

// TestSharedPagesCarryNoCookie: answers that caches may keep are the same for everybody.
func TestSharedPagesCarryNoCookie(t *testing.T) {
	w := newWorld(t)
	w.serve(believer(false))
	b := w.login("admin")
	b.asActor("admin")
	b.begin("sam")
	b.asTarget("sam")
	w.clock.Advance(31 * time.Minute)
	for _, path := range []string{"jwks.json", "healthz", "readyz", "assets/portal.css"} {
		if set := b.get("/.impersonate/" + path).want(200).Header["Set-Cookie"]; len(set) != 0 {
			t.Errorf("%s sets %q", path, set)
		}
	}
	b.get("/.impersonate/").want(200)
	b.asActor("admin")
}
