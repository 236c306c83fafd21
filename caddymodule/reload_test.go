package caddymodule

import (
	"bufio"
	"database/sql"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// TestReloadKeepsSessions: after a reload people are still logged in, and impersonations go on, as long as the new
// configuration allows them.
func TestReloadKeepsSessions(t *testing.T) {
	w := newWorld(t)
	w.mustLoad()
	alice := w.login("alice")
	if got := w.sees(alice); got != "user=alice by=" {
		t.Fatalf("logged in: %q", got)
	}
	w.impersonate(alice, "sam")
	const impersonating = "user=sam by=alice"
	if got := w.sees(alice); got != impersonating {
		t.Fatalf("impersonating: %q", got)
	}

	for i := range 3 {
		w.mustLoad()
		if got := w.sees(alice); got != impersonating {
			t.Fatalf("after reload %d: %q", i+1, got)
		}
	}

	// Another journal: what is recorded goes there, everything else goes on.
	w.journal = "another"
	w.mustLoad()
	if got := w.sees(alice); got != impersonating {
		t.Fatalf("after a reload with another journal: %q", got)
	}
	if n, ok := trails.References(filepath.Join(w.dir, "journal")); ok {
		t.Errorf("the old journal is still open, %d times", n)
	}

	// A configuration that is refused changes nothing.
	w.journal = "users.yaml" // a file
	err := w.load()
	if err == nil || !strings.Contains(err.Error(), "opening the audit journal") {
		t.Fatalf("a journal that is a file: %v", err)
	}
	w.journal = "another"
	if got := w.sees(alice); got != impersonating {
		t.Fatalf("after a reload that was refused: %q", got)
	}
	w.write("users.yaml", "users: [")
	err = w.load()
	if err == nil || !strings.Contains(err.Error(), "users.yaml") {
		t.Fatalf("a directory that can't be read: %v", err)
	}
	if got := w.sees(alice); got != impersonating {
		t.Fatalf("after a reload with a broken directory: %q", got)
	}
	w.write("users.yaml", usersYAML)

	// The whole server again: state is on disk.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	w.mustLoad()
	if got := w.sees(alice); got != impersonating {
		t.Fatalf("after a restart: %q", got)
	}

	// The new policy does not name sam: the impersonation ends now, not at its timeout.
	w.policy = "mode read_only"
	w.write("users.yaml", strings.Replace(usersYAML, "[fieldworkers]", "[office]", 1))
	w.mustLoad()
	if got := w.sees(alice); got != "user=alice by=" {
		t.Fatalf("after a reload that does not allow it: %q", got)
	}
}

// TestReloadKeepsRequests: a request that is under way at a reload, or when the app is removed, ends by itself, and what it
// works with is closed after it.
func TestReloadKeepsRequests(t *testing.T) {
	w := newWorld(t)
	w.mustLoad()
	alice := w.login("alice")
	w.impersonate(alice, "sam")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url("/slow"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range alice.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	res, err := unshared.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}

	// Without the app: nothing needs its parts any more but this request.
	if err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`), true); err != nil {
		t.Fatal(err)
	}
	state := "sqlite " + filepath.Join(w.dir, "state.db")
	if _, open := nodes.References(state); !open {
		t.Error("the state was closed under a request")
	}
	read := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(res.Body).ReadByte()
		read <- err
	}()
	select {
	case err := <-read:
		t.Fatalf("the request was cut: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	res.Body.Close()
	<-read
	w.eventually("closing the state", func() bool {
		_, open := nodes.References(state)
		_, recording := trails.References(filepath.Join(w.dir, "journal"))
		return !open && !recording
	})
}

// TestStartWithoutProvider: a provider that is down is no reason not to start; its page says so, and it recovers by itself.
func TestStartWithoutProvider(t *testing.T) {
	w := newWorld(t)
	w.provider.Stop()
	w.mustLoad()
	res, err := unshared.Get(w.url("/.impersonate/login"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusBadGateway {
		t.Errorf("logging in without a provider: %s", res.Status)
	}
	w.provider.Start()
	w.login("alice")
}

// TestStartWithoutDirectory: a file of users that is missing at the first start is reported, by /readyz too, and read once
// it is there.
func TestStartWithoutDirectory(t *testing.T) {
	w := newWorld(t)
	if err := os.Remove(filepath.Join(w.dir, "users.yaml")); err != nil {
		t.Fatal(err)
	}
	w.mustLoad()
	ready := func() int {
		res, err := unshared.Get(w.url("/.impersonate/readyz"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := ready(); got != http.StatusServiceUnavailable {
		t.Errorf("readyz without the file: %d", got)
	}
	w.write("users.yaml", usersYAML)
	w.eventually("readyz with the file", func() bool { return ready() == http.StatusOK })
}

// TestFailedStartLeavesNothing: when the server can't start for another reason, what was opened is closed.
func TestFailedStartLeavesNothing(t *testing.T) {
	w := newWorld(t)
	taken, _ := listener(t)
	w.addr = taken
	if err := w.load(); err == nil {
		t.Fatal("two servers on one port")
	}
	nodes.Range(func(key, _ any) bool { t.Errorf("the state %v was left open", key); return true })
	trails.Range(func(key, _ any) bool { t.Errorf("the journal %v was left open", key); return true })
}

// TestManualClock: a guest of impersonate.clocks tells the time, so that a test can end an impersonation by its clock.
func TestManualClock(t *testing.T) {
	w := newWorld(t)
	w.manual, w.policy = true, "duration 20m"
	theClock.Lock()
	theClock.Manual = clock.NewManual(time.Now())
	theClock.Unlock()
	w.mustLoad()
	alice := w.login("alice")
	w.impersonate(alice, "sam")
	theClock.Advance(19 * time.Minute)
	if got := w.sees(alice); got != "user=sam by=alice" {
		t.Fatalf("after 19 of 20 minutes: %q", got)
	}
	theClock.Advance(2 * time.Minute)
	if got := w.sees(alice); got != "user=alice by=" {
		t.Fatalf("after 21 of 20 minutes: %q", got)
	}
}

// TestReloadUnderTraffic: requests during reloads are served as before, none refused and none as somebody else, and each is
// in the audit once. Caddy itself cuts about one connection in a thousand that comes at the moment of a reload.
func TestReloadUnderTraffic(t *testing.T) {
	w := newWorld(t)
	w.mustLoad()
	alice := w.login("alice")
	w.impersonate(alice, "sam")
	target, err := url.Parse(w.url("/page"))
	if err != nil {
		t.Fatal(err)
	}
	cookies := alice.Jar.Cookies(target)

	done := make(chan struct{})
	var served, cut atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-done:
					return
				default:
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target.String(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				for _, c := range cookies {
					req.AddCookie(c)
				}
				res, err := client.Do(req)
				if err != nil {
					cut.Add(1)
					continue
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != http.StatusOK || string(body) != "user=sam by=alice" {
					t.Errorf("%s %q, %v", res.Status, body, err)
					return
				}
				served.Add(1)
			}
		})
	}
	for range 8 {
		before := served.Load()
		w.mustLoad()
		w.eventually("traffic after a reload", func() bool { return t.Failed() || served.Load() > before+20 })
	}
	close(done)
	wg.Wait()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	w.eventually("closing", func() bool { _, open := trails.References(filepath.Join(w.dir, "journal")); return !open })

	db, err := sql.Open("sqlite", filepath.Join(w.dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows, distinct int64
	err = db.QueryRowContext(t.Context(), `SELECT count(*), count(DISTINCT request_id) FROM requests WHERE path = '/page' AND status = 200 AND outcome = 'completed'`).Scan(&rows, &distinct)
	if err != nil || rows < served.Load() || rows > served.Load()+cut.Load() || distinct != rows {
		t.Errorf("%d requests served, %d cut; %d rows of %d requests in the audit, %v", served.Load(), cut.Load(), rows, distinct, err)
	}
	if cut.Load() > 10 {
		t.Errorf("%d connections were cut", cut.Load())
	}
}

// TestReloadRecordsAgain: what is in force is in the audit once more when the same configuration is loaded again, as docs/auditing.md
// has it done before retention removes the row.
func TestReloadRecordsAgain(t *testing.T) {
	w := newWorld(t)
	w.mustLoad()
	w.mustLoad()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w.eventually("recording both", func() bool {
		var rows, distinct int
		err := db.QueryRowContext(t.Context(), `SELECT count(*), count(DISTINCT detail) FROM events WHERE type = 'config_loaded'`).Scan(&rows, &distinct)
		if distinct > 1 {
			t.Fatalf("%d rows, %d different", rows, distinct)
		}
		return err == nil && rows == 2 // or it is locked just now
	})
}

// TestFailedReloadIsRecorded: when a configuration comes into force and the server then can't start with it, the audit says that the
// one before it is in force again, and who is let in is let in by that.
func TestFailedReloadIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.mustLoad()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	texts := func() (n int) {
		err := db.QueryRowContext(t.Context(), `SELECT count(DISTINCT detail) FROM events WHERE type = 'config_loaded'`).Scan(&n)
		if err != nil {
			return 0 // it is locked just now
		}
		return n
	}
	var first string
	w.eventually("the configuration is in the audit", func() bool {
		return db.QueryRowContext(t.Context(), `SELECT detail FROM events WHERE type = 'config_loaded'`).Scan(&first) == nil
	})
	own := w.addr
	taken, _ := listener(t)
	// Caddy starts its apps in any order: in every second attempt ours is the first.
	for range 100 {
		w.addr, w.policy = taken, "duration 7m"
		if err := w.load(); err == nil {
			t.Fatal("two servers on one port")
		}
		if texts() == 2 {
			break
		}
	}
	w.addr = own
	alice := w.login("alice")
	w.impersonate(alice, "sam")
	var text, start string
	w.eventually("the start is in the audit", func() bool {
		return db.QueryRowContext(t.Context(), `SELECT e.detail, c.detail FROM events AS e JOIN events AS c ON c.type = 'config_loaded' AND c.seq = json_extract(e.detail, '$.config_seq')
			WHERE e.type = 'impersonation_started' AND c.seq = (SELECT max(seq) FROM events WHERE type = 'config_loaded')`).Scan(&start, &text) == nil
	})
	if texts() != 2 || text != first {
		t.Errorf("%d texts; the start %s names %s, want %s", texts(), start, text, first)
	}
}
