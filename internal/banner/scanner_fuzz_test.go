package banner

import (
	"bytes"
	"regexp"
	"testing"
)

// oracleErrs are documents golang.org/x/net/html reads differently from the HTML standard, and from browsers:
// it forgets that a script is escaped at a "<" that starts nothing; it knows no byte-order mark; it drops what
// follows a <template> within SVG or MathML, and is not exact about the latter in one.
var oracleErrs = regexp.MustCompile(`(?is)<script.*<!--.*<[^a-z/!]|^\xEF|<template.*<(svg|math)|<(svg|math).*<template`)

// strayEnd is text at the end of an unclosed template which comes after it once the template is closed.
var strayEnd = regexp.MustCompile(`(?is)<template.*</$`)

// FuzzPlace: whatever the bytes and however they are cut, the document is left as it is around the element, the
// place is the same, and the tree is the original's plus our element.
func FuzzPlace(f *testing.F) {
	for _, doc := range corpus(f) {
		f.Add(doc, uint8(3), uint8(1))
	}
	f.Fuzz(func(t *testing.T, doc []byte, a, b uint8) {
		out, ok := insert(doc)
		pieces := make([]int, len(doc))
		for i := range pieces {
			pieces[i] = int(a)
			if i%2 == 1 {
				pieces[i] = int(b)
			}
		}
		if cut, ok2 := insert(doc, pieces...); ok2 != ok || !bytes.Equal(cut, out) {
			t.Fatalf("in pieces of %d and %d: %q, not %q", a, b, cut, out)
		}
		if bytes.Contains(doc, []byte("impersonate-banner")) || oracleErrs.Match(doc) || strayEnd.Match(doc) {
			return
		}
		err := checkUnmarked(doc)
		if ok {
			err = checkTree(doc, out)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}
