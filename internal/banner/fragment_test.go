package banner

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

func TestRenderIsASCIIAndXML(t *testing.T) {
	info := testInfo
	info.Actor, info.Target = "Zoë <b>&\"'", "\u202e\x00\x1b\xff\uffff{{1+1}}[[x]]"
	info.Reason = strings.Repeat("ü", 2000)
	for _, lang := range []string{"en", "de", "fr", "es", "ja"} {
		for _, notice := range []string{"", "expired", "who knows"} {
			info.Languages, info.Notice = lang, notice
			out := Render(&info)
			for _, c := range out {
				if c < ' ' || c > '~' {
					t.Fatalf("%s: byte %#x in %s", lang, c, out)
				}
			}
			d := xml.NewDecoder(strings.NewReader(string(out)))
			for {
				_, err := d.Token()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v in %s", lang, err, out)
				}
			}
			if strings.Contains(string(out), "{{") || strings.Contains(string(out), "<b>") || len(out) > 9000 {
				t.Fatalf("%s: %d bytes: %s", lang, len(out), out)
			}
		}
	}
}

// text is what of the fragment's shadow root (or, with light, of what is left without one) a person reads.
func text(t *testing.T, out []byte, light bool) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var walk func(n *html.Node, in bool)
	walk = func(n *html.Node, in bool) {
		if n.Type == html.ElementNode && n.Data == "template" {
			in = !light
		}
		if n.Type == html.TextNode && in {
			b.WriteString(n.Data)
		}
		if n.Type == html.ElementNode && (n.Data == "p" || n.Data == "span" || n.Data == "summary" || n.Data == "button") && b.Len() > 0 {
			b.WriteByte('|')
		}
		for c := range n.ChildNodes() {
			walk(c, in)
		}
	}
	walk(root, light)
	return strings.Trim(strings.ReplaceAll(b.String(), "||", "|"), "|")
}

func TestRenderSays(t *testing.T) {
	info := testInfo
	for _, tt := range []struct {
		name   string
		change func(*Info)
		want   string
	}{
		{"default", func(*Info) {}, "Alice Ng is using the account of Sam Reed|Alice Ng › Sam Reed|Full access|Reason|ticket 17|30 min left|Return to my account"},
		{"read only, no end, no reason", func(i *Info) { i.Mode, i.Reason, i.ExpiresAt = "read_only", "", time.Time{} }, "Alice Ng is using the account of Sam Reed|Alice Ng › Sam Reed|Read only|Return to my account"},
		{"no names", func(i *Info) { i.Actor, i.Target = "", " " }, "alice is using the account of sam|alice › sam|Full access|Reason|ticket 17|30 min left|Return to my account"},
		{"its own text", func(i *Info) { i.Text = "A & B" }, "A & B|Alice Ng › Sam Reed|Full access|Reason|ticket 17|30 min left|Return to my account"},
		{"over", func(i *Info) { i.Now = i.ExpiresAt.Add(time.Hour) }, "Alice Ng is using the account of Sam Reed|Alice Ng › Sam Reed|Full access|Reason|ticket 17|0 min left|Return to my account"},
		{"German", func(i *Info) { i.Languages = "de-AT,de;q=0.9,en;q=0.5" }, "Alice Ng verwendet das Konto von Sam Reed|Alice Ng › Sam Reed|Voller Zugriff|Grund|ticket 17|noch 30 Min.|Zurück zu meinem Konto"},
		{"Japanese", func(i *Info) { i.Languages = "zh, ja;q=0.8" }, "Alice Ng が Sam Reed のアカウントを使用中|Alice Ng › Sam Reed|フルアクセス|理由|ticket 17|残り 30 分|自分のアカウントに戻る"},
		{"notice", func(i *Info) { i.Notice = "expired" }, "Your impersonation of Sam Reed ended: time ran out. You are in your own account again.|Dismiss"},
		{"notice, of an unknown cause", func(i *Info) { i.Notice = "x" }, "Your impersonation of Sam Reed ended: it was ended. You are in your own account again.|Dismiss"},
		{"long names", func(i *Info) { i.Target = strings.Repeat("x", 100); i.Mode = "full" }, "Alice Ng is using the account of " + strings.Repeat("x", 80) + "…|Alice Ng › " + strings.Repeat("x", 80) + "…|Full access|Reason|ticket 17|30 min left|Return to my account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := info
			tt.change(&i)
			out := Render(&i)
			if got := text(t, out, false); got != tt.want {
				t.Errorf("%s\nwant\n%s", got, tt.want)
			}
			if sentence, _, _ := strings.Cut(tt.want, "|"); text(t, out, true) != sentence {
				t.Errorf("without a shadow root: %s", text(t, out, true))
			}
		})
	}
}

