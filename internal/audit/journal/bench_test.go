package journal_test

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCommit is 16 requests at a time, each an awaited and a not awaited append, with real fsync: as many as go,
// and 5,000 a second. The CPU is the process's, less what the load alone costs.
func BenchmarkCommit(b *testing.B) {
	for _, bb := range []struct {
		name string
		rate int
	}{{"full", 0}, {"5000", 5000}} {
		b.Run(bb.name, func(b *testing.B) {
			j, _, err := journal.Open(journal.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			payload := make([]byte, 450)
			idle := load(b, bb.rate, func() error { return nil })
			before := j.Stats()
			b.ResetTimer()
			began := time.Now()
			cpu := load(b, bb.rate, func() error {
				ticket, err := j.Append(1, payload, true)
				if err == nil {
					err = ticket.Wait(b.Context())
				}
				if err == nil {
					_, err = j.Append(2, payload, false)
				}
				return err
			})
			b.StopTimer()
			took := time.Since(began)
			after := j.Stats()
			commits := float64(after.Commits - before.Commits)
			b.ReportMetric(float64((cpu-idle).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(b.N)/commits, "op/commit")
			b.ReportMetric(float64((after.SyncTime-before.SyncTime).Microseconds())/commits, "µs/fsync")
			b.ReportMetric(float64(b.N)/took.Seconds(), "op/s")
		})
	}
}

// load calls f b.N times from 16 goroutines, at so many a second, and returns the CPU time it took.
func load(b *testing.B, rate int, f func() error) time.Duration {
	b.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	cpu := cpuTime(b)
	for range 16 {
		wg.Go(func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					return
				}
				if rate > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(rate))))
				}
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return cpuTime(b) - cpu
}
