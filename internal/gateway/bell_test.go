package gateway_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func tellTarget(w *world) { w.policy.Policies[0].TellTarget = true }

const bellMark = "/.impersonate/history"

// TestBell: the target's next page says who used their account, when and why; once while it lasts, once when it is over.
func TestBell(t *testing.T) {
	w := newWorld(t, tellTarget)
	sam := w.login("sam")
	sam.get("/").want(200, "user=sam").without(bellMark)
	b := w.login("admin").begin("sam", "reason", "<b>can't log in</b>")
	b.asTarget("sam").without(bellMark) // the actor is not told instead of the target
	sam.fetch("GET", "/data", "").want(200).without(bellMark)
	a := sam.get("/").want(200, bellMark, "Alice Ng", "is using your account").without("<b>can't")
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Clear-Site-Data") != "" {
		t.Errorf("headers %v", a.Header)
	}
	sam.get("/").want(200, "user=sam").without(bellMark)
	w.clock.Advance(12 * time.Minute)
	b.stop()
	w.until("the end is told", func() bool { return w.node.Impersonations.Bells().Due("sam") })
	w.login("kim").get("/").want(200, "user=kim").without(bellMark)
	w.restart() // and nothing is forgotten
	w.login("sam").get("/").want(200, bellMark, "used your account", "12:00&#8211;12:12")
	w.login("sam").get("/").want(200, "user=sam").without(bellMark)
	w.restart()
	w.login("sam").get("/").want(200, "user=sam").without(bellMark)
}

// TestBellOnce: of pages loading at once, one tells it.
func TestBellOnce(t *testing.T) {
	w := newWorld(t, tellTarget)
	sam := w.login("sam")
	w.login("admin").begin("sam")
	var told atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if strings.Contains(sam.get("/").body, bellMark) {
				told.Add(1)
			}
		})
	}
	wg.Wait()
	if told.Load() != 1 {
		t.Errorf("told %d times", told.Load())
	}
}

// TestBellForTheRightPerson: whoever has the name now is not told what was done with somebody else's account.
func TestBellForTheRightPerson(t *testing.T) {
	w := newWorld(t, tellTarget)
	w.login("admin").begin("sam").stop()
	live, err := w.store.Bells(t.Context())
	if err != nil || len(live) != 1 {
		t.Fatalf("%d bells, %v", len(live), err)
	}
	w.must(w.store.UpdateImpersonation(t.Context(), live[0].ImpersonationID, func(i *state.Impersonation) error {
		i.TargetID = "another"
		return nil
	}))
	w.until("the end is written", func() bool {
		i, err := w.store.Impersonation(t.Context(), live[0].ImpersonationID)
		return err == nil && i.EndRecorded
	})
	w.restart()
	w.login("sam").get("/").want(200, "user=sam").without(bellMark)
}

// TestLanguageIsNoted: emails are written in what the person's browser asked for.
func TestLanguageIsNoted(t *testing.T) {
	w := newWorld(t)
	w.login("sam").do("GET", "/", "", append([]string{"Accept-Language", "fr-CH, fr;q=0.9, en;q=0.8"}, navigation...)...).want(200)
	w.until("the language is noted", func() bool {
		l, err := w.store.Language(t.Context(), "sam")
		return err == nil && l == "fr"
	})
}
