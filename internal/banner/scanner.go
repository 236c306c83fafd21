package banner

import "bytes"

// event is why the scanner stopped reading.
type event uint8

const (
	evMore        event = iota // everything given is read, and the place is still ahead
	evPlace                    // the banner goes in at scanner.place
	evMeta                     // a <meta> of the head ends at scanner.pos; it began at scanner.place
	evFrameset                 // a <frameset> in place of the body begins at scanner.place
	evInstruction              // an instruction of XML, in front of the root, ends at xmlScanner.pos; it began at xmlScanner.place
	evRoot                     // it is known what XML it is
)

// scanner finds where the content of an HTML document's body starts: after the <body> tag, or before the first thing
// that makes a browser imply one. It is the tokenizer of the HTML standard (13.2.5) and, of its tree construction
// (13.2.6), the insertion modes up to "after head", reduced to the question "are we in the body yet?".
//
// It is fed pieces of any size and keeps its state between them; nothing is read twice. It looks back only to the
// start of an unfinished tag, which its caller keeps (see held).
type scanner struct {
	pos   int64 // offset in the document of the next byte
	start int64 // offset of the "<" or "&" not decided yet; -1: none
	place int64 // set with an event

	state     state
	ret       state // where a text of its own goes on when "</" was not its end
	tag       tag
	end       bool // the tag at hand is an end tag
	rawEnd    bool // … that of a text of its own
	dash      uint8
	double    bool // in a script: double escaped
	afterHead bool // </head> was seen
	loose     bool // the unfinished tag was too long to keep
	n         int
	ref       uint32
	name      [maxName]byte
	stack     nesting
}

// maxName is one more than the longest name that matters, annotation-xml.
const maxName = 15

// maxRef bounds a character reference before the body: "&#0…032;" may be of any length.
const maxRef = 64

// holdLimit is how much of an unfinished tag is kept, in bytes.
const holdLimit = 16 << 10

type state uint8

const (
	stBOM state = iota
	stText
	stRef     // after "&"
	stRefName // "&T…", "&N…"
	stRefNum
	stRefDec
	stRefHex
	stLT      // after "<"
	stLTSlash // after "</"
	stBang    // after "<!"
	stBangDash
	stBogus // up to ">": doctypes, processing instructions and what the standard calls bogus comments
	stComment
	stName
	stBeforeAttr
	stAttr
	stAfterAttr
	stBeforeValue
	stDouble
	stSingle
	stUnquoted
	stAfterQuoted
	stSelfClosing
	stRaw // title, style, …: only its own end tag is markup
	stRawLT
	stRawName
	stScript
	stScriptLT
	stScriptBang
	stScriptBangDash
	stEscaped // after "<!--" in a script
	stEscapedLT
	stEscapedName
	stPlain // after <plaintext>: never ends
)

// Places of a comment's end, in scanner.dash while in stComment.
const (
	commentText  = iota
	commentDash  // "-"
	commentEnd   // "--"
	commentBang  // "--!"
	commentStart // "<!--"
	commentStartDash
)

func newScanner() scanner { return scanner{start: -1} }

// held is the offset from which on the document must be kept: what comes before is settled.
func (s *scanner) held() int64 {
	if s.start >= 0 {
		return s.start
	}
	return s.pos
}

// release gives up the unfinished tag being kept: it is too long.
func (s *scanner) release() {
	s.start = -1
	s.loose = true
}

