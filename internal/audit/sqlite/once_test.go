package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

func batch(from, to uint64, path string) *audit.Batch {
	b := &audit.Batch{LogID: "log", From: from, To: to, Token: fmt.Sprintf("log-%d-%d-%s", from, to, path)}
	for seq := from; seq <= to; seq++ {
		r := &audit.Request{
			Time: time.Date(2026, 3, 1, 9, 0, 0, int(seq%1e6)*1000, time.UTC), LogID: "log", Seq: seq, RequestID: fmt.Sprint(seq),
			ImpersonationID: "i-1", ImpersonationSeq: seq, ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng",
			TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full", ClientIP: "192.0.2.7", Method: "GET",
			Scheme: "https", Host: "app.example.com", Path: path, Status: 200, Outcome: audit.OutcomeCompleted,
		}
		r.Hash()
		b.Requests = append(b.Requests, r)
	}
	return b
}

// TestTwoJournalsOneName: a row for a place that another row has is refused for good, and nothing of its batch stays.
func TestTwoJournalsOneName(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Write(t.Context(), batch(1, 5, "/one")); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), batch(5, 9, "/two")); !errors.Is(err, audit.ErrPermanent) {
		t.Errorf("another row 5: %v", err)
	}
	if last, err := s.LastSeq(t.Context(), "log"); err != nil || last != 5 {
		t.Errorf("the log ends at %d, %v", last, err)
	}
	if last, err := s.LastSeq(t.Context(), "other"); err != nil || last != 0 {
		t.Errorf("a log that is not there ends at %d, %v", last, err)
	}
}

func BenchmarkWrite(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "audit.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	from := uint64(1)
	for b.Loop() {
		b.StopTimer()
		rows := batch(from, from+9999, "/bookings/17")
		from += 10_000
		b.StartTimer()
		if err := s.Write(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(from-1)/b.Elapsed().Seconds(), "rows/s")
}
