package banner

import (
	"net/http"
	"strings"
)

// IsDocument tells whether a request is a browser's for a page that is shown on its own. Sec-Fetch-Dest says so where
// it is sent (https, localhost); elsewhere it is an Accept with HTML, without a header by which scripts' libraries are
// known.
//
// A frame is inside a page that is marked, unless a page of another origin has opened it: that one is not ours to mark.
func IsDocument(r *http.Request) bool {
	h := r.Header
	switch first(h["Sec-Fetch-Dest"]) {
	case "document":
		return true
	case "":
		return acceptsHTML(h) && !fetchedByLibrary(h)
	case "empty":
		// A service worker that passes a navigation on, fetch(event.request), leaves of it only the mode; one that makes
		// a copy, the header that nothing but a navigation has. <a download> is a navigation too, but takes anything.
		return first(h["Upgrade-Insecure-Requests"]) == "1" || first(h["Sec-Fetch-Mode"]) == "navigate" && acceptsHTML(h)
	case "iframe", "frame", "object", "embed", "fencedframe":
		site := first(h["Sec-Fetch-Site"])
		return site == "same-site" || site == "cross-site"
	}
	return false
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func acceptsHTML(h http.Header) bool {
	for _, a := range h["Accept"] {
		if strings.Contains(a, "text/html") || strings.Contains(a, "application/xhtml+xml") {
			return true
		}
	}
	return false
}

// fetchHeaders are sent by libraries that put HTML into a page, where the browser does not say what it fetches for.
var fetchHeaders = [...]string{
	"X-Requested-With", "Hx-Request", "Turbo-Frame", "X-Pjax", "X-Up-Version", "X-Up-Target", "X-Inertia", "X-Livewire",
}

func fetchedByLibrary(h http.Header) bool {
	for _, name := range fetchHeaders {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// PrepareRequest changes the headers of a request that goes to the app, if it is for a document: the whole document,
// not compressed, not from the browser's cache. The header map must be the caller's own.
func PrepareRequest(r *http.Request) {
	if IsDocument(r) {
		AskForWhole(r.Header)
	}
}

// AskForWhole has a request ask for all of its answer, not compressed, not from a cache: so that something can be put into
// it. The header map must be the caller's own.
func AskForWhole(h http.Header) {
	h["Accept-Encoding"] = identityEncoding
	for _, name := range [...]string{
		"Range", "If-Range", "If-None-Match", "If-Modified-Since", "A-Im", "Available-Dictionary", "Dictionary-Id",
	} {
		delete(h, name)
	}
}

var identityEncoding = []string{"identity"}
