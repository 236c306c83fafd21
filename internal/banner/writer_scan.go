package banner

import (
	"bytes"
	"sync"
)

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
			if w.jis == nil && w.media.charset == "" && charsetLabel(metaCharset(text[from:to])) == charsetJIS {
				w.jis = &jisMask{}
				view = w.jis.mask(make([]byte, 0, len(view)), view)
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
		case evInstruction:
			if reason, bad := instruction(text[place-base : w.pos()-base]); bad {
				w.hold = bytes.Clone(text)
				return w.unmarkable(reason, nil)
			}
			continue
		case evRoot:
			if !w.root() {
				return w.emit(text)
			}
			if w.xml.mode != xmlData && w.xml.empty {
				w.hold = bytes.Clone(text)
				return w.unmarkable(ReasonNoPlace, nil)
			}
			continue
		}
		break
	}
	if w.maybe {
		w.hold = bytes.Clone(text)
		if len(text) > holdLimit {
			return w.unmarkable(ReasonNoPlace, nil)
		}
		return nil
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
	switch {
	case !w.isXML:
		closer, at, ok = w.html.finish()
	case w.xml.mode == xmlData:
		w.reason, w.phase = ReasonNotHTML, phaseThrough
		return w.emit(w.hold)
	}
	if !ok && !w.sent {
		return w.unmarkable(ReasonNoPlace, nil)
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
