package banner

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// live is the memory in use, stacks included, in bytes.
func live() int64 {
	runtime.GC()
	runtime.GC() // what pools kept is gone after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestMemoryInFlight: a response takes less than 64 KiB while it is under way, whatever its size; but for brotli and
// zstd, which the app is not asked for, and whose formats want windows of up to 16 and 8 MiB.
func TestMemoryInFlight(t *testing.T) {
	part := page(1 << 20)
	type encoding struct {
		header string
		make   func(w io.Writer) flusher
		limit  int64
		n      int // responses in flight
		size   int // of each, in MiB
	}
	cases := map[string]encoding{
		"brotli, its largest window": {"br", func(w io.Writer) flusher {
			return brotli.NewWriterOptions(w, brotli.WriterOptions{Quality: 2, LGWin: 24})
		}, 17 << 20, 1, 24},
		"zstd, its largest window": {"zstd", func(w io.Writer) flusher {
			z, err := zstd.NewWriter(w, zstd.WithWindowSize(maxZstdWindow), zstd.WithEncoderLevel(zstd.SpeedFastest))
			if err != nil {
				t.Fatal(err)
			}
			return z
		}, 10 << 20, 1, 24},
	}
	for name, size := range map[string]int{"identity": 50, "gzip": 50, "deflate": 5, "zlib": 5} {
		cases[name] = encoding{encoders[name].header, encoders[name].make, 64 << 10, 64, size}
	}
	for name, e := range cases {
		t.Run(name, func(t *testing.T) {
			var body bytes.Buffer
			enc := e.make(&body)
			for range e.size {
				if _, err := enc.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			if err := enc.Flush(); err != nil {
				t.Fatal(err)
			}
			writers := make([]*Writer, e.n)
			before := live()
			for i := range writers {
				dst := &discard{h: http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {e.header}}}
				w := NewWriter(dst, http.StatusOK, &testInfo, Options{})
				defer w.Abort()
				rest := body.Bytes()
				if i > 0 { // one is read to its end
					rest = rest[:len(rest)/64]
				}
				for len(rest) > 0 {
					k := min(32<<10, len(rest))
					if _, err := w.Write(rest[:k]); err != nil {
						t.Fatal(err)
					}
					rest = rest[k:]
				}
				writers[i] = w
			}
			each := (live() - before) / int64(e.n)
			runtime.KeepAlive(writers)
			runtime.KeepAlive(&body)
			if t.Logf("%d bytes each", each); each >= e.limit {
				t.Errorf("%d bytes each, more than %d", each, e.limit)
			}
		})
	}
}

// TestWindowsRefused: a body may not ask for more memory than a browser would give it.
func TestWindowsRefused(t *testing.T) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithWindowSize(2*maxZstdWindow), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if _, err := z.Write(bytes.Repeat([]byte("<p>0123456789"), 100_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ encoding, body string }{
		"zstd of 16 MiB":        {"zstd", b.String()},
		"brotli, large window":  {"br", "\x11\x1e" + string(bytes.Repeat([]byte{0}, 100))},
		"brotli, large window ": {"br", "\x11\x98" + string(bytes.Repeat([]byte{0xff}, 100))},
	} {
		_, _, err = response(t, with(htmlType, "Content-Encoding", tt.encoding), Options{}, tt.body)
		var u *UnmarkableError
		if !errors.As(err, &u) || u.Reason != ReasonMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
