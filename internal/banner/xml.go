package banner

import "bytes"

// xmlScanner finds where the banner goes in XHTML served as XML: after the <body> tag; before one that is empty, or a
// <frameset>; and without any, before the root's end tag. XML implies nothing and forgives nothing: what is not
// well-formed shows an error in place of the page.
type xmlScanner struct {
	pos   int64
	start int64 // offset of the "<" of a tag not decided yet; -1: none
	place int64

	state xmlState
	ret   xmlState // where a comment or an instruction goes back to
	depth int
	body  bool // the tag at hand is the body's
	slash bool // the byte before was "/"
	n     int  // bytes matched of what ends the state, or of the name
	quote byte
	name  [9]byte // the local name at hand, cut off
}

type xmlState uint8

const (
	xmlText xmlState = iota
	xmlLT
	xmlBang
	xmlComment
	xmlCDATA
	xmlPI
	xmlDoctype
	xmlSubset     // between "[" and "]" of a doctype
	xmlSubsetLT   // "<" there
	xmlSubsetDecl // "<!…" there
	xmlName
	xmlTag
	xmlEndTag
)

func newXMLScanner() xmlScanner { return xmlScanner{start: -1} }

func (s *xmlScanner) held() int64 {
	if s.start >= 0 {
		return s.start
	}
	return s.pos
}

// release gives up the unfinished tag being kept: it is too long.
func (s *xmlScanner) release() { s.start = -1 }

// next is scanner.next for XML. It never stops at a <meta>.
func (s *xmlScanner) next(p []byte) event {
	base := s.pos
	i := 0
	for i < len(p) {
		if s.state == xmlText {
			j := bytes.IndexByte(p[i:], '<')
			if j < 0 {
				break
			}
			i += j + 1
			s.state, s.start = xmlLT, base+int64(i)-1
			continue
		}
		found, at := s.step(p[i], base+int64(i)+1)
		i++
		if found {
			s.pos, s.place = base+int64(i), at
			return evPlace
		}
	}
	s.pos = base + int64(len(p))
	return evMore
}

// step reads one byte that is not plain text; after is the offset behind it.
func (s *xmlScanner) step(c byte, after int64) (found bool, place int64) {
	switch s.state {
	case xmlLT:
		switch c {
		case '!':
			s.state, s.n, s.start = xmlBang, 0, -1
		case '?':
			s.state, s.ret, s.n, s.start = xmlPI, xmlText, 0, -1
		case '/':
			if s.depth <= 1 {
				return true, s.start
			}
			s.depth--
			s.state, s.start = xmlEndTag, -1
		default:
			s.state, s.n = xmlName, 0
			return s.step(c, after)
		}
	case xmlBang:
		switch {
		case c == '-' && s.n == 0:
			s.n++
		case c == '-':
			s.state, s.ret, s.n = xmlComment, xmlText, 0
		case c == '[':
			s.state, s.n = xmlCDATA, 0
		default:
			s.state, s.quote = xmlDoctype, 0
		}
	case xmlComment:
		if s.ends("-->", c) {
			s.state = s.ret
		}
	case xmlCDATA:
		if s.ends("]]>", c) {
			s.state = xmlText
		}
	case xmlPI:
		if s.ends("?>", c) {
			s.state = s.ret
		}
	case xmlDoctype:
		switch {
		case s.quoted(c):
		case c == '[':
			s.state = xmlSubset
		case c == '>':
			s.state = xmlText
		}
	case xmlSubset:
		switch c {
		case '<':
			s.state, s.n = xmlSubsetLT, 0
		case ']':
			s.state = xmlDoctype
		}
	case xmlSubsetLT:
		switch {
		case c == '?':
			s.state, s.ret, s.n = xmlPI, xmlSubset, 0
		case c == '!' && s.n == 0, c == '-' && s.n == 1:
			s.n++
		case c == '-' && s.n == 2:
			s.state, s.ret, s.n = xmlComment, xmlSubset, 0
		default:
			s.state, s.quote = xmlSubsetDecl, 0
			return s.step(c, after)
		}
	case xmlSubsetDecl:
		if !s.quoted(c) && c == '>' {
			s.state = xmlSubset
		}
	case xmlName:
		switch {
		case c == ':':
			s.n = 0
		case isSpace(c) || c == '/' || c == '>':
			name := string(s.name[:min(s.n, len(s.name))])
			s.body = s.n <= len(s.name) && name == "body"
			if s.n <= len(s.name) && name == "frameset" && s.start >= 0 {
				return true, s.start
			}
			if !s.body {
				s.start = -1
			}
			s.state, s.quote, s.slash = xmlTag, 0, false
			return s.step(c, after)
		default:
			if s.n < len(s.name) {
				s.name[s.n] = c
			}
			s.n++
		}
	case xmlTag:
		slash := s.slash
		s.slash = false
		switch {
		case s.quoted(c):
		case c == '/':
			s.slash = true
		case c == '>':
			switch {
			case s.body && slash && s.start >= 0:
				return true, s.start
			case s.body && !slash:
				return true, after
			case !slash:
				s.depth++
			}
			s.state = xmlText
		}
	case xmlEndTag:
		if c == '>' {
			s.state = xmlText
		}
	}
	return false, 0
}

// ends tells whether c completes the end mark.
func (s *xmlScanner) ends(mark string, c byte) bool {
	switch {
	case c == mark[s.n]:
		s.n++
	case s.n > 0 && c == mark[0] && s.n == len(mark)-1 && mark[0] == mark[len(mark)-2]:
		// "--->", "]]]>": one more of the same
	case c == mark[0]:
		s.n = 1
	default:
		s.n = 0
	}
	return s.n == len(mark)
}

// quoted tells whether c belongs to a quoted string.
func (s *xmlScanner) quoted(c byte) bool {
	switch {
	case s.quote != 0:
		if c == s.quote {
			s.quote = 0
		}
		return true
	case c == '"' || c == '\'':
		s.quote = c
		return true
	}
	return false
}
