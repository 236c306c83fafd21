package banner

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var testInfo = Info{
	Origin:          "https://app.example.com",
	ImpersonationID: "imp-1",
	Actor:           "Alice Ng",
	ActorUsername:   "alice",
	Target:          "Sam Reed",
	TargetUsername:  "sam",
	Mode:            "full",
	Reason:          "ticket 17",
	Now:             time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	ExpiresAt:       time.Date(2026, 1, 2, 3, 34, 5, 0, time.UTC),
}

// response passes body through a Writer in the given pieces, as a response with the given headers.
func response(t testing.TB, headers map[string]string, opts Options, pieces ...string) (*httptest.ResponseRecorder, *Writer, error) {
	t.Helper()
	rec := httptest.NewRecorder()
	for k, v := range headers {
		rec.Header().Set(k, v)
	}
	w := NewWriter(rec, http.StatusOK, &testInfo, opts)
	for _, p := range pieces {
		// A writer must not keep what it is given.
		buf := []byte(p)
		if _, err := w.Write(buf); err != nil {
			w.Abort()
			return rec, w, err
		}
		for i := range buf {
			buf[i] = '#'
		}
	}
	return rec, w, w.Close()
}

var htmlType = map[string]string{"Content-Type": "text/html; charset=utf-8"}

func with(base map[string]string, kv ...string) map[string]string {
	out := map[string]string{}
	for k, v := range base {
		out[k] = v
	}
	for i := 0; i < len(kv); i += 2 {
		out[kv[i]] = kv[i+1]
	}
	return out
}

