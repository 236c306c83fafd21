package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
)

var errSink = errors.New("the sink does not answer")

// TestBatches: a batch is sent when it is full, or a second after its first row.
func TestBatches(t *testing.T) {
	t.Parallel()
	clk := manual()
	r := open(t, audit.Options{Dir: t.TempDir(), Clock: clk, SegmentBytes: small})
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{BatchRows: 10}, sink)
	for range 25 {
		event(t, r, audit.Event{Type: audit.EventLogin})
	}
	eventually(t, "two full batches", func() bool { return sink.has() == 20 })
	eventually(t, "the backlog shows", func() bool {
		got := r.Stats().Sinks[0]
		return got.Backlog == 5 && got.Err == nil && got.Name == "memory" && got.Oldest.Equal(clk.Now())
	})
	eventually(t, "the rest", func() bool { clk.Advance(time.Second); return sink.has() == 25 })
	eventually(t, "it is noted", func() bool { return r.Stats().Sinks[0].Backlog == 0 })
	if n := len(sink.batches); n != 3 {
		t.Errorf("%d batches", n)
	}
	if got := r.Stats().Sinks[0]; got.Rows != 25 || got.Batches != 3 || got.ShippedSeq != 25 || !got.Oldest.IsZero() {
		t.Errorf("status %+v", got)
	}
}

// TestInvariant7NothingTwiceNothingLost: the sink fails, takes rows and says it did not, hangs; the gateway crashes and is started again, at
// random. Each row is there once, and each batch came the same every time.
func TestInvariant7NothingTwiceNothingLost(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	for round := range uint64(6) {
		t.Run(fmt.Sprintf("seed=%d,%d", seed, round), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, round))
			sink := newMemory("memory")
			other := newMemory("other")
			fault := func(context.Context, *audit.Batch) error {
				if rand.IntN(3) == 0 {
					return errSink
				}
				return nil
			}
			sink.before, sink.after, other.after = fault, fault, fault
			o := audit.ShipOptions{
				BatchRows: 7, BatchTime: time.Millisecond, Jitter: func(time.Duration) time.Duration { return time.Millisecond },
			}
			options := audit.Options{Dir: t.TempDir(), SegmentBytes: 8192}
			want := 0
			for range 8 {
				r := open(t, options)
				useSinks(t, r, o, sink, other)
				for range random.IntN(60) {
					do(t, r, row("", "i-1"), completed)
					want++
				}
				event(t, r, audit.Event{Type: audit.EventLogin})
				want++
				if random.IntN(2) == 0 {
					// What died sends nothing any more.
					useSinks(t, r, o)
					options.Dir = crash(t, options.Dir)
				}
				ctx, cancel := contextDone(t)
				_ = r.Close(ctx)
				cancel()
			}
			r := open(t, options)
			sink.set(func(m *memory) { m.before, m.after = nil, nil })
			other.set(func(m *memory) { m.after = nil })
			useSinks(t, r, o, sink, other)
			closeRecorder(t, r)
			// A crash copy may hold a moment before the last outcomes were written: these are interrupted then, and told.
			for _, m := range []*memory{sink, other} {
				requests, events := 0, 0
				for _, text := range m.list(t) {
					switch {
					case strings.HasPrefix(text, "request"):
						requests++
					case text == "event login":
						events++
					}
				}
				if requests+events != want {
					t.Errorf("%s has %d rows, want %d", m.name, requests+events, want)
				}
			}
		})
	}
}

// TestHangingSink: a try is given up after its timeout, and the next takes the same batch.
func TestHangingSink(t *testing.T) {
	t.Parallel()
	clk := manual()
	r := open(t, audit.Options{Dir: t.TempDir(), Clock: clk, SegmentBytes: small})
	sink := newMemory("memory")
	hanging := make(chan struct{}, 1)
	sink.before = func(ctx context.Context, _ *audit.Batch) error {
		hanging <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	useSinks(t, r, audit.ShipOptions{BatchRows: 1}, sink)
	event(t, r, audit.Event{Type: audit.EventLogin})
	<-hanging
	sink.set(func(m *memory) { m.before = nil })
	clk.Advance(29 * time.Second)
	if err := r.Stats().Sinks[0].Err; err != nil {
		t.Errorf("before the timeout: %v", err)
	}
	clk.Advance(2 * time.Second)
	eventually(t, "the failure shows", func() bool {
		status := r.Stats().Sinks[0]
		return errors.Is(status.Err, context.DeadlineExceeded) && strings.Contains(status.Err.Error(), "30s") &&
			status.Since.Equal(clk.Now())
	})
	eventually(t, "the row is there", func() bool { clk.Advance(time.Second); return sink.has() == 1 })
	eventually(t, "all is well", func() bool { return r.Stats().Sinks[0].Err == nil })
}

// TestShutdownIsBounded: what is left is sent when the gateway stops, for as long as it is given; a sink that hangs holds it up
// no longer, and gets the rest after the next start.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	o := audit.Options{Dir: t.TempDir(), SegmentBytes: small}
	r := open(t, o)
	sink := newMemory("memory")
	hanging := make(chan struct{}, 1)
	sink.before = func(ctx context.Context, b *audit.Batch) error {
		if b.From <= 20 {
			return nil
		}
		hanging <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	useSinks(t, r, audit.ShipOptions{BatchRows: 10, BatchTime: time.Hour}, sink)
	for range 35 {
		event(t, r, audit.Event{Type: audit.EventLogin})
	}
	<-hanging
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- r.Close(ctx) }()
	select {
	case err := <-closed:
		t.Fatalf("closed while it has time left: %v", err)
	default:
	}
	cancel() // the grace period is over
	select {
	case <-closed:
	case <-time.After(2 * time.Minute):
		t.Fatal("a hanging sink holds up the end")
	}
	if sink.has() != 20 {
		t.Errorf("the sink has %d rows", sink.has())
	}
	r = open(t, o)
	again := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{BatchRows: 10, BatchTime: time.Hour}, again)
	closeRecorder(t, r) // drains, though no batch was due
	if again.has() != 15 || again.rows[35] != "event login" {
		t.Errorf("after the next start it has %d more: %v", again.has(), again.rows)
	}
}

