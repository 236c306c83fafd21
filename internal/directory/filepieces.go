package directory

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pieceSize is how much of a large file is read at a time. As a whole, a file takes some thirty times its size in
// memory while it is read.
const pieceSize = 256 << 10

// beforeList is what may stand before the first user in the plain form of the file; the last group is the
// indentation of the list.
var beforeList = regexp.MustCompile(`^\x{feff}?(?:[ \t]*(?:#.*)?\r?\n)*(?:---[ \t]*\r?\n)?(?:[ \t]*(?:#.*)?\r?\n)*(?:users:[ \t]*(?:[ \t]#.*)?\r?\n(?:[ \t]*(?:#.*)?\r?\n)*)?( *)- `)

// pieces reads a file in its plain form (a list in block style, one dash after the other at the same indentation) a
// few users at a time. It returns false when the file is not of that form, or not right: then nothing of it counts,
// and the whole has to be read.
//
// The cuts are before lines that begin with the list's own dash. One in the middle of a quoted text or of brackets
// leaves an end open, which is an error, and so is a reference to an anchor in another piece. So what can be read in
// pieces says the same as the whole.
func (p *parser) pieces(data []byte, size int) bool {
	m := beforeList.FindSubmatchIndex(data)
	if m == nil {
		return false
	}
	rest := data[m[2]:]
	p.line = bytes.Count(data[:m[2]], []byte("\n"))
	dash := []byte("\n" + strings.Repeat(" ", m[3]-m[2]) + "- ")
	for len(rest) > 0 {
		end := len(rest)
		if len(rest) > size {
			if i := bytes.Index(rest[size:], dash); i >= 0 {
				end = size + i + 1
			}
		}
		if !p.piece(rest[:end]) {
			return false
		}
		p.line += bytes.Count(rest[:end], []byte("\n"))
		rest = rest[end:]
	}
	return true
}

func (p *parser) piece(data []byte) bool {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if dec.Decode(&doc) != nil || !errors.Is(dec.Decode(&more), io.EOF) || len(doc.Content) != 1 {
		return false
	}
	list := doc.Content[0]
	if list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 {
		return false
	}
	p.list(list)
	clear(p.groupsOf)
	clear(p.attrsOf)
	return true
}
