package banner

import (
	"net/http"
	"strings"
)

// Reasons of [Decide] and [Writer.Result], for logs, metrics and the audit: few, fixed words.
const (
	ReasonNotDocument = "not_document" // not shown on its own: a script's fetch, a frame, an image
	ReasonNoBody      = "no_body"
	ReasonRedirect    = "redirect"
	ReasonAttachment  = "attachment" // saved, not shown
	ReasonNotHTML     = "not_html"   // shown or saved as what it is: an image, data, a PDF
	ReasonMultipart   = "multipart"  // pages within a message
	ReasonPartial     = "partial"    // 206 to a request that did not ask for a part
	ReasonEncoding    = "encoding"   // a Content-Encoding not known here
	ReasonMalformed   = "malformed"  // a body that is not in its Content-Encoding
	ReasonCharset     = "charset"    // not a superset of ASCII, and not to be converted
	ReasonFrameset    = "frameset"   // frames in place of a body
	ReasonNoPlace     = "no_place"   // the document ends before its body; it shows nothing
	ReasonStylesheet  = "stylesheet" // XML that the browser turns into a page by a stylesheet
)

// Decide tells from a response's head what is to be done with it. A page is what the browser asked for to show in a
// tab of its own: documents in frames are inside one that is marked, and what scripts fetch goes into one.
//
// A response of no declared type, and XML, is marked only if it turns out to be HTML (see [Writer]). In doubt it is a
// page: what a browser would show as one must not pass as something else.
func Decide(r *http.Request, status int, h http.Header) (Verdict, string) {
	if !IsDocument(r) {
		return Pass, ReasonNotDocument
	}
	switch {
	case r.Method == http.MethodHead, status < 200, status == http.StatusNoContent, status == http.StatusResetContent,
		status == http.StatusNotModified:
		return Pass, ReasonNoBody
	case isRedirect(status, h["Location"]):
		return Pass, ReasonRedirect
	}
	if cl := h["Content-Length"]; len(cl) == 1 && cl[0] == "0" {
		return Pass, ReasonNoBody
	}
	// Of an error, browsers show an error and not all save the attachment.
	if status < 400 && isAttachment(h["Content-Disposition"]) {
		return Pass, ReasonAttachment
	}
	m := parseType(h["Content-Type"])
	switch m.kind {
	case kindOther:
		if !m.page {
			return Pass, ReasonNotHTML
		}
	case kindMultipart:
		return Unmarkable, ReasonMultipart
	case kindXHTML, kindXML:
		if charsetLabel(m.charset) != charsetASCII {
			return Unmarkable, ReasonCharset
		}
	case kindHTML:
		if charsetLabel(m.charset) == charsetNone {
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

// isRedirect tells whether a browser goes elsewhere instead of showing the response. With another status, or no place
// to go to, it shows it.
func isRedirect(status int, location []string) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		for _, l := range location {
			if strings.TrimSpace(l) != "" {
				return true
			}
		}
	}
	return false
}

// isAttachment tells whether a browser saves the response instead of showing it. A disposition it does not know is
// an attachment; one left out ("filename=x") or malformed ("attachment filename=x") is not.
func isAttachment(values []string) bool {
	for _, v := range values {
		disposition, _, _ := strings.Cut(v, ";")
		disposition = strings.Trim(disposition, " \t")
		if disposition == "" || strings.EqualFold(disposition, "inline") {
			return false
		}
		for i := range len(disposition) {
			if !tokenByte[disposition[i]] {
				return false
			}
		}
	}
	return len(values) > 0
}
