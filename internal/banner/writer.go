package banner

import (
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/text/transform"
)

// UnmarkableError is returned when a page turns out to be one that can't carry the banner before anything of it is
// sent: the caller can still answer with a page of its own.
type UnmarkableError struct {
	// Reason is one of the Reason constants.
	Reason string
	Err    error // may be nil
}

func (e *UnmarkableError) Error() string {
	if e.Err != nil {
		return "page can't carry the banner: " + e.Reason + ": " + e.Err.Error()
	}
	return "page can't carry the banner: " + e.Reason
}

func (e *UnmarkableError) Unwrap() error { return e.Err }

// Options change what a [Writer] does.
type Options struct {
	// AllowUnmarked lets a page that can't carry the banner through without. Otherwise it is withheld: with an
	// [UnmarkableError] where nothing is sent yet, else what is left of it is replaced by the banner.
	AllowUnmarked bool
	// FramePath is where [ServeFrame] answers, as a path of the site. With it, a page that has frames in place of a
	// body is marked by a frame of the banner's own on top; without, it can't be.
	FramePath string
}

// Writer puts the banner into a page that is written to it, and passes it on.
//
// It keeps back the response's head until the first bytes of the page are read, so that the length can be told where
// it is known, and a page that can't be marked can still be answered otherwise. After that it keeps back no more than
// an unfinished tag in front of the body. It decodes what is encoded, converts UTF-16, and adjusts the headers: of
// dst.Header, which must not change any more once the Writer is made.
//
// A Writer must be ended by Close, at the page's end, or by Abort. It is for one goroutine at a time.
type Writer struct {
	dst    http.ResponseWriter
	info   Info
	opts   Options
	status int

	phase   phase
	verdict Verdict
	reason  string
	sent    bool // the head is
	err     error

	html   scanner
	xml    xmlScanner
	isXML  bool
	maybe  bool // it is not known yet what XML it is: nothing is passed on
	media  mediaType
	hold   []byte // of the page, from the scanner's held() on
	grants grants

	edited bool // a <meta> was

	dec     *decoder // nil: not encoded, or no longer decoded
	encoded bool
	raw     []byte // of an encoded body, what was read while nothing was decoded from it yet
	rawLost bool   // … which is too long or over
	utf16   *transform.Writer
	jis     *jisMask

	closed bool
}

type phase uint8

const (
	phaseStart   phase = iota // the first bytes tell what it is
	phaseScan                 // the place is ahead
	phaseThrough              // the rest goes on as it is
	phaseDiscard              // the rest is withheld
)

const (
	sniffLen = 512 // as net/http
	// joinLimit is up to which length the pieces around the banner are joined into one write, in bytes: copying is
	// cheaper than another system call.
	joinLimit = 40 << 10
	// rawLimit bounds how much of an encoded body is kept until it proves to be well-formed, in bytes.
	rawLimit = 4 << 10
)

// NewWriter makes a Writer for a response that [Decide] says to mark. It sends dst the status, when the time comes.
func NewWriter(dst http.ResponseWriter, status int, info *Info, opts Options) *Writer {
	w := &Writer{dst: dst, status: status, info: *info, opts: opts, html: newScanner(), verdict: Pass}
	h := dst.Header()
	w.media = parseType(h["Content-Type"])
	if values := h["Content-Encoding"]; len(values) > 0 {
		if list, ok := encodings(values); ok {
			w.encoded = true
			if len(list) > 0 {
				w.dec = newDecoder(list, w.decoded)
			}
		}
	}
	return w
}

// Result tells what became of the page: marked, passed on since it turned out to be none, or unmarkable and why.
func (w *Writer) Result() (Verdict, string) { return w.verdict, w.reason }

// Marked tells whether the page carries the banner.
func (w *Writer) Marked() bool { return w.verdict == Mark }

// Write takes the next piece of the response's body as the app sent it.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.dec == nil {
		w.err = w.page(p)
	} else {
		w.err = w.undo(p)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// FlushError passes on a flush by the app, once there is something to be flushed.
func (w *Writer) FlushError() error {
	if w.err != nil {
		return w.err
	}
	if w.phase == phaseStart && len(w.hold) > 0 {
		if w.err = w.begin(true); w.err != nil {
			return w.err
		}
	}
	if !w.sent {
		return nil
	}
	if err := http.NewResponseController(w.dst).Flush(); err != nil {
		return fmt.Errorf("flushing: %w", err)
	}
	return nil
}

// Close ends the page: what was kept back is passed on, and the banner put at the end where nothing called for it
// before. An encoded body that was cut off is an error; the client must not take it for whole.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	err := w.err
	if err == nil {
		err = w.close()
	}
	w.Abort()
	return err
}

func (w *Writer) close() error {
	if w.dec != nil {
		if err := w.dec.close(); err != nil {
			if err = w.broken(err, nil); err != nil {
				return err
			}
		}
	}
	if w.utf16 != nil {
		if err := w.utf16.Close(); err != nil {
			return fmt.Errorf("converting the charset: %w", err)
		}
	}
	if w.phase == phaseStart {
		if err := w.begin(true); err != nil {
			return err
		}
	}
	if w.phase == phaseScan {
		if err := w.finish(); err != nil {
			return err
		}
	}
	if !w.sent && w.phase != phaseDiscard {
		w.sendHead(-1)
	}
	return nil
}

// Abort frees what the Writer holds without writing more. It may be called after Close, and again.
func (w *Writer) Abort() {
	w.closed = true
	if w.dec != nil {
		w.dec.abort()
	}
	if w.err == nil {
		w.err = errAborted
	}
}

// undo decodes p.
func (w *Writer) undo(p []byte) error {
	if err := w.dec.write(p); err != nil {
		return w.broken(err, p)
	}
	switch {
	case w.rawLost:
	case len(w.raw)+len(p) <= rawLimit:
		w.raw = append(w.raw, p...)
	default:
		w.raw, w.rawLost = nil, true
	}
	return nil
}

// broken deals with a body that is not in its Content-Encoding, as p shows. Before anything of it was decoded it can
// still be let through as it is.
func (w *Writer) broken(err error, p []byte) error {
	var u *UnmarkableError
	if w.sent || errors.As(err, &u) {
		return err
	}
	w.dec.abort()
	if w.rawLost {
		w.opts.AllowUnmarked = false
	}
	w.dec, w.encoded = nil, false
	w.hold = append(w.raw, p...)
	return w.unmarkable(ReasonMalformed, err)
}

// decoded takes a piece of the body, decoded.
func (w *Writer) decoded(p []byte) error {
	w.raw, w.rawLost = nil, true
	return w.page(p)
}

// page takes a piece of the page in its own charset.
func (w *Writer) page(p []byte) error {
	switch w.phase {
	case phaseStart:
		if len(w.hold) == 0 {
			w.hold = p // begin keeps a copy of what it does not use
			return w.begin(false)
		}
		w.hold = append(w.hold, p...)
		return w.begin(false)
	case phaseScan:
		if w.utf16 != nil {
			return w.convert(p)
		}
		return w.scan(p)
	case phaseThrough:
		if w.utf16 != nil {
			return w.convert(p)
		}
		return w.emit(p)
	}
	return nil
}
