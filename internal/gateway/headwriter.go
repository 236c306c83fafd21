package gateway

import (
	"io"
	"net/http"
)

// headWriter shows each head of an answer to look before it is sent, informational ones (RFC 9110, section 15.2) too.
type headWriter struct {
	http.ResponseWriter
	look  func(h http.Header, status int)
	wrote bool // the final head
}

func (w *headWriter) WriteHeader(status int) {
	if !w.wrote {
		w.wrote = status >= 200 || status == http.StatusSwitchingProtocols
		w.look(w.Header(), status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *headWriter) Write(p []byte) (int, error) {
	w.head()
	return w.ResponseWriter.Write(p)
}

// FlushError sends what there is.
func (w *headWriter) FlushError() error {
	w.head()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// ReadFrom keeps the server's fast path for files.
func (w *headWriter) ReadFrom(r io.Reader) (int64, error) {
	w.head()
	return io.Copy(w.ResponseWriter, r)
}

func (w *headWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *headWriter) head() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
}
