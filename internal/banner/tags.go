package banner

// tag is a tag's name, as far as it matters before the body or inside a template there.
type tag uint8

const (
	tagOther tag = iota
	tagBody
	tagHead
	tagMeta
	tagTemplate
	tagFrameset
	tagEmpty // html, base, link, …: nothing follows from it
	// Only inside a template: elements of SVG and MathML, …
	tagSVG
	tagMath
	tagForeignTemplate // an element of SVG that is named like it
	// … those of them whose content is HTML (title is another) …
	tagForeignObject
	tagDesc
	tagMathText // mi, mo, mn, ms, mtext, annotation-xml
	// … and the HTML elements that end them.
	tagBreakout
	// The content of these is text, up to the end tag.
	tagScript
	tagTitle
	tagStyle
	tagNoscript
	tagNoframes
	tagTextarea
	tagXmp
	tagIframe
	tagNoembed
	tagPlaintext
)

var rawNames = [...]string{
	tagScript: "script", tagTitle: "title", tagStyle: "style", tagNoscript: "noscript", tagNoframes: "noframes",
	tagTextarea: "textarea", tagXmp: "xmp", tagIframe: "iframe", tagNoembed: "noembed", tagPlaintext: "plaintext",
}

// raw tells whether the element's content is text.
func (t tag) raw() bool { return t >= tagScript }

// name is the element's name where its content is text.
func (t tag) name() string { return rawNames[t] }

// named decides on a tag whose name is known: whether it is the end of what can stand before the body.
func (s *scanner) named() event {
	name := s.name[:s.n]
	if s.stack.depth > 0 {
		s.tag = templateTag(name)
		return evMore
	}
	s.tag = tagOther
	if s.end {
		switch string(name) {
		case "body", "html", "br":
			return evPlace
		case "head":
			s.tag = tagHead
		}
		return evMore // "</p>" here is ignored
	}
	switch string(name) {
	case "html", "head", "base", "basefont", "bgsound", "link":
		s.tag = tagEmpty
	case "meta":
		s.tag = tagMeta
	case "title":
		s.tag = tagTitle
	case "style":
		s.tag = tagStyle
	case "script":
		s.tag = tagScript
	case "noscript":
		if s.afterHead {
			return evPlace
		}
		s.tag = tagNoscript
	case "noframes":
		s.tag = tagNoframes
	case "template":
		s.tag = tagTemplate
	case "body":
		s.tag = tagBody
	case "frameset":
		return evFrameset
	default:
		return evPlace
	}
	return evMore
}

// tagEnd acts on a tag that ended just before at.
func (s *scanner) tagEnd(at int64, selfClosing bool) (event, int64) {
	start := s.start
	s.state, s.start, s.loose = stText, -1, false
	if s.end {
		switch {
		case s.tag == tagHead:
			s.afterHead = true
		case s.stack.depth > 0 && !s.rawEnd:
			s.stack.close(s.tag)
		}
		return evMore, 0
	}
	if s.stack.depth > 0 && !s.stack.open(s.tag, selfClosing) {
		return evMore, 0 // within SVG or MathML: markup, whatever its name
	}
	switch {
	case s.tag == tagBody:
		return evPlace, at
	case s.tag == tagMeta && start >= 0:
		return evMeta, start
	case s.tag == tagTemplate && s.stack.depth == 0:
		s.stack.push(tagTemplate)
	case s.tag == tagScript:
		s.state, s.ret = stScript, stScript
	case s.tag == tagPlaintext:
		s.state = stPlain
	case s.tag.raw():
		s.state, s.ret = stRaw, stRaw
	}
	return evMore, 0
}
