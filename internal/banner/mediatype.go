package banner

import (
	"bytes"
	"net/http"
	"strings"
)

type kind uint8

const (
	kindNone  kind = iota // not declared: the browser guesses
	kindHTML              //
	kindXHTML             // HTML as XML
	kindXML               // a page if there is HTML in it, else data or an image
	kindMultipart
	kindOther
)

// mediaType is a response's type as browsers read it.
type mediaType struct {
	kind    kind
	name    string // in lower case; empty with kindNone
	charset string // in lower case; empty: not declared
	// odd: it is not written as the standard has it, or there are several. Browsers agree on what it says only if it is
	// written anew.
	odd bool
	// page: this, or one of several, is a page's, though browsers go by another. Not all of them might.
	page bool
}

// parseType reads Content-Type as the Fetch standard and Chromium do: of several the last counts, "*/*" and what has no
// slash does not, and where the name is the same as before, the charset declared before stays.
func parseType(values []string) mediaType {
	if len(values) == 1 {
		switch values[0] { // by far the most frequent
		case "text/html; charset=utf-8", "text/html;charset=utf-8", "text/html; charset=UTF-8", "text/html;charset=UTF-8":
			return mediaType{kind: kindHTML, name: "text/html", charset: "utf-8", page: true}
		case "text/html":
			return mediaType{kind: kindHTML, name: "text/html", page: true}
		}
	}
	var m mediaType
	n := 0
	for _, v := range values {
		for more := true; more; n++ {
			var one string
			one, v, more = cutQuoted(v, ',')
			m.take(one)
		}
	}
	m.odd = m.odd || n > 1
	if m.name != "" {
		m.kind = kindOf(m.name)
	}
	m.page = m.page || m.kind == kindNone
	return m
}

// take reads one type.
func (m *mediaType) take(s string) {
	s = strings.Trim(s, " \t\r\n\f")
	end := strings.IndexAny(s, " \t;(")
	if end < 0 {
		end = len(s)
	}
	name := strings.ToLower(s[:end])
	if !strings.Contains(name, "/") || name == "*/*" {
		m.odd = true
		return
	}
	charset, regular := charsetParam(s[end:])
	m.odd = m.odd || !regular
	if name != m.name || charset != "" {
		m.charset = charset
	}
	m.name = name
	switch kindOf(name) {
	case kindHTML, kindXHTML, kindXML, kindNone:
		m.page = true
	}
}

// charsetParam is the first charset among a type's parameters, in lower case, and whether they are written in such a
// way that nobody reads them otherwise.
func charsetParam(s string) (charset string, regular bool) {
	if s == "" {
		return "", true
	}
	regular = s[0] == ';' && strings.Count(s, ";") == 1 && !strings.ContainsAny(s, "'\\,(\t")
	_, s, more := cutQuoted(s, ';')
	for more {
		var one string
		one, s, more = cutQuoted(s, ';')
		name, value, _ := strings.Cut(one, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "charset") {
			regular = false
			continue
		}
		value = strings.ToLower(strings.Trim(value, " \t\r\n\f\"'"))
		for i := range len(value) {
			if !tokenByte[value[i]] {
				return "", false // no label there is
			}
		}
		return value, regular && strings.Count(one, `"`)&1 == 0
	}
	return "", regular
}

// cutQuoted cuts s at the first sep that is not in quotes.
func cutQuoted(s string, sep byte) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// tokenByte are the bytes of a token (RFC 9110, section 5.6.2).
var tokenByte = func() (set [256]bool) {
	for c := '!'; c < 0x7f; c++ {
		set[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}
	return set
}()

func kindOf(name string) kind {
	switch name {
	case "text/html":
		return kindHTML
	case "application/xhtml+xml":
		return kindXHTML
	case "text/xml", "application/xml", "text/xsl":
		return kindXML
	case "message/rfc822":
		return kindMultipart
	case "unknown/unknown", "application/unknown":
		return kindNone
	}
	switch {
	case strings.HasSuffix(name, "+xml"):
		return kindXML
	case strings.HasPrefix(name, "multipart/"):
		return kindMultipart
	}
	return kindOther
}

// write is the type as browsers agree on it.
func (m mediaType) write() string {
	if m.charset == "" {
		return m.name
	}
	return m.name + "; charset=" + m.charset
}

// MayBePage tells whether browsers would, or might, show a response of these headers as a page if it were opened.
func MayBePage(h http.Header) bool {
	m := parseType(h["Content-Type"])
	return m.page && m.name != "image/svg+xml" || m.kind == kindMultipart
}

// noSniff tells whether browsers are told not to guess a type.
func noSniff(h http.Header) bool {
	one, _, _ := strings.Cut(first(h["X-Content-Type-Options"]), ",")
	return strings.EqualFold(strings.TrimSpace(one), "nosniff")
}

// sniffed are the beginnings that make browsers take a document of no declared type for HTML. The standard wants a
// space or ">" behind each, Chromium does not: an <article> is an <a> to it.
var sniffed = [...]string{
	"!doctype html", "script", "html", "!--", "head", "iframe", "h1", "div", "font", "table", "a", "style", "title", "b", "p",
}

// sniff is the type a browser would take a document for that declares none. It errs on the side of HTML.
func sniff(p []byte) string {
	text := bytes.TrimLeft(p, "\t\n\f\r ")
	if len(text) > 0 && text[0] == '<' {
		text = text[1:]
		for _, s := range sniffed {
			if len(text) >= len(s) && strings.EqualFold(string(text[:len(s)]), s) {
				return "text/html"
			}
		}
	}
	// Without its charset: nobody declared one.
	mime, _, _ := strings.Cut(http.DetectContentType(p), ";")
	return mime
}
