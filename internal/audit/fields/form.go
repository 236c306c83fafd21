package fields

import (
	"bytes"
	"net/url"
	"unicode/utf8"
)

// formParser reads application/x-www-form-urlencoded (WHATWG URL, section 5.1). What only claims to be that must not
// have its contents taken for names: JSON, text, addresses and base64 are sent so by mistake. So a name is what an equals
// sign follows, of characters that a form's name has; what may be a whole body is one when another pair follows.
type formParser struct {
	list  *list
	raw   []byte // of the name at hand, at most a byte more than is a name
	odd   bool   // the name at hand has what forms escape
	value bool   // behind the equals sign
	begun bool
	pairs bool // there was one
	sole  *sole
}

func (f *formParser) write(p []byte) bool {
	for len(p) > 0 {
		if f.value {
			value, rest, more := bytes.Cut(p, []byte{'&'})
			if f.sole != nil && !f.sole.follow(value) && !f.release() {
				return false
			}
			if !more {
				return true
			}
			p, f.value = rest, false
			continue
		}
		c := p[0]
		p = p[1:]
		switch {
		case c == '=':
			if !f.named() {
				return false
			}
			f.value = true
		case c == '&':
			f.unnamed()
		case c <= ' ' && !f.begun:
		case c <= ' ', c == 0x7f, c == '"', c == '<', c == '>', c == '{', c == '}', c == '\\', c == '[' && !f.begun:
			// Nobody writes these in a form without escapes.
			f.list.more = true
			return false
		default:
			f.begun = true
			f.odd = f.odd || c == '/' || c == '?'
			if len(f.raw) <= maxRaw {
				f.raw = append(f.raw, c)
			}
		}
	}
	return true
}

// named: the name at hand is whole.
func (f *formParser) named() bool {
	f.begun = true
	raw, odd, first := f.raw, f.odd, !f.pairs
	f.raw, f.odd = f.raw[:0], false
	if len(raw) == 0 {
		return true
	}
	f.pairs = true
	if odd || len(raw) <= maxRaw && !utf8.Valid(raw) {
		f.list.more = true
		return true
	}
	if first {
		if f.sole = newSole(raw); f.sole != nil {
			return true
		}
	}
	return f.release() && f.take(raw)
}

// release takes the first name for one.
func (f *formParser) release() bool {
	s := f.sole
	f.sole = nil
	return s == nil || f.take(s.name)
}

// take adds a name to the list.
func (f *formParser) take(raw []byte) bool {
	if len(raw) <= maxRaw {
		if bytes.IndexByte(raw, '%') >= 0 || bytes.IndexByte(raw, '+') >= 0 {
			s, err := url.QueryUnescape(string(raw))
			if err != nil {
				f.list.more = true
				return true
			}
			raw = []byte(s)
		}
	}
	if len(raw) <= maxRaw && suspicious(raw) {
		return f.list.add([]byte(redacted))
	}
	name, ok := f.list.name(raw, plain)
	return ok && f.list.add([]byte(name))
}

// suspicious tells what is likelier something else that was put into a form than a name.
func suspicious(name []byte) bool {
	for _, c := range name {
		if c < ' ' || c == 0x7f || bytes.IndexByte([]byte(`"<>{}\;=&`), c) >= 0 {
			return true
		}
	}
	return false
}

// unnamed: the piece at hand has no equals sign.
func (f *formParser) unnamed() {
	if len(f.raw) > 0 {
		f.list.more = true
	}
	f.raw, f.odd = f.raw[:0], false
}

func (f *formParser) end() {
	if !f.value {
		f.unnamed()
	}
	switch {
	case f.sole == nil:
	case f.sole.contents():
		f.list.more = true
	default:
		f.release()
	}
}
