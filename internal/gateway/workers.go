package gateway

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strconv"
)

// Service workers answer a page's requests in the browser, from caches of their own. One that was there before an
// impersonation would show the actor's pages, without banner; one that is there after it, the target's. So while
// impersonating the browser gets retiringWorker in the place of the site's script, whenever it asks for that: with each
// page, to update the worker it has. It replaces that one, empties its caches and leaves; the site makes
// its own anew later. And none ever answers for the gateway's own pages: see guardWorker.

// asksForWorker tells a request for a service worker's script, which browsers send with this header
// (https://w3c.github.io/ServiceWorker/#service-worker-script-request). A page that sends it itself gains nothing.
func asksForWorker(r *http.Request) bool {
	v := r.Header["Service-Worker"]
	return len(v) == 1 && v[0] == "script" && r.Method == http.MethodGet
}

// retiringWorker loads the pages again that the worker before it answered for. It leaves first: else it would answer for
// them, and their loading would wait for its activation, which waits for them.
const retiringWorker = `// While somebody else's account is used here, no service worker answers for this site.
self.addEventListener('install', function () { self.skipWaiting(); });
self.addEventListener('activate', function (e) {
  e.waitUntil(caches.keys()
    .then(function (names) { return Promise.all(names.map(function (name) { return caches.delete(name); })); })
    .catch(function () {})
    .then(function () { return self.registration.unregister(); })
    .then(function () { return self.clients.matchAll({ type: 'window' }); })
    .then(function (pages) { pages.forEach(function (page) { page.navigate(page.url).catch(function () {}); }); }));
});
`

// serveRetiringWorker answers in the place of the site's script.
func serveRetiringWorker(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// Also for a scope above the script's directory, which the site allows by this header.
	h.Set("Service-Worker-Allowed", "/")
	h.Set("Content-Length", strconv.Itoa(len(retiringWorker)))
	_, _ = io.WriteString(w, retiringWorker) // the browser went away: it asks again
}

// guardWorker comes before a site's script. A worker that answers every navigation with the site's start page, as that
// of many single-page apps does, would otherwise answer for the portal.
const guardWorker = `self.addEventListener("fetch",function(e){if(e.request.url.indexOf(self.location.origin+"` + Prefix + `")===0)e.stopImmediatePropagation()});` + "\n"

// workerWriter puts guardWorker before a script. One that comes compressed, unasked, passes as it is.
type workerWriter struct {
	http.ResponseWriter
	head    bool   // the final head was written
	pending bool   // the guard is still to come
	start   []byte // of the script, until it shows which guard
}

// maxComment bounds the comments looked through at a script's start.
const maxComment = 16 << 10

func (w *workerWriter) WriteHeader(status int) {
	if !w.head && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.head = true
		h := w.Header()
		if w.pending = status == http.StatusOK && isScript(h); w.pending {
			for _, name := range []string{"Content-Length", "Etag", "Last-Modified", "Accept-Ranges", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"} {
				delete(h, name)
			}
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func isScript(h http.Header) bool {
	if e := h.Get("Content-Encoding"); e != "" && e != "identity" {
		return false
	}
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return false
	}
	switch t { // https://mimesniff.spec.whatwg.org/#javascript-mime-type
	case "text/javascript", "application/javascript", "application/x-javascript", "text/ecmascript", "application/ecmascript", "text/x-javascript":
		return true
	}
	return false
}

func (w *workerWriter) Write(p []byte) (int, error) {
	if !w.head {
		w.WriteHeader(http.StatusOK)
	}
	if !w.pending {
		return w.ResponseWriter.Write(p)
	}
	w.start = append(w.start, p...)
	if is, known := strict(w.start); known || len(w.start) > maxComment {
		if err := w.begin(is); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// begin sends the guard and what was held back.
func (w *workerWriter) begin(strict bool) error {
	w.pending = false
	var all []byte
	if strict {
		all = append(all, `"use strict";`...)
	}
	_, err := w.ResponseWriter.Write(append(append(all, guardWorker...), w.start...))
	w.start = nil
	return err
}

// finish sends what is held back of a script that has ended.
func (w *workerWriter) finish() {
	if w.pending && len(w.start) > 0 {
		is, _ := strict(w.start)
		_ = w.begin(is) // the browser went away: it asks again
	}
}

// strict tells a script that begins by asking for strict mode: what is put before it must ask in its place. It is known
// once something came that is neither space nor comment.
func strict(p []byte) (is, known bool) {
	for {
		p = bytes.TrimLeft(p, " \t\r\n\f\v\ufeff")
		var end []byte
		switch {
		case bytes.HasPrefix(p, []byte("//")):
			end = []byte("\n")
		case bytes.HasPrefix(p, []byte("/*")):
			end = []byte("*/")
		default:
			is = bytes.HasPrefix(p, []byte(`"use strict"`)) || bytes.HasPrefix(p, []byte(`'use strict'`))
			return is, is || len(p) >= len(`"use strict"`)
		}
		_, rest, found := bytes.Cut(p, end)
		if !found {
			return false, false
		}
		p = rest
	}
}

// FlushError sends what there is.
func (w *workerWriter) FlushError() error {
	if !w.head {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// ReadFrom is there so that nothing finds another way around the guard.
func (w *workerWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

func (w *workerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
