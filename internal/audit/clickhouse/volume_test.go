package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
	"github.com/seed-240d5494/caddy-impersonate/test/load"
)

// rowsWanted is how many rows a measurement takes: few in everyday runs, AUDIT_ROWS=1000000 for docs/cost.md.
func rowsWanted(t testing.TB) int {
	t.Helper()
	text := os.Getenv("AUDIT_ROWS")
	if text == "" {
		return 60_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		t.Fatalf("AUDIT_ROWS=%s", text)
	}
	return n
}

// TestDrain is the end of a long outage: all the while ClickHouse hung, rows came in; then it is back, and gets them. It
// measures how fast, how much memory the gateway's side takes meanwhile, and how much room the rows have in the table.
//
//	AUDIT_ROWS=1000000 go test -run TestDrain -v -timeout 30m ./internal/audit/clickhouse
func TestDrain(t *testing.T) {
	n := rowsWanted(t)
	srv, _ := ready(t)
	s := open(t, srv.DSN)
	dir := t.TempDir()
	r, err := audit.Open(audit.Options{Dir: dir, MaxBytes: 16 << 30})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	finish := func() error {
		closed = true
		return r.Close(t.Context())
	}
	t.Cleanup(func() {
		if !closed {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = r.Close(ctx)
		}
	})
	srv.Hang()
	if err := r.UseSinks(t.Context(), audit.ShipOptions{Timeout: time.Second}, s); err != nil {
		t.Fatal(err)
	}
	before := heapInUse()
	peak := before
	began := time.Now()
	fill(t, r, n, func() { peak = max(peak, heapInUse()) })
	t.Logf("%d rows recorded while ClickHouse hangs, in %v; the heap grew by at most %.1f MiB", n, time.Since(began).Round(time.Millisecond), mib(peak-before))
	if grown := peak - before; grown > 64<<20 {
		t.Errorf("the heap grew by %.1f MiB during the outage", mib(grown))
	}
	if backlog := r.Stats().Sinks[0].Backlog; backlog < uint64(n) {
		t.Errorf("the backlog is %d rows of %d", backlog, n)
	}

	srv.Resume()
	// A second is not enough for a batch on a busy machine.
	if err := r.UseSinks(t.Context(), audit.ShipOptions{}, open(t, srv.DSN)); err != nil {
		t.Fatal(err)
	}
	peak = 0
	deadline := time.After(3 * time.Minute)
	tick := time.NewTicker(time.Millisecond) // a measurement: a busy wait would be in it
	defer tick.Stop()
	for r.Stats().Sinks[0].Rows == 0 {
		select {
		case <-deadline:
			t.Fatalf("nothing is sent: %v", r.Stats().Sinks[0].Err)
		case <-tick.C:
		}
	}
	ours, engines := cpu(t, os.Getpid()), cpu(t, srv.PID())
	began = time.Now()
	first := r.Stats().Sinks[0].Rows
	done := make(chan error, 1)
	go func() { done <- finish() }()
	for waiting := true; waiting; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			waiting = false
		case <-time.After(20 * time.Millisecond):
			peak = max(peak, heapInUse())
		}
	}
	took := time.Since(began)
	ours, engines = cpu(t, os.Getpid())-ours, cpu(t, srv.PID())-engines
	sent := uint64(n) - first
	t.Logf("drained %d rows in %v: %.0f rows/s; CPU a row: %.1f µs here, %.1f µs in the engine; heap at most %.1f MiB more", sent, took.Round(time.Millisecond),
		float64(sent)/took.Seconds(), float64(ours.Microseconds())/float64(sent), float64(engines.Microseconds())/float64(sent), mib(peak-min(before, peak)))
	if peak > before+64<<20 {
		t.Errorf("the heap grew by %.1f MiB during the drain", mib(peak-before))
	}
	if got := srv.Count("SELECT uniqExact(seq) FROM " + chtest.Database + ".received WHERE of != 'checkpoints'"); got < uint64(n) {
		t.Errorf("%d rows of %d", got, n)
	}
	if got := srv.Count("SELECT toUInt64(count() - uniqExact(seq)) FROM " + chtest.Database + ".received WHERE of != 'checkpoints'"); got != 0 {
		t.Errorf("%d rows are there twice", got)
	}
}

// fill records n requests with their outcomes, as durable as they come.
func fill(t *testing.T, r *audit.Recorder, n int, every func()) {
	t.Helper()
	i := 0
	for row := range load.Traffic(n) {
		o := audit.Outcome{
			Status: row.Status, Outcome: row.Outcome, Refusal: row.Refusal, Banner: row.Banner, Duration: row.Duration,
			RequestBytes: row.RequestBytes, ResponseBytes: row.ResponseBytes, ContentType: row.ContentType,
		}
		in, err := r.Intent(row)
		if err != nil {
			t.Fatal(err)
		}
		in.Done(o)
		if i++; i%1000 == 0 {
			if err := in.Durable(t.Context()); err != nil { // or they pile up in memory, faster than any disk
				t.Fatal(err)
			}
			every()
		}
	}
}

// heapInUse is what live objects and those not yet collected take.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

