package audit_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
)

// loaded are a sink's events of configurations and starts: the place, what it was and which configuration it names.
func loaded(t *testing.T, sink *memory) []string {
	t.Helper()
	sink.list(t)
	var got []string
	for _, b := range sink.batches {
		for _, e := range b.Events {
			switch e.Type {
			case audit.EventConfigLoaded:
				got = append(got, fmt.Sprint(e.Seq, " loaded ", e.Detail))
			case audit.EventImpersonationStarted:
				got = append(got, fmt.Sprint(e.Seq, " started ", e.Detail))
			}
		}
	}
	return got
}

func inForce(t *testing.T, c *audit.Configured) {
	t.Helper()
	if err := c.InForce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, by audit.Events, detail string) {
	t.Helper()
	if err := by.Event(t.Context(), audit.Event{Type: audit.EventImpersonationStarted, ImpersonationID: "i" + detail, Detail: detail}); err != nil {
		t.Fatal(err)
	}
}

// TestStartNamesItsConfiguration: that by whose rules somebody was let in, also while another comes into force, or has failed to
// and it is back; one that was never in force is put into the log before its first start.
func TestStartNamesItsConfiguration(t *testing.T) {
	t.Parallel()
	options := audit.Options{Dir: t.TempDir(), SegmentBytes: 4096}
	r := open(t, options)
	event(t, r, audit.Event{Type: audit.EventLogin}) // 1
	one, two := r.Configured(audit.Event{Detail: "one"}), r.Configured(audit.Event{Detail: "two"})
	inForce(t, one) // 2
	start(t, one, "")
	inForce(t, two)      // 4
	start(t, one, "{ }") // was under way
	start(t, two, `{"policy":"support"}`)
	inForce(t, one) // 7
	start(t, one, "{}")
	start(t, two, "none")
	options.Dir = crash(t, options.Dir)
	closeRecorder(t, r)
	r = open(t, options)
	start(t, r.Configured(audit.Event{Detail: "three"}), "{}")
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	closeRecorder(t, r)
	want := []string{
		"2 loaded one", `3 started {"config_seq":2}`,
		"4 loaded two", `5 started {"config_seq":2}`, `6 started {"policy":"support","config_seq":4}`,
		"7 loaded one", `8 started {"config_seq":7}`, "9 started none",
		"10 loaded three", `11 started {"config_seq":10}`,
	}
	if diff := cmp.Diff(want, loaded(t, sink)); diff != "" {
		t.Error(diff)
	}
}

// TestConfigurationsOwed: what came into force while the journal took nothing is in the log before the first start, or as soon
// as the journal takes anything; the last there is the one in force.
func TestConfigurationsOwed(t *testing.T) {
	t.Parallel()
	fsys, clk := faultfs.New(), manual()
	r := open(t, audit.Options{Dir: t.TempDir(), FS: fsys, Clock: clk, SegmentBytes: small})
	one, two := r.Configured(audit.Event{Detail: "one"}), r.Configured(audit.Event{Detail: "two"})
	inForce(t, one)
	fsys.Fail(faultfs.Write, -1, syscall.ENOSPC)
	if err := r.Event(t.Context(), audit.Event{Type: audit.EventLogin}); err == nil { // finds it full
		t.Error("a full disk took an event")
	}
	for _, c := range []*audit.Configured{two, one, two} {
		if err := c.InForce(t.Context()); !errors.Is(err, audit.ErrUnconfirmed) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("coming into force: %v", err)
		}
	}
	if err := two.Event(t.Context(), audit.Event{Type: audit.EventImpersonationStarted}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a start: %v", err)
	}
	fsys.Heal()
	sink := newMemory("memory")
	useSinks(t, r, audit.ShipOptions{}, sink)
	eventually(t, "both are in the log", func() bool {
		clk.Advance(time.Second)
		return r.Stats().Events == 4
	})
	start(t, two, "{}")
	closeRecorder(t, r)
	got := loaded(t, sink)
	place := regexp.MustCompile(`^[0-9]+ `)
	for i := range got[:3] {
		got[i] = place.ReplaceAllString(got[i], "")
	}
	if diff := cmp.Diff([]string{"loaded one", "loaded one", "loaded two", `5 started {"config_seq":4}`}, got); diff != "" {
		t.Error(diff)
	}
}

// TestOwedByABusyDisk: when too much waits for a disk that is only slow, what came into force meanwhile is in the log with
// the next commit, and before a start that is faster.
func TestOwedByABusyDisk(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		fsys := faultfs.New()
		r := open(t, audit.Options{Dir: t.TempDir(), FS: fsys, Clock: manual()})
		one, two := r.Configured(audit.Event{Detail: "one"}), r.Configured(audit.Event{Detail: "two"})
		inForce(t, one)
		release := fsys.Block(faultfs.Sync)
		at := fsys.Count(faultfs.Sync)
		n := r.Stats().Events
		for r.Healthy() == nil { // until it takes no more
			if _, err := r.Intent(&audit.Request{ImpersonationID: "i", Path: "/" + strings.Repeat("x", 4000)}); err != nil {
				break
			}
		}
		eventually(t, "the disk is busy", func() bool { return fsys.Count(faultfs.Sync) > at })
		for _, c := range []*audit.Configured{two, one} {
			if err := c.InForce(t.Context()); !errors.Is(err, audit.ErrUnconfirmed) || !errors.Is(err, journal.ErrStalled) {
				t.Fatalf("coming into force: %v", err)
			}
		}
		sink := newMemory("memory")
		useSinks(t, r, audit.ShipOptions{}, sink)
		release()
		if first {
			eventually(t, "it takes records again", func() bool { return r.Healthy() == nil })
		} else {
			eventually(t, "both are in the log", func() bool { return r.Stats().Events == n+2 })
		}
		start(t, one, "{}")
		closeRecorder(t, r)
		want := []string{"1 loaded one", "2 loaded two", "3 loaded one", `4 started {"config_seq":3}`}
		if diff := cmp.Diff(want, loaded(t, sink)); diff != "" {
			t.Error(diff)
		}
	}
}
