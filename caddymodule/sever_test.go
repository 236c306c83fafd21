//lint:file-ignore SA1019 net/http offers no extended CONNECT (RFC 8441) to clients

package caddymodule

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// withConnect runs the calling test in a process of its own, in which servers offer extended CONNECT: net/http and
// x/net/http2 decide that once, when they are loaded. False: this is that process.
func withConnect(t *testing.T) bool {
	t.Helper()
	const setting = "http2xconnect=1"
	if strings.Contains(os.Getenv("GODEBUG"), setting) {
		return false
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), "GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+","+setting, ","))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "cut within") {
			t.Log(strings.TrimSpace(line))
		}
	}
	return true
}

// live is what a person's impersonation is on the node.
func (w *world) live(username string) *impersonation.Live {
	w.t.Helper()
	var live *impersonation.Live
	nodes.Range(func(_, value any) bool {
		n := value.(*node)
		rows, err := n.Impersonations.List(context.Background(), username, "active", state.Place{}, 10)
		if err != nil || len(rows) != 1 {
			w.t.Fatalf("%s's impersonations: %d, %v", username, len(rows), err)
		}
		live = n.Impersonations.Of(context.Background(), rows[0].Session)
		return false
	})
	if live == nil {
		w.t.Fatal(username + " impersonates nobody")
	}
	return live
}

// directoryHas says what the directory in force has of sam and alice.
func (w *world) directoryHas() string {
	w.t.Helper()
	app, err := caddy.ActiveContext().App(appID)
	if err != nil {
		w.t.Fatal(err)
	}
	var said []string
	for _, name := range []string{"sam", "alice"} {
		if u, ok := app.(*App).directory.Lookup(name); ok {
			said = append(said, fmt.Sprint(name, " ", u.Groups, " ", u.Active))
		}
	}
	return strings.Join(said, ", ")
}

// streaming is a world with an app whose answers stay open.
func streaming(t *testing.T) (*world, *streamApp) {
	t.Helper()
	w := newWorld(t)
	app := new(streamApp)
	pages := w.app.Config.Handler
	w.app.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("stream") {
			app.ServeHTTP(rw, r)
			return
		}
		pages.ServeHTTP(rw, r)
	})
	t.Cleanup(w.app.CloseClientConnections)
	w.global = "servers {\n\tprotocols h1 h2 h2c\n}"
	w.tunnels = "stream_close_delay 1h"
	w.manual, w.policy = true, "duration 30m\nidle 20m"
	theClock.Lock()
	theClock.Manual = clock.NewManual(time.Now())
	theClock.Unlock()
	return w, app
}

// TestSeveringInCaddy: behind Caddy's own servers and reverse_proxy, whatever an impersonation has under way is cut
// when it ends, however it does, by HTTP/1.1 and HTTP/2; what the actor has open as themselves goes on, by the very same
// connection. All of it is recorded.
func TestSeveringInCaddy(t *testing.T) {
	if withConnect(t) {
		return
	}
	w, app := streaming(t)
	w.mustLoad()
	// All log in now: by the manual clock the provider's tokens are soon too old.
	alice, elsewhere, owner := w.login("alice"), w.login("alice"), w.login("owner")
	mine, theirs := w.tabs(alice, app), w.tabs(owner, app)
	call := func(c *idptest.LoginClient, method, path string) {
		if res := api(t, c, method, w.url("/.impersonate/api/v1/impersonations/"+path), nil); res.StatusCode != http.StatusNoContent {
			t.Errorf("%s %s: %d", method, path, res.StatusCode)
		}
	}
	users := func(old, replacement, read string) {
		w.write("users.yaml", strings.Replace(usersYAML, old, replacement, 1))
		w.eventually("that the directory has "+read, func() bool {
			theClock.Advance(refreshEvery) // its timer may not be set yet
			return w.directoryHas() == read
		})
	}
	const all = "sam [fieldworkers] true, alice [support] true"
	causes := []struct {
		cause    string
		end      func(live *impersonation.Live)
		reverted func()
	}{
		{"stopped", func(*impersonation.Live) { call(alice, http.MethodDelete, "current") }, nil},
		{"revoked", func(l *impersonation.Live) { call(owner, http.MethodDelete, l.ID) }, nil},
		{"idle", func(*impersonation.Live) { theClock.Advance(21 * time.Minute) }, nil},
		{"expired", func(*impersonation.Live) {
			theClock.Advance(19 * time.Minute)
			w.sees(alice)
			theClock.Advance(12 * time.Minute)
		}, nil},
		{"target_deactivated", func(*impersonation.Live) {
			users("[fieldworkers]", "[fieldworkers], active: false", "sam [fieldworkers] false, alice [support] true")
		}, func() { users("", "", all) }},
		{"policy_changed", func(*impersonation.Live) {
			users("[fieldworkers]", "[office]", "sam [office] true, alice [support] true")
		}, func() { users("", "", all) }},
		{"policy_changed", func(*impersonation.Live) { // by a reload
			w.policy = "mode read_only"
			w.mustLoad()
		}, func() {
			w.policy = "duration 30m\nidle 20m"
			w.mustLoad()
			mine.h2.CloseIdleConnections()
		}},
		{"logout", func(*impersonation.Live) {
			if page := alice.Post(w.url("/.impersonate/logout"), url.Values{}); page.Status >= http.StatusBadRequest {
				t.Errorf("logging out: %d", page.Status)
			}
		}, func() { alice, mine.who = elsewhere, elsewhere }},
		{"actor_deactivated", func(*impersonation.Live) {
			users("[support]", "[support], active: false", "sam [fieldworkers] true, alice [support] false")
		}, func() { users("", "", all) }},
	}

	var own []*tab
	for _, kind := range streamKinds {
		own = append(own, mine.open(kind, "own "+kind), theirs.open(kind, "owner's "+kind), w.tabs(elsewhere, app).open(kind, "own elsewhere "+kind))
	}
	var took []time.Duration
	for i, c := range causes {
		w.sees(elsewhere) // so that its session does not end as idle
		w.sees(owner)
		what := c.cause + " " + string(rune('a'+i))
		w.impersonate(alice, "sam")
		var cut []*tab
		for _, kind := range streamKinds {
			cut = append(cut, mine.open(kind, what+": "+kind))
		}
		live := w.live("alice")
		ended := make(chan struct{})
		var at time.Time
		go func() {
			<-live.Context().Done()
			at = time.Now()
			close(ended)
		}()
		c.end(live)
		w.happens(ended, what)
		if got := live.Ended().Cause; got != c.cause {
			t.Errorf("it ended as %s, not %s", got, c.cause)
		}
		for _, s := range cut {
			w.happens(s.over, s.name+" is cut for the browser")
			w.happens(s.app.over, s.name+" is cut for the app")
			took = append(took, s.at.Sub(at), s.app.at.Sub(at))
			if s.err == nil && s.kind != "ws" { // a closed connection is all a WebSocket of HTTP/1.1 sees
				t.Errorf("%s: the browser took it for whole", s.name)
			}
		}
		for _, s := range own {
			s.alive()
		}
		if c.reverted != nil {
			c.reverted()
		}
		w.severed(live.ID, c.cause)
	}
	if n := theirs.dials.Load(); n != 1 {
		t.Errorf("the owner's browser needed %d HTTP/2 connections", n)
	}
	for _, s := range own {
		s.finish()
	}
	w.stop()
	slices.Sort(took)
	m := took[len(took)/2]
	t.Logf("cut within: median %v, 95%% %v, longest %v, of %d", m, took[len(took)*95/100], took[len(took)-1], len(took))
	if m > 250*time.Millisecond {
		t.Error("that is too long")
	}
}

