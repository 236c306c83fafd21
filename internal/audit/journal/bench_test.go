package journal_test

import (
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/test/load"
)

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
			idle := load.Run(b, bb.rate, func() error { return nil })
			before := j.Stats()
			b.ResetTimer()
			began := time.Now()
			cpu := load.Run(b, bb.rate, func() error {
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
