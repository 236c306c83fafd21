package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// sever cuts what is under way when the impersonation ends: the app's side by its context; a tunnel is closed; of a
// response already begun no further byte is sent, and an upload is no longer read. What was not begun is answered by
// end. Once the request is over the connection is not touched: it may carry the actor's next request, and HTTP/2's
// writer is gone by then.
func (w *markingWriter) sever() {
	if !w.severNow() {
		return
	}
	// Caddy's own writer moves the deadline with each piece it writes, so it is put back until the request is over.
	tick := time.NewTicker(severAgain)
	defer tick.Stop()
	for range tick.C {
		if !w.stopWriting() {
			return
		}
	}
}

// severAgain is how often what is still being written is cut again.
const severAgain = 10 * time.Millisecond

// severNow tells whether something may still be being written.
func (w *markingWriter) severNow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return false
	}
	w.cancel(context.Cause(w.live.Context()))
	if w.ours {
		return false
	}
	w.cut = true
	if w.tunnel != nil {
		_ = w.tunnel.Close()
		return false
	}
	// Not every connection can; the context is cancelled in any case.
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(past)
	return w.released && setWriteDeadline(w.ResponseWriter, past) == nil
}

var past = time.Unix(1, 0)

func (w *markingWriter) stopWriting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.done && setWriteDeadline(w.ResponseWriter, past) == nil
}

// setWriteDeadline sets it on the server's own writer, which can be asked while somebody else writes; Caddy's, around it,
// can't (caddyhttp.IdleTimeoutWriter keeps what it is told without a lock).
func setWriteDeadline(w http.ResponseWriter, deadline time.Time) error {
	for {
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return http.NewResponseController(w).SetWriteDeadline(deadline)
		}
		w = inner.Unwrap()
	}
}

// leave tells sever that the request is over, and the caller whether sever was first.
func (w *markingWriter) leave() (cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	return w.cut
}

// end decides what became of the request, with what the handler panicked with, if it did, or returned.
func (w *markingWriter) end(panicked any, err error) error {
	rec := w.record
	defer func() {
		w.leave()
		w.site.Banners.count(BannerOutcome{rec.result.Banner, w.why})
		rec.result.ResponseBytes = w.bytes.Load()
	}()
	w.mu.Lock()
	cut, released, tunnel := w.cut, w.released, w.tunnel
	w.mu.Unlock()
	e := w.live.Ended()
	ended := e != nil
	switch {
	case w.replaced:
		// The answer was ours, and is complete; the app's was cut off on purpose.
		if panicked != nil && panicked != http.ErrAbortHandler { //nolint:errorlint // panics carry the very value
			panic(panicked)
		}
		return nil
	case panicked == nil && w.push != nil && w.push.refused.Load():
		rec.refused(w.status, policy.ModeReadOnly)
		return nil
	case ended && tunnel != nil:
		rec.severed(w.status, e.Cause)
		return nil
	case ended && !released:
		w.sorry()
		return nil
	case ended && (cut || panicked != nil || err != nil || w.failed != nil):
		w.abort()
		rec.severed(w.status, e.Cause)
		panic(http.ErrAbortHandler) // the browser must see that it was cut
	case panicked != nil:
		w.abort()
		rec.aborted(w.request, w.status)
		panic(panicked)
	case err != nil:
		return w.fail(err, released)
	}
	cerr := w.close()
	switch {
	case w.leave() && !w.replaced: // the connection can carry nothing more
		rec.severed(w.status, w.live.Ended().Cause)
		panic(http.ErrAbortHandler)
	case cerr != nil:
		rec.aborted(w.request, w.status)
		w.site.Log.Warn("a marked page could not be finished", "error", cerr, "impersonation", w.live.ID)
		panic(http.ErrAbortHandler)
	}
	if w.failed != nil { // and the handler did not mind
		rec.outcome(w.status, audit.OutcomeAborted)
	}
	rec.answered(w.request, w.status, nil, w.site.StatusOf)
	return nil
}

// fail answers a handler's error, if there is still an answer to be given.
func (w *markingWriter) fail(err error, released bool) error {
	if released {
		w.abort()
		w.record.answered(w.request, w.status, err, w.site.StatusOf)
		return err
	}
	p := appFailed(w.site.StatusOf(err))
	level := slog.LevelDebug
	if p.Status >= http.StatusInternalServerError && w.request.Context().Err() == nil {
		level = slog.LevelError
	}
	w.site.Log.Log(w.request.Context(), level, "the app did not answer a request made as someone else", "error", err, "status", p.Status, "impersonation", w.live.ID)
	if !w.record.durable() {
		p = noRecord
		w.record.refused(p.Status, "audit_unavailable")
	}
	w.replace(p)
	w.record.answered(w.request, p.Status, err, w.site.StatusOf)
	return nil
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
			w.notHTML(why)
		case banner.Unmarkable:
			w.why = why
			w.site.Log.Info("a page can't carry the banner", "why", why, "path", w.request.URL.Path, "allowed", w.site.banner.AllowUnmarked)
			if w.record.result.Banner = audit.BannerUnmarked; !w.site.banner.AllowUnmarked {
				w.record.result.Banner = audit.BannerWithheld
				w.record.outcome(w.status, audit.OutcomeWithheld)
			}
		}
	}
	return err
}

// abort lets go of a page that breaks off.
func (w *markingWriter) abort() {
	if w.banner != nil {
		if w.banner.Abort(); !w.banner.Marked() {
			w.record.result.Banner = audit.BannerNone
		}
	}
}
