package gateway

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/banner"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// serveNotice forwards an own-account navigation and puts on the page, once, how the last impersonation ended.
func (s *Site) serveNotice(ow *ownWriter, r *http.Request, next Next, sess *session.Session, notice string, now time.Time) (err error) {
	banner.PrepareRequest(r)
	n := impersonation.ParseNotice(notice)
	claim := func() bool {
		if !ow.browser.news.claim(notice) {
			return false
		}
		clearSiteData(ow.Header(), s.clearStorage)
		return true
	}
	nw := &noticeWriter{own: ow, notice: notice, claim: claim, info: &banner.Info{
		Origin: s.origin(r), Notice: n.Cause, Target: n.Target, Now: now, Languages: r.Header.Get("Accept-Language"),
	}}
	whole := false
	defer func() { nw.end(sess, whole && err == nil) }()
	if err = next(nw, r); err == nil && nw.banner != nil {
		if nw.banner.Close() != nil {
			panic(http.ErrAbortHandler) // the page is not whole
		}
	}
	whole = true
	return err
}

// noticeWriter puts a notice on an own-account page. A page that can't carry it passes as it is: the next one will.
type noticeWriter struct {
	own     *ownWriter
	notice  string
	claim   func() bool // whether the page is to carry it; may change the headers
	info    *banner.Info
	banner  *banner.Writer
	claimed bool
	page    bool // the browser was given a page of the person's own
}

func (w *noticeWriter) Header() http.Header { return w.own.Header() }

func (w *noticeWriter) WriteHeader(status int) {
	if w.banner != nil {
		return
	}
	if w.own.status == 0 && status >= 200 {
		verdict, _ := banner.Decide(w.own.request, status, w.Header())
		w.page = verdict != banner.Pass
		if verdict == banner.Mark && w.claim() {
			w.claimed = true
			w.own.look(status)
			w.banner = banner.NewWriter(w.own.ResponseWriter, status, w.info, banner.Options{AllowUnmarked: true})
			return
		}
	}
	w.own.WriteHeader(status)
}

func (w *noticeWriter) Write(p []byte) (int, error) {
	if w.own.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.banner == nil {
		return w.own.Write(p)
	}
	n, err := w.banner.Write(p)
	w.own.bytes += int64(n)
	return n, err
}

// ReadFrom is there so that nothing finds another way around the banner.
func (w *noticeWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

func (w *noticeWriter) FlushError() error {
	if w.own.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.banner != nil {
		return w.banner.FlushError()
	}
	return w.own.FlushError()
}

func (w *noticeWriter) Unwrap() http.ResponseWriter { return w.own.ResponseWriter }

// end notes what the person has seen. What the store can't keep of it is remembered here.
func (w *noticeWriter) end(sess *session.Session, whole bool) {
	news := &w.own.browser.news
	if w.banner != nil {
		w.banner.Abort()
	}
	if whole && w.page {
		news.load(w.notice)
	}
	if !w.claimed {
		return
	}
	shown := whole && w.banner.Marked()
	news.tell(w.notice, shown)
	if !shown {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin) // the browser has it, even if it is gone now
	defer cancel()
	if _, err := sess.TakeNotice(ctx); err != nil {
		w.own.site.Log.Warn("after a restart a notice will be shown again: that it was can't be kept", "error", err)
	}
}
