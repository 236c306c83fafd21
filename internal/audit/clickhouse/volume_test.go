package clickhouse_test

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// traffic makes requests as a help desk of 40 people makes them on an app of a few hundred accounts: pages with their
// assets, a few API calls and writes.
func traffic(n int) []*audit.Request {
	rnd := mrand.New(mrand.NewPCG(1, 2)) //nolint:gosec // repeatable
	agents := make([]string, 30)
	for i := range agents {
		agents[i] = fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36", 120+i, 6000+i*37, i*11)
	}
	type session struct {
		imp                string
		actor, target, seq int
	}
	live := make([]*session, 15)
	at := time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC)
	var rows []*audit.Request
	for seq := 1; seq <= n; seq++ {
		at = at.Add(time.Duration(rnd.ExpFloat64()*20_000) * time.Microsecond)
		i := rnd.IntN(len(live))
		if live[i] == nil || live[i].seq > 400 {
			live[i] = &session{imp: rand.Text(), actor: rnd.IntN(40), target: rnd.IntN(300)}
		}
		s := live[i]
		s.seq++
		r := &audit.Request{
			Time: at, LogID: "kxp3vbq2mwu7zdnc", Seq: uint64(seq), RequestID: rand.Text(), ImpersonationID: s.imp, ImpersonationSeq: uint64(s.seq),
			ActorID: fmt.Sprintf("a-%d", s.actor), ActorUsername: fmt.Sprintf("agent%d", s.actor), ActorName: fmt.Sprintf("Agent Number %d", s.actor),
			TargetID: fmt.Sprintf("u-%d", s.target), TargetUsername: fmt.Sprintf("user%d", s.target), TargetName: fmt.Sprintf("User Number %d", s.target),
			Mode: "full", ClientIP: fmt.Sprintf("192.0.2.%d", s.actor), UserAgent: agents[s.actor%30], Method: "GET", Scheme: "https", Host: "app.example.com",
			Status: 200, Outcome: audit.OutcomeCompleted, Duration: time.Duration(2000+rnd.ExpFloat64()*30_000) * time.Microsecond,
		}
		switch k := rnd.IntN(20); {
		case k < 3:
			r.Path, r.ContentType, r.Banner, r.ResponseBytes = fmt.Sprintf("/bookings/%d", rnd.IntN(20_000)), "text/html; charset=utf-8", audit.BannerMarked, int64(15_000+rnd.IntN(20_000))
		case k < 5:
			r.Path, r.Query, r.ContentType, r.ResponseBytes = "/api/v2/bookings", fmt.Sprintf("page=%d&sort=date&q=%d", rnd.IntN(40), rnd.IntN(1000)), "application/json", int64(rnd.IntN(9000))
		case k < 6:
			r.Path, r.Method, r.Action, r.Status = fmt.Sprintf("/bookings/%d/complete", rnd.IntN(20_000)), "POST", "Completed booking", 303
			r.RequestBytes = int64(100 + rnd.IntN(500))
		default:
			r.Path, r.ContentType, r.ResponseBytes = fmt.Sprintf("/assets/chunk-%d.js", rnd.IntN(60)), "text/javascript", int64(1000*rnd.IntN(60))
			if rnd.IntN(3) > 0 {
				r.Status, r.ResponseBytes = 304, 0
			}
		}
		r.Hash()
		rows = append(rows, r)
	}
	return rows
}

// TestVolume measures how fast rows go in, and how much room they take.
func TestVolume(t *testing.T) {
	srv, s := ready(t)
	const n, size = 100_000, 10_000
	rows := traffic(n)
	start := time.Now()
	for at := 0; at < n; at += size {
		write(t, s, &audit.Batch{LogID: rows[0].LogID, From: uint64(at + 1), To: uint64(at + size), Token: fmt.Sprint("t", at), Requests: rows[at : at+size]})
	}
	took := time.Since(start)
	srv.Exec("OPTIMIZE TABLE " + chtest.Database + ".requests FINAL")
	bytes := srv.Count("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = ? AND table = 'requests'", chtest.Database)
	t.Logf("%d rows in %v: %.0f rows/s; %.1f bytes a row", n, took.Round(time.Millisecond), n/took.Seconds(), float64(bytes)/n)
	if got := srv.Count("SELECT uniqExact(seq) FROM " + chtest.Database + ".requests"); got != n {
		t.Errorf("%d rows", got)
	}
	if bytes > 90*n {
		t.Errorf("a row takes %.1f bytes, want less than 90", float64(bytes)/n)
	}
	if testing.Verbose() {
		var report []string
		err := srv.Conn().QueryRow(t.Context(), "SELECT groupArray(concat(column, ' ', toString(round(b / ?, 2)))) FROM (SELECT column, sum(column_bytes_on_disk) AS b "+
			"FROM system.parts_columns WHERE active AND database = ? AND table = 'requests' GROUP BY column ORDER BY b DESC)", n, chtest.Database).Scan(&report)
		t.Logf("by column: %v %v", report, err)
	}
}

func BenchmarkWrite(b *testing.B) {
	srv := chtest.StartOwn(b)
	s := open(b, srv.DSN)
	if err := s.Apply(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	const size = 10_000
	rows := traffic(size)
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
