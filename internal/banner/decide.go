package banner

import (
	"net/http"
	"strings"
)

// Reasons of [Decide] and [Writer.Result], for logs, metrics and the audit: few, fixed words.
const (
	ReasonNotDocument = "not_document" // not what a tab shows: a script's fetch, a frame, an image
	ReasonNoBody      = "no_body"
	ReasonRedirect    = "redirect"
	ReasonAttachment  = "attachment" // saved, not shown
	ReasonNotHTML     = "not_html"
	ReasonMultipart   = "multipart" // pages within a message
	ReasonPartial     = "partial"   // 206 to a request that did not ask for a part
	ReasonEncoding    = "encoding"  // a Content-Encoding not known here
	ReasonMalformed   = "malformed" // a body that is not in its Content-Encoding
	ReasonCharset     = "charset"   // not a superset of ASCII, and not to be converted
	ReasonFrameset    = "frameset"  // frames in place of a body
	ReasonNoPlace     = "no_place"  // the document ends before its body; it shows nothing
)

// Decide tells from a response's head what is to be done with it. A page is what the browser asked for to show in a
// tab of its own: documents in frames are inside one that is marked, and what scripts fetch goes into one.
//
// A response of no declared type is marked only if it turns out to be HTML (see [Writer]).
func Decide(r *http.Request, status int, h http.Header) (Verdict, string) {
	if !IsDocument(r) {
		return Pass, ReasonNotDocument
	}
	switch {
	case r.Method == http.MethodHead, status < 200, status == http.StatusNoContent, status == http.StatusResetContent,
		status == http.StatusNotModified:
		return Pass, ReasonNoBody
	case status < 400 && status >= 300 && status != http.StatusMultipleChoices && len(h["Location"]) > 0:
		return Pass, ReasonRedirect // what is in it is not shown
	}
	if cl := h["Content-Length"]; len(cl) == 1 && cl[0] == "0" {
		return Pass, ReasonNoBody
	}
	if isAttachment(h["Content-Disposition"]) {
		return Pass, ReasonAttachment
	}
	switch kindOf(h["Content-Type"]) {
	case kindOther:
		return Pass, ReasonNotHTML
	case kindMultipart:
		return Unmarkable, ReasonMultipart
	case kindXHTML:
		switch charsetOf(h["Content-Type"]) {
		case charsetASCII:
		default:
			return Unmarkable, ReasonCharset
		}
	case kindHTML:
		if charsetOf(h["Content-Type"]) == charsetNone {
			return Unmarkable, ReasonCharset
		}
	}
	if status == http.StatusPartialContent {
		return Unmarkable, ReasonPartial
	}
	if _, ok := encodings(h["Content-Encoding"]); !ok {
		return Unmarkable, ReasonEncoding
	}
	return Mark, ""
}

// fetchHeaders are sent by libraries that put HTML into a page, where the browser does not say what it fetches for.
var fetchHeaders = [...]string{
	"X-Requested-With", "Hx-Request", "Turbo-Frame", "X-Pjax", "X-Up-Version", "X-Inertia", "X-Livewire",
}

// IsDocument tells whether a request is a browser's for a page in a tab of its own: Sec-Fetch-Dest says so where it is
// sent (https, localhost); elsewhere it is an Accept with HTML, without a header by which scripts' libraries are known.
func IsDocument(r *http.Request) bool {
	if dest := r.Header["Sec-Fetch-Dest"]; len(dest) > 0 {
		return dest[0] == "document"
	}
	accepts := false
	for _, a := range r.Header["Accept"] {
		accepts = accepts || strings.Contains(a, "text/html") || strings.Contains(a, "application/xhtml+xml")
	}
	if !accepts {
		return false
	}
	for _, name := range fetchHeaders {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return true
}

// PrepareRequest changes the headers of a request that goes to the app, if it is for a document: the whole document,
// not compressed, not from the browser's cache. The header map must be the caller's own.
func PrepareRequest(r *http.Request) {
	if !IsDocument(r) {
		return
	}
	h := r.Header
	h["Accept-Encoding"] = identityEncoding
	for _, name := range [...]string{"Range", "If-Range", "If-None-Match", "If-Modified-Since", "A-Im"} {
		delete(h, name)
	}
}

var identityEncoding = []string{"identity"}

// isAttachment tells whether a browser saves the response instead of showing it. A disposition it does not know is
// an attachment; one left out ("filename=x") is not.
func isAttachment(values []string) bool {
	if len(values) == 0 {
		return false
	}
	kind, _, _ := strings.Cut(values[0], ";")
	kind = strings.TrimSpace(kind)
	return kind != "" && !strings.Contains(kind, "=") && !strings.EqualFold(kind, "inline")
}

type kind uint8

const (
	kindNone kind = iota // not declared: the browser guesses
	kindHTML
	kindXHTML
	kindMultipart
	kindOther
)

// kindOf is the kind of a Content-Type. Where there are several, browsers take the last they understand; here any that
// is HTML makes it so.
func kindOf(values []string) kind {
	if len(values) == 1 && strings.HasPrefix(values[0], "text/html") && !strings.Contains(values[0], ",") {
		if rest := values[0][len("text/html"):]; rest == "" || rest[0] == ';' {
			return kindHTML
		}
	}
	k := kindNone
	for _, v := range values {
		for v != "" {
			var one string
			one, v, _ = strings.Cut(v, ",")
			one, _, _ = strings.Cut(one, ";")
			switch one = strings.TrimSpace(one); {
			case strings.EqualFold(one, "text/html"):
				return kindHTML
			case strings.EqualFold(one, "application/xhtml+xml"):
				k = kindXHTML
			case k == kindXHTML || k == kindMultipart || !strings.Contains(one, "/"):
			case len(one) > 10 && strings.EqualFold(one[:10], "multipart/"), strings.EqualFold(one, "message/rfc822"):
				k = kindMultipart
			case one == "*/*", strings.EqualFold(one, "unknown/unknown"), strings.EqualFold(one, "application/unknown"):
				// browsers guess, as without
			default:
				k = kindOther
			}
		}
	}
	return k
}
