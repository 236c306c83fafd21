package banner

import (
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
)

// charset is what matters of a character encoding: whether ASCII can be written into it, and read in it.
type charset uint8

const (
	charsetASCII charset = iota // a superset of ASCII: UTF-8, windows-1252, Shift_JIS, GBK, … (also when not declared)
	charsetUTF16LE
	charsetUTF16BE
	charsetJIS  // ISO-2022-JP: ASCII between escape sequences, where "<" is half a character
	charsetNone // not read by browsers either, or not safely
)

// charsetLabel is the charset of a label, as the Encoding standard has them. One it does not have is no declaration.
func charsetLabel(label string) charset {
	switch strings.ToLower(label) {
	case "", "utf-8":
		return charsetASCII
	case "utf-16", "utf-16le", "csunicode", "iso-10646-ucs-2", "ucs-2", "unicode", "unicodefeff":
		return charsetUTF16LE
	case "utf-16be", "unicodefffe":
		return charsetUTF16BE
	case "iso-2022-jp", "csiso2022jp":
		return charsetJIS
	case "replacement", "hz-gb-2312", "iso-2022-cn", "iso-2022-cn-ext", "iso-2022-kr", "csiso2022kr":
		return charsetNone // a browser shows one U+FFFD in place of all
	case "utf-32", "utf-32le", "utf-32be", "ucs-4", "iso-10646-ucs-4", "utf-7", "csunicode11utf7":
		return charsetNone // not read any more, but once were
	}
	return charsetASCII
}

var signatures = [...]struct {
	bytes string
	c     charset
}{
	{"\xEF\xBB\xBF", charsetASCII},
	{"\xFF\xFE", charsetUTF16LE},
	{"\xFE\xFF", charsetUTF16BE},
	{"<\x00?\x00x\x00", charsetUTF16LE},
	{"\x00<\x00?\x00x", charsetUTF16BE},
}

// marks is how many of the signatures are byte-order marks.
const marks = 3

// signature is the charset that a document's first bytes declare, and whether they do: a byte-order mark, which browsers
// believe over all else, or "<?x" in UTF-16 where nothing else is declared. It is not sure when there are too few bytes
// to tell.
func signature(p []byte, declared bool) (c charset, found, sure bool) {
	for i, s := range signatures {
		if declared && i >= marks {
			break
		}
		n := min(len(p), len(s.bytes))
		if string(p[:n]) != s.bytes[:n] {
			continue
		}
		if n < len(s.bytes) {
			return charsetASCII, false, false
		}
		return s.c, true, true
	}
	return charsetASCII, false, true
}

// utf16Decoder turns a document into UTF-8. What marks it as such is a byte-order mark, which counts more than any
// declaration; forms of a page in UTF-16 are sent in UTF-8 anyway, so the app sees no difference.
func utf16Decoder(c charset) *encoding.Decoder {
	order := unicode.LittleEndian
	if c == charsetUTF16BE {
		order = unicode.BigEndian
	}
	return unicode.UTF16(order, unicode.UseBOM).NewDecoder()
}

// jisMask hides the halves of two-byte characters of ISO-2022-JP from the scanner, which would take some for markup.
type jisMask struct {
	esc    int // bytes read of an escape sequence
	second byte
	double bool
}

// mask appends p to out, with the bytes of two-byte characters and escape sequences replaced by a letter each.
func (m *jisMask) mask(out, p []byte) []byte {
	for _, c := range p {
		switch {
		case c == 0x1b:
			m.esc = 1
			c = 'x'
		case m.esc == 1:
			m.esc, m.second = 2, c
			c = 'x'
		case m.esc == 2:
			m.esc = 0
			m.double = m.second == '$' || m.second == '(' && c == 'I' // katakana too
			c = 'x'
		case m.double && c > 0x20 && c < 0x7f:
			c = 'x'
		}
		out = append(out, c)
	}
	return out
}
