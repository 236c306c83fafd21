package banner

import (
	"strconv"
	"strings"
	"testing"
)

func TestXHTML(t *testing.T) {
	const ns = `xmlns="http://www.w3.org/1999/xhtml"`
	for _, tt := range []struct{ name, doc string }{ // | is the place
		{"plain", `<?xml version="1.0"?><html ` + ns + `><head><title>x</title></head><body class="a>b" id='c>"'>|<p/></body></html>`},
		{"a prefix", `<h:html xmlns:h="http://www.w3.org/1999/xhtml"><h:head/><h:body>|<h:p/></h:body></h:html>`},
		{"spaces", "<html " + ns + ">\n<body\n\tid='x'\n>|\n</body\n></html>"},
		{"an empty body", `<html ` + ns + `><head/>|<body/></html>`},
		{"an empty body with a slash in it", `<html ` + ns + `><head/>|<body id="/" /></html>`},
		{"slashes, not empty", `<html ` + ns + `><head/><body id="/">|</body></html>`},
		{"comments", `<html ` + ns + `><!-- <body> -- <body> --><!----><!-- - --><head/><body>|</body></html>`},
		{"CDATA", `<html ` + ns + `><head><script><![CDATA[ if (a]]<b) "<body>" ]]]></script></head><body>|</body></html>`},
		{"instructions", `<?xml version="1.0"?><?x <body> ? > ??><html ` + ns + `><body>|</body></html>`},
		{"a doctype", `<!DOCTYPE html PUBLIC "-//x <body>" '"[<body>'><html ` + ns + `><body>|</body></html>`},
		{"a doctype with a subset", `<!DOCTYPE html [ <!ENTITY x "]><body>"> <!-- ' ]> <body> --> <?p ]> '?> <!ENTITY y ']'> ]><html ` + ns + `><body>|&x;</body></html>`},
		{"in capitals it is another element", `<html ` + ns + `>|<BODY><x/></BODY></html>`},
		{"longer names", `<html ` + ns + `><head><bodybuilder/><body.x></body.x><body></body></head><body>|</body></html>`},
		{"no body", `<html ` + ns + `><head><title>x</title></head>|<svg/></html>`},
		{"nothing at all", `<html ` + ns + `> <!-- x --> |</html>`},
		{"text", "<html " + ns + ">\n<head/>\n|text</html>"},
		{"text in CDATA", `<html ` + ns + `><head/>|<![CDATA[text]]></html>`},
		{"an entity", `<html ` + ns + `><head/>|&x;</html>`},
		{"another root", `<div ` + ns + `>|text & error</div>`},
		{"another root, with a prefix", `<?xml version="1.0" encoding="utf-8"?><h:div xmlns:h='http://www.w3.org/1999/xhtml'>|`},
		{"frames", `<html ` + ns + `><head/>|<frameset cols="*,*"><frame/></frameset></html>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := strings.Replace(tt.doc, "|", "", 1)
			want := strings.Replace(tt.doc, "|", string(Render(&testInfo)), 1)
			for _, pieces := range [][]string{{doc}, strings.Split(doc, "")} {
				rec, w, err := response(t, map[string]string{"Content-Type": "application/xhtml+xml; charset=utf-8"}, Options{}, pieces...)
				if err != nil || !w.Marked() || rec.Body.String() != want {
					t.Errorf("%v, marked %v:\n%s\nwant\n%s", err, w.Marked(), rec.Body, want)
				}
			}
		})
	}
	t.Run("cut off", func(t *testing.T) {
		rec, w, err := response(t, map[string]string{"Content-Type": "application/xhtml+xml"}, Options{}, "<html><head>", "<title>")
		if v, reason := w.Result(); err != nil || v != Unmarkable || reason != ReasonNoPlace || rec.Body.String() != "<html><head><title>" {
			t.Errorf("%v, %v %s: %s", err, v, reason, rec.Body)
		}
	})
}

// TestXML: XML of any type is a page where there is HTML in it. Browsers show it as one.
func TestXML(t *testing.T) {
	const ns = `xmlns="http://www.w3.org/1999/xhtml"`
	banner := string(Render(&testInfo))
	for _, tt := range []struct{ name, mime, doc string }{ // | is the place; without one it is data
		{"XHTML", "text/xml", `<html ` + ns + `><body>|</body></html>`},
		{"XHTML as a picture", "image/svg+xml", `<html ` + ns + `><body>|</body></html>`},
		{"another root", "application/xml", `<h:p xmlns:h='http://www.w3.org/1999/xhtml'>|</h:p>`},
		{"HTML within", "application/xml", `<root><a b="c">x</a>|<html ` + ns + `><body/></html></root>`},
		{"HTML in a feed", "application/atom+xml", `<feed xmlns="http://www.w3.org/2005/Atom"><entry><content>|<div ` + ns + `>x</div></content></entry></feed>`},
		{"its name in a reference", "text/xml", `<root>|<p xmlns="http://www&#46;w3.org/1999/xhtml">x</p></root>`},
		{"in an entity", "text/xml", `<!DOCTYPE r [<!ENTITY e "<p xmlns='x'/>">]><r>|&e;</r>`},
		{"styled", "text/xml", `<?xml version="1.0"?><?xml-stylesheet type="text/css" href="x"?><html ` + ns + `><body>|</body></html>`},
		{"data", "text/xml", `<?xml version="1.0" encoding="UTF-8"?><root a="b&amp;c" d='http://www.w3.org/1999/xhtml/'><!-- ` + ns + ` --><x/></root>`},
		{"a feed", "application/rss+xml", `<rss version="2.0"><channel><link>x?a&amp;b</link></channel></rss>`},
		{"a picture", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg"><foreignObject><p ` + ns + `/></foreignObject></svg>`},
		{"no XML", "text/xml", `just text`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, marked := strings.CutPrefix(tt.doc, "|")
			doc, marked = strings.Replace(doc, "|", "", 1), marked || strings.Contains(doc, "|")
			for _, pieces := range [][]string{{doc}, strings.Split(doc, "")} {
				h := map[string]string{"Content-Type": tt.mime, "Content-Length": strconv.Itoa(len(doc))}
				rec, w, err := response(t, h, Options{AllowUnmarked: tt.name == "no XML"}, pieces...)
				if err != nil || w.Marked() != marked || rec.Body.String() != strings.Replace(tt.doc, "|", banner, 1) {
					t.Errorf("%v, marked %v:\n%s", err, w.Marked(), rec.Body)
				}
				if cl := rec.Header().Get("Content-Length"); cl != "" && cl != strconv.Itoa(rec.Body.Len()) {
					t.Errorf("Content-Length %s, of %d", cl, rec.Body.Len())
				}
			}
		})
	}
	for name, doc := range map[string]string{
		"a stylesheet":                   `<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="x"?><root/>`,
		"a stylesheet within the prolog": `<!-- x --><!DOCTYPE r [ <?xml-stylesheet href="x.xsl"?> ]><root/>`,
	} {
		for _, pieces := range [][]string{{doc}, strings.Split(doc, "")} {
			rec, w, err := response(t, map[string]string{"Content-Type": "text/xml"}, Options{}, pieces...)
			if v, reason := w.Result(); err == nil || v != Unmarkable || reason != ReasonStylesheet || rec.Body.Len() > 0 {
				t.Errorf("%s: %v, %v %s: %s", name, err, v, reason, rec.Body)
			}
		}
	}
	for name, doc := range map[string]string{
		"a charset that is not ASCII": `<?xml version='1.0' encoding='ISO-2022-JP'?><html ` + ns + `><body/></html>`,
		"UTF-16":                      "\xFF\xFE<\x00",
	} {
		if _, w, err := response(t, map[string]string{"Content-Type": "text/xml"}, Options{}, doc); err == nil || w.reason != ReasonCharset {
			t.Errorf("%s: %v, %s", name, err, w.reason)
		}
	}
	t.Run("an empty root", func(t *testing.T) { // of HTML: it shows something, and nothing can stand beside it
		_, w, err := response(t, map[string]string{"Content-Type": "text/xml"}, Options{}, `<iframe `+ns+` src="/x"/>`)
		if err == nil || w.reason != ReasonNoPlace {
			t.Error(err, w.reason)
		}
	})
	t.Run("a long prolog", func(t *testing.T) {
		_, w, err := response(t, map[string]string{"Content-Type": "text/xml"}, Options{}, "<!--"+strings.Repeat("x", holdLimit)+"-->", "<r/>")
		if err == nil || w.reason != ReasonNoPlace {
			t.Error(err, w.reason)
		}
	})
}

// TestXHTMLMetaPolicy: a policy in a <meta> is widened in XML too.
func TestXHTMLMetaPolicy(t *testing.T) {
	const doc = `<html xmlns="http://www.w3.org/1999/xhtml"><head><meta content="style-src 'none'&#59; x" http-equiv="Content-Security-Policy"/></head><body>`
	want := strings.Replace(doc, "'none'&#59; x", testInfo.Origin+assetStyle.path+"; x", 1) + string(Render(&testInfo))
	for _, pieces := range [][]string{{doc}, strings.Split(doc, "")} {
		rec, _, err := response(t, map[string]string{"Content-Type": "application/xhtml+xml"}, Options{}, pieces...)
		if err != nil || rec.Body.String() != want {
			t.Errorf("%v: %s\nwant %s", err, rec.Body, want)
		}
	}
}
