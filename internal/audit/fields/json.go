package fields

import (
	"bytes"
	stdjson "encoding/json"
)

const (
	maxDepth = 64
	// maxPath is from where on a path does not grow; more of it would be cut from the name in any case.
	maxPath = maxName
)

// jsonParser reads JSON (RFC 8259): the paths of the values that hold no others. It is strict about what stands where, so
// that nothing but a key is taken for one, and does not look into values.
type jsonParser struct {
	list  *list
	state jsonState
	stack []level
	path  []byte
	key   []byte            // as it is written, at most a byte more than is a name
	coded bool              // it has escapes
	slash bool              // the last byte of a string began an escape
	known map[string]string // what is recorded of keys with escapes, by the key as it is written
}

// level is one that is open.
type level struct {
	array bool
	base  int // length of its own path
}

type jsonState uint8

const (
	wantValue jsonState = iota
	wantItem            // or the end of the array
	wantKey
	wantMember // a key, or the end of the object
	wantColon
	wantNext // a comma or an end
	inKey
	inString
	inScalar
)

func (j *jsonParser) write(p []byte) bool {
	for i := 0; i < len(p); {
		switch j.state {
		case inString:
			i += j.skip(p[i:])
			continue
		case inKey:
			n, ok := j.keyed(p[i:])
			if !ok {
				return j.broken()
			}
			i += n
			continue
		case inScalar:
			for i < len(p) && scalar(p[i]) {
				i++
			}
			if i == len(p) {
				return true
			}
			j.state = wantNext
		}
		c := p[i]
		i++
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			continue
		}
		if more, ok := j.token(c); !ok {
			return j.broken()
		} else if !more {
			return false
		}
	}
	return true
}

func (j *jsonParser) broken() bool {
	j.list.more = true
	return false
}

// token takes a byte that is in no string and no scalar. more: the list has room.
func (j *jsonParser) token(c byte) (more, ok bool) {
	switch j.state {
	case wantItem:
		if c == ']' {
			return j.leaf() && j.pop(), true
		}
		return j.value(c)
	case wantValue:
		return j.value(c)
	case wantMember:
		if c == '}' {
			return j.leaf() && j.pop(), true
		}
		fallthrough
	case wantKey:
		if c != '"' {
			return false, false
		}
		j.state, j.key, j.coded = inKey, j.key[:0], false
		return true, true
	case wantColon:
		j.state = wantValue
		return true, c == ':'
	case wantNext:
		if len(j.stack) == 0 {
			return false, false // a second document
		}
		top := j.stack[len(j.stack)-1]
		j.path = j.path[:top.base]
		switch {
		case c == ',' && top.array:
			j.state = wantValue
		case c == ',':
			j.state = wantKey
		case c == ']' && top.array, c == '}' && !top.array:
			return j.pop(), true
		default:
			return false, false
		}
		return true, true
	}
	return false, false
}

// value takes the first byte of one.
func (j *jsonParser) value(c byte) (more, ok bool) {
	switch {
	case c == '{':
		j.state = wantMember
		return true, j.push(level{false, len(j.path)})
	case c == '[':
		if len(j.path) < maxPath {
			j.path = append(j.path, "[]"...)
		}
		j.state = wantItem
		return true, j.push(level{true, len(j.path)})
	case c == '"':
		j.state = inString
	case scalar(c):
		j.state = inScalar
	default:
		return false, false
	}
	return j.leaf(), true
}

func (j *jsonParser) push(l level) bool {
	if len(j.stack) == maxDepth {
		return false
	}
	j.stack = append(j.stack, l)
	return true
}

func (j *jsonParser) pop() bool {
	j.stack = j.stack[:len(j.stack)-1]
	j.state = wantNext
	return true
}

// leaf: here is a value that holds no others.
func (j *jsonParser) leaf() bool { return j.list.add(j.path) }

// scalar tells bytes of numbers and of true, false and null. Which of them make one is the app's business.
func scalar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// skip passes over a string's bytes.
func (j *jsonParser) skip(p []byte) int {
	quote := -1 // the next one, escaped or not
	for i := 0; i < len(p); {
		if j.slash {
			j.slash = false
			i++
			continue
		}
		if quote < i {
			if n := bytes.IndexByte(p[i:], '"'); n >= 0 {
				quote = i + n
			} else {
				quote = len(p)
			}
		}
		if n := bytes.IndexByte(p[i:quote], '\\'); n >= 0 {
			j.slash = true
			i += n + 1
			continue
		}
		if i = quote; i < len(p) {
			j.state = wantNext
			return i + 1
		}
	}
	return len(p)
}

// keyed collects a key's bytes; at its end the path leads to the value.
func (j *jsonParser) keyed(p []byte) (n int, ok bool) {
	for i, c := range p {
		switch {
		case j.slash:
			j.slash = false
		case c == '\\':
			j.slash, j.coded = true, true
		case c == '"':
			return i + 1, j.named()
		}
		if len(j.key) <= maxRaw {
			j.key = append(j.key, c)
		}
	}
	return len(p), true
}

func (j *jsonParser) named() bool {
	name, ok := j.name()
	if !ok {
		return false
	}
	j.path = j.path[:j.stack[len(j.stack)-1].base]
	if len(j.path) < maxPath {
		if len(j.path) > 0 {
			j.path = append(j.path, '.')
		}
		j.path = append(j.path, name...)
	}
	j.state = wantColon
	return true
}

// name is what is recorded of the key at hand.
func (j *jsonParser) name() (string, bool) {
	if !j.coded || len(j.key) > maxRaw {
		return j.list.name(j.key, inPath)
	}
	if name, ok := j.known[string(j.key)]; ok {
		return name, true
	}
	if len(j.known) == maxNew {
		return "", false
	}
	var plain string
	if stdjson.Unmarshal(append(append([]byte{'"'}, j.key...), '"'), &plain) != nil {
		return "", false
	}
	name, ok := j.list.name([]byte(plain), inPath)
	if !ok {
		return "", false
	}
	if j.known == nil {
		j.known = make(map[string]string)
	}
	j.known[string(j.key)] = name
	return name, true
}

func (j *jsonParser) end() {
	if len(j.stack) > 0 || j.state != wantNext && j.state != inScalar {
		j.list.more = true
	}
}
