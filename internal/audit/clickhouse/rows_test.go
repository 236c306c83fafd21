package clickhouse_test

import (
	"fmt"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// march is inside a month, lateMarch at its end: ten rows, 100 ms apart, cross it.
var (
	march     = time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)
	lateMarch = time.Date(2026, 3, 31, 23, 59, 59, 500_000_000, time.UTC)
)

// makeBatch cuts the batch of the positions from to to: requests, every tenth an event, and a checkpoint.
func makeBatch(log string, from, to uint64, at time.Time) *audit.Batch {
	b := &audit.Batch{LogID: log, From: from, To: to, Token: fmt.Sprintf("%s-%d-%d", log, from, to)}
	for seq := from; seq <= to; seq++ {
		when := at.Add(time.Duration(seq-from) * 100 * time.Millisecond)
		if seq%10 == 0 {
			e := &audit.Event{Time: when, LogID: log, Seq: seq, Type: audit.EventLogin, ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng"}
			e.Hash()
			b.Events = append(b.Events, e)
			continue
		}
		r := &audit.Request{
			Time: when, LogID: log, Seq: seq, RequestID: fmt.Sprintf("%s-%d", log, seq), ImpersonationID: "imp-1", ImpersonationSeq: seq,
			ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng", TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed",
			Mode: "full", ClientIP: "192.0.2.7", UserAgent: "Mozilla/5.0", Method: "GET", Scheme: "https", Host: "app.example.com",
			Path: fmt.Sprintf("/bookings/%d", seq), Status: 200, Outcome: audit.OutcomeCompleted, Banner: audit.BannerMarked,
			Duration: time.Duration(seq%5000) * time.Microsecond, ResponseBytes: 20_480, ContentType: "text/html; charset=utf-8",
		}
		r.Hash()
		b.Requests = append(b.Requests, r)
	}
	b.Checkpoints = []*audit.Checkpoint{{Time: at, LogID: log, Size: to, Note: "note"}}
	return b
}

// holdsOnce fails the test unless the tables hold the positions 1 to n of the log, each once, and the checkpoints.
func holdsOnce(t *testing.T, srv *chtest.Server, log string, n, checkpoints uint64) {
	t.Helper()
	opt, err := driver.ParseDSN(srv.DSN)
	if err != nil {
		t.Fatal(err)
	}
	db := opt.Auth.Database
	got := fmt.Sprint(
		srv.Count("SELECT count() FROM "+db+".received WHERE of != 'checkpoints' AND log_id = ?", log),
		srv.Count("SELECT uniqExact(seq) FROM "+db+".received WHERE of != 'checkpoints' AND log_id = ?", log),
		srv.Count("SELECT max(seq) FROM "+db+".received WHERE of != 'checkpoints' AND log_id = ?", log),
		srv.Count("SELECT count() FROM "+db+".checkpoints WHERE log_id = ?", log))
	if want := fmt.Sprint(n, n, n, checkpoints); got != want {
		t.Errorf("rows, different, last, checkpoints: %s, want %s", got, want)
	}
}
