package sealed_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
	"github.com/seed-240d5494/caddy-impersonate/test/sealed"
)

// rows is how many a log has: SEALED_ROWS, or few.
func rows(tb testing.TB, few int) int {
	tb.Helper()
	s := os.Getenv("SEALED_ROWS")
	if s == "" {
		return few
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatalf("SEALED_ROWS: %v", err)
	}
	return n
}

// cpuTime is what the process took, user and system; the engine of ClickHouse is another.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func write(tb testing.TB, sink audit.Sink, n int) string {
	tb.Helper()
	began := time.Now()
	key, err := sealed.Write(context.Background(), sink, tb.TempDir(), n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Logf("%d rows written in %v", n, time.Since(began).Round(time.Millisecond))
	return key
}

// engines are logs of n rows, ready to be verified.
func engines(tb testing.TB, n int) map[string]func() (*proof.Store, string) {
	tb.Helper()
	return map[string]func() (*proof.Store, string){
		"sqlite": func() (*proof.Store, string) {
			file := filepath.Join(tb.TempDir(), "audit.db")
			sink, err := sqlite.Open(context.Background(), file)
			if err != nil {
				tb.Fatal(err)
			}
			key := write(tb, sink, n)
			if err := sink.Close(); err != nil {
				tb.Fatal(err)
			}
			db, err := sqlite.OpenReadOnly(file)
			if err != nil {
				tb.Fatal(err)
			}
			tb.Cleanup(func() { _ = db.Close() })
			return &proof.Store{DB: db}, key
		},
		"clickhouse": func() (*proof.Store, string) {
			srv := chtest.StartOwn(tb)
			sink := applied(tb, srv)
			key := write(tb, sink, n)
			if err := sink.Close(); err != nil {
				tb.Fatal(err)
			}
			db, settings := reading(tb, srv)
			return &proof.Store{DB: db, Prefix: "`" + chtest.Database + "`.", Settings: settings}, key
		},
	}
}

// applied is a sink of the engine, with the schema.
func applied(tb testing.TB, srv *chtest.Server) *clickhouse.Sink {
	tb.Helper()
	sink, err := clickhouse.Open(srv.DSN)
	if err == nil {
		err = sink.Apply(context.Background(), nil)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return sink
}

// reading is the engine's database, and the settings of queries that sort.
func reading(tb testing.TB, srv *chtest.Server) (*sql.DB, string) {
	tb.Helper()
	db, err := clickhouse.OpenReadOnly(srv.DSN)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	settings, err := clickhouse.SortOnDisk(context.Background(), db)
	if err != nil {
		tb.Fatal(err)
	}
	return db, settings
}

// TestLargeLogProvesItself, on both engines, quicker than 1 million rows a minute.
func TestLargeLogProvesItself(t *testing.T) {
	n := rows(t, 20_000)
	for name, open := range engines(t, n) {
		t.Run(name, func(t *testing.T) {
			store, key := open()
			began, cpu := time.Now(), cpuTime(t)
			r, err := proof.Verify(t.Context(), store, proof.Options{Keys: []string{key}, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			// On a machine that others use too, the CPU time says more than the clock.
			t.Logf("%d rows verified in %v, with %v of CPU time: %.0f rows/s", n, took.Round(time.Millisecond), (cpuTime(t) - cpu).Round(time.Millisecond), float64(n)/took.Seconds())
			if !r.Clean() || len(r.Logs) != 1 || r.Logs[0].Rows != uint64(n) || r.Logs[0].Covered != uint64(n) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	n := rows(b, 100_000)
	for name, open := range engines(b, n) {
		b.Run(name, func(b *testing.B) {
			store, key := open()
			for b.Loop() {
				r, err := proof.Verify(b.Context(), store, proof.Options{Keys: []string{key}, Now: time.Now()})
				if err != nil || !r.Clean() {
					b.Fatalf("%+v, %v", r, err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
