package banner

// nesting is what is open inside a <template> of the head. The body can't start before the template ends, and how its
// content reads depends on whether it is HTML or SVG and MathML: there <style> is no raw text and <b/> is closed.
//
// It follows well-formed content exactly, and misnested SVG and MathML nearly.
type nesting struct {
	depth int
	elems [maxNesting]tag // tagTemplate, tagSVG, tagMath, or what is HTML inside them
}

// maxNesting bounds the nesting; what is deeper is counted with the innermost.
const maxNesting = 32

func (s *nesting) push(t tag) {
	if s.depth < maxNesting {
		s.elems[s.depth] = t
		s.depth++
	}
}

// foreign tells whether the innermost element is SVG or MathML, not HTML.
func (s *nesting) foreign() bool {
	t := s.elems[s.depth-1]
	return t == tagSVG || t == tagMath || t == tagForeignTemplate
}

// templates counts the open templates.
func (s *nesting) templates() (n int) {
	for _, t := range s.elems[:s.depth] {
		if t == tagTemplate || t == tagForeignTemplate { // one end tag too many is ignored
			n++
		}
	}
	return n
}

// open takes a start tag; it tells whether the element is HTML.
func (s *nesting) open(t tag, selfClosing bool) bool {
	if s.foreign() {
		switch t {
		case tagBreakout, tagMeta:
			for s.foreign() {
				s.depth--
			}
			return true
		case tagTemplate, tagSVG, tagMath, tagForeignObject, tagDesc, tagTitle, tagMathText:
			if t == tagTemplate {
				t = tagForeignTemplate
			}
			if !selfClosing {
				s.push(t)
			}
		}
		return false
	}
	switch t {
	case tagTemplate:
		s.push(t)
	case tagSVG, tagMath:
		if !selfClosing {
			s.push(t)
		}
	}
	return true
}

// close takes an end tag.
func (s *nesting) close(t tag) {
	switch t {
	case tagTemplate, tagSVG, tagMath, tagForeignObject, tagDesc, tagTitle, tagMathText:
	default:
		return
	}
	foreign := s.foreign()
	for i := s.depth - 1; i >= 0; i-- {
		if s.elems[i] == t || foreign && t == tagTemplate && s.elems[i] == tagForeignTemplate {
			s.depth = i
			return
		}
		if s.elems[i] == tagTemplate {
			return // nothing outside a template is closed from within
		}
	}
}

// templateTag is what a name means inside a template.
func templateTag(name []byte) tag {
	switch string(name) {
	case "template":
		return tagTemplate
	case "svg":
		return tagSVG
	case "math":
		return tagMath
	case "foreignobject":
		return tagForeignObject
	case "desc":
		return tagDesc
	case "mi", "mo", "mn", "ms", "mtext", "annotation-xml":
		return tagMathText
	case "script":
		return tagScript
	case "title":
		return tagTitle
	case "style":
		return tagStyle
	case "noscript":
		return tagNoscript
	case "noframes":
		return tagNoframes
	case "textarea":
		return tagTextarea
	case "xmp":
		return tagXmp
	case "iframe":
		return tagIframe
	case "noembed":
		return tagNoembed
	case "plaintext":
		return tagPlaintext
	case "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed",
		"h1", "h2", "h3", "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol",
		"p", "pre", "ruby", "s", "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var":
		return tagBreakout
	}
	return tagOther
}
