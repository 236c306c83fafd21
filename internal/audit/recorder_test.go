package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
)

// small keeps a test's files small.
const small = 64 << 10

// TestStory: a login, an impersonation, its requests and its end, as the sink gets them.
func TestStory(t *testing.T) {
	t.Parallel()
	clk := manual()
	r := open(t, audit.Options{Dir: t.TempDir(), Clock: clk, SegmentBytes: small})
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	event(t, r, audit.Event{Type: audit.EventLogin, ActorUsername: "alice"})
	event(t, r, audit.Event{Type: audit.EventImpersonationStarted, ActorUsername: "alice", ImpersonationID: "i-1"})
	first, err := r.Intent(row("", "i-1"))
	if err != nil {
		t.Fatal(err)
	}
	second := row("two", "i-1")
	second.Path, second.Query = "/a\x00b", "q=1&access_token=abc"
	do(t, r, second, completed)
	if got := r.Counts("i-1"); got != (audit.Counts{Requests: 2, First: 2, Last: 3, Start: 2}) {
		t.Errorf("counts %+v", got)
	}
	event(t, r, audit.Event{Type: audit.EventImpersonationEnded, ImpersonationID: "i-1", Detail: "stopped"})
	first.Done(audit.Outcome{Outcome: audit.OutcomeSevered, Status: 200})
	first.Done(completed) // only the first counts
	do(t, r, row("own", ""), completed)
	closeRecorder(t, r)

	var got []string
	for _, b := range sink.batches {
		for _, e := range b.Events {
			got = append(got, fmt.Sprint(e.Seq, " ", e.Type, " ", e.Detail))
		}
		for _, q := range b.Requests {
			if len(q.RequestID) != 32 && q.ImpersonationSeq == 1 {
				t.Errorf("the request id made for it is %q", q.RequestID)
			}
			if q.LogID != r.LogID() || !q.Time.Equal(clk.Now()) || q.LeafHash == [32]byte{} {
				t.Errorf("row %+v", q)
			}
			got = append(got, fmt.Sprint(q.Seq, " ", q.ImpersonationSeq, " ", q.Outcome, " ", q.Path, " ", q.Query))
		}
	}
	want := []string{
		"1 login ", "2 impersonation_started ", `4 impersonation_ended {"cause":"stopped","requests":2,"start_seq":2}`,
		"3 2 completed /a\uFFFDb q=1&access_token=[redacted]", "5 1 severed /bookings/17 ", "6 0 completed /bookings/17 ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if len(r.LogID()) != 16 || !sink.closed {
		t.Errorf("log id %q, sink closed %t", r.LogID(), sink.closed)
	}
}

// TestInterrupted: a crash leaves intents without an outcome; they become rows, once, and numbering goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := audit.Options{Dir: dir, SegmentBytes: 4096}
	r := open(t, options)
	event(t, r, audit.Event{Type: audit.EventImpersonationStarted, ImpersonationID: "i-1"})
	long, err := r.Intent(row("open", "i-1"))
	if err != nil {
		t.Fatal(err)
	}
	// Rotations carry what is open.
	for i := range 50 {
		do(t, r, row(fmt.Sprint("done ", i), "i-1"), completed)
	}
	if err := long.Durable(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := r.LogID()
	event(t, r, audit.Event{Type: audit.EventLogin}) // syncs the outcomes
	options.Dir = crash(t, dir)
	closeRecorder(t, r)

	r = open(t, options)
	if r.LogID() != id {
		t.Errorf("log id %q became %q", id, r.LogID())
	}
	if got := r.Counts("i-1"); got.Requests != 51 || got.First != 1 {
		t.Errorf("counts %+v", got)
	}
	do(t, r, row("after", "i-1"), completed)
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	closeRecorder(t, r)
	rows := sink.list(t)
	want := []string{"event impersonation_started"}
	for i := range 50 {
		want = append(want, fmt.Sprintf("request done %d completed", i))
	}
	want = append(want, "event login", "request open interrupted", "event journal_recovered", "request after completed")
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for _, b := range sink.batches {
		for _, q := range b.Requests {
			if q.RequestID == "after" && q.ImpersonationSeq != 52 {
				t.Errorf("impersonation_seq %d after the crash", q.ImpersonationSeq)
			}
			if q.RequestID == "open" && (q.ImpersonationSeq != 1 || q.Status != 0) {
				t.Errorf("interrupted row %+v", q)
			}
		}
		for _, e := range b.Events {
			if e.Type == audit.EventJournalRecovered && !strings.Contains(e.Detail, `"interrupted":1`) {
				t.Errorf("detail %s", e.Detail)
			}
		}
	}

	// A clean close leaves nothing to tell.
	r = open(t, options)
	if got := r.Stats(); got.Events != 0 || got.LastSeq != uint64(len(want)) {
		t.Errorf("after a clean close: %+v", got)
	}
}

// TestCountsSurvive: counters are carried over rotations, crashes and clean closes, for ended impersonations too.
func TestCountsSurvive(t *testing.T) {
	t.Parallel()
	options := audit.Options{Dir: t.TempDir(), SegmentBytes: 4096}
	for round := range 5 {
		r := open(t, options)
		if round == 0 {
			event(t, r, audit.Event{Type: audit.EventLogin})
			event(t, r, audit.Event{Type: audit.EventImpersonationStarted, ImpersonationID: "live"})
		}
		for i := range 30 {
			do(t, r, row("", "live"), completed)
			id := fmt.Sprintf("ended %d.%d", round, i)
			do(t, r, row("", id), completed)
			event(t, r, audit.Event{Type: audit.EventImpersonationEnded, ImpersonationID: id, Detail: `{"cause":"idle"}`})
		}
		if got := r.Counts("live"); got.Requests != uint64(30*(round+1)) || got.Start != 2 {
			t.Errorf("round %d: %+v", round, got)
		}
		if got := r.Counts("ended 0.3"); got.Requests != 1 || !got.Ended {
			t.Errorf("round %d: ended %+v", round, got)
		}
		if round%2 == 0 {
			options.Dir = crash(t, options.Dir)
		}
		closeRecorder(t, r)
	}
}

