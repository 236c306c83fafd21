package fields

import (
	"strings"
	"unicode/utf8"
)

// What stands for a name that is not recorded.
const (
	redacted = "[redacted]"
	tooLong  = "[too long]"
)

const separator = ", "

// list is the names, each once.
type list struct {
	clean Cleaner
	shown map[string]string // what is recorded of a name, by the name as it came
	have  map[string]bool
	b     []byte
	cut   []byte // scratch
	more  bool
}

// name is what is recorded of a name; false: too many different ones have been looked at.
func (l *list) name(raw []byte, escape *strings.Replacer) (string, bool) {
	if len(raw) > maxRaw {
		return tooLong, true
	}
	if s, ok := l.shown[string(raw)]; ok {
		return s, true
	}
	if len(l.shown) == maxNew {
		l.more = true
		return "", false
	}
	if l.shown == nil {
		l.shown = make(map[string]string)
	}
	s, secret := l.clean(string(raw))
	if secret {
		s = redacted
	} else {
		s = escape.Replace(s)
	}
	l.shown[string(raw)] = s
	return s, true
}

// add adds a name as it is to be recorded; false: there is no room for more.
func (l *list) add(name []byte) bool {
	if len(name) > maxName {
		end := maxName - len(More)
		for end > 0 && !utf8.RuneStart(name[end]) {
			end--
		}
		l.cut = append(append(l.cut[:0], name[:end]...), More...)
		name = l.cut
	}
	if len(name) == 0 || l.have[string(name)] {
		return true
	}
	s := string(name)
	// Room is left for the mark.
	if len(l.have) == maxNames || len(l.b)+2*len(separator)+len(s)+len(More) > MaxBytes {
		l.more = true
		return false
	}
	if l.have == nil {
		l.have = make(map[string]bool)
	}
	l.have[s] = true
	if len(l.b) > 0 {
		l.b = append(l.b, separator...)
	}
	l.b = append(l.b, s...)
	return true
}

// text is the list; more: the body is not read to its end.
func (l *list) text(more bool) string {
	switch {
	case !more && !l.more:
		return string(l.b)
	case len(l.b) == 0:
		return More
	}
	return string(l.b) + separator + More
}

// A comma separates names, so none has one; nor has one what could be taken for an escaped comma.
var plain = strings.NewReplacer("%", "%25", ",", "%2C")

// In JSON the points and brackets are those of the path.
var inPath = strings.NewReplacer("%", "%25", ",", "%2C", ".", "%2E", "[", "%5B", "]", "%5D")
