package banner

import "bytes"

// xmlScanner finds where the banner goes in XML. XML implies nothing and forgives nothing, but what stands before the
// first error is shown: so the banner goes in before anything that is.
//
// In HTML as XML that is after the <body> tag; before an empty one, or what else may follow the head; and first of all
// where the root is another element of HTML. Other XML is a page if there is an element of HTML in it: the banner goes
// before the first.
type xmlScanner struct {
	pos   int64
	start int64 // offset of the "<" of a tag or instruction not decided yet; -1: none
	place int64

	state   xmlState
	ret     xmlState // where a comment or an instruction goes back to
	mode    xmlMode
	always  bool // the root is HTML whatever its namespace
	pending bool // the place is where reading stopped
	empty   bool // the root is an empty element
	svg     bool // the root is a picture

	depth    int
	slash    bool // the byte before was "/"
	n        int  // bytes matched of what ends the state, or of the name
	quote    byte
	name     [9]byte // the local name at hand, cut off
	ns       int     // bytes matched of HTML's namespace in the value at hand; -1: it is another
	html     bool    // the tag at hand has that for a value
	entities bool    // the doctype may declare some, which may hold anything
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

type xmlMode uint8

const (
	xmlProlog xmlMode = iota // the root is ahead
	xmlHTML                  // the root is <html>
	xmlOther                 // … another element of HTML
	xmlData                  // … no HTML
)

// xmlNamespace is HTML's.
const xmlNamespace = "http://www.w3.org/1999/xhtml"

// newXMLScanner makes a scanner of XML that is HTML by its type, or may turn out to be.
func newXMLScanner(k kind) xmlScanner { return xmlScanner{start: -1, always: k == kindXHTML} }

func (s *xmlScanner) held() int64 {
	if s.start >= 0 {
		return s.start
	}
	return s.pos
}

// release gives up the unfinished tag being kept: it is too long.
func (s *xmlScanner) release() { s.start = -1 }

// next is scanner.next for XML. It stops too at an instruction in front of the root, and after the root's start tag.
func (s *xmlScanner) next(p []byte) event {
	if s.pending {
		s.pending, s.place = false, s.pos
		return evPlace
	}
	base := s.pos
	for i := 0; i < len(p); {
		if s.state != xmlText {
			e := s.step(p[i], base+int64(i)+1)
			i++
			if e != evMore {
				s.pos = base + int64(i)
				return e
			}
			continue
		}
		if s.mode == xmlHTML && s.depth == 1 {
			for i < len(p) && isSpace(p[i]) {
				i++
			}
			if i < len(p) && p[i] != '<' {
				s.pos = base + int64(i)
				s.place = s.pos
				return evPlace
			}
		} else if j := bytes.IndexByte(p[i:], '<'); j < 0 {
			i = len(p)
		} else {
			i += j
		}
		if i < len(p) {
			s.state, s.start = xmlLT, base+int64(i)
			i++
		}
	}
	s.pos = base + int64(len(p))
	return evMore
}

// step reads one byte that is not plain text; after is the offset behind it.
func (s *xmlScanner) step(c byte, after int64) event {
	switch s.state {
	case xmlLT:
		switch c {
		case '!':
			s.state, s.n = xmlBang, 0
		case '?':
			s.state, s.ret, s.n = xmlPI, xmlText, 0
			if s.mode != xmlProlog {
				s.start = -1
			}
		case '/':
			if s.depth == 1 && s.mode == xmlHTML {
				return s.found(s.start)
			}
			s.depth--
			s.state, s.start = xmlEndTag, -1
		default:
			s.state, s.n, s.html = xmlName, 0, false
			return s.step(c, after)
		}
	case xmlBang:
		switch {
		case c == '-' && s.n == 0:
			s.n++
		case c == '-':
			s.state, s.ret, s.n, s.start = xmlComment, xmlText, 0, -1
		case c == '[':
			if s.depth == 1 && s.mode == xmlHTML {
				return s.found(s.start)
			}
			s.state, s.n, s.start = xmlCDATA, 0, -1
		default:
			s.state, s.quote, s.start = xmlDoctype, 0, -1
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
			if s.place = s.start; s.start >= 0 {
				s.start = -1
				return evInstruction
			}
		}
	case xmlDoctype:
		switch {
		case s.quoted(c):
		case c == '[':
			s.state, s.entities = xmlSubset, true
		case c == '>':
			s.state = xmlText
		}
	case xmlSubset:
		switch c {
		case '<':
			s.state, s.n, s.start = xmlSubsetLT, 0, after-1
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
			s.state, s.ret, s.n, s.start = xmlComment, xmlSubset, 0, -1
		default:
			s.state, s.quote, s.start = xmlSubsetDecl, 0, -1
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
			if s.depth == 1 && s.mode == xmlHTML && s.start >= 0 && !s.named("head") && !s.named("body") && !s.named("meta") {
				return s.found(s.start)
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
			s.value(c)
		case c == '/':
			s.slash = true
		case c == '>':
			return s.startTag(slash, after)
		}
	case xmlEndTag:
		if c == '>' {
			s.state = xmlText
		}
	}
	return evMore
}

// startTag acts on the start tag, or the empty element, that ends before after.
func (s *xmlScanner) startTag(empty bool, after int64) event {
	start := s.start
	s.state, s.start = xmlText, -1
	if !empty {
		s.depth++
	}
	switch {
	case s.mode == xmlProlog:
		s.empty = empty
		switch {
		case !s.always && !s.html && !s.entities:
			s.mode, s.svg = xmlData, s.named("svg")
		case s.named("html"):
			s.mode = xmlHTML
		default:
			s.mode, s.pending = xmlOther, !empty
		}
		return evRoot
	case s.mode == xmlData && s.html && start >= 0:
		return s.found(start)
	case s.mode == xmlData && s.html && !empty: // too long to go before
		return s.found(after)
	case s.mode == xmlHTML && s.named("meta") && start >= 0:
		s.place = start
		return evMeta
	case s.mode == xmlHTML && s.named("body") && s.depth == 2 && !empty:
		return s.found(after)
	case s.mode == xmlHTML && s.named("body") && s.depth == 1 && empty && start >= 0:
		return s.found(start)
	}
	return evMore
}

func (s *xmlScanner) found(place int64) event {
	s.place = place
	return evPlace
}

// named tells whether that is the local name of the tag at hand.
func (s *xmlScanner) named(name string) bool {
	return s.n == len(name) && string(s.name[:s.n]) == name
}

// value reads one byte of a quoted value, its quotes included, and looks for HTML's namespace. A reference in it may
// stand for anything.
func (s *xmlScanner) value(c byte) {
	switch {
	case s.quote == 0: // the end
		s.html = s.html || s.ns == len(xmlNamespace)
		s.ns = 0
	case c == s.quote: // the beginning
		s.ns = 0
	case c == '&' && s.ns >= 0:
		s.html = true
	case s.ns >= 0 && s.ns < len(xmlNamespace) && c == xmlNamespace[s.ns]:
		s.ns++
	default:
		s.ns = -1
	}
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
