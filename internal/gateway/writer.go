package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

// markingWriter stands between the app's answer and the browser while impersonating. Nothing passes before the
// intent is on disk; cookies go through the jar; documents get the banner.
type markingWriter struct {
	http.ResponseWriter
	site     *Site
	request  *http.Request
	live     *impersonation.Live
	browser  *browser
	jar      *heldJar
	view     *view
	record   *record
	document bool
	now      time.Time
	cancel   context.CancelCauseFunc // of the app's side

	wroteHeader bool
	status      int
	// jarred: the Set-Cookies in the header are those the browser may have.
	jarred bool
	// replaced: the answer is the gateway's own; what the app still sends is thrown away.
	replaced bool
	banner   *banner.Writer
	why      string // why the page can't carry it
	failed   error  // of writing to the browser
	bytes    atomic.Int64
	// announced: the answer has a length, of which so much was touched for.
	announced bool
	touched   int64
	push      *pushOnly // of a WebSocket in read_only

	// mu guards what sever shares with the request's goroutine.
	mu       sync.Mutex
	released bool     // the head is on its way
	tunnel   net.Conn // of an upgraded request
	cut      bool     // sever has been here
	ours     bool     // the answer is the gateway's: it is not cut
	done     bool     // the request is over: the connection is another's
}

// WriteHeader decides on the response.
func (w *markingWriter) WriteHeader(status int) {
	if w.wroteHeader {
		return
	}
	h := w.Header()
	if 100 <= status && status <= 199 && status != http.StatusSwitchingProtocols {
		delete(h, "Set-Cookie") // the jar takes those of the answer itself
		if w.record.durable() && w.live.Ended() == nil {
			w.ResponseWriter.WriteHeader(status)
		}
		return
	}
	w.wroteHeader, w.status = true, status
	if !w.take() {
		return
	}
	if w.document {
		switch verdict, why := banner.Decide(w.request, status, h); verdict {
		case banner.Mark:
			if w.mark(status) {
				return // the banner sends the head, once it has seen the page's first bytes
			}
		case banner.Unmarkable:
			w.unmarkable(why)
		case banner.Pass:
			w.notHTML(why)
		}
		if w.replaced {
			return
		}
	}
	w.send(status)
}

// take makes the app's head one the browser may have; false when it may have none of it.
func (w *markingWriter) take() bool {
	if !w.record.durable() {
		w.record.refused(noRecord.Status, "audit_unavailable")
		w.replace(noRecord)
		return false
	}
	if w.live.Ended() != nil {
		w.sorry()
		return false
	}
	h := w.Header()
	if v := h["Content-Type"]; len(v) > 0 {
		w.record.result.ContentType = v[0]
	}
	w.browser.mirror(w.site, w.request, h, w.jar, w.now)
	w.jarred = true
	w.keepFromCaches(h)
	return true
}

// send sends the head, unless the impersonation ended before.
func (w *markingWriter) send(status int) {
	if !w.release() {
		w.sorry()
		return
	}
	w.announced = w.Header()["Content-Length"] != nil
	w.ResponseWriter.WriteHeader(status)
}

// release marks the head as on its way; false when sever came first.
func (w *markingWriter) release() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released = w.released || !w.cut
	return w.released
}

// sorry answers in the place of an app whose answer comes after the end.
func (w *markingWriter) sorry() {
	w.record.result.Banner = audit.BannerNone
	w.record.severed(severed.Status, w.live.Ended().Cause)
	w.replace(severed)
}

// mark puts the banner between the app's page and the browser.
func (w *markingWriter) mark(status int) bool {
	info, err := w.site.bannerInfo(w.request, w.view, w.live, w.now)
	if err != nil {
		w.site.Log.Error("the banner's text can't be made for these two", "error", err, "impersonation", w.live.ID)
		w.unmarkable("text")
		return false
	}
	w.banner = banner.NewWriter(bannerSink{w}, status, info, banner.Options{AllowUnmarked: w.site.banner.AllowUnmarked, FramePath: framePath})
	w.record.result.Banner = audit.BannerMarked
	return true
}

// marked passes on an error of the banner's; a page that proved unmarkable before anything of it was sent is
// answered with ours.
func (w *markingWriter) marked(n int, err error) (int, error) {
	var cannot *banner.UnmarkableError
	if errors.As(err, &cannot) {
		w.banner.Abort()
		w.banner = nil
		w.unmarkable(cannot.Reason)
		return n, nil
	}
	return n, err
}

