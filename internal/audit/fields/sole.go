package fields

import (
	"bytes"
	"slices"
)

// sole is the name of a form's first pair which, while it is the only one, may be all of something else: base64 before its
// padding, or words around a colon. JSF has colons in its names, and some clients do not escape them, but several fields.
type sole struct {
	name    []byte
	colon   bool
	padding int  // equals signs behind the first one
	over    bool // the padding is
}

// newSole is nil when the name can be nothing else.
func newSole(name []byte) *sole {
	colon := bytes.IndexByte(name, ':') >= 0
	if !colon && bytes.IndexFunc(name, func(c rune) bool { return !inBase64(c) }) >= 0 {
		return nil
	}
	return &sole{name: bytes.Clone(name), colon: colon}
}

func inBase64(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '-' || c == '_'
}

// follow looks at what is behind the equals sign; false: it is a value, so the name is one.
func (s *sole) follow(p []byte) bool {
	for _, c := range p {
		switch {
		case s.over || s.colon:
			return true
		case c == '=':
			s.padding++
		case c == '\r', c == '\n':
			s.over = true
		case s.padding == 0:
			return false
		default:
			s.over = true
		}
	}
	return true
}

// contents tells that it is likelier no name, when nothing but it has come.
func (s *sole) contents() bool {
	if s.colon || s.padding > 0 || len(s.name) > maxRaw {
		return true
	}
	// Padding makes it a multiple of four. That few are of small letters alone, which many fields are.
	return (len(s.name)+1)%4 == 0 && slices.ContainsFunc(s.name, func(c byte) bool { return c != '_' && (c < 'a' || c > 'z') })
}
