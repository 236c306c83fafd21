package audit_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// memory is a sink that keeps rows in memory and deduplicates by token, as real ones do. It fails on demand.
type memory struct {
	name string

	mu      sync.Mutex
	tokens  map[string]string // token → what the batch was, to see that it comes again the same
	rows    map[uint64]string // Seq → what the row was
	order   []uint64
	batches []*audit.Batch // as they were written first
	sealed  []*audit.Checkpoint
	tries   int
	closed  bool
	// before and after are called around a write; an error of after is that of a write that succeeded.
	before, after func(ctx context.Context, b *audit.Batch) error
	check         func() error
}

func newMemory(name string) *memory {
	return &memory{name: name, tokens: map[string]string{}, rows: map[uint64]string{}}
}

func (m *memory) Name() string { return m.name }

func (m *memory) Check(context.Context) error {
	m.mu.Lock()
	check := m.check
	m.mu.Unlock()
	if check != nil {
		return check()
	}
	return nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *memory) Write(ctx context.Context, b *audit.Batch) error {
	m.mu.Lock()
	m.tries++
	before, after := m.before, m.after
	m.mu.Unlock()
	if before != nil {
		if err := before(ctx, b); err != nil {
			return err
		}
	}
	if err := m.take(b); err != nil {
		return err
	}
	if after != nil {
		return after(ctx, b)
	}
	return nil
}

func (m *memory) take(b *audit.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := describe(b)
	if had, ok := m.tokens[b.Token]; ok {
		if had != text {
			return fmt.Errorf("batch %s came again, and differs", b.Token)
		}
		return nil
	}
	m.tokens[b.Token] = text
	m.batches = append(m.batches, b)
	seen := map[uint64]string{}
	for _, row := range b.Requests {
		seen[row.Seq] = "request " + row.RequestID + " " + row.Outcome
	}
	for _, row := range b.Events {
		seen[row.Seq] = "event " + row.Type
	}
	for seq := b.From; seq <= b.To; seq++ {
		row, ok := seen[seq]
		if !ok {
			return fmt.Errorf("batch %s has no row %d", b.Token, seq)
		}
		if had, twice := m.rows[seq]; twice {
			return fmt.Errorf("row %d came twice: %s, %s", seq, had, row)
		}
		m.rows[seq] = row
		m.order = append(m.order, seq)
	}
	for _, c := range b.Checkpoints {
		if n := len(m.sealed); n > 0 && c.Size <= m.sealed[n-1].Size {
			return fmt.Errorf("a checkpoint of size %d after one of size %d", c.Size, m.sealed[n-1].Size)
		}
		if c.Size > b.To {
			return fmt.Errorf("a checkpoint of size %d came before its rows, which end at %d", c.Size, b.To)
		}
		m.sealed = append(m.sealed, c)
	}
	return nil
}

// describe is all of a batch, as one hash.
func describe(b *audit.Batch) string {
	h := sha256.New()
	fmt.Fprintln(h, b.LogID, b.From, b.To)
	for _, row := range b.Requests {
		h.Write(row.AppendCanonical(row.LeafHash[:]))
	}
	for _, row := range b.Events {
		h.Write(row.AppendCanonical(row.LeafHash[:]))
	}
	for _, c := range b.Checkpoints {
		fmt.Fprintln(h, c.Values())
	}
	return string(h.Sum(nil))
}

// has tells how many rows there are.
func (m *memory) has() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

// list is all rows by Seq, from 1 on; it fails on a gap.
func (m *memory) list(t *testing.T) []string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for seq := uint64(1); seq <= uint64(len(m.rows)); seq++ {
		row, ok := m.rows[seq]
		if !ok {
			t.Fatalf("row %d is missing of %d", seq, len(m.rows))
		}
		list = append(list, row)
	}
	return list
}

func (m *memory) set(f func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

func open(t *testing.T, o audit.Options) *audit.Recorder {
	t.Helper()
	r, err := audit.Open(o)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	t.Cleanup(func() { closeRecorder(t, r) })
	return r
}

func closeRecorder(t *testing.T, r *audit.Recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	_ = r.Close(ctx)
}

// do makes one request, durable, with its outcome.
func do(t *testing.T, r *audit.Recorder, row *audit.Request, o audit.Outcome) {
	t.Helper()
	in, err := r.Intent(row)
	if err == nil {
		err = in.Durable(t.Context())
	}
	if err != nil {
		t.Fatalf("recording: %v", err)
	}
	in.Done(o)
}

func event(t *testing.T, r *audit.Recorder, e audit.Event) {
	t.Helper()
	if err := r.Event(t.Context(), e); err != nil {
		t.Fatalf("recording event: %v", err)
	}
}

func row(id, impersonation string) *audit.Request {
	return &audit.Request{
		RequestID: id, ImpersonationID: impersonation, ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng",
		TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full", ClientIP: "192.0.2.7",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
		Method:    "GET", Scheme: "https", Host: "app.example.com", Path: "/bookings/17",
	}
}

var completed = audit.Outcome{
	Status: 200, Outcome: audit.OutcomeCompleted, Banner: audit.BannerMarked, Duration: 3 * time.Millisecond,
	ResponseBytes: 20_480, ContentType: "text/html; charset=utf-8",
}

func useSinks(t *testing.T, r *audit.Recorder, o audit.ShipOptions, sinks ...audit.Sink) {
	t.Helper()
	if err := r.UseSinks(t.Context(), o, sinks...); err != nil {
		t.Fatalf("using sinks: %v", err)
	}
}

// eventually waits for a condition that other goroutines bring about. It leaves them the processors meanwhile: many tests
// run at a time.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !met() {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

func manual() *clock.Manual { return clock.NewManual(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)) }

// crash is the journal's directory as a process that died at this moment leaves it.
func crash(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := copyFile(filepath.Join(dir, e.Name()), filepath.Join(to, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return to
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}

// contextDone is a context that has ended.
func contextDone(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}
