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
	doc := "<head><meta name=\"x\" content=\"" + tricky + "\"><title>" + tricky + "</title></head><body class=\"" + tricky + "\">"
	for _, pieces := range [][]string{{doc, tricky}, strings.Split(doc+tricky, "")} {
		rec, w, err := response(t, map[string]string{"Content-Type": "text/html; charset=ISO-2022-JP"}, Options{}, pieces...)
		if want := doc + string(Render(&testInfo)) + tricky; err != nil || !w.Marked() || rec.Body.String() != want {
			t.Errorf("%v: %q, want %q", err, rec.Body, want)
		}
	}
}
