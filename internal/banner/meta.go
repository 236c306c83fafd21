package banner

import (
	"bytes"
	"html"
	"strings"
)

// editMeta rewrites a <meta> tag that sets a Content-Security-Policy, so that the banner after it works; any other tag
// is returned as it is, and false.
func (g *grants) editMeta(tag []byte) ([]byte, bool) {
	if len(tag) < 48 || !containsFold(tag, httpEquiv) { // the shortest that matters is longer
		return tag, false
	}
	var equiv, content attribute
	attributes(tag, func(name []byte, a attribute) {
		switch {
		case equiv.end == 0 && strings.EqualFold(string(name), "http-equiv"):
			equiv = a
		case content.end == 0 && strings.EqualFold(string(name), "content"):
			content = a
		}
	})
	if content.end == 0 || !strings.EqualFold(html.UnescapeString(string(tag[equiv.start:equiv.end])), cspHeader) {
		return tag, false
	}
	policy := html.UnescapeString(string(tag[content.start:content.end]))
	for i := range len(policy) {
		if policy[i] >= 0x80 {
			return tag, false // no policy, and of unknown charset
		}
	}
	adjusted := g.adjustMeta(policy)
	if adjusted == policy {
		return tag, false
	}
	start, end := content.start, content.end
	if content.quoted {
		start, end = start-1, end+1
	}
	out := append([]byte{}, tag[:start]...)
	out = append(out, '"')
	out = append(out, html.EscapeString(adjusted)...)
	out = append(out, '"')
	return append(out, tag[end:]...), true
}

var httpEquiv = []byte("http-equiv")

// attribute is where a value stands in its tag.
type attribute struct {
	start, end int
	quoted     bool
}

// attributes calls f for each attribute with a value of the start tag that tag begins with, as the scanner reads them. It
// returns the tag's length; -1 if it is not complete.
func attributes(tag []byte, f func(name []byte, a attribute)) int {
	i := 1
	for i < len(tag) && !isSpace(tag[i]) && tag[i] != '/' && tag[i] != '>' {
		i++
	}
	for i < len(tag) {
		if isSpace(tag[i]) || tag[i] == '/' {
			i++
			continue
		}
		if tag[i] == '>' {
			return i + 1
		}
		name := i
		for i++; i < len(tag) && !attrEnds[tag[i]]; i++ { // also one that begins with "="
		}
		nameEnd := i
		for i < len(tag) && isSpace(tag[i]) {
			i++
		}
		if i == len(tag) || tag[i] != '=' {
			continue
		}
		for i++; i < len(tag) && isSpace(tag[i]); i++ {
		}
		if i == len(tag) || tag[i] == '>' {
			continue
		}
		a := attribute{start: i}
		if quote := tag[i]; quote == '"' || quote == '\'' {
			a = attribute{start: i + 1, quoted: true}
			for i++; i < len(tag) && tag[i] != quote; i++ {
			}
			a.end = i
			i++
		} else {
			for i < len(tag) && !isSpace(tag[i]) && tag[i] != '>' {
				i++
			}
			a.end = i
		}
		f(tag[name:nameEnd], a)
	}
	return -1
}

// containsFold tells whether p has the lower-case word in any case.
func containsFold(p, word []byte) bool {
	for i := 0; i+len(word) <= len(p); i++ {
		if lower(p[i]) == word[0] && bytes.EqualFold(p[i:i+len(word)], word) {
			return true
		}
	}
	return false
}
