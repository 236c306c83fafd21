package notify_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// post is a notifier that does as it is told.
type post struct {
	name  string
	each  bool // a delivery for each recipient
	fail  func(d *notify.Delivery) error
	tries chan notify.Delivery
}

func newPost(name string) *post { return &post{name: name, tries: make(chan notify.Delivery, 1000)} }

func (p *post) Name() string { return p.name }

func (p *post) Carries(m *notify.Message) []notify.Recipient {
	if p.each {
		return m.To
	}
	return []notify.Recipient{{}}
}

func (p *post) Deliver(_ context.Context, d *notify.Delivery) error {
	defer func() { p.tries <- *d }()
	if p.fail != nil {
		return p.fail(d)
	}
	return nil
}

// office is a queue on a real store, under a clock moved by hand.
type office struct {
	*notify.Queue
	t       *testing.T
	store   state.Store
	clock   *clock.Manual
	path    string
	reports chan notify.Outcome
	mu      sync.Mutex
	broken  error // of reports
}

func openOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, clock: clock.NewManual(start), path: filepath.Join(t.TempDir(), "state.db"), reports: make(chan notify.Outcome, 1000)}
	o.open()
	t.Cleanup(o.close)
	return o
}

func (o *office) open() {
	o.t.Helper()
	var err error
	if o.store, err = sqlite.Open(context.Background(), o.path, sqlite.Options{}); err != nil {
		o.t.Fatal(err)
	}
	o.Queue, err = notify.NewQueue(context.Background(), notify.Options{Store: o.store, Clock: o.clock, Report: func(_ context.Context, out notify.Outcome) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.broken != nil {
			return o.broken
		}
		o.reports <- out
		return nil
	}})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) close() {
	if err := errors.Join(o.Close(context.Background()), o.store.Close()); err != nil {
		o.t.Error(err)
	}
}

func (o *office) use(n ...notify.Notifier) {
	o.t.Helper()
	if err := o.Use(o.t.Context(), n); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) put(m *notify.Message) {
	o.t.Helper()
	if err := o.Put(o.t.Context(), m); err != nil {
		o.t.Fatal(err)
	}
}

func take[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing came within a minute")
		panic("not reached")
	}
}

func message(id string) *notify.Message {
	return &notify.Message{ID: id, Kind: notify.KindStarted, To: []notify.Recipient{{Username: "sam", Email: "sam@example.com"}, {Username: "kim"}}, ActorUsername: "alice", Reason: "why"}
}

func TestDelivered(t *testing.T) {
	o := openOffice(t)
	mail, hook := newPost("email"), newPost("hook")
	mail.each = true
	o.use(mail, hook)
	if err := o.store.PutLanguage(t.Context(), "sam", "de"); err != nil {
		t.Fatal(err)
	}
	m := message("")
	o.put(m)
	got := map[string]string{}
	for range 3 {
		out := take(t, o.reports)
		if !out.Sent || out.Attempts != 1 || out.Message.Reason != "why" || !out.Message.At.Equal(start) {
			t.Errorf("outcome %+v", out)
		}
		got[out.Delivery] = out.To.Username + " " + out.To.Lang
	}
	want := map[string]string{m.ID + ".email.sam": "sam de", m.ID + ".email.kim": "kim en", m.ID + ".hook": " "}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.HasPrefix(m.ID, "msg_") || len(mail.tries) != 2 || len(hook.tries) != 1 {
		t.Errorf("id %s, %d mails, %d calls", m.ID, len(mail.tries), len(hook.tries))
	}
}

func TestTriedAgainUntilItWorks(t *testing.T) {
	o := openOffice(t)
	p := newPost("hook")
	p.fail = func(d *notify.Delivery) error {
		if d.Attempt < 5 {
			return errors.New("421 come back\r\nlater")
		}
		return nil
	}
	o.use(p)
	o.put(message("m"))
	least := []time.Duration{3750 * time.Millisecond, 7500 * time.Millisecond, 15 * time.Second, 30 * time.Second}
	for n := 1; n <= 4; n++ {
		if d := take(t, p.tries); d.Attempt != n || d.ID != "m.hook" {
			t.Fatalf("try %d is %+v", n, d)
		}
		o.dueAfter(least[n-1], least[n-1]*5/3)
	}
	if out := take(t, o.reports); !out.Sent || out.Attempts != 5 {
		t.Errorf("outcome %+v", out)
	}
}

// dueAfter waits until what is queued is due in a time between, and lets that pass.
func (o *office) dueAfter(least, most time.Duration) {
	o.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		_, next, err := o.store.ClaimNotices(o.t.Context(), "hook", start.Add(-time.Hour), start, 1) // takes nothing
		if err != nil {
			o.t.Fatal(err)
		}
		d := next.Sub(o.clock.Now())
		if next.IsZero() || d > most && d <= 2*time.Minute { // still taken by the worker
			continue
		}
		if d < least || d > most {
			o.t.Fatalf("due in %s, want %s to %s", d, least, most)
		}
		o.clock.Advance(d)
		o.Wake()
		return
	}
	o.t.Fatal("not due within a minute")
}

func TestGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    func(*notify.Message)
		fail error
		wait time.Duration
		want string
		n    int
	}{
		{"for good", nil, fmt.Errorf("550 no such user: %w", notify.ErrPermanent), 0, "550 no such user: refused for good", 1},
		{"too long", nil, errors.New("down"), notify.GiveUpAfter, "down", 2},
		{"too late", func(m *notify.Message) { m.Expires = start.Add(time.Minute) }, errors.New("down"), time.Minute, "too late: down", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := openOffice(t)
			p := newPost("hook")
			p.fail = func(*notify.Delivery) error { return tt.fail }
			o.use(p)
			m := message("m")
			if tt.m != nil {
				tt.m(m)
			}
			o.put(m)
			take(t, p.tries)
			if tt.wait > 0 {
				o.retried(1)
				o.clock.Advance(tt.wait)
				o.Wake()
			}
			out := take(t, o.reports)
			if out.Sent || out.Error != tt.want || out.Attempts != tt.n {
				t.Errorf("outcome %+v", out)
			}
			o.close()
			o.open()
			if n := o.Queued(); n != 0 {
				t.Errorf("%d are still queued", n)
			}
		})
	}
}

// retried waits until the store knows of n tries.
func (o *office) retried(n int) {
	o.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		_, next, err := o.store.ClaimNotices(o.t.Context(), "hook", start.Add(-time.Hour), start, 1)
		if err != nil {
			o.t.Fatal(err)
		}
		if d := next.Sub(o.clock.Now()); !next.IsZero() && d < time.Minute {
			return
		}
	}
	o.t.Fatalf("no %d tries within a minute", n)
}

func TestRestartLosesNothing(t *testing.T) {
	o := openOffice(t)
	o.use(newPost("hook"))
	if err := o.Close(t.Context()); err != nil { // nobody delivers any more
		t.Fatal(err)
	}
	for n := range 50 {
		o.put(message(fmt.Sprint("m", n)))
	}
	o.close()
	o.open()
	if o.Queued() != 50 {
		t.Fatalf("%d queued", o.Queued())
	}
	p := newPost("hook")
	o.use(p)
	seen := map[string]bool{}
	for range 50 {
		seen[take(t, o.reports).Delivery] = true
	}
	if len(seen) != 50 || len(p.tries) != 50 {
		t.Errorf("%d deliveries, %d tries", len(seen), len(p.tries))
	}
}

func TestNotifierGone(t *testing.T) {
	o := openOffice(t)
	p := newPost("hook")
	p.fail = func(*notify.Delivery) error { return errors.New("down") }
	o.use(p)
	o.put(message("m"))
	take(t, p.tries)
	o.retried(1)
	o.use(newPost("other"))
	o.clock.Advance(10 * time.Second)
	if out := take(t, o.reports); out.Sent || out.Via != "hook" || !strings.Contains(out.Error, "not in the configuration") {
		t.Errorf("outcome %+v", out)
	}
}

// TestReportedOnce: what could not be recorded is recorded later, and not sent again for it.
func TestReportedOnce(t *testing.T) {
	o := openOffice(t)
	p := newPost("hook")
	o.use(p)
	o.mu.Lock()
	o.broken = errors.New("the journal is full")
	o.mu.Unlock()
	o.put(message("m"))
	take(t, p.tries)
	o.retried(1)
	o.mu.Lock()
	o.broken = nil
	o.mu.Unlock()
	o.clock.Advance(31 * time.Second)
	if out := take(t, o.reports); !out.Sent || out.Attempts != 1 {
		t.Errorf("outcome %+v", out)
	}
	if len(p.tries) != 0 {
		t.Error("sent again")
	}
}

func TestPutAgain(t *testing.T) {
	o := openOffice(t)
	p := newPost("hook")
	hold := make(chan struct{})
	p.fail = func(*notify.Delivery) error { <-hold; return nil }
	o.use(p)
	o.put(message("m"))
	o.put(message("m"))
	close(hold)
	take(t, o.reports)
	if n := len(p.tries); n != 1 {
		t.Errorf("delivered %d times", n)
	}
}

func TestPanicIsAFailure(t *testing.T) {
	o := openOffice(t)
	p := newPost("hook")
	p.fail = func(d *notify.Delivery) error {
		if d.Attempt == 1 {
			panic("boom")
		}
		return nil
	}
	o.use(p)
	o.put(message("m"))
	take(t, p.tries)
	o.dueAfter(3750*time.Millisecond, 6250*time.Millisecond)
	if out := take(t, o.reports); !out.Sent || out.Attempts != 2 {
		t.Errorf("outcome %+v", out)
	}
}

func TestReaches(t *testing.T) {
	o := openOffice(t)
	if o.Reaches(message("m"), "sam") {
		t.Error("reached by nothing")
	}
	mail := newPost("email")
	mail.each = true
	o.use(mail)
	if !o.Reaches(message("m"), "Sam") || o.Reaches(message("m"), "eve") {
		t.Error("sam is reached, eve is not")
	}
	o.use(mail, newPost("hook"))
	if !o.Reaches(message("m"), "eve") {
		t.Error("a webhook reaches everybody")
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		" a \r\n Bcc: x@y.z\t b ":     "a Bcc: x@y.z b",
		"evil\u202egnp.exe":           "evil gnp.exe",
		"\u2028\u2029nul\x00\x7f end": "nul end",
		"Zoë 王":                       "Zoë 王",
		"\xff\xfebad":                 "�bad",
	} {
		if got := notify.Line(in, 100); got != want && !(strings.HasSuffix(want, "bad") && strings.HasSuffix(got, "bad")) {
			t.Errorf("Line(%q) is %q, want %q", in, got, want)
		}
	}
	if got := notify.Line("abcdef", 3); got != "abc…" {
		t.Errorf("cut to %q", got)
	}
}
