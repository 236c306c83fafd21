package banner

import (
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
		{"in capitals it is another element", `<html ` + ns + `><BODY><x/></BODY>|</html>`},
		{"longer names", `<html ` + ns + `><bodybuilder/><body.x></body.x><body>|</body></html>`},
		{"no body", `<html ` + ns + `><head><title>x</title></head><svg/>|</html>`},
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
		rec, w, err := response(t, map[string]string{"Content-Type": "application/xhtml+xml"}, Options{}, "<html><head>")
		if v, reason := w.Result(); err != nil || v != Unmarkable || reason != ReasonNoPlace || rec.Body.String() != "<html><head>" {
			t.Errorf("%v, %v %s: %s", err, v, reason, rec.Body)
		}
	})
}
