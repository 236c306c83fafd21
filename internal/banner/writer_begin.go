package banner

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/text/transform"
)

// begin finds out from the first bytes, in hold, what the page is. With final it decides on what there is.
func (w *Writer) begin(final bool) error {
	p := w.hold
	mark, marked, sure := signature(p, w.media.charset != "")
	if !final && (!sure || w.media.kind == kindNone && len(p) < sniffLen) {
		w.hold = bytes.Clone(p)
		return nil
	}
	w.hold = nil
	if len(p) == 0 && w.media.kind != kindHTML {
		w.reason, w.phase = ReasonNoBody, phaseThrough
		return nil
	}
	w.settleType(p)
	switch w.media.kind {
	case kindHTML:
	case kindXHTML, kindXML:
		return w.beginXML(p, mark)
	default:
		w.reason, w.phase = ReasonNotHTML, phaseThrough
		return w.emit(p)
	}
	h := w.dst.Header()
	cs := charsetLabel(w.media.charset)
	switch {
	case marked:
		cs = mark
	case w.media.charset == "":
		if label := prescan(p); label != "" {
			// The browser would find it there too, if the banner did not come between.
			h["Content-Type"] = []string{"text/html; charset=" + label}
			cs = charsetLabel(label)
		}
	}
	switch cs {
	case charsetNone:
		w.hold = p
		return w.unmarkable(ReasonCharset, nil)
	case charsetJIS:
		w.jis = &jisMask{}
	}
	w.phase = phaseScan
	w.grants.origin, w.grants.extend = w.info.Origin, w.info.extendable()
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

// settleType declares the type where the app did not, or so that browsers may disagree on it.
func (w *Writer) settleType(p []byte) {
	h := w.dst.Header()
	m := &w.media
	if m.kind == kindNone {
		m.name, m.charset, m.odd = "text/plain", "", true
		if !noSniff(h) {
			m.name = sniff(p)
		}
		m.kind = kindOf(m.name)
	}
	if m.odd {
		h["Content-Type"] = []string{m.write()}
	}
}

// beginXML begins a document of XML, whose first bytes are p. Nothing of it is passed on until its root is known.
func (w *Writer) beginXML(p []byte, mark charset) error {
	if mark != charsetASCII || charsetLabel(w.media.charset) != charsetASCII {
		w.hold = p
		return w.unmarkable(ReasonCharset, nil)
	}
	w.isXML, w.maybe, w.phase = true, true, phaseScan
	w.xml = newXMLScanner(w.media.kind)
	return w.scan(p)
}

// root deals with XML whose root is read. It is false where the document goes on as it is.
func (w *Writer) root() bool {
	if w.maybe = false; w.xml.svg {
		w.phase, w.reason = phaseThrough, ReasonNotHTML
		return false
	}
	w.grants.origin, w.grants.extend = w.info.Origin, w.info.extendable()
	w.grants.adjustHeaders(w.dst.Header())
	return true
}

// instruction tells why a document can't be marked that begins with this: a declaration of a charset that is not read
// here, or a stylesheet that makes another document of it.
func instruction(p []byte) (reason string, bad bool) {
	text := strings.ToLower(string(p))
	switch {
	case strings.HasPrefix(text, "<?xml-stylesheet"):
		return ReasonStylesheet, !strings.Contains(text, "text/css")
	case strings.HasPrefix(text, "<?xml"):
		_, value, _ := strings.Cut(text, "encoding")
		value = strings.TrimLeft(value, "= \t\r\n")
		if value == "" {
			return "", false
		}
		label, _, _ := strings.Cut(value[1:], value[:1])
		return ReasonCharset, charsetLabel(label) != charsetASCII
	}
	return "", false
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
