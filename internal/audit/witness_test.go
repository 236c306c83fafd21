package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// kept is a witness that keeps checkpoints in memory, and fails on demand.
type kept struct {
	mu    sync.Mutex
	err   error
	half  bool // the next is taken, and then an error
	sizes []uint64
	notes []string
}

func (k *kept) Name() string { return "kept" }
func (k *kept) Close() error { return nil }

func (k *kept) Publish(_ context.Context, c *audit.Checkpoint) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	k.sizes, k.notes = append(k.sizes, c.Size), append(k.notes, c.Note)
	if k.half {
		k.half = false
		return errWitness
	}
	return nil
}

func (k *kept) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *kept) has() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprint(k.sizes)
}

var (
	errWitness = errors.New("the witness is down")
	quickly    = audit.ShipOptions{BatchTime: time.Millisecond, Jitter: func(time.Duration) time.Duration { return time.Millisecond }}
)

func useWitness(t *testing.T, r *audit.Recorder, w audit.Witness) {
	t.Helper()
	if err := r.UseWitnesses(t.Context(), quickly, w); err != nil {
		t.Fatal(err)
	}
}

// TestWitness: a witness gets every checkpoint once, in order; one that fails holds up no row, is said to fail, and gets
// what it missed, also after restarts.
func TestWitness(t *testing.T) {
	t.Parallel()
	options, signer := audit.Options{Dir: t.TempDir(), SegmentBytes: small}, newSigner(t)
	r := open(t, options)
	w, sink := &kept{}, newMemory("memory")
	begin := func() {
		useWitness(t, r, w)
		useSinks(t, r, quickly, sink)
		r.SealEvery(2, time.Hour) // first: a wait that has begun would go on as it was
		signWith(r, signer)
	}
	begin() // 1: signing_key_changed
	event(t, r, audit.Event{Type: audit.EventLogin})
	eventually(t, "the first is published", func() bool { return w.has() == "[2]" })
	w.fail(errWitness)
	for range 4 {
		event(t, r, audit.Event{Type: audit.EventLogin})
	}
	eventually(t, "the sink has all", func() bool { return sink.has() == 6 })
	eventually(t, "it is said to fail", func() bool {
		s := r.Stats().Witnesses[0]
		return s.Failures > 1 && errors.Is(s.Err, errWitness) && s.Backlog == 4 && s.Rows == 1
	})
	closeRecorder(t, r)
	if got := w.has(); got != "[2]" {
		t.Errorf("after a restart: %s", got)
	}
	r = open(t, options)
	begin()
	eventually(t, "it fails again", func() bool { return r.Stats().Witnesses[0].Failures > 0 })
	w.mu.Lock()
	w.err, w.half = nil, true // one comes twice: it was taken, and nobody was told
	w.mu.Unlock()
	eventually(t, "it has what it missed", func() bool { return w.has() == "[2 4 4 6]" })
	closeRecorder(t, r)
	r = open(t, options)
	begin()
	for range 2 {
		event(t, r, audit.Event{Type: audit.EventLogin})
	}
	eventually(t, "nothing comes again", func() bool { return w.has() == "[2 4 4 6 8]" })
	if s := r.Stats().Witnesses[0]; s.Name != "kept" || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

// TestWitnessHoldsUpLittle: the journal keeps what a witness has not got, but not without limit; then the next checkpoint
// it gets covers the rows of those it misses.
func TestWitnessHoldsUpLittle(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	r := open(t, audit.Options{Dir: t.TempDir(), SegmentBytes: 8192, MaxBytes: limit})
	w, sink := &kept{err: errWitness}, newMemory("memory")
	useWitness(t, r, w)
	useSinks(t, r, audit.ShipOptions{BatchRows: 10, BatchTime: time.Millisecond}, sink)
	r.SealEvery(1, time.Hour)
	signWith(r, newSigner(t))
	most, rows := int64(0), 1
	for n := 0; n < 2000; n++ {
		event(t, r, audit.Event{Type: audit.EventLogin, Detail: strings.Repeat("x", 1000)})
		if rows++; n%100 == 0 {
			eventually(t, "the sink has all", func() bool { return sink.has() == rows })
		}
		most = max(most, r.Stats().Journal.Bytes)
	}
	if most < limit/5 || most > limit/2 {
		t.Errorf("the journal grew to %d bytes of %d", most, limit)
	}
	if err := r.Healthy(); err != nil {
		t.Error(err)
	}
	w.fail(nil)
	// Whoever reads finds out when it reads on.
	eventually(t, "it has the last", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.sizes) > 0 && w.sizes[len(w.sizes)-1] == uint64(rows)
	})
	if s := r.Stats().Witnesses[0]; s.Lost == 0 || !slices.IsSorted(w.sizes) {
		t.Errorf("%+v, %d checkpoints", s, len(w.sizes))
	}
}

// TestWitnessesAreReplaced: a name can be there once; a new one gets what the journal holds.
func TestWitnessesAreReplaced(t *testing.T) {
	t.Parallel()
	r := open(t, audit.Options{Dir: t.TempDir(), SegmentBytes: small})
	if err := r.UseWitnesses(t.Context(), quickly, &kept{}, &kept{}); err == nil || !strings.Contains(err.Error(), "kept") {
		t.Errorf("two of a name: %v", err)
	}
	useSinks(t, r, quickly, newMemory("memory"))
	signWith(r, newSigner(t))
	event(t, r, audit.Event{Type: audit.EventImpersonationEnded, ImpersonationID: "i-1"})
	w := &kept{}
	useWitness(t, r, w)
	eventually(t, "it has what the journal holds", func() bool { return w.has() == "[2]" })
}
