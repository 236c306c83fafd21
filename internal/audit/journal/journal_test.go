package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
)

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want []string
	for round := range 4 {
		j := open(t, journal.Options{Dir: dir})
		if round > 0 {
			// Nothing is carried here, so only the newest segment is replayed.
			if diff := cmp.Diff(numbered(round*10-9, round*10), j.replayed); diff != "" {
				t.Errorf("round %d replayed (-want +got):\n%s", round, diff)
			}
		}
		if j.found.TornBytes != 0 || len(j.found.Damage) != 0 || len(j.found.Quarantined) != 0 {
			t.Errorf("a clean journal was found damaged: %+v", j.found)
		}
		j.put(numbered(round*10+1, round*10+10)...)
		want = append(want, numbered(round*10+1, round*10+10)...)
		r, err := j.NewReader(journal.Position{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, drain(t, r)); diff != "" {
			t.Errorf("round %d reads (-want +got):\n%s", round, diff)
		}
		r.Close()
		j.close()
	}
}

// TestLock: two processes never write one journal.
func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := open(t, journal.Options{Dir: dir})
	_, _, err := journal.Open(journal.Options{Dir: dir})
	if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second Open: %v, want %v and the process's number", err, journal.ErrLocked)
	}
	j.close()
	open(t, journal.Options{Dir: dir}).close()
}

func TestRefused(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Options{Dir: t.TempDir()})
	if _, err := j.Append(1, make([]byte, journal.MaxPayload+1), true); !errors.Is(err, journal.ErrTooLong) {
		t.Errorf("too long a record: %v", err)
	}
	j.put(string(make([]byte, journal.MaxPayload)))
	j.close()
	if _, err := j.Append(1, nil, true); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append after Close: %v", err)
	}
}

// TestLinger: what nobody waits for is written after LingerTime and synced after SyncTime.
func TestLinger(t *testing.T) {
	t.Parallel()
	fsys, clk, dir := faultfs.New(), manual(), t.TempDir()
	j := open(t, journal.Options{Dir: dir, FS: fsys, Clock: clk})
	eventually(t, "the committer idles", j.Idle)
	writes, syncs := fsys.Count(faultfs.Write), fsys.Count(faultfs.Sync)
	committed := j.Committed()
	if _, err := j.Append(1, []byte("an outcome"), false); err != nil {
		t.Fatal(err)
	}
	if fsys.Count(faultfs.Write) != writes {
		t.Error("it was written at once")
	}
	clk.Advance(journal.LingerTime)
	eventually(t, "the record is written", func() bool { return fsys.Count(faultfs.Write) == writes+1 })
	eventually(t, "the record is in the file", func() bool {
		return strings.Contains(string(read(t, segments(t, dir)[0])), "an outcome")
	})
	if fsys.Count(faultfs.Sync) != syncs {
		t.Error("it was synced though nobody waits")
	}
	select {
	case <-committed:
		t.Error("it was told durable before the sync")
	default:
	}
	eventually(t, "the timer is armed", j.Idle)
	clk.Advance(journal.SyncTime)
	<-committed
	if fsys.Count(faultfs.Sync) != syncs+1 {
		t.Error("not one sync")
	}
}

