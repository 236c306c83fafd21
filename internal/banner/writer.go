package banner

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

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
	kind   kind
	hold   []byte // of the page, from the scanner's held() on
	grants grants

	edited bool // a <meta> was

	dec     *decoder // nil: not encoded
	decode  []string
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
	w.kind = kindOf(h["Content-Type"])
	if list, ok := encodings(h["Content-Encoding"]); ok && len(list) > 0 {
		w.decode = list
		w.dec = newDecoder(list, w.decoded)
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
		w.err = w.encoded(p)
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

// encoded decodes p.
func (w *Writer) encoded(p []byte) error {
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
	w.dec, w.decode = nil, nil
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

// begin finds out from the first bytes, in hold, what the page is. With final it decides on what there is.
func (w *Writer) begin(final bool) error {
	p := w.hold
	if w.kind == kindNone && len(p) < sniffLen && !final {
		w.hold = append([]byte(nil), p...)
		return nil
	}
	h := w.dst.Header()
	declared, isDeclared := w.declared(h)
	cs, sure := signature(p, isDeclared)
	if !sure && !final {
		w.hold = append([]byte(nil), p...)
		return nil
	}
	if cs == charsetASCII {
		cs = declared
	}
	w.hold = nil
	if w.kind == kindNone {
		if len(p) == 0 {
			w.reason, w.phase = ReasonNoBody, phaseThrough
			return nil
		}
		mime := http.DetectContentType(p)
		h["Content-Type"] = []string{mime}
		if w.kind = kindOf(h["Content-Type"]); w.kind != kindHTML {
			w.reason, w.phase = ReasonNotHTML, phaseThrough
			return w.emit(p)
		}
		cs = charsetASCII
	}
	w.isXML = w.kind == kindXHTML
	switch {
	case cs == charsetNone, w.isXML && cs != charsetASCII:
		w.hold = p
		return w.unmarkable(ReasonCharset, nil)
	case cs == charsetJIS:
		w.jis = &jisMask{}
	}
	if w.isXML {
		w.xml = newXMLScanner()
	}
	w.phase = phaseScan
	w.grants.origin = w.info.Origin
	w.grants.adjustHeaders(h)
	if cs == charsetUTF16LE || cs == charsetUTF16BE {
		h["Content-Type"] = []string{"text/html; charset=utf-8"}
		w.utf16 = transform.NewWriter(pageText{w}, utf16Decoder(cs))
		// Browsers believe the mark over all else, a <meta> that says UTF-16 included.
		if err := w.scan([]byte("\xEF\xBB\xBF")); err != nil {
			return err
		}
		return w.convert(p)
	}
	if len(p) == 0 {
		return nil
	}
	return w.scan(p)
}

// declared is the charset of the Content-Type, and whether there is one.
func (w *Writer) declared(h http.Header) (charset, bool) {
	for _, v := range h["Content-Type"] {
		if strings.IndexByte(v, ';') >= 0 {
			return charsetOf(h["Content-Type"]), true
		}
	}
	return charsetASCII, false
}

// convert turns UTF-16 into UTF-8, which comes back by pageText.
func (w *Writer) convert(p []byte) error {
	if _, err := w.utf16.Write(p); err != nil {
		return fmt.Errorf("converting the charset: %w", err)
	}
	return nil
}

type pageText struct{ w *Writer }

func (t pageText) Write(p []byte) (int, error) {
	var err error
	switch t.w.phase {
	case phaseScan:
		err = t.w.scan(p)
	case phaseThrough:
		err = t.w.emit(p)
	}
	return len(p), err
}

var joinBuffers = sync.Pool{New: func() any { b := make([]byte, 0, joinLimit); return &b }}

// scan looks for the place in p, in front of which is what is held.
func (w *Writer) scan(p []byte) error {
	pooled := joinBuffers.Get().(*[]byte)
	out := (*pooled)[:0]
	defer func() {
		if cap(out) <= 2*joinLimit {
			*pooled = out[:0]
		}
		joinBuffers.Put(pooled)
	}()

	text := p
	if len(w.hold) > 0 {
		text = append(w.hold, p...)
	}
	view := p
	if w.jis != nil {
		view = w.jis.mask(make([]byte, 0, len(p)), p)
	}
	base := w.pos() - int64(len(w.hold)) // offset of text[0]
	w.hold = nil
	done := 0 // of text, what is in out
	for {
		at := w.pos()
		e, place := w.next(view)
		view = view[w.pos()-at:]
		switch e {
		case evMeta:
			from, to := int(place-base), int(w.pos()-base)
			if tag, ok := w.grants.editMeta(text[from:to]); ok {
				out = append(out, text[done:from]...)
				out = append(out, tag...)
				done = to
				w.edited = true
			}
			continue
		case evPlace:
			from := int(place - base)
			out = append(out, text[done:from]...)
			out = w.fragment(out)
			return w.placed(out, text[from:], len(text))
		case evFrameset:
			from := int(place - base)
			out = append(out, text[done:from]...)
			return w.frameset(out, text[from:], len(text))
		}
		break
	}
	if w.pos()-w.heldFrom() > holdLimit {
		w.html.release()
		w.xml.release()
	}
	keep := int(w.heldFrom() - base)
	if keep < len(text) {
		w.hold = append([]byte(nil), text[keep:]...)
	}
	if done > 0 {
		out = append(out, text[done:keep]...)
		return w.emit(out)
	}
	return w.emit(text[:keep])
}

func (w *Writer) pos() int64 {
	if w.isXML {
		return w.xml.pos
	}
	return w.html.pos
}

func (w *Writer) heldFrom() int64 {
	if w.isXML {
		return w.xml.held()
	}
	return w.html.held()
}

func (w *Writer) next(p []byte) (event, int64) {
	if w.isXML {
		e := w.xml.next(p)
		return e, w.xml.place
	}
	e := w.html.next(p)
	return e, w.html.place
}

func (w *Writer) fragment(b []byte) []byte {
	sri := ""
	if len(w.dst.Header()["Integrity-Policy"]) > 0 {
		sri = integrity(scriptSource)
	}
	return appendFragment(b, &w.info, &w.grants, sri)
}

// placed passes on out, which ends with the banner, and what follows it in the same piece of the page, whose length
// was read.
func (w *Writer) placed(out, rest []byte, read int) error {
	w.verdict, w.phase = Mark, phaseThrough
	if !w.sent {
		w.sendHead(len(out) + len(rest) - read)
	}
	if len(out)+len(rest) <= joinLimit {
		return w.emit(append(out, rest...))
	}
	if err := w.emit(out); err != nil {
		return err
	}
	return w.emit(rest)
}

// frameset deals with a page that has frames in place of a body: they go into a frameset with the banner's own. Where
// that can't be, and what is in front of it is out already, the banner and a body take its place.
func (w *Writer) frameset(out, rest []byte, read int) error {
	switch {
	case w.opts.FramePath != "" && !w.grants.noFrame:
		return w.placed(appendFrameset(out, w.info.Origin+w.opts.FramePath), rest, read)
	case !w.sent || w.opts.AllowUnmarked:
		w.hold = append(append([]byte(nil), out...), rest...)
		return w.unmarkable(ReasonFrameset, nil)
	}
	w.verdict, w.reason, w.phase = Unmarkable, ReasonFrameset, phaseDiscard
	return w.emit(w.fragment(out))
}

// unmarkable withholds the page, or lets it through: what is in hold, and then the rest.
func (w *Writer) unmarkable(reason string, cause error) error {
	w.verdict, w.reason = Unmarkable, reason
	if !w.opts.AllowUnmarked {
		w.phase = phaseDiscard
		return &UnmarkableError{Reason: reason, Err: cause}
	}
	w.phase = phaseThrough
	p := w.hold
	w.hold = nil
	return w.emit(p)
}

// finish puts the banner at the end of a page that never came to its body.
func (w *Writer) finish() error {
	closer, at, ok := "", int64(0), false
	if !w.isXML {
		closer, at, ok = w.html.finish()
	}
	if !ok {
		w.verdict, w.reason, w.phase = Unmarkable, ReasonNoPlace, phaseThrough
		return w.emit(w.hold)
	}
	from := int(at - (w.pos() - int64(len(w.hold))))
	out := append([]byte(nil), w.hold[:from]...)
	out = append(out, closer...)
	out = w.fragment(out)
	w.verdict, w.phase = Mark, phaseThrough
	return w.emit(append(out, w.hold[from:]...))
}

// emit passes on what is settled.
func (w *Writer) emit(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if !w.sent {
		w.sendHead(-1)
	}
	_, err := w.dst.Write(p)
	return err
}

// markedHeaders are about the bytes of the page as the app sent it.
var markedHeaders = [...]string{
	"Etag", "Last-Modified", "Accept-Ranges", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest",
}

// sendHead sends the response's head. added is what the banner adds to its length, where that is known; else -1.
func (w *Writer) sendHead(added int) {
	w.sent = true
	h := w.dst.Header()
	if w.decode != nil {
		delete(h, "Content-Encoding")
	}
	changed := w.phase == phaseScan || w.verdict == Mark || w.edited
	if changed || w.decode != nil {
		length, err := int64(-1), error(nil)
		if cl := h["Content-Length"]; len(cl) == 1 && added >= 0 && w.dec == nil && w.utf16 == nil {
			length, err = strconv.ParseInt(cl[0], 10, 64)
		}
		if length >= 0 && err == nil {
			h["Content-Length"] = []string{strconv.FormatInt(length+int64(added), 10)}
		} else {
			delete(h, "Content-Length")
		}
	}
	if changed {
		for _, name := range markedHeaders {
			delete(h, name)
		}
		h["Cache-Control"] = noStore // names somebody, and says how long
	}
	w.dst.WriteHeader(w.status)
}

var noStore = []string{"no-store"}
