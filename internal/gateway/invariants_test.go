package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// TestInvariant4StillAllowed: whatever takes the right away, the very next request is the actor's.
func TestInvariant4StillAllowed(t *testing.T) {
	tests := map[string]func(w *world, b *browser){
		"target deactivated": func(w *world, _ *browser) {
			w.users(crew[0], crew[1], account{"sam", "Sam Reed", "fieldworkers", true}, crew[3])
		},
		"target gone":             func(w *world, _ *browser) { w.users(crew[0], crew[1], crew[3]) },
		"target in another group": func(w *world, _ *browser) { w.users(crew[0], crew[1], account{"sam", "Sam Reed", "office", false}) },
		"actor in another group":  func(w *world, _ *browser) { w.users(account{"admin", "Alice Ng", "office", false}, crew[2]) },
		"policy changed": func(w *world, _ *browser) {
			w.policy.Policies[0].Target = policy.Match{Groups: []string{"office"}}
			w.configure()
		},
		"target protected": func(w *world, _ *browser) {
			w.policy.Protect = policy.Match{Users: []string{"sam"}}
			w.configure()
		},
		"revoked": func(w *world, b *browser) {
			w.must(w.node.Impersonations.End(context.Background(), b.live().ID, "revoked", "owner"))
		},
		"expired": func(w *world, _ *browser) { w.clock.Advance(31 * time.Minute) },
		"idle":    func(w *world, _ *browser) { w.clock.Advance(21 * time.Minute) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.login("admin").begin("sam")
			b.asTarget("sam")
			change(w, b)
			b.asActor("admin").want(200, noticeMark).without("user=sam")
			b.fetch("POST", "/x", "a=b").want(200, "user=admin by= ")
		})
	}
	t.Run("actor deactivated", func(t *testing.T) {
		w := newWorld(t)
		b := w.login("admin").begin("sam")
		w.users(account{"admin", "Alice Ng", "admins", true}, crew[2])
		served := w.served.Load()
		b.get("/").want(http.StatusForbidden, "deactivated")
		b.get("/").want(http.StatusFound) // logged out
		if w.served.Load() != served {
			t.Error("the app was asked for somebody deactivated")
		}
	})
	t.Run("session ended elsewhere", func(t *testing.T) {
		w := newWorld(t)
		b := w.login("admin").begin("sam")
		w.must(w.node.Sessions.Delete(context.Background(), b.id))
		served := w.served.Load()
		b.get("/").want(http.StatusFound)
		if w.served.Load() != served {
			t.Error("the app was asked for a session that is over")
		}
	})
}

// TestInvariant5RecordBeforeEffect: while the disk hangs, nothing unsafe reaches the app, and of a safe request no byte
// the browser.
func TestInvariant5RecordBeforeEffect(t *testing.T) {
	for _, method := range []string{"POST", "overridden", "GET", "refused"} {
		t.Run(method, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.options.Deny = []string{"/denied"} })
			b := w.login("admin").begin("sam")
			b.asTarget("sam")
			own := w.login("boss")
			own.asActor("boss")

			served := w.served.Load()
			release := w.fs.Block(faultfs.Sync)
			defer release() // also of a test that fails, whose world would never close
			waits := w.intended()
			answers := make(chan *answer, 1)
			go func() {
				switch method {
				case "POST":
					answers <- b.fetch("POST", "/x", "a=b")
				case "overridden":
					answers <- b.fetch("GET", "/x?_%6dethod=put", "")
				case "GET":
					answers <- b.get("/")
				default:
					answers <- b.get("/denied")
				}
			}()
			w.until("the intent waits for the disk", waits)
			if method == "GET" { // it may ask the app meanwhile
				w.until("the app is asked", func() bool { return w.served.Load() == served+1 })
				served++
			}
			own.asActor("boss") // waits for nothing
			served++
			select {
			case a := <-answers:
				t.Fatalf("answered before the intent was on disk: %d %s", a.StatusCode, a.body)
			case <-time.After(100 * time.Millisecond):
			}
			if got := w.served.Load(); got != served {
				t.Fatalf("the app saw the request before the intent was on disk: %d requests, want %d", got, served)
			}
			release()
			if a := <-answers; method == "refused" {
				a.want(http.StatusForbidden)
			} else {
				a.want(http.StatusOK, "user=sam")
			}
		})
	}
}

// TestInvariant6NoRecordNoRequest: with a full disk nobody acts as somebody else; everybody's own account works, and
// so does the way back. Nothing needs a restart afterwards.
func TestInvariant6NoRecordNoRequest(t *testing.T) {
	for _, all := range []bool{false, true} {
		w := newWorld(t, func(w *world) { w.all = all })
		b, own := w.login("admin").begin("sam"), w.login("boss")
		b.asTarget("sam")
		for _, op := range []faultfs.Op{faultfs.Write, faultfs.Allocate, faultfs.Create} {
			w.fs.Fail(op, -1, syscall.ENOSPC)
		}
		served := w.served.Load()
		b.get("/").want(http.StatusServiceUnavailable, "can be recorded", `action="/.impersonate/stop"`)
		b.fetch("POST", "/x", "a=b").want(http.StatusServiceUnavailable, "audit-unavailable")
		b.get("/").want(http.StatusServiceUnavailable)
		if got := w.served.Load(); got > served+1 { // the first safe one may have been on its way
			t.Errorf("the app was asked %d times without a record", got-served)
		}
		own.asActor("boss")
		own.fetch("POST", "/x", "a=b").want(http.StatusOK, "user=boss")

		w.fs.Heal()
		w.until("the journal is well again", func() bool { return w.recorder.Healthy() == nil })
		b.asTarget("sam")
		b.fetch("POST", "/x", "a=b").want(http.StatusOK, "user=sam")

		w.fs.Fail(faultfs.Write, -1, syscall.ENOSPC)
		b.get("/").want(http.StatusServiceUnavailable)
		b.stop()
		b.asActor("admin")
		w.fs.Heal()
	}
}

