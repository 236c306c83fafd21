package directory

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkMerged100k is the first page of a search over accounts that three sources know, each a part of the facts, and
// what it costs when a source has given all of them again with one change.
func BenchmarkMerged100k(b *testing.B) {
	users := crowd(100_000)
	queries := benchQueries(users)
	bare := slices.Clone(users)
	for i := range bare {
		bare[i].Email, bare[i].Groups, bare[i].Attributes = "", nil, nil
	}
	first, second, third := &list{name: "file", users: slices.Clone(bare[:1000])}, &list{name: "ldap", users: bare}, &list{name: "sql", users: slices.Clone(users)}
	d := New(Options{Sources: []Source{first, second, third}})
	if err := d.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	if d.Len() != 100_000 {
		b.Fatalf("%d accounts", d.Len())
	}
	b.Run("search", func(b *testing.B) {
		times := make([]time.Duration, 0, len(queries))
		for b.Loop() {
			start := time.Now()
			if _, err := d.Search(queries[len(times)%len(queries)], 50, ""); err != nil {
				b.Fatal(err)
			}
			if times = append(times, time.Since(start)); len(times) > 1<<20 {
				times = times[:0]
			}
		}
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)*95/100].Microseconds()), "p95-µs")
	})
	b.Run("reading", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			again := slices.Clone(users)
			again[i%len(again)].Active = false
			third.users = again
			if err := d.Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
