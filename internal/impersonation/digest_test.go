package impersonation_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
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
		if err := w.DigestDue(t.Context(), s, nil); err != nil {
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
	w.disk.broken(errors.New("disk full"))        // that it was told can't be written down: then it isn't told
	if err := w.DigestDue(t.Context(), s, nil); err == nil {
		t.Error("no error")
	}
	w.disk.broken(nil)
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

// TestDigestOrder: emergencies that nobody has reviewed come first, also those of before, then other emergencies, then what
// is unusual, to which the record adds where much was refused. While it can't be asked the digest waits for it, not for long.
func TestDigestOrder(t *testing.T) {
	w := newTelling(t, func(p *policy.Policy) { p.RequireApproval, p.Emergency = true, true })
	s := impersonation.Schedule{Day: time.Monday, At: 8 * time.Hour, Zone: time.UTC}
	sue, olga := w.login("sue"), w.login("olga")
	start := func(emergency bool) string {
		t.Helper()
		w.set = compile(t, func(r *policy.Rules) {
			r.Policies[0].RequireApproval, r.Policies[0].Emergency = emergency, emergency
		})
		w.use()
		req := request(sue, "sam")
		req.Emergency = emergency
		l, err := w.Start(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Minute)
		if err := w.End(t.Context(), l.ID, impersonation.CauseStopped, "sue"); err != nil {
			t.Fatal(err)
		}
		w.flush()
		return l.ID
	}
	review := func(id string) {
		t.Helper()
		if _, err := w.Review(t.Context(), id, &olga.Claims, impersonation.From{}, "looked at"); err != nil {
			t.Fatal(err)
		}
	}
	of := map[string]string{}
	of[start(true)] = "an emergency of before"
	reviewed := start(true)
	review(reviewed) // is not told again
	if err := w.DigestDue(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(7 * 24 * time.Hour) // Monday at noon
	of[start(false)] = "nothing unusual"
	refused := start(false)
	of[refused] = "much was refused"
	reviewed = start(true)
	of[reviewed] = "a reviewed emergency"
	review(reviewed)
	of[start(true)] = "an emergency"
	w.clock.Advance(7*24*time.Hour - 4*time.Hour) // the next Monday, after eight
	for len(w.letters.got) > 0 {
		w.next() // starts, ends, emergencies
	}

	down := errors.New("the record is down")
	var asked []time.Time
	ask := func(_ context.Context, from, until time.Time) (map[string]bool, error) {
		asked = []time.Time{from, until}
		return map[string]bool{refused: true}, down
	}
	if err := w.DigestDue(t.Context(), s, ask); !errors.Is(err, down) {
		t.Fatalf("the record is down: %v", err)
	}
	down = nil
	if err := w.DigestDue(t.Context(), s, ask); err != nil {
		t.Fatal(err)
	}
	if asked[1].Sub(asked[0]) != 7*24*time.Hour || asked[1].After(w.clock.Now()) {
		t.Errorf("the record was asked for %v", asked)
	}
	d := w.digest()
	var got []string
	for _, l := range d.Lines {
		got = append(got, of[l.ImpersonationID])
	}
	want := []string{"an emergency of before", "an emergency", "a reviewed emergency", "much was refused", "nothing unusual"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if d.Total != 4 || d.Unusual != 3 || d.Unreviewed != 2 || !slices.Contains(d.Lines[3].Unusual, notify.OddRefusals) {
		t.Errorf("%+v", d)
	}

	down = errors.New("the record is down")
	w.clock.Advance(7*24*time.Hour + 7*time.Hour)
	if err := w.DigestDue(t.Context(), s, ask); err != nil {
		t.Fatalf("after hours of waiting for the record: %v", err)
	}
	if d := w.digest(); d.Total != 0 || d.Unreviewed != 2 || len(d.Lines) != 2 {
		t.Errorf("%+v", d)
	}
}

// digest is the next that is told.
func (w *telling) digest() *notify.Digest {
	w.t.Helper()
	for {
		if d := w.next(); d.Message.Kind == notify.KindDigest {
			return d.Message.Digest
		}
	}
}
