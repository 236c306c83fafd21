package e2e

import (
	"bytes"
	"database/sql"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
	"github.com/seed-240d5494/caddy-impersonate/test/receivers"
)

// letters counts what a mail server got, by recipient and message.
type letters map[string]int

func (l letters) take(t *testing.T, m *receivers.Receiver, more func() bool) {
	t.Helper()
	for more() {
		// What a dead gateway had in its hands is free again a minute later.
		waitFor(t, 3*time.Minute, "another message comes", func() bool { return len(m.Got) > 0 })
		g := m.Next()
		read, err := mail.ReadMessage(bytes.NewReader(g.Raw))
		if err != nil {
			t.Fatal(err)
		}
		if len(g.To) != 1 || read.Header.Get("Message-Id") == "" {
			t.Fatalf("to %v, headers %v", g.To, read.Header)
		}
		l[g.To[0]+" "+read.Header.Get("Message-Id")]++
	}
}

func (l letters) total() int {
	n := 0
	for _, times := range l {
		n += times
	}
	return n
}

// waiting counts the notices that the gateway has still to deliver, in its state.
func waiting(t *testing.T, p *parts) int {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.Dir, "state.db")+"?mode=ro&_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT count(*) FROM notices").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// mailServer is one that is down, with an address of its own.
func mailServer(t *testing.T) *receivers.Receiver {
	t.Helper()
	m := receivers.Mail(t, receivers.Config{})
	m.Kill()
	return m
}

func noticesBy(m *receivers.Receiver, more string) string {
	return "notify email smtp://" + m.Addr() + " {\n\t\t\tfrom \"Help desk <help@example.test>\"\n\t\t}\n\t\t" + more
}

