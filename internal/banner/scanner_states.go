package banner

// comment reads one byte of a comment.
func (s *scanner) comment(c byte) {
	switch {
	case c == '>' && s.dash != commentText && s.dash != commentDash:
		s.state = stText
	case c == '-':
		switch s.dash {
		case commentText, commentBang:
			s.dash = commentDash
		case commentStart:
			s.dash = commentStartDash
		default:
			s.dash = commentEnd
		}
	case c == '!' && s.dash == commentEnd:
		s.dash = commentBang
	default:
		s.dash = commentText
	}
}

// script reads one byte of a script where it is not plain text: an end tag, or what "<!--" hides. It tells whether
// the byte is used up.
func (s *scanner) script(c byte, at int64) bool {
	switch s.state {
	case stScriptLT:
		switch c {
		case '/':
			s.state, s.ret, s.n = stRawName, stScript, 0
			return true
		case '!':
			s.state, s.start = stScriptBang, -1
			return true
		}
		s.state, s.start = stScript, -1
	case stScriptBang:
		if c == '-' {
			s.state = stScriptBangDash
			return true
		}
		s.state = stScript
	case stScriptBangDash:
		if c == '-' {
			s.state, s.dash, s.double = stEscaped, commentEnd, false
			return true
		}
		s.state = stScript
	case stEscaped:
		switch {
		case c == '-':
			if s.dash < commentEnd {
				s.dash++
			}
		case c == '>' && s.dash == commentEnd:
			s.state = stScript
		case c == '<':
			s.state, s.dash = stEscapedLT, commentText
			if !s.double {
				s.start = at
			}
		default:
			s.dash = commentText
		}
		return true
	case stEscapedLT:
		switch {
		case c == '/' && !s.double:
			s.state, s.ret, s.n = stRawName, stEscaped, 0
			return true
		case c == '/' || isLetter(c) && !s.double:
			s.state, s.start, s.n = stEscapedName, -1, 0
			return c == '/'
		}
		s.state, s.start = stEscaped, -1
	case stEscapedName: // "<script" and "</script" turn double escaping on and off
		const name = "script"
		switch {
		case isSpace(c) || c == '/' || c == '>':
			if s.n == len(name) {
				s.double = !s.double
			}
			s.state = stEscaped
			return true
		case isLetter(c):
			if s.n < len(name) && c|0x20 == name[s.n] {
				s.n++
			} else {
				s.n = maxName
			}
			return true
		}
		s.state = stEscaped
	}
	return false
}

// reference reads one byte after "&" in front of the body: a reference to white space is white space, and all else
// is text. It tells whether the byte is used up, and whether what was kept is text.
func (s *scanner) reference(c byte) (consumed, isText bool) {
	if s.n++; s.n > maxRef {
		return false, true
	}
	switch s.state {
	case stRef:
		switch c {
		case '#':
			s.state, s.ref = stRefNum, 0
		case 'T', 'N':
			s.state, s.name[0] = stRefName, c
		default:
			return false, true
		}
		return true, false
	case stRefName:
		want := "Tab;"
		if s.name[0] == 'N' {
			want = "NewLine;"
		}
		if c != want[s.n-1] {
			return false, true
		}
		if s.n == len(want) {
			s.state, s.start = stText, -1
		}
		return true, false
	case stRefNum:
		switch {
		case c|0x20 == 'x':
			s.state = stRefHex
			return true, false
		case c < '0' || c > '9':
			return false, true
		}
		s.state = stRefDec
	}
	digit, radix := uint32(c-'0'), uint32(10)
	if s.state == stRefHex {
		radix = 16
		if isLetter(c) {
			digit = uint32(c|0x20-'a') + 10
		}
	}
	if '0' <= c && c <= '9' || s.state == stRefHex && isLetter(c) && digit < 16 {
		if s.ref < 1<<20 {
			s.ref = s.ref*radix + digit
		}
		return true, false
	}
	if !(s.ref < 128 && isSpace(byte(s.ref))) {
		return false, true
	}
	s.state, s.start = stText, -1
	return c == ';', false
}
