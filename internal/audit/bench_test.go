package audit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/test/load"
)

// BenchmarkIntent is the CPU of recording on the request's own path: intent and outcome, without the commit. The disk
// does nothing here.
func BenchmarkIntent(b *testing.B) {
	for _, bb := range []struct{ name, query string }{{"plain", ""}, {"query", "page=2&sort=name"}} {
		b.Run(bb.name, func(b *testing.B) {
			r := benchRecorder(b)
			rows := make([]audit.Request, 4096)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				q := &rows[n%len(rows)]
				*q = *row("", "i-1")
				q.Query = bb.query
				in, err := r.Intent(q)
				if err != nil {
					b.Fatal(err)
				}
				in.Done(completed)
				if n++; n%512 == 0 {
					// The commits in between are not counted.
					b.StopTimer()
					if err := r.Event(b.Context(), audit.Event{Type: audit.EventLogin}); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
		})
	}
}

func benchRecorder(b *testing.B) *audit.Recorder {
	b.Helper()
	r, err := audit.Open(audit.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close(b.Context()) })
	return r
}

// BenchmarkRequests is requests, each with a durable intent and an outcome, with real fsync: as many as go of 16 at a
// time, and 500 and 5,000 a second. The CPU is the process's, less what the load alone costs.
func BenchmarkRequests(b *testing.B) {
	for _, bb := range []struct {
		name string
		rate int
	}{{"full", 0}, {"500", 500}, {"5000", 5000}} {
		b.Run(bb.name, func(b *testing.B) {
			r := benchRecorder(b)
			idle := load.Run(b, bb.rate, func() error { row("", "i-1"); return nil })
			before := r.Stats().Journal
			began := time.Now()
			b.ResetTimer()
			var waited atomic.Int64
			cpu := load.Run(b, bb.rate, func() error {
				in, err := r.Intent(row("", "i-1"))
				asked := time.Now()
				if err == nil {
					err = in.Durable(b.Context())
				}
				waited.Add(int64(time.Since(asked)))
				if err == nil {
					in.Done(completed)
				}
				return err
			})
			b.StopTimer()
			took := time.Since(began)
			after := r.Stats().Journal
			commits := float64(after.Commits - before.Commits)
			b.ReportMetric(float64((cpu-idle).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(b.N)/commits, "op/commit")
			b.ReportMetric(float64((after.SyncTime-before.SyncTime).Microseconds())/commits, "µs/fsync")
			b.ReportMetric(float64(waited.Load())/1e6/float64(b.N), "ms-waited/op")
			b.ReportMetric(float64(b.N)/took.Seconds(), "op/s")
			b.ReportMetric(float64(after.Written-before.Written)/float64(b.N), "journal-B/op")
		})
	}
}

// BenchmarkShip is how fast an outage's backlog leaves for a sink that takes everything.
func BenchmarkShip(b *testing.B) {
	r := benchRecorder(b)
	ctx := b.Context()
	for i := range b.N {
		in, err := r.Intent(row("", "i-1"))
		if err != nil {
			b.Fatal(err)
		}
		in.Done(completed)
		if i%8192 == 0 {
			if err := r.Event(ctx, audit.Event{Type: audit.EventLogin}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := r.Event(ctx, audit.Event{Type: audit.EventLogin}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := r.UseSinks(ctx, audit.ShipOptions{}, nowhere{}); err != nil {
		b.Fatal(err)
	}
	if err := r.Close(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) Name() string                              { return "nowhere" }
func (nowhere) Check(context.Context) error               { return nil }
func (nowhere) Write(context.Context, *audit.Batch) error { return nil }
func (nowhere) Close() error                              { return nil }