// cpu is the time, of user and system, that a process has had.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	if pid == os.Getpid() {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // not on Linux
	}
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	var ticks int
	for _, f := range fields[11:13] {
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// TestVolume measures how much room rows take.
func TestVolume(t *testing.T) {
	n := rowsWanted(t)
	srv, s := ready(t)
	bring(t, s, n)
	db := chtest.Database
	srv.Exec("OPTIMIZE TABLE " + db + ".requests FINAL")
	bytes := srv.Count("SELECT sum(data_compressed_bytes) FROM system.parts WHERE active AND database = ? AND table = 'requests'", db)
	disk := srv.Count("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = ? AND table = 'requests'", db)
	t.Logf("%d rows: %.1f bytes a row compressed, %.1f on disk with indexes and marks", n, float64(bytes)/float64(n), float64(disk)/float64(n))
	if got := srv.Count("SELECT uniqExact(seq) FROM " + db + ".requests"); got != uint64(n) {
		t.Errorf("%d rows", got)
	}
	if disk > uint64(90*n) {
		t.Errorf("a row takes %.1f bytes, want less than 90", float64(disk)/float64(n))
	}
	if testing.Verbose() {
		rows, err := srv.Conn().Query(t.Context(), "SELECT column, sum(column_data_compressed_bytes), sum(column_data_uncompressed_bytes) FROM system.parts_columns "+
			"WHERE active AND database = ? AND table = 'requests' GROUP BY column ORDER BY 2 DESC", db)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var column string
			var small, large uint64
			if err := rows.Scan(&column, &small, &large); err != nil {
				t.Fatal(err)
			}
			t.Logf("| `%s` | %.2f | %.1f |", column, float64(small)/float64(n), float64(large)/float64(n))
		}
	}
}

// bring writes n rows of traffic.
func bring(t *testing.T, s *clickhouse.Sink, n int) {
	t.Helper()
	const size = 10_000
	var rows []*audit.Request
	for r := range load.Traffic(n) {
		rows = append(rows, r)
		if len(rows) == size || r.Seq == uint64(n) {
			write(t, s, &audit.Batch{LogID: r.LogID, From: rows[0].Seq, To: r.Seq, Token: fmt.Sprint("t", r.Seq), Requests: rows})
			rows = nil
		}
	}
}

// TestIndexes: an auditor's usual questions read a few granules, not the table.
func TestIndexes(t *testing.T) {
	n := max(rowsWanted(t), 200_000)
	srv, s := ready(t)
	bring(t, s, n)
	db := chtest.Database
	srv.Exec("OPTIMIZE TABLE " + db + ".requests FINAL")
	all := srv.Count("SELECT toUInt64(sum(marks) - count()) FROM system.parts WHERE active AND database = ? AND table = 'requests'", db)
	var imp, target, actor string
	var first, last time.Time
	if err := srv.Conn().QueryRow(t.Context(), "SELECT impersonation_id, any(target_username), any(actor_username), min(time), max(time) FROM "+db+
		".requests GROUP BY impersonation_id HAVING count() > 50 ORDER BY min(time) LIMIT 1 OFFSET 20").Scan(&imp, &target, &actor, &first, &last); err != nil {
		t.Fatal(err)
	}
	day := first.Format("2006-01-02")
	for _, tt := range []struct {
		name, where string
		most        float64 // of all granules
	}{
		{"one impersonation", "impersonation_id = '" + imp + "'", 0.35},
		{"one target", "target_username = '" + target + "'", 0.4},
		{"one actor", "actor_username = '" + actor + "'", 1},
		{"an hour", "time >= '" + first.Format("2006-01-02 15:04:05") + "' AND time < '" + first.Add(time.Hour).Format("2006-01-02 15:04:05") + "'", 0.6},
		{"one actor's day", "actor_username = '" + actor + "' AND time >= '" + day + " 00:00:00' AND time < '" + day + " 23:59:59'", 1},
		{"places in the log", fmt.Sprintf("log_id = 'kxp3vbq2mwu7zdnc' AND seq BETWEEN %d AND %d", n/2, n/2+1000), 0.1},
	} {
		rows, err := srv.Conn().Query(t.Context(), "EXPLAIN indexes = 1 SELECT * FROM "+db+".requests WHERE "+tt.where)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		read := uint64(0)
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line)
			if part, of, ok := strings.Cut(strings.TrimSpace(line), "/"); ok && strings.HasPrefix(part, "Granules: ") {
				read, _ = strconv.ParseUint(strings.TrimPrefix(part, "Granules: "), 10, 64)
				_ = of
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d of %d granules", tt.name, read, all)
		if testing.Verbose() && os.Getenv("AUDIT_ROWS") != "" {
			t.Log(strings.Join(lines, "\n"))
		}
		if float64(read) > tt.most*float64(all)+1 {
			t.Errorf("%s reads %d of %d granules:\n%s", tt.name, read, all, strings.Join(lines, "\n"))
		}
	}
}

// BenchmarkWrite is the gateway's side and the engine's, without the journal.
func BenchmarkWrite(b *testing.B) {
	srv := chtest.StartOwn(b)
	s := open(b, srv.DSN)
	if err := s.Apply(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	const size = 10_000
	var rows []*audit.Request
	for r := range load.Traffic(size) {
		rows = append(rows, r)
	}
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		for _, r := range rows {
			seq++
			r.Seq = seq
		}
		if err := s.Write(b.Context(), &audit.Batch{LogID: rows[0].LogID, From: seq - size + 1, To: seq, Token: fmt.Sprint(seq), Requests: rows}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "rows/s")
}
