package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// TestFailure: whatever the disk does, appends are refused with its word, and once it is well the journal goes on by
// itself: with all it had accepted, once, in order.
func TestFailure(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		cause error
		fail  func(*faultfs.FS)
	}{
		{"write", syscall.EIO, func(f *faultfs.FS) { f.Fail(faultfs.Write, -1, syscall.EIO) }},
		{"short write", syscall.ENOSPC, func(f *faultfs.FS) { f.FailShort(37, syscall.ENOSPC) }},
		{"write nothing", syscall.ENOSPC, func(f *faultfs.FS) { f.FailShort(0, syscall.ENOSPC) }},
		// The kernel reports a lost write once: a second fsync of the same file would lie.
		{"fsync once", syscall.EIO, func(f *faultfs.FS) { f.Fail(faultfs.Sync, 1, syscall.EIO) }},
		{"fsync", syscall.EIO, func(f *faultfs.FS) { f.Fail(faultfs.Sync, -1, syscall.EIO) }},
		{"read-only", syscall.EROFS, func(f *faultfs.FS) {
			for _, op := range []faultfs.Op{faultfs.Write, faultfs.Create, faultfs.Truncate, faultfs.Rename, faultfs.Remove} {
				f.Fail(op, -1, syscall.EROFS)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys, clk, dir := faultfs.New(), manual(), t.TempDir()
			options := journal.Options{Dir: dir, FS: fsys, Clock: clk}
			j := open(t, options)
			j.put("before")
			tt.fail(fsys)
			ticket, err := j.Append(1, []byte("accepted"), true)
			if err != nil {
				t.Fatal(err)
			}
			if err := ticket.Wait(t.Context()); !errors.Is(err, tt.cause) {
				t.Errorf("waiting: %v, want %v", err, tt.cause)
			}
			if _, err := j.Append(1, []byte("refused"), true); !errors.Is(err, tt.cause) {
				t.Errorf("append: %v, want %v", err, tt.cause)
			}
			if err := j.Healthy(); !errors.Is(err, tt.cause) {
				t.Errorf("Healthy: %v", err)
			}
			fsys.Heal()
			recovered(t, j, clk)
			j.put("after")
			want := []string{"before", "accepted", "after"}
			r, err := j.NewReader(journal.Position{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, drain(t, r)); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			r.Close()
			if s := j.Stats(); s.Failures != 1 || s.Refused != 1 {
				t.Errorf("stats %+v", s)
			}
			j.close()
			j = open(t, options)
			r, err = j.NewReader(journal.Position{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, drain(t, r)); diff != "" {
				t.Errorf("read after reopening (-want +got):\n%s", diff)
			}
		})
	}
}

func recovered(t *testing.T, j *opened, clk *clock.Manual) {
	t.Helper()
	eventually(t, "the journal recovers", func() bool {
		clk.Advance(journal.ProbeTime)
		return j.Healthy() == nil
	})
}

// TestFullAtRotation: no room for the next segment.
func TestFullAtRotation(t *testing.T) {
	t.Parallel()
	for _, op := range []faultfs.Op{faultfs.Create, faultfs.Allocate, faultfs.Rename, faultfs.SyncDir} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			fsys, clk := faultfs.New(), manual()
			j := open(t, journal.Options{Dir: t.TempDir(), FS: fsys, Clock: clk, SegmentBytes: 4096})
			fsys.Fail(op, -1, syscall.ENOSPC)
			var want []string
			for i := 0; ; i++ {
				payload := fmt.Sprintf("record %d", i)
				ticket, err := j.Append(1, []byte(payload), true)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, payload)
				if err := ticket.Wait(t.Context()); err != nil {
					if !errors.Is(err, syscall.ENOSPC) {
						t.Fatal(err)
					}
					break
				}
			}
			clk.Advance(journal.ProbeTime)
			fsys.Heal()
			recovered(t, j, clk)
			r, err := j.NewReader(journal.Position{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, drain(t, r)); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFullAtOpen: the gateway starts with a full disk, and serves own accounts until there is room.
func TestFullAtOpen(t *testing.T) {
	t.Parallel()
	fsys, clk, dir := faultfs.New(), manual(), t.TempDir()
	j := open(t, journal.Options{Dir: dir, FS: fsys, Clock: clk})
	j.put("before")
	j.close()
	fsys.Fail(faultfs.Allocate, -1, syscall.ENOSPC)
	j = open(t, journal.Options{Dir: dir, FS: fsys, Clock: clk})
	if diff := cmp.Diff([]string{"before"}, j.replayed); diff != "" {
		t.Error(diff)
	}
	if _, err := j.Append(1, nil, true); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("append: %v", err)
	}
	r, err := j.NewReader(journal.Position{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"before"}, drain(t, r)); diff != "" {
		t.Error(diff)
	}
	fsys.Heal()
	recovered(t, j, clk)
	j.put("after")
	if diff := cmp.Diff([]string{"after"}, drain(t, r)); diff != "" {
		t.Error(diff)
	}
}

// TestLessRoom: where a whole segment does not fit any more, a smaller one does.
func TestLessRoom(t *testing.T) {
	t.Parallel()
	fsys := faultfs.New()
	fsys.Fail(faultfs.Allocate, 3, syscall.ENOSPC)
	j := open(t, journal.Options{Dir: t.TempDir(), FS: fsys, SegmentBytes: 16 << 20})
	j.put("x")
	if s := j.Stats(); s.Bytes != 2<<20 || s.Failures != 0 {
		t.Errorf("stats %+v, want a segment of 2 MiB", s)
	}
}

// TestSizeLimit: at MaxBytes the journal refuses as if the disk were full; deleting what is shipped makes it go on.
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	clk := manual()
	j := open(t, journal.Options{Dir: t.TempDir(), Clock: clk, SegmentBytes: 4 << 10, MaxBytes: 64 << 10})
	payload := make([]byte, 500)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		var ticket journal.Ticket
		if ticket, err = j.Append(1, payload, true); err == nil {
			err = ticket.Wait(t.Context())
		}
	}
	if !errors.Is(err, journal.ErrLimit) || n < 80 {
		t.Fatalf("after %d appends: %v, want %v", n, err, journal.ErrLimit)
	}
	if s := j.Stats(); s.Bytes > 64<<10 {
		t.Errorf("%d bytes", s.Bytes)
	}
	r, err := j.NewReader(journal.Position{})
	if err != nil {
		t.Fatal(err)
	}
	read := len(drain(t, r))
	if err := j.DeleteBefore(r.Position().Segment); err != nil {
		t.Fatal(err)
	}
	// No clock moves: the deletion itself wakes the journal.
	eventually(t, "there is room", func() bool { return j.Healthy() == nil })
	if read += len(drain(t, r)); read != n {
		t.Errorf("read %d records of %d", read, n)
	}
}