// TestGatewayKilledWithNoticesQueued: the mail server is down and the gateway dies, twice, as from a power cut. When both are
// back, everybody has been told everything, nothing twice; and the audit says so, once for each.
func TestGatewayKilledWithNoticesQueued(t *testing.T) {
	m := mailServer(t)
	p := newParts(t)
	p.App = startMirror(t)
	p.Policy = "notify target owners"
	p.More = noticesBy(m, "notify digest off")
	g := startGateway(t, p)
	alice, bob := logIn(t, p.origin(), "alice"), logIn(t, p.origin(), "bob")
	const starts = 6
	for n := range starts {
		who := []*person{alice, bob}[n%2]
		who.become("sam")
		if n == starts/2 {
			g.kill(syscall.SIGKILL)
			g.start()
		}
		who.back()
	}
	if n := waiting(t, p); n != 2*starts {
		t.Fatalf("%d notices wait, want %d: to sam and the owner for each start", n, 2*starts)
	}
	g.kill(syscall.SIGKILL)
	m.Start()
	g.start()

	got := letters{}
	got.take(t, m, func() bool { return got.total() < 2*starts })
	waitFor(t, 3*time.Minute, "nothing waits", func() bool { return waiting(t, p) == 0 })
	got.take(t, m, func() bool { return len(m.Got) > 0 })
	if len(got) != 2*starts || got.total() != 2*starts {
		t.Errorf("%d messages of %d came, want %d, each once: %v", got.total(), len(got), 2*starts, got)
	}
	g.kill(syscall.SIGTERM)
	db, err := sql.Open("sqlite", filepath.Join(p.Dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sent, failed int
	if err := db.QueryRow("SELECT sum(type = 'notice_sent'), sum(type = 'notice_failed') FROM events").Scan(&sent, &failed); err != nil {
		t.Fatal(err)
	}
	if sent != 2*starts || failed != 0 {
		t.Errorf("the audit has %d notices sent and %d failed", sent, failed)
	}
}

// TestGatewayKilledWhileItTells: killed again and again with deliveries under way, it loses none. The one that was under way
// may come again, under the same Message-ID, by which mail programs know it.
func TestGatewayKilledWhileItTells(t *testing.T) {
	m := mailServer(t)
	m.Start()
	p := newParts(t)
	p.App = startMirror(t)
	p.Policy = "notify target owners"
	p.More = noticesBy(m, "notify digest off")
	g := startGateway(t, p)
	alice := logIn(t, p.origin(), "alice")
	const rounds, each = 4, 3
	for range rounds {
		for range each {
			alice.become("sam")
			alice.back()
		}
		g.kill(syscall.SIGKILL) // the last are on their way
		g.start()
	}
	got := letters{}
	got.take(t, m, func() bool { return len(got) < 2*rounds*each })
	waitFor(t, 3*time.Minute, "nothing waits", func() bool { return waiting(t, p) == 0 })
	got.take(t, m, func() bool { return len(m.Got) > 0 })
	t.Logf("%d messages, of which %d came twice", len(got), got.total()-len(got))
	if len(got) != 2*rounds*each {
		t.Errorf("%d messages, want %d: %v", len(got), 2*rounds*each, got)
	}
	if again := got.total() - len(got); again > 4*rounds { // as many are under way at a time
		t.Errorf("%d came again for %d crashes", again, rounds)
	}
}

// TestDigestOnceOverCrashes: the gateway dies and comes back again and again around the moment at which the digest is due. It
// is sent, once.
func TestDigestOnceOverCrashes(t *testing.T) {
	stepped := filepath.Join(t.TempDir(), "steppedgateway")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", stepped, "./steppedgateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the gateway with a clock of its own: %v\n%s", err, out)
	}
	m := mailServer(t)
	p := newParts(t)
	p.App = freeport.Addr(t) // nobody asks for a page
	p.More = noticesBy(m, "notify digest monday 08:00")
	write(t, filepath.Join(p.Dir, "config.json"), string(p.configWithClock(t, "stepped")))
	clock := filepath.Join(p.Dir, "clock")
	g := &gateway{t: t, parts: p, log: &logBuffer{}, config: filepath.Join(p.Dir, "config.json"), binary: stepped, env: []string{"CLOCK_OFFSET=" + clock}}
	t.Cleanup(func() {
		g.kill(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.log.String())
		}
	})
	// The first start, in the middle of some week: from now on there are digests.
	due := time.Now().UTC().Truncate(24 * time.Hour)
	for due.Weekday() != time.Monday {
		due = due.AddDate(0, 0, 1)
	}
	due = due.AddDate(0, 0, 7).Add(8 * time.Hour)
	at := func(now time.Time) {
		t.Helper()
		write(t, clock, strconv.FormatInt(int64(time.Until(now)), 10))
	}
	at(due.AddDate(0, 0, -3))
	g.start()
	g.kill(syscall.SIGKILL)

	at(due.Add(-4 * time.Second))
	began := time.Now()
	for crash := 0; crash < 8 || time.Since(began) < 8*time.Second; crash++ {
		g.start()
		pause := time.NewTimer(time.Duration(crash%4) * 200 * time.Millisecond)
		<-pause.C
		g.kill(syscall.SIGKILL)
	}
	// On a slow machine it may not have come to it yet.
	g.start()
	waitFor(t, 3*time.Minute, "the digest waits", func() bool { return waiting(t, p) > 0 })
	g.kill(syscall.SIGKILL)
	if n := waiting(t, p); n != 1 {
		t.Fatalf("%d digests wait, want one, for the owner", n)
	}
	m.Start()
	g.start()
	got := letters{}
	got.take(t, m, func() bool { return got.total() < 1 })
	waitFor(t, 3*time.Minute, "nothing waits", func() bool { return waiting(t, p) == 0 })
	g.kill(syscall.SIGTERM)
	g.start()
	g.kill(syscall.SIGTERM)
	got.take(t, m, func() bool { return len(m.Got) > 0 })
	if got.total() != 1 {
		t.Errorf("the digest came %d times: %v", got.total(), got)
	}
}
