// Package load makes a steady load for benchmarks, and weighs it.
package load

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Run calls f b.N times from 16 goroutines, at rate calls a second (0: as fast as it goes), and returns the CPU time the
// process took, user and system. An error of f fails the benchmark.
func Run(b *testing.B, rate int, f func() error) time.Duration {
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

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