func TestWriterPlaces(t *testing.T) {
	const doc = "<!DOCTYPE html><html><head><title>x</title></head><body class='>'>\n<p>hello</p></body></html>"
	want := strings.Replace(doc, "\n<p>", string(Render(&testInfo))+"\n<p>", 1)
	for size := 1; size <= len(doc); size++ {
		var pieces []string
		for rest := doc; rest != ""; {
			n := min(size, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		rec, w, err := response(t, htmlType, Options{}, pieces...)
		if err != nil || !w.Marked() || rec.Body.String() != want {
			t.Fatalf("in pieces of %d: %v, marked %v:\n%s\nwant\n%s", size, err, w.Marked(), rec.Body, want)
		}
	}
}

func TestWriterHeaders(t *testing.T) {
	doc := "<body>hello"
	in := map[string]string{
		"Content-Type": "text/html", "Content-Length": strconv.Itoa(len(doc)), "Etag": `"1"`, "Last-Modified": "yesterday",
		"Accept-Ranges": "bytes", "Cache-Control": "public, max-age=60", "Content-Digest": "sha-256=:x:", "X-App": "1",
	}
	rec, w, err := response(t, in, Options{}, doc)
	if err != nil || !w.Marked() {
		t.Fatal(err, w.Marked())
	}
	want := map[string]string{
		"Content-Type": "text/html", "Content-Length": strconv.Itoa(rec.Body.Len()), "Etag": "", "Last-Modified": "",
		"Accept-Ranges": "", "Cache-Control": "no-store", "Content-Digest": "", "X-App": "1",
	}
	for k, v := range want {
		if got := rec.Header().Get(k); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	// Not known when the head goes out: no length.
	rec, _, err = response(t, in, Options{}, "<html>", doc)
	if err != nil || rec.Header().Get("Content-Length") != "" {
		t.Errorf("%v, Content-Length %q", err, rec.Header().Get("Content-Length"))
	}
}

func TestWriterUndeclaredType(t *testing.T) {
	for _, tt := range []struct {
		name, body, mime string
		marked           bool
	}{
		{"HTML", "<!DOCTYPE html><body>x", "text/html", true},
		{"HTML, with its charset", "<!DOCTYPE html><meta charset=Windows-1251><body>x", "text/html; charset=windows-1251", true},
		{"HTML to Chromium only", " \n<article>x", "text/html", true},
		{"XHTML", "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><body/></html>", "text/xml", true},
		{"XML", "<?xml version='1.0'?><feed/>", "text/xml", false},
		{"text", "just text, and <body> in it", "text/plain", false},
		{"text, by its mark", "\xEF\xBB\xBF<!DOCTYPE html><body>x", "text/plain", false},
		{"image", "\x89PNG\x0D\x0A\x1A\x0A", "image/png", false},
		{"not to be guessed", "<!DOCTYPE html><body>x", "text/plain", false},
		{"nothing", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var headers map[string]string
			if tt.name == "not to be guessed" {
				headers = map[string]string{"X-Content-Type-Options": "NoSniff, x"}
			}
			rec, w, err := response(t, headers, Options{}, strings.Split(tt.body, "")...)
			if err != nil || w.Marked() != tt.marked || rec.Header().Get("Content-Type") != tt.mime {
				t.Errorf("%v, marked %v, type %q", err, w.Marked(), rec.Header().Get("Content-Type"))
			}
			if got := bytes.Replace(rec.Body.Bytes(), Render(&testInfo), nil, 1); string(got) != tt.body {
				t.Errorf("body: %q", got)
			}
		})
	}
}

func TestWriterUnmarkable(t *testing.T) {
	frames := "<html><head><title>x</title></head><frameset cols='*,*'><frame src=a><frame src=b></frameset></html>"
	for _, tt := range []struct {
		name    string
		headers map[string]string
		body    string
		reason  string
	}{
		{"frameset", htmlType, frames, ReasonFrameset},
		{"gzip that is none", with(htmlType, "Content-Encoding", "gzip"), "<body>not gzip", ReasonMalformed},
		{"zstd that is none", with(htmlType, "Content-Encoding", "zstd"), "<body>not zstd", ReasonMalformed},
		{"brotli that is none", with(htmlType, "Content-Encoding", "br"), "\xff\xff\xff\xff<body>", ReasonMalformed},
		{"UTF-16 XHTML", map[string]string{"Content-Type": "application/xhtml+xml"}, "\xFF\xFE<\x00", ReasonCharset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec, w, err := response(t, tt.headers, Options{}, tt.body)
			var u *UnmarkableError
			if !errors.As(err, &u) || u.Reason != tt.reason {
				t.Errorf("error: %v", err)
			}
			if v, reason := w.Result(); v != Unmarkable || reason != tt.reason {
				t.Errorf("result: %v %s", v, reason)
			}
			if rec.Body.Len() > 0 {
				t.Errorf("sent: %q", rec.Body)
			}
			rec, w, err = response(t, tt.headers, Options{AllowUnmarked: true}, tt.body)
			if v, reason := w.Result(); err != nil || v != Unmarkable || reason != tt.reason {
				t.Errorf("allowed: %v, %v %s", err, v, reason)
			}
			if rec.Body.String() != tt.body || rec.Header().Get("Content-Encoding") != tt.headers["Content-Encoding"] {
				t.Errorf("allowed: %q", rec.Body)
			}
		})
	}
	t.Run("frameset, its head sent", func(t *testing.T) {
		rec, w, err := response(t, htmlType, Options{}, frames[:20], frames[20:], "more")
		if v, reason := w.Result(); err != nil || v != Unmarkable || reason != ReasonFrameset {
			t.Errorf("%v, %v %s", err, v, reason)
		}
		if got, want := rec.Body.String(), "<html><head><title>x</title></head>"+string(Render(&testInfo)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
	t.Run("frameset, with a frame of its own", func(t *testing.T) {
		const own = `<frameset rows="84,*" border="0" frameborder="0" framespacing="0"><frame src="https://app.example.com/banner" ` +
			`name="impersonate-banner" title="Impersonation" noresize="noresize" marginwidth="0" marginheight="0"/>`
		want := strings.Replace(frames, "<frameset", own+"<frameset", 1)
		for _, pieces := range [][]string{{frames}, strings.Split(frames, "")} {
			rec, w, err := response(t, with(htmlType, "Content-Security-Policy", "default-src 'self'"), Options{FramePath: "/banner"}, pieces...)
			if err != nil || !w.Marked() || rec.Body.String() != want {
				t.Errorf("%v, marked %v: %s", err, w.Marked(), rec.Body)
			}
		}
		for _, policy := range []string{"frame-src 'none'", "default-src cdn.example", "sandbox allow-scripts"} {
			_, w, err := response(t, with(htmlType, "Content-Security-Policy", policy), Options{FramePath: "/banner"}, frames)
			if err == nil || w.Marked() {
				t.Errorf("%s: marked", policy)
			}
		}
	})
	t.Run("cut off in a script", func(t *testing.T) {
		// It shows nothing. What is not sent yet is withheld all the same.
		rec, w, err := response(t, htmlType, Options{}, "<link>", "<script>if (")
		if v, reason := w.Result(); err != nil || v != Unmarkable || reason != ReasonNoPlace || rec.Body.String() != "<link><script>if (" {
			t.Errorf("%v, %v %s, %q", err, v, reason, rec.Body)
		}
	})
}

var closers = regexp.MustCompile(`^(-?-?>)?(</(title|style|noscript|noframes|textarea|xmp|iframe|noembed)>)?(</template>)*$`)

// FuzzWriter: output minus banner equals input, for any bytes and any chunking, of HTML and of XHTML.
func FuzzWriter(f *testing.F) {
	f.Add([]byte("<body>x"), uint8(2), false)
	f.Add([]byte("\xEF\xBB\xBF<html><head/><body a='>'/></html>"), uint8(1), true)
	f.Add([]byte("<!DOCTYPE html [<!ENTITY x '>'> <!-- ' ]> --> ]><h:html><h:body>"), uint8(3), true)
	for _, doc := range corpus(f) {
		f.Add(doc, uint8(3), len(doc)%4 == 0)
	}
	banner := Render(&testInfo)
	f.Fuzz(func(t *testing.T, doc []byte, size uint8, xhtml bool) {
		if bytes.Contains(doc, banner) || bytes.HasPrefix(doc, []byte{0xFE, 0xFF}) || bytes.HasPrefix(doc, []byte{0xFF, 0xFE}) {
			return
		}
		if containsFold(doc, []byte("content-security-policy")) || bytes.Contains(doc, []byte("\x00?")) {
			return
		}
		headers := htmlType
		if xhtml {
			headers = map[string]string{"Content-Type": "application/xhtml+xml"}
		}
		var pieces []string
		for rest := string(doc); rest != ""; {
			n := min(max(1, int(size)), len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		rec, w, err := response(t, headers, Options{AllowUnmarked: true}, pieces...)
		if err != nil {
			t.Fatal(err)
		}
		out := rec.Body.Bytes()
		if got := bytes.Count(out, banner); w.Marked() != (got == 1) || got > 1 {
			t.Fatalf("marked %v, %d banners", w.Marked(), got)
		}
		before, after, _ := bytes.Cut(out, banner)
		if bytes.Equal(append(bytes.Clone(before), after...), doc) {
			return
		}
		// At its end, something unfinished may have been closed for the banner.
		head := doc[:max(0, len(doc)-len(after))]
		closer, ok := bytes.CutPrefix(before, head)
		if !ok || !bytes.HasSuffix(doc, after) || !closers.Match(closer) {
			t.Fatalf("%q became %q", doc, out)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	for _, size := range []int{20_000, 200_000} {
		doc := page(size)
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			dst := &discard{h: http.Header{}}
			length := []string{strconv.Itoa(size)}
			mime := []string{"text/html; charset=utf-8"}
			b.ReportAllocs()
			for b.Loop() {
				dst.h["Content-Type"], dst.h["Content-Length"] = mime, length
				w := NewWriter(dst, 200, &testInfo, Options{})
				for rest := doc; len(rest) > 0; {
					n := min(32<<10, len(rest))
					if _, err := w.Write(rest[:n]); err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
				if err := w.Close(); err != nil || !w.Marked() {
					b.Fatal(err)
				}
			}
		})
	}
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// TestWriterMemory: what a page costs in memory does not grow with it, wherever its body starts, and is under 64 KiB.
func TestWriterMemory(t *testing.T) {
	const pieces, size = 20_000, 4 << 10 // 80 MB
	for name, piece := range map[string]string{
		"in the body":     strings.Repeat("<p>text</p>", size/11),
		"in a comment":    strings.Repeat("<!-- body -", size/11),
		"in the head":     strings.Repeat("<link x>\n", size/9),
		"in a tag":        strings.Repeat("x='/>' ", size/7),
		"in a script":     strings.Repeat("</scrip<!--", size/11),
		"in a short loop": "<meta content=x><title>" + strings.Repeat("x", size) + "</title>",
	} {
		t.Run(name, func(t *testing.T) {
			start := map[string]string{"in the body": "<body>", "in a tag": "<link ", "in a script": "<script>"}[name]
			dst := &discard{h: http.Header{"Content-Type": {"text/html"}}}
			w := NewWriter(dst, http.StatusOK, &testInfo, Options{})
			if _, err := w.Write([]byte(start)); err != nil {
				t.Fatal(err)
			}
			p := []byte(piece)
			most := 0
			allocs := testing.AllocsPerRun(pieces, func() {
				if _, err := w.Write(p); err != nil {
					t.Fatal(err)
				}
				most = max(most, cap(w.hold)+cap(w.raw))
			})
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if most+joinLimit > 64<<10 || allocs > 1 {
				t.Errorf("%d bytes kept, %v allocations a piece", most, allocs)
			}
		})
	}
}
