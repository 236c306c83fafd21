package fields

import (
	"bufio"
	"bytes"
	"mime"
	"net/textproto"
)

const (
	maxHead = 8 << 10 // of a part's headers
	maxLine = 1 << 10 // of a line where a boundary is looked for
	maxPart = 1000    // parts whose headers are read
)

// multipartParser reads multipart/form-data (RFC 7578) as mime/multipart does, which is its oracle: parts' names, those of
// files too, but not what the files are called.
type multipartParser struct {
	list  *list
	mark  []byte // "\r\n--" and the boundary; "\n--…" when lines end so
	nl    int    // length of the line break in mark
	state multipartState
	line  []byte // preamble and behind a boundary: the line so far; head: all lines
	width int    // of the last line in the head
	found int    // bytes of mark that the last bytes of a part's content are
	parts int
}

type multipartState uint8

const (
	inPreamble multipartState = iota
	inHead
	inContent
	afterMark // what behind a mark tells whether it is one
	inMark    // the rest of a boundary's line
)

func newMultipartParser(l *list, boundary string) *multipartParser {
	return &multipartParser{list: l, mark: []byte("\r\n--" + boundary), nl: 2}
}

func (m *multipartParser) write(p []byte) bool {
	for len(p) > 0 {
		ok := true
		switch m.state {
		case inContent:
			p = m.content(p)
			continue
		case afterMark:
			ok = m.behind(p[0])
			if m.state == inContent {
				continue // that byte is content
			}
		case inHead:
			ok = m.head(p[0])
		default:
			ok = m.boundary(p[0])
		}
		if !ok {
			return false
		}
		p = p[1:]
	}
	return true
}

// broken: what comes can't be understood.
func (m *multipartParser) broken() bool {
	m.list.more = true
	return false
}

// dashes is a boundary as a line begins with it.
func (m *multipartParser) dashes() []byte { return m.mark[m.nl:] }

// boundary reads lines of the preamble, or the rest of a boundary's line.
func (m *multipartParser) boundary(c byte) bool {
	if len(m.line) == maxLine {
		return m.broken()
	}
	m.line = append(m.line, c)
	if c != '\n' {
		return true
	}
	line := m.line
	m.line = m.line[:0]
	rest, ok := bytes.CutPrefix(line, m.dashes())
	if !ok {
		return m.state == inPreamble || m.broken()
	}
	if rest, final := bytes.CutPrefix(rest, []byte("--")); final && bytes.Equal(blanks(rest), m.mark[:m.nl]) {
		return false // the end, whatever follows
	}
	rest = blanks(rest)
	if m.parts == 0 && len(rest) == 1 { // lines end in \n alone
		m.mark, m.nl = m.mark[1:], 1
	}
	switch {
	case bytes.Equal(rest, m.mark[:m.nl]):
		m.state, m.width = inHead, 0
		return true
	case m.state == inPreamble:
		return true
	}
	return m.broken()
}

func blanks(s []byte) []byte { return bytes.TrimLeft(s, " \t") }

// head reads a part's headers, up to the empty line.
func (m *multipartParser) head(c byte) bool {
	if len(m.line) == maxHead {
		return m.broken()
	}
	m.line = append(m.line, c)
	m.width++
	if c != '\n' {
		return true
	}
	empty := m.width == 1 || m.width == 2 && m.line[len(m.line)-2] == '\r'
	m.width = 0
	if !empty {
		return true
	}
	if m.parts++; m.parts > maxPart {
		return m.broken()
	}
	head, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(m.line))).ReadMIMEHeader()
	m.line = m.line[:0]
	if err != nil {
		return m.broken()
	}
	// A part without content has its boundary at once.
	m.state, m.found = inContent, m.nl
	disposition, params, err := mime.ParseMediaType(head.Get("Content-Disposition"))
	if err != nil || disposition != "form-data" || params["name"] == "" || len(head["Content-Disposition"]) > 1 {
		m.list.more = true // apps may read one where there is none by the book
		return true
	}
	name, ok := m.list.name([]byte(params["name"]), plain)
	return ok && m.list.add([]byte(name))
}

// content looks for the mark that ends a part's content, and returns what comes behind it. The mark's first byte is nowhere else
// in it: so where it breaks off, it can only begin anew.
func (m *multipartParser) content(p []byte) []byte {
	for i := 0; i < len(p); i++ {
		if m.found == 0 {
			n := bytes.IndexByte(p[i:], m.mark[0])
			if n < 0 {
				return nil
			}
			i += n
		}
		switch p[i] {
		case m.mark[m.found]:
			if m.found++; m.found == len(m.mark) {
				m.state, m.line = afterMark, append(m.line[:0], m.dashes()...)
				return p[i+1:]
			}
		case m.mark[0]:
			m.found = 1
		default:
			m.found = 0
		}
	}
	return nil
}

// behind tells by the byte behind a mark whether it is a boundary, and not the beginning of something longer.
func (m *multipartParser) behind(c byte) bool {
	half := len(m.line) > len(m.dashes())
	switch {
	case half && c == '-', !half && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
		m.state = inMark
		return m.boundary(c)
	case !half && c == '-':
		m.line = append(m.line, c)
		return true
	}
	m.state, m.found, m.line = inContent, 0, m.line[:0]
	return true
}

func (m *multipartParser) end() {
	rest, ok := bytes.CutPrefix(m.line, append(m.dashes()[:len(m.dashes()):len(m.dashes())], "--"...))
	if (m.state == inPreamble || m.state == inMark) && ok && len(blanks(rest)) == 0 {
		return
	}
	m.list.more = true
}
