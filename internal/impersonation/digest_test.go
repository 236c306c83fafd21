package impersonation_test

import (
	"slices"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
)

// TestDigest: the week is told once, when it is due, the unusual first; also what was due while nothing ran.
func TestDigest(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w := newTelling(t, nil)
	s := impersonation.Schedule{Day: time.Monday, At: 8 * time.Hour, Zone: berlin}
	due := func() {
		t.Helper()
		if err := w.DigestDue(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	due() // the first time: from now on
	sue := w.login("sue")
	for n := range 3 { // on Monday at noon twice, then at night
		if n == 2 {
			w.clock.Advance(10 * time.Hour)
		}
		l := w.start(sue, "sam")
		w.clock.Advance(time.Minute)
		if err := w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"); err != nil {
			t.Fatal(err)
		}
		w.flush()
	}
	for range 6 {
		w.next() // starts and ends
	}
	due()
	w.clock.Advance(6*24*time.Hour + 9*time.Hour) // Monday after eight
	due()
	d := w.next()
	if d.Message.Kind != notify.KindDigest || d.To.Username != "olga" || d.Message.Digest.Total != 3 {
		t.Fatalf("told %+v", d.Message)
	}
	lines := d.Message.Digest.Lines
	if len(lines) != 3 || !slices.Equal(lines[0].Unusual, []string{notify.OddFirst}) || !slices.Equal(lines[1].Unusual, []string{notify.OddOutOfHours}) || len(lines[2].Unusual) != 0 || d.Message.Digest.Unusual != 2 {
		t.Errorf("lines %+v", lines)
	}
	due()
	if err := w.queue.Close(t.Context()); err != nil { // it is written down what was delivered
		t.Fatal(err)
	}
	w.reopen()
	w.use()
	due()
	if len(w.letters.got) != 0 {
		t.Error("told twice")
	}
	w.clock.Advance(20 * 24 * time.Hour)
	due()
	if d := w.next(); d.Message.Digest.Total != 0 {
		t.Errorf("an empty week: %+v", d.Message.Digest)
	}
	if len(w.letters.got) != 0 {
		t.Error("each week that was missed is told")
	}
}
