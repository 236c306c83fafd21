package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// killDir is set in the process that is to be killed.
const killDir = "AUDIT_TEST_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := recordUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// recordUntilKilled makes requests, and says on standard output what was acknowledged and what was done.
func recordUntilKilled(dir string) error {
	r, err := audit.Open(audit.Options{Dir: dir, SegmentBytes: 256 << 10})
	if err != nil {
		return err
	}
	r.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	failed := make(chan error, 1)
	for worker := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d.%d.%d", os.Getpid(), worker, i)
				in, err := r.Intent(row(id, "i-1"))
				if err == nil {
					err = in.Durable(context.Background())
				}
				if err != nil {
					failed <- err
					return
				}
				fmt.Println("durable", id)
				if i%5 != 0 {
					in.Done(completed)
					fmt.Println("done", id)
				}
			}
		}()
	}
	return <-failed
}

// TestKilled is invariant 5 under SIGKILL: every intent that was acknowledged is a row, once; and what was done before
// the intent of a later one that was acknowledged has its outcome.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	durable := map[string]bool{}
	settled := map[string]bool{} // done before a later intent was durable
	for range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := map[string]string{} // by worker, the last
		lines := bufio.NewScanner(out)
		n := 0
		for lines.Scan() {
			what, id, _ := strings.Cut(lines.Text(), " ")
			worker := id[:max(strings.LastIndexByte(id, '.'), 0)]
			switch what {
			case "durable":
				durable[id] = true
				if before := done[worker]; before != "" {
					settled[before] = true
				}
			case "done":
				done[worker] = id
			}
			if n++; n == 20_000 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
	}
	r := open(t, audit.Options{Dir: dir, SegmentBytes: 256 << 10})
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	signer, err := audit.OwnSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	signWith(r, signer)
	closeRecorder(t, r)
	list := sink.list(t) // no gap; and no Seq twice, or the sink had refused it
	// Each checkpoint has the root of all rows before it, over four deaths; the last covers all.
	if sizes := sealed(t, sink, nil, signer); len(sizes) < len(list)/2000 || sizes[len(sizes)-1] != uint64(len(list)) {
		t.Errorf("%d rows are sealed at %v", len(list), sizes)
	}
	rows := map[string]string{}
	recoveries := 0
	last := uint64(0)
	for _, b := range sink.batches {
		for _, q := range b.Requests {
			if _, twice := rows[q.RequestID]; twice {
				t.Errorf("request %s is there twice", q.RequestID)
			}
			rows[q.RequestID] = q.Outcome
			last = max(last, q.ImpersonationSeq)
		}
		for _, e := range b.Events {
			if e.Type == audit.EventJournalRecovered {
				recoveries++
			}
		}
	}
	lost, late := 0, 0
	for id := range durable {
		if rows[id] == "" {
			lost++
		}
	}
	for id := range settled {
		if rows[id] != audit.OutcomeCompleted {
			late++
		}
	}
	if lost > 0 || late > 0 {
		t.Errorf("%d of %d acknowledged intents are lost, %d of %d outcomes", lost, len(durable), late, len(settled))
	}
	if recoveries != 4 || last != uint64(len(rows)) || len(settled) == 0 {
		t.Errorf("%d recoveries, impersonation_seq up to %d for %d rows, %d settled", recoveries, last, len(rows), len(settled))
	}
}
