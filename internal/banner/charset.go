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

// charsetOf is the charset of a Content-Type. Labels are those of the Encoding standard.
func charsetOf(values []string) charset {
	for i := len(values) - 1; i >= 0; i-- {
		v := values[i]
		at := strings.IndexByte(v, ';')
		if at < 0 {
			continue
		}
		for param := range strings.SplitSeq(v[at+1:], ";") {
			name, value, _ := strings.Cut(param, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "charset") {
				continue
			}
			value, _, _ = strings.Cut(value, ",")
			return charsetLabel(strings.Trim(strings.TrimSpace(value), `"'`))
		}
	}
	return charsetASCII
}

func charsetLabel(label string) charset {
	if len(label) == 5 && strings.EqualFold(label, "utf-8") {
		return charsetASCII
	}
	switch strings.ToLower(label) {
	case "utf-16", "utf-16le", "csunicode", "iso-10646-ucs-2", "ucs-2", "unicode", "unicodefeff":
		return charsetUTF16LE
	case "utf-16be", "unicodefffe":
		return charsetUTF16BE
	case "iso-2022-jp", "csiso2022jp":
		return charsetJIS
	case "utf-32", "utf-32le", "utf-32be", "ucs-4", "iso-10646-ucs-4", "utf-7", "csunicode11utf7":
		return charsetNone
	}
	return charsetASCII
}

var signatures = [...]struct {
	bytes string
	c     charset
}{
	{"\xFF\xFE", charsetUTF16LE},
	{"\xFE\xFF", charsetUTF16BE},
	{"<\x00?\x00x\x00", charsetUTF16LE},
	{"\x00<\x00?\x00x", charsetUTF16BE},
}

// signature is the charset that a document's first bytes declare, which browsers believe over all else: a byte-order
// mark, or "<?x" in UTF-16 where nothing else is declared. It is false when there are too few bytes to tell.
func signature(p []byte, declared bool) (c charset, sure bool) {
	for i, s := range signatures {
		if declared && i >= 2 {
			break
		}
		n := min(len(p), len(s.bytes))
		if string(p[:n]) != s.bytes[:n] {
			continue
		}
		if n < len(s.bytes) {
			return charsetASCII, false
		}
		return s.c, true
	}
	return charsetASCII, true
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
