package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// forbids matches for refusals (deny): the path as sent, and every way an app, or a server in front of it, may read it.
func (ps patterns) forbids(r *http.Request) bool {
	if len(ps) == 0 {
		return false
	}
	method := methodOf(r)
	if ps.forbid(method, r.URL.Path, r.URL.EscapedPath()) {
		return true
	}
	for name, values := range r.Header {
		if !named(name, pathHeaders) {
			continue
		}
		for _, v := range values {
			u, err := url.Parse(v)
			if err != nil || ps.forbid(method, u.Path, u.EscapedPath()) {
				return true
			}
		}
	}
	return false
}

// maxOddPath bounds the work for paths that can be read in more than one way.
const maxOddPath = 4 << 10

// forbid matches a path, decoded and as it was written.
func (ps patterns) forbid(method, path, raw string) bool {
	if !odd(path) && path == raw {
		return ps.any(method, strings.ToLower(path)) || len(path) > 1 && path[len(path)-1] == '/' && ps.any(method, strings.ToLower(path[:len(path)-1]))
	}
	if len(path) > maxOddPath {
		return true // nobody writes such a path for good reason
	}
	return !readings(raw, func(p string) bool { return !ps.any(method, p) }) || ps.any(method, strings.ToLower(path))
}

// odd tells a path of which there is more than one reading.
func odd(p string) bool {
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c <= ' ', c >= 0x7f, c == '%', c == '\\', c == ';', c == '?', c == '#':
			return true
		case c == '/' && i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.'):
			return true
		case c == '.' && (i+1 == len(p) || p[i+1] == '/'):
			return true
		}
	}
	return false
}

// readings calls f with each reading of a path as written, in lower case, until it returns false; then it does so
// too. They differ in how often percent-encoding is undone, and whether before or after dot segments are resolved
// (a server in front may do the one and the app the other), or never; in whether slashes are merged before dot segments count
// them (nginx and Go do, RFC 3986 and browsers don't); in whether a backslash is a slash (IIS, browsers); in whether a
// semicolon begins parameters (Java), and a NUL, # or ? decoded ends the path; in dots and spaces that end a segment
// (Windows). The last has no variant: what it may hide, it makes visible.
func readings(raw string, f func(string) bool) bool {
	for variant := range 16 {
		v := reader{merge: variant&1 != 0, backslash: variant&2 != 0, params: variant&4 != 0, ends: variant&8 != 0}
		p, resolved := raw, raw
		for range 5 {
			p, resolved = v.separate(p), v.resolve(v.separate(resolved))
			if !f(fold(p)) || !f(fold(v.resolve(p))) || !f(fold(resolved)) || !f(fold(v.trim(p))) {
				return false
			}
			more := undo(p)
			resolvedMore := undo(resolved)
			if more == p && resolvedMore == resolved {
				break
			}
			p, resolved = more, resolvedMore
		}
	}
	return true
}

// reader is one way to read a path.
type reader struct{ merge, backslash, params, ends bool }

// separate finds the separators.
func (v reader) separate(p string) string {
	if v.backslash {
		p = strings.ReplaceAll(p, `\`, "/")
	}
	if v.ends {
		if i := strings.IndexAny(p, "\x00?#"); i >= 0 {
			p = p[:i]
		}
	}
	if v.params && strings.IndexByte(p, ';') >= 0 {
		segments := strings.Split(p, "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		p = strings.Join(segments, "/")
	}
	return p
}

// resolve resolves dot segments, also those written with %2e, and then merges what slashes are left.
func (v reader) resolve(p string) string {
	var out []string
	for s := range strings.SplitSeq(p, "/") {
		switch dots(s) {
		case 1:
		case 2:
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			if s != "" || !v.merge {
				out = append(out, s)
			}
		}
		if len(out) == 0 && !v.merge {
			out = append(out, "") // the root is not a segment to be taken away
		}
	}
	return joined(out)
}

// trim takes away what Windows does not see at a segment's end; a segment of dots alone is resolved before.
func (v reader) trim(p string) string {
	trimmed := func(p, cut string) string {
		segments := strings.Split(p, "/")
		for i, s := range segments {
			segments[i] = strings.TrimRight(s, cut)
		}
		return strings.Join(segments, "/")
	}
	const blanks = " \t\r\n\v\f\x00\x7f"
	return v.resolve(trimmed(v.resolve(trimmed(p, blanks)), blanks+"."))
}

// dots is how many dots a dot segment has; 0: it is none.
func dots(s string) int {
	n := 0
	for len(s) > 0 {
		switch {
		case s[0] == '.':
			s = s[1:]
		case len(s) >= 3 && strings.EqualFold(s[:3], "%2e"):
			s = s[3:]
		default:
			return 0
		}
		if n++; n > 2 {
			return 0
		}
	}
	return n
}

func joined(segments []string) string {
	var b strings.Builder
	for _, s := range segments {
		if s != "" {
			b.WriteByte('/')
			b.WriteString(s)
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// undo undoes percent-encoding once, and what of Unicode only looks like ASCII.
func undo(p string) string {
	p = decode(p)
	for i := 0; i < len(p); i++ {
		if p[i] >= utf8.RuneSelf {
			return norm.NFKC.String(p)
		}
	}
	return p
}

// decode undoes percent-encoding once, also IIS's %uXXXX, and UTF-8 that is longer than it may be (RFC 3629 section 10).
func decode(p string) string {
	if strings.IndexByte(p, '%') < 0 {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+5 < len(p) && p[i+1]|0x20 == 'u' {
			if hi, lo := unescape("%"+p[i+2:i+4]), unescape("%"+p[i+4:i+6]); len(hi) == 1 && len(lo) == 1 {
				b.WriteRune(rune(hi[0])<<8 | rune(lo[0]))
				i += 5
				continue
			}
		}
		b.WriteByte(p[i])
	}
	p = unescape(b.String())
	if utf8.ValidString(p) {
		return p
	}
	b.Reset()
	for i := 0; i < len(p); i++ {
		if p[i]|1 == 0xc1 && i+1 < len(p) && p[i+1]&0xc0 == 0x80 {
			b.WriteByte(p[i]<<6 | p[i+1]&0x3f)
			i++
			continue
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

// fold makes two spellings alike that differ in case: the Kelvin sign is a K, and a long s an S.
func fold(p string) string {
	for i := 0; i < len(p); i++ {
		if p[i] >= utf8.RuneSelf {
			return strings.ToLower(strings.ToUpper(p))
		}
	}
	return strings.ToLower(p)
}
