// Package load makes a steady load for benchmarks, and weighs it.
package load

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Run calls f b.N times and returns the CPU time the process took, user and system: from 16 goroutines as fast as they
// go, or at rate calls a second, each at its time, however long those before it take (but for 64 at most at once). An
// error of f fails the benchmark.
func Run(b *testing.B, rate int, f func() error) time.Duration {
	b.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	cpu := cpuTime(b)
	atOnce := 16
	if rate > 0 {
		atOnce = 64
	}
	for range atOnce {
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

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