// TestGroupCommit: what comes while the disk is busy shares one commit.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	fsys := faultfs.New()
	j := open(t, journal.Options{Dir: t.TempDir(), FS: fsys})
	syncs := fsys.Count(faultfs.Sync)
	release := fsys.Block(faultfs.Sync)
	first, err := j.Append(1, []byte("first"), true)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first commit is under way", func() bool { return fsys.Count(faultfs.Sync) == syncs+1 })
	var tickets []journal.Ticket
	for i := range 100 {
		ticket, err := j.Append(1, fmt.Appendf(nil, "%d", i), true)
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	release()
	for _, ticket := range append(tickets, first) {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := fsys.Count(faultfs.Sync) - syncs; n != 2 {
		t.Errorf("%d syncs, want 2", n)
	}
}

// TestRotation: the reader follows over many small segments while they are written, and those it is done with can be
// deleted.
func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := open(t, journal.Options{Dir: dir, SegmentBytes: 4096})
	const writers, each = 4, 250
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				ticket, err := j.Append(1, fmt.Appendf(nil, "%d %d", w, i), i%3 != 0)
				if err == nil && i%3 == 1 {
					err = ticket.Wait(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	r, err := j.NewReader(journal.Position{})
	if err != nil {
		t.Fatal(err)
	}
	next := [writers]int{}
	for n := 0; n < writers*each; {
		committed := j.Committed()
		got := drain(t, r)
		for _, payload := range got {
			var w, i int
			if _, err := fmt.Sscanf(payload, "%d %d", &w, &i); err != nil || next[w] != i {
				t.Fatalf("read %q, want %d of writer %d", payload, next[w], w)
			}
			next[w]++
		}
		n += len(got)
		if err := j.DeleteBefore(r.Position().Segment); err != nil {
			t.Fatal(err)
		}
		// A reader that starts where this one stands sees the same.
		again, err := j.NewReader(r.Position())
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		if n < writers*each && len(got) == 0 {
			select {
			case <-committed:
			case <-t.Context().Done():
			}
		}
	}
	wg.Wait()
	if n := len(segments(t, dir)); n > 3 {
		t.Errorf("%d segments are left", n)
	}
	if s := j.Stats(); s.Records != writers*each || s.Segments > 3 || s.Commits == 0 || s.Bytes == 0 {
		t.Errorf("stats %+v", s)
	}
	if _, err := j.NewReader(journal.Position{Segment: 1, Offset: journal.DataStart}); !errors.Is(err, journal.ErrGone) {
		t.Errorf("reading from a deleted segment: %v", err)
	}
}

// TestCarry: the newest segment alone tells all that is carried, after any rotation.
func TestCarry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mu sync.Mutex
	next := 0
	options := journal.Options{
		Dir: dir, SegmentBytes: 4096, Lock: &mu,
		Carry: func(emit func(byte, []byte)) { emit(2, fmt.Appendf(nil, "%d", next)) },
		Replay: func(r journal.Record) error {
			var n int
			if _, err := fmt.Sscan(string(r.Payload), &n); err != nil {
				return err
			}
			switch {
			case r.Type == 2:
				next = max(next, n)
			case n == next:
				next++
			case n > next:
				return fmt.Errorf("record %d comes after %d", n, next)
			}
			return nil
		},
	}
	want := 0
	for range 5 {
		next = 0
		j := open(t, options)
		if next != want {
			t.Fatalf("replayed up to %d, want %d", next, want)
		}
		for i := range 500 {
			mu.Lock()
			_, err := j.Append(1, fmt.Appendf(nil, "%d", next), i%50 == 0)
			next++
			mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			want++
		}
		j.close()
	}
}

// TestStall: a disk that hangs makes appends fail, not wait, and it ends when the disk answers.
func TestStall(t *testing.T) {
	t.Parallel()
	fsys, clk := faultfs.New(), manual()
	healthy := make(chan struct{}, 8)
	j := open(t, journal.Options{Dir: t.TempDir(), FS: fsys, Clock: clk, OnHealthy: func() { healthy <- struct{}{} }})
	j.SetStallTime(time.Millisecond) // of the machine's time it takes as long
	release := fsys.Block(faultfs.Sync)
	syncs := fsys.Count(faultfs.Sync)
	ticket, err := j.Append(1, []byte("x"), true)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the commit is under way", func() bool { return fsys.Count(faultfs.Sync) > syncs })
	if err := j.Healthy(); err != nil {
		t.Errorf("at first: %v", err)
	}
	clk.Advance(time.Second)
	eventually(t, "it has taken too long", func() bool { return j.Healthy() != nil })
	if _, err := j.Append(1, []byte("y"), true); !errors.Is(err, journal.ErrStalled) {
		t.Errorf("append to a hanging disk: %v", err)
	}
	if err := j.Healthy(); !errors.Is(err, journal.ErrStalled) {
		t.Errorf("Healthy: %v", err)
	}
	release()
	if err := ticket.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	<-healthy
	j.put("z")
}

// TestClockIsSet: a clock that is put forward while the disk is busy does not make it one that hangs.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	fsys, clk := faultfs.New(), manual()
	j := open(t, journal.Options{Dir: t.TempDir(), FS: fsys, Clock: clk})
	j.SetStallTime(time.Hour)
	syncs := fsys.Count(faultfs.Sync)
	release := fsys.Block(faultfs.Sync)
	ticket, err := j.Append(1, []byte("x"), true)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the commit is under way", func() bool { return fsys.Count(faultfs.Sync) > syncs })
	clk.Advance(24 * time.Hour)
	if _, err := j.Append(1, []byte("y"), true); err != nil {
		t.Error(err)
	}
	release()
	if err := ticket.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestForeignFiles: what is not the journal's is left alone, what never came into force is removed.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"notes.txt", "1.journal", journal.SegmentName(7) + journal.TempSuffix, journal.SegmentName(3) + journal.DamagedSuffix} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, journal.Options{Dir: dir}).close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := []string{journal.SegmentName(3) + journal.DamagedSuffix, journal.SegmentName(4), "1.journal", "lock", "notes.txt"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