func TestLanguages(t *testing.T) {
	for accept, want := range map[string]string{
		"": "en", "*": "en", "nl": "en", "de": "de", "DE-ch": "de", "nl,fr;q=0.3": "fr", "en;q=0.5,es;q=0.9": "es",
		"de;q=0, ja;q=0.1": "ja", "fr;q=x,es;q=0.1": "es", "fr-CA,de": "fr",
		strings.Repeat("x,", 5000) + "de": "en",
	} {
		if got := textsFor(accept).lang; got != want {
			t.Errorf("%.30s: %s, want %s", accept, got, want)
		}
	}
	for _, l := range languages {
		for cause := range inEnglish.causes {
			if l.causes[cause] == "" {
				t.Errorf("%s says nothing of %q", l.lang, cause)
			}
		}
	}
}

// TestEmergencyIsLouder: it says so before all else, in a colour of its own, whatever text and colour were configured.
func TestEmergencyIsLouder(t *testing.T) {
	for lang, say := range map[string]string{"en": "EMERGENCY", "de": "NOTFALL", "fr": "URGENCE", "es": "EMERGENCIA", "ja": "緊急"} {
		for _, words := range []string{"", "Support is here"} {
			info := testInfo
			info.Languages, info.Text, info.Color = lang, words, "#123456"
			if out := Render(&info); strings.Contains(text(t, out, false), say) || strings.Contains(string(out), "c=ffd60a") {
				t.Errorf("%s: loud without need: %s", lang, out)
			}
			info.Emergency = true
			out := Render(&info)
			if !strings.Contains(string(out), "?c=ffd60a") || !strings.Contains(text(t, out, false), say) || !strings.Contains(text(t, out, true), say) || !strings.Contains(text(t, out, false), words) {
				t.Errorf("%s: not loud: %s", lang, out)
			}
		}
	}
}

func TestColors(t *testing.T) {
	for _, tt := range []struct{ in, css, ink string }{
		{"", DefaultColor, "#fff"},
		{"#b91c1c", DefaultColor, "#fff"},
		{"#FC0", "#ffcc00", "#000"},
		{"0a0", "#00aa00", "#000"},
		{"#1e3a8a", "#1e3a8a", "#fff"},
		{"red", DefaultColor, "#fff"},
		{"#12345", DefaultColor, "#fff"},
		{"#fff;}*{x:y", DefaultColor, "#fff"},
	} {
		if c := parseColor(tt.in); c.css() != tt.css || c.ink() != tt.ink {
			t.Errorf("%q: %s on %s, want %s on %s", tt.in, c.ink(), c.css(), tt.ink, tt.css)
		}
	}
	if ValidColor("b91c1c") || !ValidColor("#b91c1c") || ValidColor("#b91c1") {
		t.Error("ValidColor")
	}
}

func TestServeAsset(t *testing.T) {
	for _, tt := range []struct {
		path   string
		served bool
		mime   string
		cached bool
	}{
		{assetScript.path, true, "text/javascript; charset=utf-8", true},
		{assetStyle.path + "?c=00ff00", true, "text/css; charset=utf-8", true},
		{assetDir + "banner.js", true, "text/javascript; charset=utf-8", false},
		{assetDir + "banner.css", true, "text/css; charset=utf-8", false},
		{assetDir + "banner-000000000000.js", true, "text/javascript; charset=utf-8", false},
		{assetDir + "banners.js", false, "", false},
		{assetDir + "banner-x/y.js", false, "", false},
		{assetDir + "banner.html", false, "", false},
		{assetDir + "portal.css", false, "", false},
		{"/banner.js", false, "", false},
	} {
		rec := httptest.NewRecorder()
		served := ServeAsset(rec, httptest.NewRequest(http.MethodGet, tt.path, nil))
		cached := strings.Contains(rec.Header().Get("Cache-Control"), "immutable")
		if served != tt.served || rec.Header().Get("Content-Type") != tt.mime || cached != tt.cached {
			t.Errorf("%s: served %v, %v", tt.path, served, rec.Header())
		}
		if served && rec.Body.Len() < 1000 {
			t.Errorf("%s: %d bytes", tt.path, rec.Body.Len())
		}
	}
	rec := httptest.NewRecorder()
	ServeAsset(rec, httptest.NewRequest(http.MethodGet, assetStyle.path+"?c=FFCC00", nil))
	if !strings.HasPrefix(rec.Body.String(), ":host{--accent:#ffcc00;--on-accent:#000}\n") {
		t.Errorf("%.80s", rec.Body)
	}
	rec = httptest.NewRecorder()
	if !ServeAsset(rec, httptest.NewRequest(http.MethodPost, assetStyle.path, nil)) || rec.Code != http.StatusMethodNotAllowed {
		t.Error(rec.Code)
	}
}

func BenchmarkRender(b *testing.B) {
	info := testInfo
	info.Languages = "de-DE,de;q=0.9,en;q=0.8"
	buf := make([]byte, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendFragment(buf[:0], &info, &grants{origin: info.Origin}, "")
	}
	b.SetBytes(int64(len(buf)))
}
