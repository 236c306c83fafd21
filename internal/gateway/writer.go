package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
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
	view     *view
	record   *record
	document bool
	now      time.Time
	cancel   context.CancelCauseFunc

	wroteHeader bool
	status      int
	// replaced: the answer is the gateway's own; what the app still sends is thrown away.
	replaced bool
	banner   *banner.Writer
	hijacked bool

	// mu guards released and tunnel, which sever looks at from another goroutine.
	mu       sync.Mutex
	released bool
	tunnel   net.Conn
	bytes    atomic.Int64
}

// WriteHeader decides on the response.
func (w *markingWriter) WriteHeader(status int) {
	if w.wroteHeader {
		return
	}
	if 100 <= status && status <= 199 && status != http.StatusSwitchingProtocols {
		if w.record.durable(w.request.Context()) {
			w.ResponseWriter.WriteHeader(status)
		}
		return
	}
	w.wroteHeader, w.status = true, status
	if !w.record.durable(w.request.Context()) {
		w.record.refused(noRecord.Status, "audit_unavailable")
		w.replace(noRecord)
		return
	}
	if w.live.Context().Err() != nil {
		w.record.outcome(severed.Status, audit.OutcomeSevered)
		w.replace(severed)
		return
	}
	h := w.Header()
	if v := h["Content-Type"]; len(v) > 0 {
		w.record.result.ContentType = v[0]
	}
	w.browser.mirror(w.site, w.request, h, w.live, w.now)
	w.keepFromCaches(h)
	if w.document {
		switch verdict, why := banner.Decide(w.request, status, h); verdict {
		case banner.Mark:
			if w.mark(status) {
				return // the banner sends the head, once it has seen the page's first bytes
			}
		case banner.Unmarkable:
			w.unmarkable(why)
		case banner.Pass:
		}
		if w.replaced {
			return
		}
	}
	w.release()
	w.ResponseWriter.WriteHeader(status)
}

// mark puts the banner between the app's page and the browser.
func (w *markingWriter) mark(status int) bool {
	info, err := w.site.bannerInfo(w.request, w.view, w.live, w.now)
	if err != nil {
		w.unmarkable(err.Error())
		return false
	}
	w.banner = banner.NewWriter(bannerSink{w}, status, info, banner.Options{AllowUnmarked: w.site.banner.AllowUnmarked})
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

// keepFromCaches keeps the target's pages and data out of the browser's cache; what is plainly shared stays cacheable.
func (w *markingWriter) keepFromCaches(h http.Header) {
	switch w.request.Header.Get("Sec-Fetch-Dest") {
	case "script", "style", "image", "font", "audio", "video", "track", "manifest":
		return
	}
	h["Cache-Control"] = []string{"no-store"}
	delete(h, "Expires")
}

// replace answers in the app's place.
func (w *markingWriter) replace(p *problem.Problem) {
	w.replaced = true
	w.status = p.Status
	h := w.Header()
	for name := range h {
		switch name {
		case "Server", "Alt-Svc", "Date", "Set-Cookie":
		default:
			delete(h, name)
		}
	}
	w.release()
	problem.Write(w.ResponseWriter, w.request, p)
	w.cancel(errWithheld)
}

func (w *markingWriter) release() {
	w.mu.Lock()
	w.released = true
	w.mu.Unlock()
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
	n, err := w.ResponseWriter.Write(p)
	w.bytes.Add(int64(n))
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
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher for handlers that do not use a ResponseController.
func (w *markingWriter) Flush() { _ = w.FlushError() }

// Hijack hands over the connection of an upgraded request, and remembers it: it is cut when the impersonation ends.
func (w *markingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.replaced {
		return nil, nil, errWithheld
	}
	if !w.wroteHeader && !w.record.durable(w.request.Context()) {
		return nil, nil, errors.New("the audit journal does not take the request")
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	counted := &countingConn{Conn: conn, w: w}
	w.mu.Lock()
	w.hijacked, w.released, w.tunnel = true, true, conn
	w.mu.Unlock()
	if w.live.Context().Err() != nil {
		w.sever()
	}
	// The buffered writer must go through the count too.
	return counted, bufio.NewReadWriter(rw.Reader, bufio.NewWriter(counted)), nil
}

// Unwrap lets a ResponseController reach the connection's deadlines.
func (w *markingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sever cuts what is under way: a tunnel is closed; a response already begun gets no further byte, and an upload is
// no longer read. A response not begun is answered by serveImpersonated.
func (w *markingWriter) sever() {
	w.mu.Lock()
	released, tunnel := w.released, w.tunnel
	w.mu.Unlock()
	if tunnel != nil {
		_ = tunnel.Close()
		return
	}
	past := time.Unix(1, 0)
	c := http.NewResponseController(w.ResponseWriter)
	_ = c.SetReadDeadline(past) // not every connection can; the context is cancelled in any case
	if released {
		_ = c.SetWriteDeadline(past)
	}
}

// close finishes a marked page.
func (w *markingWriter) close() error {
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	if w.banner == nil || w.replaced {
		return nil
	}
	_, err := w.marked(0, w.banner.Close())
	if w.banner != nil {
		switch verdict, why := w.banner.Result(); verdict {
		case banner.Mark:
		case banner.Pass: // it was no page after all: the browser saves or shows it as something else
			w.record.result.Banner = audit.BannerNone
		case banner.Unmarkable:
			w.site.Log.Info("a page can't carry the banner", "why", why, "path", w.request.URL.Path, "allowed", w.site.banner.AllowUnmarked)
			if w.record.result.Banner = audit.BannerUnmarked; !w.site.banner.AllowUnmarked {
				w.record.result.Banner = audit.BannerWithheld
				w.record.outcome(w.status, audit.OutcomeWithheld)
			}
		}
	}
	w.record.result.ResponseBytes = w.bytes.Load()
	return err
}

// abort lets go of a page that breaks off.
func (w *markingWriter) abort() {
	if w.banner != nil {
		w.banner.Abort()
	}
}

// bannerSink is the way from the banner to the browser.
type bannerSink struct{ w *markingWriter }

func (s bannerSink) Header() http.Header { return s.w.ResponseWriter.Header() }

func (s bannerSink) WriteHeader(status int) {
	s.w.release()
	s.w.ResponseWriter.WriteHeader(status)
}

func (s bannerSink) Write(p []byte) (int, error) {
	n, err := s.w.ResponseWriter.Write(p)
	s.w.bytes.Add(int64(n))
	return n, err
}

func (s bannerSink) Unwrap() http.ResponseWriter { return s.w.ResponseWriter }

// countingConn counts a tunnel's bytes towards the browser.
type countingConn struct {
	net.Conn
	w *markingWriter
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.w.bytes.Add(int64(n))
	return n, err
}

// CloseWrite half-closes, for tunnels that end one way first.
func (c *countingConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.Close()
}

// ownWriter looks at the headers of an own-account answer: the person's app cookies are remembered, and those an
// impersonation displaced are put back.
type ownWriter struct {
	http.ResponseWriter
	site    *Site
	browser *browser
	request *http.Request
	record  *record
	status  int
	bytes   int64
}

func (w *ownWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.look(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// look takes note of the head, once.
func (w *ownWriter) look(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.browser.ownResponse(w.site, w.request, w.Header())
	if w.record != nil {
		if v := w.Header()["Content-Type"]; len(v) > 0 {
			w.record.result.ContentType = v[0]
		}
	}
}

func (w *ownWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the server's fast path for files.
func (w *ownWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

func (w *ownWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