// TestBackoff: the bound of the wait doubles up to 30 seconds.
func TestBackoff(t *testing.T) {
	t.Parallel()
	clk := manual()
	r := open(t, audit.Options{Dir: t.TempDir(), Clock: clk, SegmentBytes: small})
	sink := newMemory("memory")
	sink.check = func() error { return errSink }
	bounds := make(chan time.Duration, 100)
	useSinks(t, r, audit.ShipOptions{Jitter: func(d time.Duration) time.Duration { bounds <- d; return d }}, sink)
	var got []time.Duration
	for len(got) < 10 {
		select {
		case d := <-bounds:
			got = append(got, d)
		default:
			clk.Advance(time.Second)
		}
	}
	ms := time.Millisecond
	want := []time.Duration{250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 16000 * ms, 30000 * ms, 30000 * ms, 30000 * ms}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bounds (-want +got):\n%s", diff)
	}
	if err := r.Stats().Sinks[0].Err; !errors.Is(err, errSink) {
		t.Errorf("status: %v", err)
	}
	useSinks(t, r, audit.ShipOptions{}) // or Close would wait for it
}

// TestPoisonedBatch: what a sink refuses for good is set aside in a file, and shipping goes on.
func TestPoisonedBatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, audit.Options{Dir: dir, SegmentBytes: small})
	sink := newMemory("mem/ory")
	sink.before = func(_ context.Context, b *audit.Batch) error {
		for _, q := range b.Requests {
			if q.Path == "/poison" {
				return fmt.Errorf("bad row: %w", audit.ErrPermanent)
			}
		}
		return nil
	}
	useSinks(t, r, audit.ShipOptions{BatchRows: 1}, sink)
	event(t, r, audit.Event{Type: audit.EventLogin})
	poison := row("p", "")
	poison.Path = "/poison"
	do(t, r, poison, completed)
	event(t, r, audit.Event{Type: audit.EventLogout})
	eventually(t, "it goes on", func() bool { return r.Stats().Sinks[0].ShippedSeq == 3 })
	if got := r.Stats().Sinks[0]; got.SetAside != 1 || got.Err != nil {
		t.Errorf("status %+v", got)
	}
	data, err := os.ReadFile(filepath.Join(dir, "refused-mem_ory-2-2.jsonl"))
	if err != nil || !strings.Contains(string(data), `"seq":2,"request_id":"p"`) || !strings.Contains(string(data), `"leaf_hash":"`) {
		t.Errorf("set aside: %s %v", data, err)
	}
	if list, err := r.RefusedBatches(); err != nil || len(list) != 1 || !list[0].Of(sink.Name()) || list[0].From != 2 {
		t.Errorf("refused: %+v, %v", list, err)
	}
	if sink.has() != 2 {
		t.Errorf("the sink has %d rows", sink.has())
	}
}

// TestSegmentsGo: a segment is deleted when every sink has it, and not before; also with the disk full to the last
// byte, since noting the position needs no new space.
func TestSegmentsGo(t *testing.T) {
	t.Parallel()
	fsys, dir := faultfs.New(), t.TempDir()
	r := open(t, audit.Options{Dir: dir, FS: fsys, SegmentBytes: 4096})
	count := func() int { return r.Stats().Journal.Segments }
	fast, slow := newMemory("fast"), newMemory("slow")
	slow.check = func() error { return errSink }
	o := audit.ShipOptions{BatchRows: 10, BatchTime: time.Millisecond, Jitter: func(time.Duration) time.Duration { return time.Millisecond }}
	useSinks(t, r, o, fast, slow)
	eventually(t, "positions are there", func() bool {
		s := r.Stats().Sinks
		return s[1].Failures > 0
	})
	for range 100 {
		event(t, r, audit.Event{Type: audit.EventLogin, Detail: strings.Repeat("x", 200)})
	}
	eventually(t, "the fast one has all", func() bool { return fast.has() == 100 })
	if n := count(); n < 5 {
		t.Errorf("%d segments are left though one sink has none", n)
	}
	fsys.Fail(faultfs.Allocate, -1, syscall.ENOSPC)
	fsys.Fail(faultfs.Create, -1, syscall.ENOSPC)
	slow.set(func(m *memory) { m.check = nil })
	eventually(t, "the slow one has all", func() bool { return slow.has() == 100 })
	eventually(t, "segments go", func() bool { return count() <= 1 })
}

