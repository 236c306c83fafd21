package gateway

import (
	"io"
	"net/http"
)

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

// FlushError sends what there is.
func (w *ownWriter) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// finish writes the outcome, also of a handler that panicked; for defer.
func (w *ownWriter) finish() {
	rec := w.record
	rec.result.ResponseBytes = w.bytes
	p := recover()
	if p != nil {
		rec.aborted(w.request, w.status)
	}
	rec.finish()
	if p != nil {
		panic(p)
	}
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
