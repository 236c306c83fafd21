package banner

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// element stands for the banner in tests of the scanner: an element, closed, that starts nothing else.
const element = `<impersonate-banner><template><form><p>x</p></form></template></impersonate-banner>`

// place runs the scanner over doc, cut into the given pieces, and returns the document with the element in its
// place. It is false where the scanner finds none.
func insert(doc []byte, pieces ...int) (out []byte, ok bool) {
	s := newScanner()
	rest := doc
	for len(rest) > 0 {
		n := len(rest)
		if len(pieces) > 0 {
			n, pieces = min(n, max(1, pieces[0])), pieces[1:]
		}
		piece := rest[:n]
		rest = rest[n:]
		for {
			at := s.pos
			e := s.next(piece)
			piece = piece[s.pos-at:]
			if e == evPlace {
				return slices.Concat(doc[:s.place], []byte(element), doc[s.place:]), true
			}
			if e == evFrameset {
				return doc, false
			}
			if e == evMore {
				break
			}
		}
		if s.pos-s.held() > holdLimit {
			s.release()
		}
	}
	closer, at, ok := s.finish()
	if !ok {
		return doc, false
	}
	return slices.Concat(doc[:at], []byte(closer), []byte(element), doc[at:]), true
}

// tree is a document parsed by golang.org/x/net/html, which is the oracle here.
func tree(doc []byte, scripting bool) (root *html.Node, err error) {
	defer func() {
		if p := recover(); p != nil { // it gives up on elements nested too deep
			err = fmt.Errorf("oracle: %v", p)
		}
	}()
	return html.ParseWithOptions(bytes.NewReader(doc), html.ParseOptionEnableScripting(scripting))
}

func child(n *html.Node, name string) *html.Node {
	if n == nil {
		return nil
	}
	for c := range n.ChildNodes() {
		if c.Type == html.ElementNode && c.Data == name {
			return c
		}
	}
	return nil
}

// dump writes a tree, an element's attributes included, one node a line.
func dump(n *html.Node) string {
	var b strings.Builder
	var walk func(n *html.Node, depth int)
	walk = func(n *html.Node, depth int) {
		fmt.Fprintf(&b, "%*s%d %s %q %v\n", 2*depth, "", n.Type, n.Namespace, n.Data, n.Attr)
		for c := range n.ChildNodes() {
			walk(c, depth+1)
		}
	}
	walk(n, 0)
	return b.String()
}

// checkTree holds a document with the element inserted against the original: the same tree, plus the element as the
// body's first child.
func checkTree(doc, marked []byte) error {
	before, err := tree(doc, true)
	if err != nil {
		return nil // nothing to compare with
	}
	after, err := tree(marked, true)
	if err != nil {
		return err
	}
	body := child(child(after, "html"), "body")
	if body == nil || body.FirstChild == nil || body.FirstChild.Data != "impersonate-banner" {
		return fmt.Errorf("the element is not the body's first child:\n%s\nin\n%s", dump(after), marked)
	}
	if child(child(before, "html"), "frameset") != nil {
		return nil // a frameset that took the place of a body begun before it: the banner keeps the body
	}
	body.RemoveChild(body.FirstChild)
	if b, a := dump(before), dump(after); a != b {
		return fmt.Errorf("the tree changed:\n%s\nbecame\n%s\nfrom\n%s\nto\n%s", b, a, doc, marked)
	}
	return nil
}

// checkUnmarked holds a document the scanner found no place in against the claim that it shows nothing, or frames.
func checkUnmarked(doc []byte) error {
	root, err := tree(doc, true)
	if err != nil {
		return nil
	}
	top := child(root, "html")
	if child(top, "frameset") != nil {
		return nil
	}
	if body := child(top, "body"); body != nil && body.FirstChild != nil {
		return fmt.Errorf("no place found, but the body is not empty:\n%s\nin\n%s", dump(root), doc)
	}
	return nil
}
