// Package sinktest is the conformance suite of audit sinks: what every [audit.Sink] must do with the batches it is
// given, and what auditors must find in its tables and views afterwards. A sink's own test is a few lines:
//
//	func TestSink(t *testing.T) { sinktest.Run(t, newHarness) }
package sinktest

import (
	"context"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Harness is one fresh, empty database of a sink, with its schema in place.
type Harness struct {
	// Open opens the sink on the database; each call is a new process as far as the sink can tell. The suite
	// closes what it opens.
	Open func(ctx context.Context) (audit.Sink, error)
	// Reader opens what auditors read by, at a time that tests give. The suite closes what it opens. A sink that nobody
	// reads through the gateway may leave it out.
	Reader func(ctx context.Context, now func() time.Time) (audit.Reader, error)
	// Query runs a SELECT that all sinks' dialects share and returns its rows. Values are text: numbers decimal,
	// times as audit.TimeLayout, hashes lower-case hex, NULL the empty string.
	Query func(ctx context.Context, query string) ([][]string, error)
	// Exec runs a statement that all dialects share, such as DROP TABLE, behind the sink's back.
	Exec func(ctx context.Context, statement string) error
	// SchemaVersion and SetSchemaVersion read and overwrite the version the database says its schema has.
	SchemaVersion    func(ctx context.Context) (int, error)
	SetSchemaVersion func(ctx context.Context, version int) error
	// MigratesItself: Open brings an older schema up to date, so that only a newer one is refused.
	MigratesItself bool
}

// Run runs the suite. new is called for each test; it registers its own clean-up.
func Run(t *testing.T, new func(t *testing.T) *Harness) {
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"Values", values},
		{"Bounds", bounds},
		{"ResendSameProcess", resendSameProcess},
		{"ResendNewProcess", resendNewProcess},
		{"ResendOldBatch", resendOldBatch},
		{"Cancelled", cancelled},
		{"Order", order},
		{"KindsOfBatches", kindsOfBatches},
		{"Checkpoints", checkpoints},
		{"TwoLogs", twoLogs},
		{"Large", large},
		{"ViewActions", viewActions},
		{"ViewImpersonations", viewImpersonations},
		{"ReadRows", readRows},
		{"ReadFilters", readFilters},
		{"ReadHostile", readHostile},
		{"ReadPages", readPages},
		{"ReadImpersonations", readImpersonations},
		{"ReadHeadless", readHeadless},
		{"ReadTimeline", readTimeline},
		{"ReadActivity", readActivity},
		{"ReadNotable", readNotable},
		{"ReadEmpty", readEmpty},
		{"ReadGone", readGone},
		{"Trim", trim},
		{"CheckReady", checkReady},
		{"CheckMissingTable", checkMissingTable},
		{"CheckNewerSchema", checkNewerSchema},
		{"CheckOlderSchema", checkOlderSchema},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			tt.run(&suite{T: t, Harness: new(t), ctx: ctx})
		})
	}
}

// suite is one test on one fresh database.
type suite struct {
	*testing.T
	*Harness
	ctx context.Context
}

// open opens the sink and closes it at the end of the test.
func (s *suite) open() audit.Sink {
	s.Helper()
	sink, err := s.Open(s.ctx)
	if err != nil {
		s.Fatalf("opening the sink: %v", err)
	}
	s.Cleanup(func() { sink.Close() })
	return sink
}

func (s *suite) write(sink audit.Sink, b *audit.Batch) {
	s.Helper()
	if err := sink.Write(s.ctx, b); err != nil {
		s.Fatalf("writing batch %s: %v", b.Token, err)
	}
}

func (s *suite) query(query string) [][]string {
	s.Helper()
	rows, err := s.Query(s.ctx, query)
	if err != nil {
		s.Fatalf("%s: %v", query, err)
	}
	return rows
}

// one is the single value of a query.
func (s *suite) one(query string) string {
	s.Helper()
	rows := s.query(query)
	if len(rows) != 1 || len(rows[0]) != 1 {
		s.Fatalf("%s: %v, want one value", query, rows)
	}
	return rows[0][0]
}

func (s *suite) want(query, value string) {
	s.Helper()
	if got := s.one(query); got != value {
		s.Errorf("%s: %s, want %s", query, got, value)
	}
}
