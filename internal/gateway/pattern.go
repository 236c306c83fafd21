package gateway

import (
	"fmt"
	"net/http"
	"path"
	"strings"
)

// Pattern is a path pattern of the Caddyfile: matched without regard to case, * is one segment or part of one, and
// at the end also everything below. It may be limited to one method.
type Pattern struct {
	method   string // empty: any
	segments []string
	prefix   bool // ended in *
}

// NewPattern compiles a pattern such as "/bookings/*/complete" or "/static/*"; method may be empty.
func NewPattern(method, pattern string) (Pattern, error) {
	if !strings.HasPrefix(pattern, "/") {
		return Pattern{}, fmt.Errorf("path %q must start with /", pattern)
	}
	p := Pattern{method: strings.ToUpper(method)}
	pattern = strings.ToLower(pattern)
	if strings.HasSuffix(pattern, "*") && !strings.HasSuffix(pattern, `\*`) {
		p.prefix = true
	}
	p.segments = strings.Split(pattern[1:], "/")
	for _, s := range p.segments {
		if _, err := path.Match(s, ""); err != nil {
			return Pattern{}, fmt.Errorf("path %q: %w", pattern, err)
		}
	}
	return p, nil
}

// match compares against a lower-case path that starts with /.
func (p *Pattern) match(method, lower string) bool {
	if p.method != "" && p.method != method {
		return false
	}
	rest := lower[1:]
	for i, s := range p.segments {
		last := i == len(p.segments)-1
		if last && p.prefix {
			return matchPrefix(s[:len(s)-1], rest)
		}
		segment, after, more := strings.Cut(rest, "/")
		if ok, _ := path.Match(s, segment); !ok { // the pattern was tried when compiled
			return false
		}
		if last {
			return !more
		}
		if !more {
			return false
		}
		rest = after
	}
	return false
}

// matchPrefix matches the last segment of a pattern that ended in *: its text begins what is left of the path.
func matchPrefix(s, rest string) bool {
	if !strings.ContainsAny(s, `*?[\`) {
		return strings.HasPrefix(rest, s)
	}
	segment, _, _ := strings.Cut(rest, "/")
	ok, _ := path.Match(s+"*", segment)
	return ok
}

type patterns []Pattern

// grants matches for permissions (public, safe): a path that could be read in more than one way, because of dot
// segments, doubled or encoded slashes or backslashes, is granted nothing.
func (ps patterns) grants(r *http.Request) bool {
	return len(ps) > 0 && !ambiguous(r) && ps.any(methodOf(r), strings.ToLower(r.URL.Path))
}

// methodOf is r's method: of a WebSocket's handshake always GET (RFC 8441 section 5).
func methodOf(r *http.Request) string {
	if r.Method == http.MethodConnect && overConnect(r) {
		return http.MethodGet
	}
	return r.Method
}

func (ps patterns) any(method, lower string) bool {
	if !strings.HasPrefix(lower, "/") {
		return false
	}
	for i := range ps {
		if ps[i].match(method, lower) {
			return true
		}
	}
	return false
}

func ambiguous(r *http.Request) bool {
	p := r.URL.Path
	if strings.Contains(p, "//") || strings.Contains(p, "/.") || strings.ContainsAny(p, "\\;%\x00") {
		return true
	}
	raw := r.URL.RawPath
	return raw != "" && (strings.Contains(raw, "%2f") || strings.Contains(raw, "%2F"))
}

// cleaned is p with backslashes turned, slashes merged, path parameters cut, dot segments resolved, in lower case.
func cleaned(p string) string {
	p = strings.ReplaceAll(strings.ToLower(p), `\`, "/")
	if strings.IndexByte(p, ';') >= 0 {
		segments := strings.Split(p, "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		p = strings.Join(segments, "/")
	}
	return path.Clean("/" + p)
}

// unescapeAll undoes percent-encoding until nothing changes, at most three times: some apps decode again.
func unescapeAll(p string) string {
	for range 3 {
		next := unescape(p)
		if next == p {
			return p
		}
		p = next
	}
	return p
}

func unescape(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			hi, lo := unhex(p[i+1]), unhex(p[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// Prefix is where everything the gateway serves itself lives.
const Prefix = "/.impersonate/"

// ownPath tells whether the request is for the gateway itself; disguised, whether some app or proxy could read
// its path as one of ours though it is not written so: such a path is neither served nor passed on.
func ownPath(p string) (own, disguised bool) {
	if strings.HasPrefix(p, Prefix) || p == Prefix[:len(Prefix)-1] {
		own = cleaned(p) == strings.TrimSuffix(strings.ToLower(p), "/")
		return own, !own
	}
	if strings.IndexByte(p, '.') < 0 && strings.IndexByte(p, '%') < 0 {
		return false, false
	}
	c := cleaned(p)
	if !strings.HasPrefix(c, Prefix[:len(Prefix)-1]) && strings.IndexByte(p, '%') >= 0 {
		c = cleaned(unescapeAll(p))
	}
	return false, c == Prefix[:len(Prefix)-1] || strings.HasPrefix(c, Prefix)
}
