package gateway_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
)

// nowhere is a sink that takes everything at no cost.
type nowhere struct{}

func (nowhere) Name() string                              { return "nowhere" }
func (nowhere) Check(context.Context) error               { return nil }
func (nowhere) Write(context.Context, *audit.Batch) error { return nil }
func (nowhere) Close() error                              { return nil }

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

var benchPage = append([]byte("<!doctype html><html><head><title>x</title>"+string(bytes.Repeat([]byte("<meta name=a content=b>"), 180))+"</head><body>"), bytes.Repeat([]byte("<p>some text</p>"), 1000)...)

func bench(b *testing.B, impersonate bool, kind string, body []byte) {
	w := newWorld(b, func(w *world) { w.sink = nowhere{} })
	kinds := []string{kind}
	w.serve(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header()["Content-Type"] = kinds
		_, err := rw.Write(body)
		return err
	})
	p := w.login("admin")
	if impersonate {
		p.begin("sam")
	}
	r := p.request("GET", "/", "", append([]string{"Cookie", "impersonate=" + p.raw + "; app=1", "User-Agent", "Mozilla/5.0"}, navigation...)...)
	r.RequestURI = "/"
	site := w.site.Load()
	app := *w.app.Load()
	b.ReportAllocs()
	b.SetParallelism(100) // a commit to disk is shared by those who wait for it: what is measured is the work
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			one := *r
			one.Header = make(http.Header, 12)
			for k, v := range r.Header {
				one.Header[k] = v
			}
			if err := site.ServeHTTP(&discard{make(http.Header, 8)}, &one, gateway.Next(app)); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkOwnAccount(b *testing.B) { bench(b, false, "text/html; charset=utf-8", benchPage) }

func BenchmarkImpersonated(b *testing.B) {
	b.Run("html-20k", func(b *testing.B) { bench(b, true, "text/html; charset=utf-8", benchPage) })
	b.Run("json", func(b *testing.B) { bench(b, true, "application/json", []byte(`{"a":1}`)) })
}
