package banner

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// flusher is what the encoders have in common.
type flusher interface {
	io.WriteCloser
	Flush() error
}

var encoders = map[string]struct {
	header string
	make   func(w io.Writer) flusher
}{
	"gzip":     {"gzip", func(w io.Writer) flusher { return gzip.NewWriter(w) }},
	"x-gzip":   {"X-GZip", func(w io.Writer) flusher { return gzip.NewWriter(w) }},
	"zlib":     {"deflate", func(w io.Writer) flusher { return zlib.NewWriter(w) }},
	"deflate":  {"deflate", func(w io.Writer) flusher { f, _ := flate.NewWriter(w, 5); return f }},
	"brotli":   {"br", func(w io.Writer) flusher { return brotli.NewWriterLevel(w, 5) }},
	"zstd":     {"zstd", func(w io.Writer) flusher { z, _ := zstd.NewWriter(w); return z }},
	"identity": {"identity", func(w io.Writer) flusher { return plainEncoder{w} }},
}

type plainEncoder struct{ io.Writer }

func (plainEncoder) Flush() error { return nil }
func (plainEncoder) Close() error { return nil }

func encode(tb testing.TB, name string, doc []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	e := encoders[name].make(&b)
	if _, err := e.Write(doc); err != nil {
		tb.Fatal(err)
	}
	if err := e.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestDecoding(t *testing.T) {
	doc := page(200_000)
	want := strings.Replace(string(doc), "data-x='a>b'>", "data-x='a>b'>"+string(Render(&testInfo)), 1)
	for name, e := range encoders {
		t.Run(name, func(t *testing.T) {
			body := encode(t, name, doc)
			for _, size := range []int{1, 700, 32 << 10, len(body)} {
				var pieces []string
				for rest := string(body); rest != ""; {
					n := min(size, len(rest))
					pieces, rest = append(pieces, rest[:n]), rest[n:]
				}
				rec, w, err := response(t, with(htmlType, "Content-Encoding", e.header, "Content-Length", "1"), Options{}, pieces...)
				if err != nil || !w.Marked() || rec.Body.String() != want {
					t.Fatalf("in pieces of %d: %v, marked %v, %d bytes, want %d", size, err, w.Marked(), rec.Body.Len(), len(want))
				}
				if h := rec.Header(); name != "identity" && (h.Get("Content-Encoding") != "" || h.Get("Content-Length") != "") {
					t.Fatalf("headers: %v", h)
				}
			}
		})
	}
	t.Run("stacked", func(t *testing.T) {
		body := encode(t, "zstd", encode(t, "brotli", encode(t, "gzip", doc)))
		rec, w, err := response(t, with(htmlType, "Content-Encoding", "gzip, br,zstd"), Options{}, string(body))
		if err != nil || !w.Marked() || rec.Body.String() != want {
			t.Fatalf("%v, marked %v, %d bytes", err, w.Marked(), rec.Body.Len())
		}
	})
	t.Run("gzip in members, padded", func(t *testing.T) {
		body := string(encode(t, "gzip", doc[:1000])) + string(encode(t, "gzip", doc[1000:])) + "\x00\x00"
		rec, _, err := response(t, with(htmlType, "Content-Encoding", "gzip"), Options{}, body)
		if err != nil || rec.Body.String() != want {
			t.Fatalf("%v, %d bytes", err, rec.Body.Len())
		}
	})
	t.Run("nothing", func(t *testing.T) {
		rec, w, err := response(t, with(htmlType, "Content-Encoding", "gzip"), Options{})
		if err != nil || !w.Marked() || rec.Body.String() != string(Render(&testInfo)) {
			t.Fatalf("%v, %q", err, rec.Body)
		}
	})
}

// TestStreaming: a page that is flushed in pieces arrives in those pieces, whatever it is encoded in.
func TestStreaming(t *testing.T) {
	pieces := []string{"<!DOCTYPE html><html><head><title>x</title>", "</head><body><p>", "one</p><p>", "two</p>", "</body></html>"}
	for name, e := range encoders {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			rec.Header().Set("Content-Type", "text/html")
			rec.Header().Set("Content-Encoding", e.header)
			w := NewWriter(rec, http.StatusOK, &testInfo, Options{})
			defer w.Abort()
			enc := e.make(w)
			sent := ""
			for _, p := range pieces {
				sent += p
				if _, err := io.WriteString(enc, p); err != nil {
					t.Fatal(err)
				}
				if err := enc.Flush(); err != nil {
					t.Fatal(err)
				}
				rec.Flushed = false
				if err := w.FlushError(); err != nil || !rec.Flushed {
					t.Fatalf("flush: %v, passed on %v", err, rec.Flushed)
				}
				if got := strings.Replace(rec.Body.String(), string(Render(&testInfo)), "", 1); got != sent {
					t.Fatalf("after %q: %q", sent, got)
				}
			}
			if err := enc.Close(); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil || !w.Marked() {
				t.Fatal(err, w.Marked())
			}
		})
	}
}

func TestDecodingCutOff(t *testing.T) {
	for name, e := range encoders {
		if name == "identity" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			body := encode(t, name, page(20_000))
			for _, n := range []int{1, 2, 5, len(body) / 2, len(body) - 1} {
				rec, _, err := response(t, with(htmlType, "Content-Encoding", e.header), Options{}, string(body[:n]))
				if err == nil {
					t.Errorf("at %d of %d: no error, %q", n, len(body), rec.Body)
				}
			}
			// In the middle, after some of it is sent.
			broken := append(bytes.Clone(body[:len(body)/2]), bytes.Repeat([]byte{0xff}, 4000)...)
			_, _, err := response(t, with(htmlType, "Content-Encoding", e.header), Options{}, string(broken))
			if err == nil {
				t.Error("garbage in the middle: no error")
			}
		})
	}
}

// TestNoLeak: an aborted response leaves no decoder behind.
func TestNoLeak(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, e := range encoders {
		body := encode(t, name, page(20_000))
		for range 10 {
			rec := httptest.NewRecorder()
			rec.Header().Set("Content-Type", "text/html")
			rec.Header().Set("Content-Encoding", e.header)
			w := NewWriter(rec, http.StatusOK, &testInfo, Options{})
			if _, err := w.Write(body[:len(body)/2]); err != nil {
				t.Fatal(err)
			}
			w.Abort()
			if _, err := w.Write(body); err == nil {
				t.Fatal("written after Abort")
			}
			NewWriter(rec, http.StatusOK, &testInfo, Options{}).Abort()
		}
	}
	after := runtime.NumGoroutine()
	for deadline := time.Now().Add(time.Minute); after > before && time.Now().Before(deadline); after = runtime.NumGoroutine() {
		<-time.After(time.Millisecond) // they may be about to end
	}
	if after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

func BenchmarkWriterGzip(b *testing.B) {
	body := encode(b, "gzip", page(20_000))
	dst := &discard{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		dst.h["Content-Type"], dst.h["Content-Encoding"] = []string{"text/html"}, []string{"gzip"}
		w := NewWriter(dst, 200, &testInfo, Options{})
		if _, err := w.Write(body); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
