package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestJournalOnAFullFileSystem: the journal's real file system has no space left. Who is in another's account is told so
// by a page that leads back; own accounts and the way back work; with space it goes on by itself (invariants 6 and 10).
func TestJournalOnAFullFileSystem(t *testing.T) {
	fs := newSmallFS(t, 12)
	p := newParts(t)
	p.App = startMirror(t)
	p.Global = "metrics"
	if err := os.Symlink(fs.dir, filepath.Join(p.Dir, "journal")); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, p)
	alice, bob := logIn(t, p.origin(), "alice"), logIn(t, p.origin(), "bob")
	id := alice.become("sam")

	other := logIn(t, p.origin(), "alice") // another browser of hers
	other.become("sam")
	l := startLoad(other, 4) // to use up what the journal has reserved
	free := fs.fill()
	var page string
	waitFor(t, 3*time.Minute, "an impersonated request is refused for want of space", func() bool {
		res, body := alice.do(http.MethodGet, "/page", "", navigation)
		page = body
		return res.StatusCode == http.StatusServiceUnavailable
	})
	for _, want := range []string{"write its audit journal (its disk may be full)", `action="/.impersonate/stop"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%.3000s", want, page)
		}
	}
	if res, body := alice.do(http.MethodPost, "/echo", "x=1"); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "audit-unavailable") {
		t.Errorf("an unsafe request: %d %.300s", res.StatusCode, body)
	}
	for range 50 {
		if res, body := bob.do(http.MethodGet, "/page", "", navigation); res.StatusCode != http.StatusOK || !strings.Contains(body, ">bob<") {
			t.Fatalf("somebody's own account: %d %.300s", res.StatusCode, body)
		}
	}
	if res, body := bob.do(http.MethodPost, "/.impersonate/api/v1/impersonations", `{"target":"sam","reason":"unseen"}`); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a start that can't be recorded: %d %.300s", res.StatusCode, body)
	}
	if log := g.log.String(); !strings.Contains(log, "no space left on device") {
		t.Errorf("the log does not say why:\n%.3000s", log)
	}

	free()
	waitFor(t, 3*time.Minute, "impersonated requests go on, without a restart", func() bool {
		res, _ := alice.do(http.MethodGet, "/page", "", navigation)
		return res.StatusCode == http.StatusOK
	})
	if res, body := alice.do(http.MethodGet, "/.impersonate/api/v1/me", ""); !strings.Contains(body, id) {
		t.Errorf("the impersonation did not outlive it: %d %s", res.StatusCode, body)
	}

	free = fs.fill()
	waitFor(t, 3*time.Minute, "it is full again", func() bool {
		res, _ := alice.do(http.MethodGet, "/page", "", navigation)
		return res.StatusCode == http.StatusServiceUnavailable
	})
	l.end()
	alice.back()
	if res, body := alice.do(http.MethodGet, "/page", "", navigation); res.StatusCode != http.StatusOK || !strings.Contains(body, ">alice<") {
		t.Errorf("after the return, on a full disk: %d %.300s", res.StatusCode, body)
	}
	free()
}