// unmarkable: no banner, no page; unless the operator chose otherwise.
func (w *markingWriter) unmarkable(why string) {
	w.why = why
	w.site.Log.Info("a page can't carry the banner", "why", why, "path", w.request.URL.Path, "allowed", w.site.banner.AllowUnmarked)
	if w.site.banner.AllowUnmarked {
		w.record.result.Banner = audit.BannerUnmarked
		return
	}
	w.record.result.Banner = audit.BannerWithheld
	w.record.outcome(withheld.Status, audit.OutcomeWithheld)
	p := *withheld
	p.Extra = map[string]any{"reason": why}
	w.replace(&p)
}

// notHTML notes that a document passed which is none that could be marked.
func (w *markingWriter) notHTML(why string) {
	if w.record.result.Banner = audit.BannerNone; why == banner.ReasonNotHTML {
		w.record.result.Banner = audit.BannerNotHTML
	}
}

// keepFromCaches keeps the target's pages and data out of the browser's cache; what is plainly shared stays cacheable.
// A page that is asked for as an image is not: the cache would answer with it when it is opened, unmarked.
func (w *markingWriter) keepFromCaches(h http.Header) {
	switch w.request.Header.Get("Sec-Fetch-Dest") {
	case "script", "style", "image", "font", "audio", "video", "track", "manifest":
		if !banner.MayBePage(h) {
			return
		}
	}
	h["Cache-Control"] = []string{"no-store"}
	delete(h, "Expires")
}

// replace answers in the app's place.
func (w *markingWriter) replace(p *problem.Problem) {
	if w.banner != nil {
		w.banner.Abort()
		w.banner = nil
	}
	w.wroteHeader, w.replaced, w.status = true, true, p.Status
	h := w.Header()
	for name := range h {
		switch name {
		case "Server", "Alt-Svc", "Date":
		case "Set-Cookie":
			if !w.jarred { // the app's as they came: the target's session must not reach the browser
				delete(h, name)
			}
		default:
			delete(h, name)
		}
	}
	w.mu.Lock()
	w.released, w.ours = true, true
	cut := w.cut
	w.mu.Unlock()
	if cut && w.request.ProtoMajor == 1 {
		// Its read deadline has passed, and with that net/http cancels whatever else comes by this connection.
		h["Connection"] = []string{"close"}
	}
	problem.Write(w.ResponseWriter, w.request, p)
	w.cancel(errWithheld)
}

// Write passes the body on, through the banner where there is one.
func (w *markingWriter) Write(p []byte) (int, error) {
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	if w.replaced {
		return len(p), nil
	}
	if w.banner != nil {
		_, err := w.marked(w.banner.Write(p))
		return len(p), err
	}
	return w.pass(p)
}

// pass writes to the browser, not one byte after the end.
func (w *markingWriter) pass(p []byte) (int, error) {
	if w.push != nil && w.request.Method == http.MethodConnect {
		return w.push.write(p, w.write)
	}
	return w.write(p)
}

func (w *markingWriter) write(p []byte) (int, error) {
	if e := w.live.Ended(); e != nil {
		w.failed = e
		return 0, e
	}
	n, err := w.ResponseWriter.Write(p)
	w.progress(w.bytes.Add(int64(n)))
	if err != nil {
		w.failed = err
	}
	return n, err
}

// writeNow writes and flushes.
func (w *markingWriter) writeNow(p []byte) (int, error) {
	n, err := w.write(p)
	if err == nil {
		err = http.NewResponseController(w.ResponseWriter).Flush()
	}
	return n, err
}

// FlushError sends what there is.
func (w *markingWriter) FlushError() error {
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	if w.replaced {
		return nil
	}
	if w.banner != nil {
		_, err := w.marked(0, w.banner.FlushError())
		return err
	}
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		w.failed = err
	}
	return err
}

// Flush implements http.Flusher for handlers that do not use a ResponseController.
func (w *markingWriter) Flush() { _ = w.FlushError() }

// Unwrap lets a ResponseController reach the connection's deadlines.
func (w *markingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// errSevered stops a banner whose page may no longer be shown.
var errSevered = errors.New("the impersonation ended")

// bannerSink is the way from the banner to the browser.
type bannerSink struct{ w *markingWriter }

func (s bannerSink) Header() http.Header { return s.w.ResponseWriter.Header() }

func (s bannerSink) WriteHeader(status int) {
	if s.w.release() {
		s.w.ResponseWriter.WriteHeader(status)
	}
}

func (s bannerSink) Write(p []byte) (int, error) {
	if !s.w.release() {
		return 0, errSevered
	}
	return s.w.pass(p)
}

func (s bannerSink) Unwrap() http.ResponseWriter { return s.w.ResponseWriter }