// TestReloadKeepsStreams: a reload that changes nothing for an impersonation cuts nothing of it but what Caddy itself
// cuts, of everybody alike: WebSockets, unless stream_close_delay keeps them.
func TestReloadKeepsStreams(t *testing.T) {
	if withConnect(t) {
		return
	}
	w, app := streaming(t)
	w.mustLoad()
	alice, owner := w.login("alice"), w.login("owner")
	w.impersonate(alice, "sam")
	open := func(round string) (streams []*tab) {
		for _, kind := range streamKinds {
			streams = append(streams, w.tabs(alice, app).open(kind, round+": impersonated "+kind), w.tabs(owner, app).open(kind, round+": own "+kind))
		}
		return streams
	}
	first := open("with stream_close_delay")
	w.tunnels = ""
	w.mustLoad()
	second := open("without")
	for _, s := range first {
		s.alive()
	}
	w.mustLoad()
	for _, s := range second {
		if s.kind != "ws" && s.kind != "connect" {
			s.alive()
			continue
		}
		w.happens(s.over, s.name+" is cut by Caddy")
	}
	if live := w.live("alice"); live.Ended() != nil {
		t.Errorf("the impersonation ended: %v", live.Ended())
	}
	for _, s := range first {
		s.alive()
	}
	w.policy = "mode read_only" // and now it does
	w.mustLoad()
	for _, s := range slices.Concat(first, second) {
		switch {
		case strings.Contains(s.name, "impersonated"):
			w.happens(s.over, s.name+" is cut")
		case s.kind != "ws" && s.kind != "connect" || strings.HasPrefix(s.name, "with "):
			s.alive()
			s.finish()
		}
	}
	w.stop()
}

// stop stops the server, and waits until what its last requests worked with is closed.
func (w *world) stop() {
	w.t.Helper()
	if err := caddy.Stop(); err != nil {
		w.t.Error(err)
	}
	w.eventually("closing state and journal", func() bool {
		closed := true
		for _, pool := range []*caddy.UsagePool{nodes, trails} {
			pool.Range(func(any, any) bool { closed = false; return false })
		}
		return closed
	})
}

// severed sees that an impersonation's streams are in the audit as cut for that cause, with what came and went.
func (w *world) severed(id, cause string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "audit.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	var kinds []string
	w.eventually("recording what was severed", func() bool {
		kinds = nil
		theClock.Advance(time.Second) // batches are sent by this clock too
		rows, err := db.QueryContext(w.t.Context(), `SELECT substr(path, 2), method, outcome, refusal, request_bytes, response_bytes, target_username FROM requests
			WHERE impersonation_id = ? AND path <> '/page' ORDER BY path`, id)
		if err != nil {
			return false // not made yet, or busy
		}
		defer rows.Close()
		for rows.Next() {
			var kind, method, outcome, refusal, target string
			var up, down int64
			if err := rows.Scan(&kind, &method, &outcome, &refusal, &up, &down, &target); err != nil {
				w.t.Fatal(err)
			}
			kinds = append(kinds, kind)
			if outcome != "severed" || refusal != cause || target != "sam" {
				w.t.Errorf("%s is recorded as %s, %s of %s", kind, outcome, refusal, target)
			}
			both := kind == "ws" || kind == "connect"
			if (up > 0) != (both || kind == "upload") || (down > 0) != (both || kind == "sse" || kind == "download") {
				w.t.Errorf("%s: %d bytes up, %d down", kind, up, down)
			}
		}
		return rows.Err() == nil && len(kinds) >= len(streamKinds)
	})
	want := slices.Sorted(slices.Values(streamKinds))
	if !slices.Equal(kinds, want) {
		w.t.Errorf("severed were %v, not %v", kinds, want)
	}
}
