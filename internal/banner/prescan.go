package banner

import (
	"bytes"
	"strings"
)

// prescanLen is how far browsers look for a <meta> with the charset before they begin to read a page, in bytes.
const prescanLen = 1024

// prescan is the label of the charset that a page declares in a <meta> near its beginning (HTML standard, 13.2.3.2), in
// lower case; empty where none does. Browsers look there before they parse anything, so the <meta> may be in the body
// too, where the banner would push it out of their sight.
func prescan(p []byte) string {
	p = p[:min(len(p), prescanLen)]
	for {
		at := bytes.IndexByte(p, '<')
		if at < 0 {
			return ""
		}
		p = p[at:]
		switch {
		case bytes.HasPrefix(p, []byte("<!--")):
			end := bytes.Index(p[2:], []byte("-->")) // "<!-->" is a whole one
			if end < 0 {
				return ""
			}
			p = p[2+end+3:]
			continue
		case len(p) > 1 && (p[1] == '!' || p[1] == '?' || p[1] == '/' && !(len(p) > 2 && isLetter(p[2]))):
			end := bytes.IndexByte(p, '>')
			if end < 0 {
				return ""
			}
			p = p[end+1:]
			continue
		case len(p) < 2 || p[1] != '/' && !isLetter(p[1]):
			p = p[1:]
			continue
		}
		end := attributes(p, func([]byte, attribute) {})
		if end < 0 {
			return ""
		}
		if label := metaCharset(p[:end]); label != "" {
			return label
		}
		p = p[end:]
	}
}

// metaCharset is the label of the charset that a tag declares, if it is a <meta> that does, as it counts there: one that
// is declared in ASCII can't be UTF-16.
func metaCharset(tag []byte) string {
	const meta = "<meta"
	if len(tag) < len(meta)+2 || !bytes.EqualFold(tag[:len(meta)], []byte(meta)) || !isSpace(tag[len(meta)]) && tag[len(meta)] != '/' {
		return ""
	}
	var label, content string
	var pragma bool
	attributes(tag, func(name []byte, a attribute) {
		value := string(tag[a.start:a.end])
		switch {
		case bytes.EqualFold(name, []byte("http-equiv")):
			pragma = pragma || strings.EqualFold(value, "content-type")
		case label == "" && bytes.EqualFold(name, []byte("charset")):
			label = value
		case content == "" && bytes.EqualFold(name, []byte("content")):
			content = value
		}
	})
	if label == "" && pragma {
		label = contentCharset(content)
	}
	label = strings.ToLower(strings.Trim(label, " \t\n\f\r"))
	for i := range len(label) {
		if !tokenByte[label[i]] {
			return ""
		}
	}
	switch charsetLabel(label) {
	case charsetUTF16LE, charsetUTF16BE:
		return "utf-8"
	}
	if label == "x-user-defined" {
		return "windows-1252"
	}
	return label
}

// contentCharset is the charset in the content of a <meta http-equiv="content-type">.
func contentCharset(s string) string {
	const word = "charset"
	for {
		at := strings.Index(strings.ToLower(s), word)
		if at < 0 {
			return ""
		}
		s = strings.TrimLeft(s[at+len(word):], " \t\n\f\r")
		if s == "" || s[0] != '=' {
			continue
		}
		s = strings.TrimLeft(s[1:], " \t\n\f\r")
		if s == "" {
			return ""
		}
		if s[0] == '"' || s[0] == '\'' {
			label, _, closed := strings.Cut(s[1:], s[:1])
			if !closed {
				return ""
			}
			return label
		}
		if end := strings.IndexAny(s, " \t\n\f\r;"); end >= 0 {
			s = s[:end]
		}
		return s
	}
}
