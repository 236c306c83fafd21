package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/fields"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
)

// What keeps an impersonation from ending as idle is somebody at work: a request's arrival, and the progress of a
// transfer whose length was announced, which somebody waits for and which ends by itself. What goes on without
// anybody there does not count: event streams, answers of unknown length, a WebSocket's messages in either direction.
// Libraries answer heartbeats by messages like any other, so a forgotten tab would look like work for ever.

// touchEvery is how many bytes of a long answer count as one sign of work: short ones need none beside their request.
const touchEvery = 256 << 10

// countingBody counts what was read of a body: its length may not have been announced, or not all of it may come. A
// transport may still read it when the handler is done.
type countingBody struct {
	io.ReadCloser
	n         atomic.Int64
	announced bool
	live      *impersonation.Live // nil on own accounts
	clock     clock.Clock
	fields    *fields.Names // nil: they are not wanted, or it has none
}

// countBody counts r's body, if it has one; nil: it has none.
func countBody(r *http.Request, live *impersonation.Live, c clock.Clock) *countingBody {
	if r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	b := &countingBody{ReadCloser: r.Body, announced: r.ContentLength > 0, live: live, clock: c}
	r.Body = b
	return b
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	if b.fields != nil {
		b.fields.Write(p[:n])
		if errors.Is(err, io.EOF) {
			b.fields.End()
		}
	}
	if n > 0 && b.announced && b.live != nil {
		b.live.Touch(b.clock.Now())
	}
	return n, err
}

// progress notes that an answer has come as far as so many bytes.
func (w *markingWriter) progress(bytes int64) {
	if w.announced && bytes-w.touched >= touchEvery {
		w.touched = bytes
		w.live.Touch(w.site.Clock.Now())
	}
}