// TestPowerCut: power fails at a random moment of a random load with random faults before; whatever was acknowledged
// is there, once and in order, and nothing that was never appended.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	for round := range uint64(60) {
		t.Run(fmt.Sprintf("seed=%d,%d", seed, round), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, round))
			fsys, clk, dir := faultfs.New(), manual(), t.TempDir()
			options := journal.Options{Dir: dir, FS: fsys, Clock: clk, SegmentBytes: 8192}
			j := open(t, options)
			acknowledged := map[string]bool{}
			appended := map[string]int{}
			for i := range 400 {
				if random.IntN(60) == 0 {
					fsys.Fail([]faultfs.Op{faultfs.Write, faultfs.Sync, faultfs.Create, faultfs.Rename, faultfs.SyncDir}[random.IntN(5)],
						1+random.IntN(3), syscall.EIO)
				}
				payload := fmt.Sprintf("%d %0*d", i, random.IntN(900), 0)
				wait := random.IntN(2) == 0
				ticket, err := j.Append(1, []byte(payload), wait)
				if err != nil {
					recovered(t, j, clk)
					continue
				}
				appended[payload] = i
				switch {
				case wait && ticket.Wait(t.Context()) == nil:
					acknowledged[payload] = true
				case random.IntN(4) == 0:
					clk.Advance(journal.LingerTime)
				}
			}
			if len(acknowledged) == 0 {
				t.Fatal("nothing was acknowledged")
			}
			// The process dies here: nothing of it writes any more.
			fsys.Fail(faultfs.Write, -1, syscall.EIO)
			fsys.Fail(faultfs.Rename, -1, syscall.EIO)
			fsys.Fail(faultfs.Truncate, -1, syscall.EIO)
			fsys.Fail(faultfs.SyncDir, -1, syscall.EIO)
			j.Close()
			fsys.Heal()
			if err := fsys.PowerCut(random, dir); err != nil {
				t.Fatal(err)
			}
			j = open(t, options)
			for _, d := range j.found.Damage {
				if d.Acknowledged {
					t.Errorf("acknowledged records are damaged: %v", &d)
				}
			}
			r, err := j.NewReader(journal.Position{})
			if err != nil {
				t.Fatal(err)
			}
			last := -1
			for _, payload := range drainAll(t, r) {
				i, ok := appended[payload]
				if !ok || i <= last {
					t.Fatalf("found %.20q after record %d", payload, last)
				}
				last = i
				delete(acknowledged, payload)
			}
			for payload := range acknowledged {
				t.Errorf("acknowledged, and lost: %.20q", payload)
			}
		})
	}
}

// drainAll reads over damage.
func drainAll(t *testing.T, r *journal.Reader) []string {
	t.Helper()
	var list []string
	for {
		rec, err := r.Next()
		var damage *journal.Damage
		switch {
		case errors.As(err, &damage):
		case err != nil:
			return list
		default:
			list = append(list, string(rec.Payload))
		}
	}
}