// attrEnds are the bytes that end an attribute's name.
var attrEnds = [256]bool{' ': true, '\t': true, '\n': true, '\f': true, '\r': true, '/': true, '>': true, '=': true}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f'
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// next reads on in p, the bytes at s.pos, up to the next event or the end of p.
func (s *scanner) next(p []byte) event {
	base := s.pos
	i := 0
	for i < len(p) {
		c := p[i]
		switch s.state {
		case stBOM:
			if c != "\xEF\xBB\xBF"[s.n] {
				if s.n > 0 {
					return s.stop(evPlace, base+int64(i), s.start) // not a mark: text
				}
				s.state = stText
				continue
			}
			s.start = 0
			i++
			if s.n++; s.n == 3 {
				s.state, s.start = stText, -1
			}

		case stText:
			if s.stack.depth > 0 {
				j := bytes.IndexByte(p[i:], '<')
				if j < 0 {
					i = len(p)
					break
				}
				i += j
			} else {
				for i < len(p) && isSpace(p[i]) {
					i++
				}
				if i == len(p) {
					break
				}
			}
			switch p[i] {
			case '<':
				s.state = stLT
			case '&':
				s.state, s.n = stRef, 0
			default:
				return s.stop(evPlace, base+int64(i), base+int64(i))
			}
			s.start = base + int64(i)
			i++

		case stRef, stRefName, stRefNum, stRefDec, stRefHex:
			consumed, isText := s.reference(c)
			if isText {
				return s.stop(evPlace, base+int64(i), s.start)
			}
			if consumed {
				i++
			}

		case stLT:
			switch {
			case isLetter(c):
				s.state, s.n, s.end = stName, 0, false
			case c == '/':
				s.state = stLTSlash
				i++
			case c == '!':
				s.state = stBang
				i++
			case c == '?':
				s.state, s.start = stBogus, -1
			case s.stack.depth > 0:
				s.state, s.start = stText, -1
			default:
				return s.stop(evPlace, base+int64(i), s.start)
			}

		case stLTSlash:
			switch {
			case isLetter(c):
				s.state, s.n, s.end = stName, 0, true
			default: // "</>" is nothing, "</1>" a comment
				s.state, s.start = stBogus, -1
			}

		case stBang:
			if c == '-' {
				s.state = stBangDash
				i++
			} else {
				s.state, s.start = stBogus, -1
			}

		case stBangDash:
			s.start = -1
			if c == '-' {
				s.state, s.dash = stComment, commentStart
				i++
			} else {
				s.state = stBogus
			}

		case stBogus: // a doctype too ends at the first ">", also one in quotes
			j := bytes.IndexByte(p[i:], '>')
			if j < 0 {
				i = len(p)
				break
			}
			i += j + 1
			s.state = stText

		case stComment:
			if s.dash == commentText {
				j := bytes.IndexByte(p[i:], '-')
				if j < 0 {
					i = len(p)
					break
				}
				i += j
				c = '-'
			}
			s.comment(c)
			i++

		case stName:
			for i < len(p) && !isSpace(p[i]) && p[i] != '/' && p[i] != '>' {
				if s.n < maxName {
					s.name[s.n] = lower(p[i])
					s.n++
				} else if !s.end && s.stack.depth == 0 {
					return s.stop(evPlace, base+int64(i), s.start) // no name that matters is as long
				}
				i++
			}
			if i == len(p) {
				break
			}
			if e := s.named(); e != evMore {
				return s.stop(e, base+int64(i), s.start)
			}
			s.state, s.rawEnd = stBeforeAttr, false

		case stBeforeAttr:
			for i < len(p) && isSpace(p[i]) {
				i++
			}
			if i == len(p) {
				break
			}
			switch p[i] {
			case '/':
				s.state = stSelfClosing
			case '>':
				i++
				if e, at := s.tagEnd(base+int64(i), false); e != evMore {
					return s.stop(e, base+int64(i), at)
				}
				continue
			default: // also "=", which here starts a name
				s.state = stAttr
			}
			i++

		case stAttr:
			for i < len(p) && !attrEnds[p[i]] {
				i++
			}
			if i == len(p) {
				break
			}
			switch p[i] {
			case '=':
				s.state = stBeforeValue
				i++
				if i < len(p) && p[i] == '"' { // by far the most frequent
					s.state = stDouble
					i++
				}
			case '/', '>':
				s.state = stBeforeAttr
			default:
				s.state = stAfterAttr
				i++
			}

		case stAfterAttr:
			for i < len(p) && isSpace(p[i]) {
				i++
			}
			if i == len(p) {
				break
			}
			if p[i] == '=' {
				s.state = stBeforeValue
				i++
			} else {
				s.state = stBeforeAttr
			}

		case stBeforeValue:
			for i < len(p) && isSpace(p[i]) {
				i++
			}
			if i == len(p) {
				break
			}
			switch p[i] {
			case '"':
				s.state = stDouble
				i++
			case '\'':
				s.state = stSingle
				i++
			case '>':
				s.state = stBeforeAttr
			default:
				s.state = stUnquoted
			}

		case stDouble, stSingle:
			quote := byte('"')
			if s.state == stSingle {
				quote = '\''
			}
			j := bytes.IndexByte(p[i:], quote)
			if j < 0 {
				i = len(p)
				break
			}
			i += j + 1
			s.state = stBeforeAttr // what follows is read alike, with or without a space between

		case stUnquoted:
			for i < len(p) && !isSpace(p[i]) && p[i] != '>' {
				i++
			}
			if i < len(p) {
				s.state = stBeforeAttr
			}

		case stSelfClosing:
			s.state = stBeforeAttr
			if c == '>' {
				i++
				if e, at := s.tagEnd(base+int64(i), true); e != evMore {
					return s.stop(e, base+int64(i), at)
				}
			}

		case stRaw, stScript:
			j := bytes.IndexByte(p[i:], '<')
			if j < 0 {
				i = len(p)
				break
			}
			i += j
			s.start = base + int64(i)
			i++
			s.ret = s.state
			if s.state == stRaw {
				s.state = stRawLT
			} else {
				s.state = stScriptLT
			}

		case stRawLT:
			if c == '/' {
				s.state, s.n = stRawName, 0
				i++
			} else {
				s.state, s.start = s.ret, -1
			}

		case stRawName:
			name := s.tag.name()
			switch {
			case s.n < len(name) && lower(c) == name[s.n]:
				s.n++
				i++
			case s.n == len(name) && (isSpace(c) || c == '/' || c == '>'):
				s.state, s.end, s.rawEnd = stBeforeAttr, true, true
			default:
				s.state, s.start = s.ret, -1
			}

		case stPlain:
			i = len(p)

		default:
			if s.script(c, base+int64(i)) {
				i++
			}
		}
	}
	s.pos = base + int64(len(p))
	return evMore
}

