package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// kinds are what may be under way when an impersonation ends. WebSockets over HTTP/2 are in caddymodule: only Caddy's
// proxy knows them.
var kinds = []string{"/ws", "/sse", "/poll", "/upload", "/download", "/stalled"}

// causes are how an impersonation of admin's as sam ends, and as what it is recorded.
var causes = map[string]struct {
	cause string
	end   func(w *world, b *browser)
}{
	"stop": {"stopped", func(_ *world, b *browser) {
		b.post("/.impersonate/stop", nil).want(http.StatusSeeOther)
	}},
	"stop by the API": {"stopped", func(_ *world, b *browser) {
		b.fetch("DELETE", "/.impersonate/api/v1/impersonations/current", "").want(http.StatusNoContent)
	}},
	"expiry": {"expired", func(w *world, _ *browser) { w.clock.Advance(31 * time.Minute) }},
	"idle":   {"idle", func(w *world, _ *browser) { w.clock.Advance(21 * time.Minute) }},
	"revocation": {"revoked", func(w *world, b *browser) {
		w.login("boss").fetch("DELETE", "/.impersonate/api/v1/impersonations/"+b.live().ID, "").want(http.StatusNoContent)
	}},
	"target deactivated": {"target_deactivated", func(w *world, _ *browser) {
		w.users(crew[0], crew[1], account{"sam", "Sam Reed", "fieldworkers", true}, crew[3])
	}},
	"actor deactivated": {"actor_deactivated", func(w *world, _ *browser) {
		w.users(account{"admin", "Alice Ng", "admins", true}, crew[1], crew[2], crew[3])
	}},
	"target's group lost": {"policy_changed", func(w *world, _ *browser) {
		w.users(crew[0], crew[1], account{"sam", "Sam Reed", "office", false}, crew[3])
	}},
	"another policy": {"policy_changed", func(w *world, _ *browser) {
		w.policy.Policies[0].Target = policy.Match{Groups: []string{"office"}}
		w.configure()
	}},
	"logout": {"logout", func(_ *world, b *browser) {
		b.post("/.impersonate/logout", nil)
	}},
	"session deleted": {"logout", func(w *world, b *browser) {
		w.must(w.node.Sessions.Delete(context.Background(), b.id))
	}},
}

// TestInvariant9EndingEnds: whatever is under way is cut, on both sides, however the impersonation ends, and recorded
// with what came and went; connections of people's own accounts, the actor's too, go on, as do others' impersonations.
func TestInvariant9EndingEnds(t *testing.T) {
	var took []time.Duration
	for name, c := range causes {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				w.policy.Roles = map[string]policy.Match{policy.RoleOwner: {Users: []string{"boss"}}}
				if c.cause == "expired" {
					w.policy.Policies[0].Idle = 0
				}
			})
			app := newStreamApp()
			w.proxy(app.ServeHTTP)
			var untouched, severed []*stream
			b := w.login("admin")
			for _, kind := range kinds {
				untouched = append(untouched, w.login("kim").stream(app, kind, "kim's "+kind[1:]), w.login("admin").stream(app, kind, "the actor's other "+kind[1:]))
				if name != "logout" && name != "session deleted" {
					untouched = append(untouched, b.stream(app, kind, "the actor's from before "+kind[1:]))
				}
			}
			if c.cause == "stopped" || c.cause == "revoked" || c.cause == "logout" { // the others end all
				other := w.login("boss").begin("kim")
				for _, kind := range kinds {
					untouched = append(untouched, other.stream(app, kind, "another impersonation's "+kind[1:]))
				}
			}
			b.begin("sam")
			for _, kind := range kinds {
				severed = append(severed, b.stream(app, kind, kind[1:]))
			}
			live := b.live()
			w.clock.Advance(3 * time.Second) // for durations
			sent, got := map[string]int64{}, map[string]int64{}
			for _, s := range severed {
				s.alive()
			}

			var at time.Time
			ended := make(chan struct{})
			go func() {
				<-live.Context().Done()
				at = time.Now()
				close(ended)
			}()
			c.end(w, b)
			w.happens(ended, "it ends")
			for _, s := range severed {
				w.happens(s.app.over, s.name+" is cut for the app")
				if s.read != nil {
					continue // its browser reads nothing: that must not keep the request
				}
				w.happens(s.over, s.name+" is cut for the browser")
				if s.err == nil {
					t.Errorf("%s: the browser took it for whole", s.name)
				}
				if answer := errors.Is(s.err, errConflict); answer && s.path != "/poll" && s.path != "/upload" {
					t.Errorf("%s: %v", s.name, s.err)
				}
				for who, when := range map[string]time.Time{"the browser": s.at, "the app": s.app.at} {
					took = append(took, when.Sub(at))
					if d := when.Sub(at); d > 250*time.Millisecond {
						t.Logf("%s: cut for %s after %v", s.name, who, d)
					}
				}
				sent[s.path], got[s.path] = s.app.got.Load(), s.got.Load()
			}
			for _, s := range untouched {
				s.alive()
				if s.path == "/poll" {
					close(s.app.release)
					w.happens(s.over, s.name+" is answered")
					if s.err != nil {
						t.Errorf("%s: %v", s.name, s.err)
					}
				}
			}
			seen := map[string]bool{}
			for _, r := range w.rows(len(kinds), "target_username = 'sam'") {
				seen[r.Path] = true
				if r.Outcome != "severed" || r.Refusal != c.cause || r.Actor != "admin" {
					t.Errorf("recorded as %+v", r)
				}
				if r.Duration < 3*time.Second {
					t.Errorf("%s: %v long", r.Path, r.Duration)
				}
				switch r.Path {
				case "/ws":
					if n := int64(len("hello\n")); r.Got < n || r.Got%n != 0 || r.Sent < r.Got {
						t.Errorf("WebSocket: %d bytes up, %d down", r.Got, r.Sent)
					}
				case "/stalled":
					if r.Sent == 0 {
						t.Error("nothing was sent of what nobody reads")
					}
				case "/sse", "/download":
					if r.Sent < got[r.Path] || r.Got != 0 {
						t.Errorf("%s: %d bytes up, %d down; the browser has %d", r.Path, r.Got, r.Sent, got[r.Path])
					}
				case "/upload":
					if r.Got < sent[r.Path] || r.Got > 1<<20 {
						t.Errorf("upload: %d bytes up; the app has %d", r.Got, sent[r.Path])
					}
				}
			}
			if len(seen) != len(kinds) {
				t.Errorf("recorded: %v", seen)
			}
			for _, s := range severed {
				if s.read != nil {
					s.read()
					w.happens(s.over, s.name+" ends for the browser")
					if s.err == nil {
						t.Errorf("%s: the browser took it for whole", s.name)
					}
				}
			}
			if strings.HasPrefix(name, "actor") || c.cause == "logout" {
				return
			}
			b.asActor("admin")
		})
	}
	slices.Sort(took)
	if len(took) > 0 {
		t.Logf("cut within: median %v, 95%% %v, longest %v", took[len(took)/2], took[len(took)*95/100], took[len(took)-1])
		if m := took[len(took)/2]; m > 250*time.Millisecond {
			t.Errorf("the median connection was cut %v after the end", m)
		}
	}
}
