package banner

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
)

const (
	// maxEncodings bounds how many times over a body may be encoded.
	maxEncodings = 4
	// decodeBuffer is the size of the pieces decoded bodies go on in, in bytes: with the 32 KiB window of gzip and its
	// tables, a response takes less than 64 KiB.
	decodeBuffer = 8 << 10
)

// encodings lists what a body of the given Content-Encoding headers must be decoded from, in that order; false for one
// not known here. What is no encoding at all ("utf-8", "none"), browsers ignore, and with it all that stand beside.
func encodings(values []string) (list []string, ok bool) {
	misnomer := false
	for i := len(values) - 1; i >= 0; i-- {
		v := values[i]
		for v != "" {
			var e string
			if at := strings.LastIndexByte(v, ','); at >= 0 {
				v, e = v[:at], v[at+1:]
			} else {
				v, e = "", v
			}
			switch e = strings.ToLower(strings.TrimSpace(e)); e {
			case "", "identity":
				continue
			case "gzip", "x-gzip", "deflate", "br", "zstd":
				list = append(list, e)
			case "utf-8", "utf8", "none", "null", "binary", "7bit", "8bit", "chunked", "text", "html", "text/html":
				misnomer = true
			default:
				return nil, false
			}
		}
	}
	return list, len(list) <= maxEncodings && !(misnomer && len(list) > 0)
}

// decoder undoes Content-Encodings of a body that is written to it, piece by piece. What a piece allows to be decoded
// is handed to the sink before write returns: a page the app flushes arrives as it flushes it.
//
// The decoders at hand read from an io.Reader, so they run as a coroutine, which stops where they want to read more.
type decoder struct {
	piece  []byte // not read yet
	eof    bool
	next   func() (struct{}, bool)
	stop   func()
	result error
	done   bool
}

var errAborted = errors.New("aborted")

func newDecoder(encodings []string, sink func([]byte) error) *decoder {
	d := &decoder{}
	d.next, d.stop = iter.Pull(func(yield func(struct{}) bool) {
		d.result = d.run(encodings, sink, yield)
		d.done = true
	})
	return d
}

// write decodes p. After the end of the encoded body, more is an error.
func (d *decoder) write(p []byte) error {
	d.piece = p
	if !d.done {
		d.next()
	}
	if d.done && d.result == nil && len(d.piece) > 0 {
		d.piece = nil // some apps pad what they compressed, and browsers don't mind
	}
	return d.result
}

// close decodes what is left, and reports a body cut off.
func (d *decoder) close() error {
	d.eof = true
	if !d.done {
		d.next()
	}
	d.stop()
	return d.result
}

// abort ends the decoder without decoding more.
func (d *decoder) abort() { d.stop() }

// source is the encoded body as the decoders read it.
type source struct {
	d     *decoder
	yield func(struct{}) bool
	gone  bool
}

func (s *source) Read(p []byte) (int, error) {
	for len(s.d.piece) == 0 {
		switch {
		case s.d.eof:
			return 0, io.EOF
		case s.gone:
			return 0, errAborted
		}
		s.gone = !s.yield(struct{}{})
	}
	n := copy(p, s.d.piece)
	s.d.piece = s.d.piece[n:]
	return n, nil
}

var decodeBuffers = sync.Pool{New: func() any { b := make([]byte, decodeBuffer); return &b }}

func (d *decoder) run(encodings []string, sink func([]byte) error, yield func(struct{}) bool) error {
	src := &source{d: d, yield: yield}
	// Wait for the first bytes: an empty body is no malformed one.
	for len(d.piece) == 0 {
		if d.eof || !yield(struct{}{}) {
			return nil
		}
	}
	var r io.Reader = src
	for _, e := range encodings {
		dec, release, err := decodeOne(e, r)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", e, err)
		}
		r = dec
		defer release()
	}
	buf := decodeBuffers.Get().(*[]byte)
	defer decodeBuffers.Put(buf)
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			if serr := sink((*buf)[:n]); serr != nil {
				return serr
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("decoding %s: %w", encodings[len(encodings)-1], err)
		}
	}
}
