package gateway_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestNoticeOnceAndStaleForm: after an end nobody asked for, a form of the target's page is refused and not carried
// out; the first page tells what happened, once; then forms work.
func TestNoticeOnceAndStaleForm(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	b.asTarget("sam")
	w.clock.Advance(31 * time.Minute)
	served := w.served.Load()
	b.post("/x", url.Values{"a": {"b"}}).want(http.StatusConflict, "not carried out", "Sam Reed")
	b.fetch("DELETE", "/x", "").want(http.StatusConflict, "impersonation-ended")
	b.fetch("GET", "/x?_method=delete", "").want(http.StatusConflict)
	b.fetch("GET", "/x", "", "X-HTTP-Method-Override", "PUT").want(http.StatusConflict)
	if w.served.Load() != served {
		t.Error("a stale form was carried out")
	}
	b.fetch("GET", "/x", "").want(200).without(noticeMark)
	b.do("GET", "/frame", "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe").want(200).without(noticeMark)
	a := b.asActor("admin").want(200, noticeMark, "Sam Reed")
	if a.Header.Get("Clear-Site-Data") != `"cache"` && !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("headers %v", a.Header)
	}
	b.asActor("admin").without(noticeMark)
	b.post("/x", nil).want(200, "user=admin")

	// The same end again has the same words, and is told again.
	b.begin("sam")
	w.clock.Advance(31 * time.Minute)
	b.post("/x", nil).want(http.StatusConflict)
	b.asActor("admin").want(200, noticeMark)
	b.asActor("admin").without(noticeMark)

	// An end the person asked for is not told.
	b.begin("sam")
	b.stop()
	b.post("/x", nil).want(200, "user=admin")
	b.asActor("admin").without(noticeMark)
}

// TestNoticeOnceForManyTabs: of pages loading at once, one tells it.
func TestNoticeOnceForManyTabs(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	b.asTarget("sam")
	w.clock.Advance(31 * time.Minute)
	var told atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if strings.Contains(b.get("/").body, noticeMark) {
				told.Add(1)
			}
		})
	}
	wg.Wait()
	if told.Load() != 1 {
		t.Errorf("told %d times", told.Load())
	}
}

// TestNoticeWithoutState: the store can't keep that the notice was told. It is told once all the same, and forms work
// again.
func TestNoticeWithoutState(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	b.asTarget("sam")
	w.clock.Advance(31 * time.Minute)
	b.fetch("POST", "/x", "").want(http.StatusConflict)
	w.must(w.store.Close())
	b.asActor("admin").want(200, noticeMark)
	b.asActor("admin").without(noticeMark)
	b.fetch("POST", "/x", "a=b").want(200, "user=admin")
}

// TestNoticeOnAPageThatCannotCarryIt: such a page passes as it is, and is a page all the same: forms work from then on,
// and the next one that can tells.
func TestNoticeOnAPageThatCannotCarryIt(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	w.clock.Advance(31 * time.Minute)
	w.serve(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Content-Encoding", "dcb")
		_, err := io.WriteString(rw, "whatever")
		return err
	})
	b.fetch("POST", "/x", "").want(http.StatusConflict)
	b.do("GET", "/", "", append([]string{"Accept-Encoding", "identity"}, navigation...)...).want(200, "whatever")
	b.fetch("POST", "/x", "").want(200)
	w.serve(page)
	b.asActor("admin").want(200, noticeMark)
	b.asActor("admin").without(noticeMark)
}

// TestNoticeByReadFrom: an app that copies a file with io.Copy does not get around the writer that marks.
func TestNoticeByReadFrom(t *testing.T) {
	const html = "<!doctype html><html><body>a file</body></html>"
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	w.clock.Advance(31 * time.Minute)
	w.serve(func(rw http.ResponseWriter, r *http.Request) error {
		http.ServeContent(rw, r, "index.html", noon, strings.NewReader(html))
		return nil
	})
	a := b.get("/").want(200, noticeMark, "a file")
	if !strings.HasPrefix(a.body, "<!doctype html><html><body>") || !strings.HasSuffix(a.body, "a file</body></html>") {
		t.Errorf("%s", a.body)
	}
	b.get("/").want(200, html)
}
