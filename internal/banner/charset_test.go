package banner

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

func TestUTF16(t *testing.T) {
	const doc = "<html><head><title>Größe 表</title></head><body>\U0001F600 text</body></html>"
	want := "\xEF\xBB\xBF" + strings.Replace(doc, "<body>", "<body>"+string(Render(&testInfo)), 1)
	le, _ := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String(doc)
	be, _ := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder().String(doc)
	instruction, _ := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String("<?xml version='1.0'?>")
	for _, tt := range []struct{ name, mime, body, prefix string }{
		{"declared little", "text/html; charset=UTF-16LE", le, ""},
		{"declared big", "text/html;charset=utf-16be", be, ""},
		{"declared, marked", `text/html; charset="utf-16"`, "\xFF\xFE" + le, ""},
		{"marked little", "text/html", "\xFF\xFE" + le, ""},
		{"marked big", "text/html; charset=utf-8", "\xFE\xFF" + be, ""},
		{"by its first tag", "text/html", instruction + le, "<?xml version='1.0'?>"},
		{"declared last", "text/html; charset=utf-8, text/html; charset=utf-16", le, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, pieces := range [][]string{{tt.body}, strings.Split(tt.body, "")} {
				rec, w, err := response(t, map[string]string{"Content-Type": tt.mime, "Content-Length": "999"}, Options{}, pieces...)
				want := "\xEF\xBB\xBF" + tt.prefix + want[3:]
				if err != nil || !w.Marked() || rec.Body.String() != want {
					t.Errorf("%v, marked %v: %q, want %q", err, w.Marked(), rec.Body, want)
				}
				if h := rec.Header(); h.Get("Content-Type") != "text/html; charset=utf-8" || h.Get("Content-Length") != "" {
					t.Errorf("headers: %v", h)
				}
			}
		})
	}
}

// TestASCIISupersets: in any charset that includes ASCII the page stays as it is, byte for byte.
func TestASCIISupersets(t *testing.T) {
	// 表 and ソ end in 0x5C in Shift_JIS; 0x22 and 0x3C are halves of characters in ISO-2022-JP only.
	const text = "表ソ"
	sjis, _ := japanese.ShiftJIS.NewEncoder().String(text)
	eucjp, _ := japanese.EUCJP.NewEncoder().String(text)
	for charset, s := range map[string]string{"shift_jis": sjis, "euc-jp": eucjp, "windows-1252": "\x80\xfe\xff", "utf-8": text} {
		doc := "<title>" + s + "</title><meta content=\"" + s + "\">" + s + "<p>"
		rec, w, err := response(t, map[string]string{"Content-Type": "text/html; charset=" + charset}, Options{}, doc)
		want := strings.Replace(doc, s+"<p>", string(Render(&testInfo))+s+"<p>", 1)
		if err != nil || !w.Marked() || rec.Body.String() != want {
			t.Errorf("%s: %v: %q", charset, err, rec.Body)
		}
	}
}

// TestISO2022JP: there, the bytes of "<", ">" and quotes are halves of characters too. The page can't be converted:
// its forms are sent in its own charset.
func TestISO2022JP(t *testing.T) {
	enc := func(s string) string {
		out, err := japanese.ISO2022JP.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	tricky := enc("あ続爾珍鉄") // あ is 0x24 0x22: half of it a quote
	if !strings.ContainsAny(tricky, `"<>`) {
		t.Fatalf("not tricky: %q", tricky)
	}
	for _, doc := range []string{ // declared by the page
		"<meta charset=iso-2022-jp><title>" + tricky + "</title>" + tricky,
		"<title>" + tricky + "</title><meta charset=iso-2022-jp>" + tricky,
	} {
		rec, w, err := response(t, map[string]string{"Content-Type": "text/html"}, Options{}, doc)
		want := strings.TrimSuffix(doc, tricky) + string(Render(&testInfo)) + tricky
		if err != nil || !w.Marked() || rec.Body.String() != want {
			t.Errorf("%v: %q, want %q", err, rec.Body, want)
		}
	}
	doc := "<head><meta name=\"x\" content=\"" + tricky + "\"><title>" + tricky + "</title></head><body class=\"" + tricky + "\">"
	for _, pieces := range [][]string{{doc, tricky}, strings.Split(doc+tricky, "")} {
		rec, w, err := response(t, map[string]string{"Content-Type": "text/html; charset=ISO-2022-JP"}, Options{}, pieces...)
		if want := doc + string(Render(&testInfo)) + tricky; err != nil || !w.Marked() || rec.Body.String() != want {
			t.Errorf("%v: %q, want %q", err, rec.Body, want)
		}
	}
}

// TestCharsetConflicts: what the browser goes by is what the banner goes by, and says.
func TestCharsetConflicts(t *testing.T) {
	const late = `<p>text<p><meta charset="Shift_JIS">`
	for _, tt := range []struct{ name, mime, doc, want string }{
		{"UTF-8 by its mark", "text/html; charset=utf-16", "\xEF\xBB\xBF<body>ü", "text/html; charset=utf-16"},
		{"a charset in quotes", `text/html; x="; charset=utf-16"; charset=utf-8`, "<body>", "text/html; charset=utf-8"},
		{"no semicolon", `text/html charset=utf-8`, "<body>", "text/html"},
		{"single quotes", `text/html; charset='utf-8'`, "<body>", "text/html; charset=utf-8"},
		{"a label that is none", `text/html; charset="é"`, "<body>", "text/html"},
		{"two types", `text/plain, text/html;charset=koi8-r`, "<body>", "text/html; charset=koi8-r"},
		{"two, the charset of the first", `text/html;charset=koi8-r, text/html`, "<body>", "text/html; charset=koi8-r"},
		{"behind the banner", "text/html", late, "text/html; charset=shift_jis"},
		{"declared, and behind the banner", "text/html; charset=utf-8", late, "text/html; charset=utf-8"},
		{"in a pragma", "text/html", `<p><meta content='text/html; CHARSET = "GB18030"' http-equiv=Content-Type>`, "text/html; charset=gb18030"},
		{"UTF-16 in ASCII", "text/html", `<meta charset=utf-16be>`, "text/html; charset=utf-8"},
		{"x-user-defined", "text/html", `<meta charset=x-user-defined>`, "text/html; charset=windows-1252"},
		{"in a comment", "text/html", `<!-- <meta charset=koi8-r> --><!--><p title="<meta charset=koi8-r>"></p <meta charset=koi8-r><meta name=x content="charset=koi8-r">`, "text/html"},
		{"too late", "text/html", strings.Repeat(" ", prescanLen) + `<meta charset=koi8-r>`, "text/html"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec, w, err := response(t, map[string]string{"Content-Type": tt.mime}, Options{}, tt.doc)
			if err != nil || !w.Marked() || rec.Header().Get("Content-Type") != tt.want {
				t.Errorf("%v, marked %v, %q", err, w.Marked(), rec.Header().Get("Content-Type"))
			}
			if got := strings.Replace(rec.Body.String(), string(Render(&testInfo)), "", 1); got != tt.doc {
				t.Errorf("%q became %q", tt.doc, got)
			}
		})
	}
}
