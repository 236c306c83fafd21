// Package fields reads the names of a form's or a JSON document's fields while the body streams past on its way to the
// app. It keeps names, never values, and none of the body: it delays nothing, changes nothing, and what it holds is bounded.
//
// It is a parser that is pushed the bytes as they come; how they are cut into pieces makes no difference.
package fields

import (
	"mime"
	"net/http"
	"strings"
	"sync"
)

// MaxBytes bounds the list of names.
const MaxBytes = 1024

// Bounds of what is looked at. What is beyond them is told by the mark at the list's end.
const (
	maxNames = 100      // in the list
	maxName  = 256      // bytes of one in the list
	maxRaw   = 1024     // bytes of one in the body; more is no name
	maxNew   = 256      // different names, before they are masked: each costs a look for secrets
	maxBody  = 1 << 20  // of a form or JSON
	maxParts = 64 << 20 // of a multipart form, whose contents are only searched for the next boundary
)

// More ends a list that does not have all names: there were more, or the body could not be read to its end.
const More = "…"

// Cleaner makes a name fit to be recorded; secret: it holds what must not be, and is not recorded at all.
type Cleaner func(name string) (clean string, secret bool)

// Names collects those of one body. Its methods may be called by several goroutines: a transport may still read a body
// when the answer is there.
type Names struct {
	mu     sync.Mutex
	list   list
	parser parser // nil: nothing to read any more
	length int64  // of the body; negative: not announced
	limit  int64
	n      int64
	ended  bool
}

// parser is pushed a body. It returns false when it wants no more: it has read the end, or something that it does not
// understand, and has told the list so.
type parser interface {
	write(p []byte) bool
	// end is called when the body has ended.
	end()
}

// New prepares to read the body of a request with these headers; nil: it is of no type that has fields. A negative length
// was not announced.
func New(h http.Header, length int64, clean Cleaner) *Names {
	kind, boundary, ok := kindOf(h)
	if kind == "" {
		return nil
	}
	n := &Names{length: length, limit: maxBody}
	n.list.clean = clean
	switch {
	case !ok:
		n.list.more = true
	case kind == form:
		n.parser = &formParser{list: &n.list}
	case kind == multipart:
		n.parser, n.limit = newMultipartParser(&n.list, boundary), maxParts
	default:
		n.parser = &jsonParser{list: &n.list}
	}
	return n
}

// Types of bodies that have fields.
const (
	form      = "application/x-www-form-urlencoded"
	multipart = "multipart/form-data"
	json      = "application/json"
)

// kindOf is the body's type, empty when it has no fields; not ok: it has, and they can't be read.
func kindOf(h http.Header) (kind, boundary string, ok bool) {
	types := h["Content-Type"]
	if len(types) == 0 {
		return "", "", false
	}
	media, params, err := mime.ParseMediaType(types[0])
	if media == "" {
		media, _, _ = strings.Cut(types[0], ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	switch {
	case media == form, media == multipart, media == json:
		kind = media
	case media == "text/json", strings.HasSuffix(media, "+json"):
		kind = json
	default:
		return "", "", false
	}
	for _, coding := range h["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			return kind, "", false
		}
	}
	boundary = params["boundary"]
	if kind == multipart && (err != nil || boundary == "" || len(boundary) > 256 || strings.ContainsAny(boundary, "\r\n")) {
		return kind, "", false
	}
	return kind, boundary, len(types) == 1 // apps differ in which of several they take
}

// Write looks at the next bytes of the body.
func (n *Names) Write(p []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.parser != nil {
		if room := n.limit - n.n; int64(len(p)) > room {
			if n.parser.write(p[:room]) {
				n.list.more = true
			}
			n.parser = nil
		} else if !n.parser.write(p) {
			n.parser = nil
		}
	}
	n.n += int64(len(p))
	if n.n == n.length {
		n.end()
	}
}

// End tells that the body has come to its end.
func (n *Names) End() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.end()
}

func (n *Names) end() {
	if n.ended {
		return
	}
	n.ended = true
	if n.parser != nil && n.n > 0 {
		n.parser.end()
	}
	n.parser = nil
}

// String is the names found so far, in the order in which they first came, between ", ". It ends in [More] when there may
// be others.
func (n *Names) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list.text(n.parser != nil && !n.ended)
}
