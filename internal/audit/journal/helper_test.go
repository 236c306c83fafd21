package journal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// opened is a journal under test and what its Open replayed.
type opened struct {
	*journal.Journal
	t        *testing.T
	found    *journal.Recovery
	replayed []string
}

func open(t *testing.T, o journal.Options) *opened {
	t.Helper()
	got := &opened{t: t}
	inner := o.Replay
	o.Replay = func(r journal.Record) error {
		got.replayed = append(got.replayed, string(r.Payload))
		if inner != nil {
			return inner(r)
		}
		return nil
	}
	j, found, err := journal.Open(o)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	got.Journal, got.found = j, found
	t.Cleanup(func() { j.Close() })
	return got
}

// put appends records and waits until they are durable.
func (j *opened) put(payloads ...string) {
	j.t.Helper()
	for _, p := range payloads {
		ticket, err := j.Append(1, []byte(p), true)
		if err != nil {
			j.t.Fatalf("appending %q: %v", p, err)
		}
		if err := ticket.Wait(j.t.Context()); err != nil {
			j.t.Fatalf("waiting for %q: %v", p, err)
		}
	}
}

func (j *opened) close() {
	j.t.Helper()
	if err := j.Close(); err != nil {
		j.t.Fatalf("closing: %v", err)
	}
}

// drain reads all that a reader has now.
func drain(t *testing.T, r *journal.Reader) []string {
	t.Helper()
	var list []string
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("reading: %v", err)
		}
		list = append(list, string(rec.Payload))
	}
}

func numbered(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprintf("record %d", i))
	}
	return list
}

// eventually waits for a condition that other goroutines bring about. It leaves them the processors meanwhile.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	look := time.NewTicker(100 * time.Microsecond)
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

// segments lists the segment files of a directory, oldest first.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+journal.SegmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// place makes a journal directory with one segment of this content.
func place(t testing.TB, name string, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
