package login

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxReturnTo keeps the cookie of a pending login, which carries it, within what browsers store (4096 bytes).
const maxReturnTo = 2000

// ownPaths are not to be returned to: each would start over, or end what has just begun.
var ownPaths = []string{"login", "step-up", "callback", "logout", "logged-out", "backchannel-logout", "stop"}

// SafeReturnTo is where to send a browser that asked to be sent to s: s itself when it is a path (with query and
// fragment) of the same origin, in the eyes of every browser, server and library that may read it; else "/".
//
// Browsers take "//host" and "/\host" for another host, drop tabs and newlines wherever they stand, and turn
// backslashes into slashes (WHATWG URL, 4.4). Dot segments are refused since they can bring a "//" to the front,
// for readers that don't follow that standard.
func SafeReturnTo(s string) string {
	if len(s) == 0 || len(s) > maxReturnTo || s[0] != '/' || !utf8.ValidString(s) {
		return "/"
	}
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f || c == '\\' {
			return "/"
		}
	}
	path := s
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		path = s[:i]
	}
	decoded, err := url.PathUnescape(path)
	if err != nil || strings.HasPrefix(decoded, "//") || strings.ContainsAny(decoded, "\\\x00\t\r\n") {
		return "/"
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		if segment == "." || segment == ".." {
			return "/"
		}
	}
	if own, ok := strings.CutPrefix(decoded, prefix); ok {
		own, _, _ = strings.Cut(own, "/")
		for _, p := range ownPaths {
			if strings.EqualFold(own, p) {
				return "/"
			}
		}
	}
	safe := escape(s)
	u, err := url.Parse(safe)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || len(safe) > maxReturnTo {
		return "/"
	}
	return safe
}

// escape percent-encodes what a Location header should not hold as it is.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c > ' ' && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '`' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