// TestNewSink: a sink that is added gets what the journal still holds; one that is taken away holds nothing up.
func TestNewSink(t *testing.T) {
	t.Parallel()
	r := open(t, audit.Options{Dir: t.TempDir(), SegmentBytes: small})
	o := audit.ShipOptions{BatchRows: 1}
	one, two := newMemory("one"), newMemory("two")
	useSinks(t, r, o, one)
	event(t, r, audit.Event{Type: audit.EventLogin})
	eventually(t, "one has it", func() bool { return one.has() == 1 })
	useSinks(t, r, o, two)
	if !one.closed {
		t.Error("the sink that is replaced was not closed")
	}
	event(t, r, audit.Event{Type: audit.EventLogout})
	eventually(t, "two has both", func() bool { return two.has() == 2 })
	again := newMemory("one")
	useSinks(t, r, o, again, two)
	eventually(t, "one goes on where it was", func() bool { return again.has() == 1 })
	if again.rows[2] != "event logout" {
		t.Errorf("rows %v", again.rows)
	}
	if err := r.UseSinks(t.Context(), o, newMemory("x"), newMemory("x")); err == nil {
		t.Error("two sinks of one name")
	}
}

// resuming is a sink that knows how far it is.
type resuming struct {
	*memory
	last uint64
}

func (s *resuming) LastSeq(context.Context, string) (uint64, error) { return s.last, nil }

// TestDamagedPosition: a sink whose position is lost is asked, and gets what it has not.
func TestDamagedPosition(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, audit.Options{Dir: dir, SegmentBytes: small})
	o := audit.ShipOptions{BatchRows: 1}
	one := newMemory("one")
	useSinks(t, r, o, one)
	for range 5 {
		event(t, r, audit.Event{Type: audit.EventLogin})
	}
	eventually(t, "one has all", func() bool { return one.has() == 5 })
	useSinks(t, r, o)
	file := filepath.Join(dir, "shipped-one.position")
	if err := os.WriteFile(file, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := &resuming{newMemory("one"), 3}
	useSinks(t, r, o, again)
	eventually(t, "it has the rest", func() bool { return again.has() == 2 })
	if again.rows[4] == "" || again.rows[5] == "" {
		t.Errorf("rows %v", again.rows)
	}
}

// TestShippedAhead: a sink has rows that the journal lost (it was restored from a copy). Their places are not given to
// other rows.
func TestShippedAhead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, audit.Options{Dir: dir, SegmentBytes: small})
	event(t, r, audit.Event{Type: audit.EventLogin})
	old := crash(t, dir)
	sink := newMemory("one")
	for range 5 {
		event(t, r, audit.Event{Type: audit.EventLogin})
	}
	useSinks(t, r, audit.ShipOptions{BatchRows: 1}, sink)
	eventually(t, "it has all", func() bool { return sink.has() == 6 })
	closeRecorder(t, r)
	if err := copyFile(filepath.Join(dir, "shipped-one.position"), filepath.Join(old, "shipped-one.position")); err != nil {
		t.Fatal(err)
	}
	r = open(t, audit.Options{Dir: old, SegmentBytes: small})
	if got := r.Stats().LastSeq; got != 7 {
		t.Errorf("the log goes on after %d", got)
	}
	sink.set(func(m *memory) { m.before = nil })
	useSinks(t, r, audit.ShipOptions{BatchRows: 1}, sink)
	eventually(t, "the recovery is told", func() bool { return sink.has() == 7 })
	if sink.rows[7] != "event journal_recovered" {
		t.Errorf("rows %v", sink.rows)
	}
}

// TestBatchBytes: the longest outage does not grow memory: batches are bounded in bytes, whatever the rows' size.
func TestBatchBytes(t *testing.T) {
	t.Parallel()
	clk := manual() // a slow disk is not taken for one that does not answer
	r := open(t, audit.Options{Dir: t.TempDir(), Clock: clk})
	ctx, cancel := contextDone(t)
	defer cancel()
	long := strings.Repeat("x", 8000)
	for n := range 3000 {
		if err := r.Event(ctx, audit.Event{Type: audit.EventLogin, Detail: long, Reason: long}); err != nil && !errors.Is(err, audit.ErrUnconfirmed) {
			t.Fatal(err)
		}
		if n%300 == 0 { // no more may wait for the disk than the journal takes
			if err := audit.Sync(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	event(t, r, audit.Event{Type: audit.EventLogin})
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	eventually(t, "the sink has all", func() bool { clk.Advance(time.Second); return sink.has() == 3001 })
	closeRecorder(t, r)
	for _, b := range sink.batches {
		bytes := 0
		for _, e := range b.Events {
			bytes += len(e.AppendCanonical(nil))
		}
		if bytes > 9<<20 {
			t.Errorf("a batch of %d bytes", bytes)
		}
	}
}