// stop notes where reading stops, and the place that is the event.
func (s *scanner) stop(e event, pos, place int64) event {
	s.pos, s.place = pos, place
	return e
}

// finish tells where the banner goes in a document that ends here, and what must be closed for it first. It is false
// where it can't be: within a script, since closing one makes the browser run it, which it does not do with one cut
// off; after a <plaintext>; within a tag too long to be kept. Then the document shows nothing either.
func (s *scanner) finish() (closer string, at int64, ok bool) {
	at = s.held()
	switch s.state {
	case stLT:
		if s.stack.depth > 0 {
			at = s.pos // the "<" is the template's text
		}
	case stBogus, stBang, stBangDash:
		closer, at = ">", s.pos
	case stComment:
		switch s.dash {
		case commentText:
			closer = "-->"
		case commentDash:
			closer = "->"
		default:
			closer = ">"
		}
	case stRaw, stRawLT, stRawName:
		if s.ret == stScript || s.ret == stEscaped {
			return "", 0, false
		}
		closer, at = "</"+s.tag.name()+">", s.pos
	case stBeforeAttr, stAttr, stAfterAttr, stBeforeValue, stDouble, stSingle, stUnquoted, stSelfClosing:
		switch {
		case s.loose, s.rawEnd && s.tag == tagScript:
			return "", 0, false
		case s.rawEnd:
			closer = "</" + s.tag.name() + ">"
		}
	case stRefDec, stRefHex:
		if s.ref < 128 && isSpace(byte(s.ref)) {
			at = s.pos
		}
	case stScript, stScriptLT, stScriptBang, stScriptBangDash, stEscaped, stEscapedLT, stEscapedName, stPlain:
		return "", 0, false
	}
	for range s.stack.templates() {
		closer += "</template>"
	}
	return closer, at, true
}