// TestForgotten: of ended impersonations only so many are remembered, so memory does not grow.
func TestForgotten(t *testing.T) {
	t.Parallel()
	r := open(t, audit.Options{Dir: t.TempDir()})
	for i := range 1100 {
		e := audit.Event{Type: audit.EventImpersonationEnded, ImpersonationID: fmt.Sprint(i)}
		if i%100 != 0 {
			// Not waited for.
			ctx, cancel := contextDone(t)
			if err := r.Event(ctx, e); err != nil && !errors.Is(err, audit.ErrUnconfirmed) {
				t.Fatal(err)
			}
			cancel()
			continue
		}
		event(t, r, e)
	}
	if r.Counts("0") != (audit.Counts{}) || !r.Counts("1099").Ended || !r.Counts("76").Ended || r.Counts("75").Ended {
		t.Error("the wrong ones are forgotten")
	}
}

// TestNoRecordNoRequest is invariant 6: when the disk refuses, intents are refused with its word, outcomes of what was
// under way are kept, and it goes on by itself with nothing lost.
func TestNoRecordNoRequest(t *testing.T) {
	t.Parallel()
	for _, cause := range []struct {
		name string
		op   faultfs.Op
		err  error
	}{
		{"disk full", faultfs.Write, syscall.ENOSPC},
		{"I/O error", faultfs.Sync, syscall.EIO},
		{"read-only", faultfs.Write, syscall.EROFS},
	} {
		t.Run(cause.name, func(t *testing.T) {
			t.Parallel()
			fsys, clk, dir := faultfs.New(), manual(), t.TempDir()
			r := open(t, audit.Options{Dir: dir, FS: fsys, Clock: clk, SegmentBytes: small})
			underway, err := r.Intent(row("under way", "i-1"))
			if err == nil {
				err = underway.Durable(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			fsys.Fail(cause.op, -1, cause.err)
			unlucky, err := r.Intent(row("unlucky", "i-1"))
			if err != nil {
				t.Fatal(err)
			}
			if err := unlucky.Durable(t.Context()); !errors.Is(err, cause.err) || !errors.Is(err, audit.ErrUnconfirmed) {
				t.Errorf("Durable: %v", err)
			}
			unlucky.Done(audit.Outcome{Outcome: audit.OutcomeRefused, Status: 503, Refusal: "journal"})
			if _, err := r.Intent(row("refused", "i-1")); !errors.Is(err, cause.err) || errors.Is(err, audit.ErrUnconfirmed) {
				t.Errorf("Intent: %v", err)
			}
			if err := r.Event(t.Context(), audit.Event{Type: audit.EventLogin}); !errors.Is(err, cause.err) {
				t.Errorf("Event: %v", err)
			}
			if err := r.Healthy(); !errors.Is(err, cause.err) {
				t.Errorf("Healthy: %v", err)
			}
			underway.Done(completed)
			if s := r.Stats(); s.Late != 2 || s.RefusedIntents != 1 || s.Open != 0 {
				t.Errorf("stats %+v", s)
			}
			fsys.Heal()
			eventually(t, "it recovers", func() bool {
				clk.Advance(time.Second)
				return r.Healthy() == nil && r.Stats().Late == 0
			})
			do(t, r, row("after", "i-1"), completed)
			sink := newMemory("memory")
			useSinks(t, r, audit.ShipOptions{}, sink)
			closeRecorder(t, r)
			want := []string{"request unlucky refused", "request under way completed", "request after completed"}
			if diff := cmp.Diff(want, sink.list(t)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			for _, b := range sink.batches {
				for _, q := range b.Requests {
					// The refused one took no number.
					if q.RequestID == "after" && q.ImpersonationSeq != 3 {
						t.Errorf("impersonation_seq %d", q.ImpersonationSeq)
					}
				}
			}
		})
	}
}

// TestStartWithFullDisk: the gateway starts, refuses what it can't record, and recovers by itself, with the rows of the
// crash before.
func TestStartWithFullDisk(t *testing.T) {
	t.Parallel()
	fsys, clk, dir := faultfs.New(), manual(), t.TempDir()
	r := open(t, audit.Options{Dir: dir, SegmentBytes: small})
	in, err := r.Intent(row("open", "i-1"))
	if err == nil {
		err = in.Durable(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	dir = crash(t, dir)
	fsys.Fail(faultfs.Allocate, -1, syscall.ENOSPC)
	r = open(t, audit.Options{Dir: dir, FS: fsys, Clock: clk, SegmentBytes: small})
	if _, err := r.Intent(row("x", "")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Intent: %v", err)
	}
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	fsys.Heal()
	eventually(t, "it recovers", func() bool {
		clk.Advance(time.Second)
		return sink.has() == 2
	})
	if diff := cmp.Diff([]string{"request open interrupted", "event journal_recovered"}, sink.list(t)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, audit.Options{Dir: dir})
	if _, err := audit.Open(audit.Options{Dir: dir}); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("a second Open: %v", err)
	}
}