// TestInvariant8NoBannerNoPage: a document that can't be marked is withheld, or passed and counted if the operator
// says so.
func TestInvariant8NoBannerNoPage(t *testing.T) {
	unmarkable := func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Encoding", "dcb")
		w.Header().Set("Set-Cookie", "sid=sams; HttpOnly")
		_, err := w.Write([]byte("a secret page"))
		return err
	}
	late := func(w http.ResponseWriter, _ *http.Request) error { // found out only by its body
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		_, err := w.Write([]byte("a secret page, no gzip at all"))
		return err
	}
	for _, allow := range []bool{false, true} {
		w := newWorld(t, func(w *world) { w.options.Banner.AllowUnmarked = allow })
		b := w.login("admin").begin("sam")
		b.asTarget("sam").want(200, "Alice Ng")
		for _, app := range []appFunc{unmarkable, late} {
			w.serve(app)
			a := b.do("GET", "/", "", append([]string{"Accept-Encoding", "identity"}, navigation...)...)
			if allow {
				a.want(http.StatusOK, "a secret page")
			} else {
				a.want(http.StatusBadGateway, `action="/.impersonate/stop"`).without("secret")
			}
			if len(b.cookies("/")) != 0 {
				t.Errorf("the browser holds %v", b.cookies("/"))
			}
		}
		rows := w.rows(3)
		want := [2]string{"withheld withheld", "withheld withheld"}
		if allow {
			want = [2]string{"completed unmarked", "completed unmarked"}
		}
		for i, r := range rows[1:] {
			if got := r.Outcome + " " + r.Banner; got != want[i] {
				t.Errorf("recorded as %q, want %q", got, want[i])
			}
		}
		if rows[0].Banner != "marked" || rows[0].Outcome != "completed" {
			t.Errorf("a marked page is recorded as %+v", rows[0])
		}
	}
	t.Run("the server's own error page", func(t *testing.T) {
		w := newWorld(t)
		b := w.login("admin").begin("sam")
		w.serve(func(http.ResponseWriter, *http.Request) error { return statusError(http.StatusBadGateway) })
		b.get("/").want(http.StatusBadGateway, `action="/.impersonate/stop"`)
	})
}

// TestInvariant10ReturnAlwaysWorks: with each of the parts down, pressing the button ends the impersonation, and the
// next request is the actor's.
func TestInvariant10ReturnAlwaysWorks(t *testing.T) {
	down := map[string]func(w *world){
		"journal": func(w *world) { w.fs.Fail(faultfs.Write, -1, syscall.ENOSPC) },
		"journal hanging": func(w *world) {
			release := w.fs.Block(faultfs.Sync)
			w.t.Cleanup(release)
		},
		"state": func(w *world) { w.must(w.store.Close()) },
		"directory": func(w *world) {
			w.users(crew...)
			w.must(w.loseUsers())
		},
		"app": func(w *world) {
			w.serve(func(http.ResponseWriter, *http.Request) error { return statusError(http.StatusBadGateway) })
		},
		"right": func(w *world) {
			w.policy.Policies = nil
			w.configure()
		},
	}
	for name, breakIt := range down {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.login("admin").begin("sam")
			b.asTarget("sam")
			breakIt(w)
			b.stop()
			if b.live() != nil {
				t.Error("it goes on")
			}
			w.serve(page)
			b.asActor("admin")
		})
	}
}

// loseUsers takes the users' file away; the directory keeps what it had.
func (w *world) loseUsers() error {
	if err := w.directory.Refresh(context.Background()); err != nil {
		return err
	}
	removeUsers(w)
	if err := w.directory.Refresh(context.Background()); err == nil {
		return errors.New("the directory did not notice that its file is gone")
	}
	return nil
}

// TestInvariant11WayBackIsServerSide: the browser holds one random id. Whatever else it sends names nobody.
func TestInvariant11WayBackIsServerSide(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	b.asTarget("sam")
	if got := b.jar.Cookies(b.url()); len(got) != 1 || got[0].Name != session.CookieName(false) || len(got[0].Value) != 43 {
		t.Errorf("the browser holds %v", got)
	}
	live := b.live()
	name := session.CookieName(false)
	tests := map[string]string{
		"the impersonation's id":    name + "=" + live.ID,
		"a username":                name + "=admin",
		"another spelling":          strings.ToUpper(name) + "=" + b.raw,
		"cut short":                 name + "=" + b.raw[:42],
		"one letter changed":        name + "=" + strings.Map(rot, b.raw),
		"two different":             name + "=" + b.raw + "; " + name + "=" + w.login("boss").raw,
		"the name meant for https":  "__Host-" + name + "=" + b.raw,
		"a cookie that names a way": "original_user=admin; impersonator=admin",
	}
	for what, cookie := range tests {
		served := w.served.Load()
		x := w.anonymous()
		x.do("GET", "/", "", append([]string{"Cookie", cookie}, navigation...)...).want(http.StatusFound)
		x.do("POST", "/.impersonate/stop", "", "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
		if w.served.Load() != served {
			t.Errorf("%s: the app was asked", what)
		}
	}
	if b.live() == nil {
		t.Error("somebody else's request ended it")
	}
	// The target's own browser has a way to its own session only.
	sam := w.login("sam")
	sam.post("/.impersonate/stop", url.Values{})
	sam.asActor("sam")
	b.asTarget("sam")
	b.asTarget("sam").without(b.raw)
}

func rot(r rune) rune {
	if 'a' <= r && r < 'z' {
		return r + 1
	}
	return r
}
