package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// slack is a busy machine's: what is not bounded takes longer by far.
const slack = 30 * time.Second

// slowly is for a sink whose own limits are no help.
const slowly = "?dial_timeout=10m&read_timeout=10m"

// within runs f, which must fail, and not for good, in about the time that its context allows.
func within(t *testing.T, limit time.Duration, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	start := time.Now()
	err := f(ctx)
	took := time.Since(start)
	if err == nil || errors.Is(err, audit.ErrPermanent) {
		t.Errorf("got error %v", err)
	}
	if took > limit+slack {
		t.Errorf("took %v, allowed were %v: %v", took, limit, err)
	}
}

func TestOutageIsBounded(t *testing.T) {
	srv := chtest.Start(t)
	s := open(t, srv.DSN+slowly)
	if err := s.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	calls := func(t *testing.T, s *clickhouse.Sink) {
		t.Helper()
		for range 2 {
			within(t, 300*time.Millisecond, func(ctx context.Context) error { return s.Write(ctx, makeBatch("log", 101, 200, march)) })
			within(t, 300*time.Millisecond, s.Check)
			within(t, 300*time.Millisecond, s.Ping)
			within(t, 300*time.Millisecond, func(ctx context.Context) error { _, err := s.Plan(ctx); return err })
			within(t, 300*time.Millisecond, func(ctx context.Context) error { return s.Apply(ctx, nil) })
		}
	}
	write(t, s, makeBatch("log", 1, 100, march))

	srv.Kill()
	calls(t, s)
	srv.Restart()
	write(t, s, makeBatch("log", 101, 200, march))

	srv.Hang()
	calls(t, s)                       // on connections that were open
	calls(t, open(t, srv.DSN+slowly)) // and on new ones
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(200*time.Millisecond, cancel)
		start := time.Now()
		if err := s.Write(ctx, makeBatch("log", 201, 300, march)); err == nil || time.Since(start) > slack {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
	srv.Resume()
	write(t, s, makeBatch("log", 201, 300, march))
	holdsOnce(t, srv, "log", 300, 3)
}

// TestHangInTheMiddle: the server hangs while it is inserting; what was given up may still be committed.
func TestHangInTheMiddle(t *testing.T) {
	srv, s := ready(t)
	for n := range uint64(5) {
		b := makeBatch("log", n*5000+1, (n+1)*5000, lateMarch)
		hung := make(chan struct{})
		go func() {
			defer close(hung)
			srv.Hang()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		err := s.Write(ctx, b)
		cancel()
		<-hung
		srv.Resume()
		if errors.Is(err, audit.ErrPermanent) {
			t.Fatal(err)
		}
		write(t, s, b)
	}
	holdsOnce(t, srv, "log", 25_000, 5)
}

func TestFailover(t *testing.T) {
	srv, s := ready(t)
	write(t, s, makeBatch("log", 1, 100, march))
	hanging := chtest.StartOwn(t)
	hanging.Hang()
	// Nobody listens at refusing, and nobody answers at silent.
	refusing := freeport.Addr(t)

	// Whoever waits for the hanging one waits this long.
	const dial = 20 * time.Second
	three := fmt.Sprintf("clickhouse://default@%s,%s,%s/%s?read_timeout=10m&dial_timeout=%s", refusing, hanging.Addr, srv.Addr, chtest.Database, dial)
	s = open(t, three)
	start := time.Now()
	write(t, s, makeBatch("log", 101, 200, march))
	if took := time.Since(start); took > dial+slack {
		t.Errorf("the first write took %v", took)
	}
	// It remembers who answered.
	start = time.Now()
	for n := range uint64(3) {
		write(t, s, makeBatch("log", 201+n*100, 300+n*100, march))
	}
	if took := time.Since(start); took > dial {
		t.Errorf("later writes took %v", took)
	}
	holdsOnce(t, srv, "log", 500, 5)
	// Those who read are not held up by the same hosts.
	reader, err := clickhouse.OpenReader(three, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	start = time.Now()
	if found, err := reader.Checkpoints(t.Context(), audit.Filter{}, audit.Page{}); err != nil || len(found.Rows) != 5 {
		t.Errorf("reading: %v", err)
	}
	if took := time.Since(start); took > dial+slack {
		t.Errorf("the first read took %v", took)
	}

	s = open(t, fmt.Sprintf("clickhouse://default@%s,%s/%s?dial_timeout=1s", refusing, hanging.Addr, chtest.Database))
	within(t, 2*time.Second, s.Check)
}

// TestRefusedForGood: an operator's constraint refuses one batch's rows; others go on.
func TestRefusedForGood(t *testing.T) {
	srv, s := ready(t)
	srv.Exec("ALTER TABLE " + chtest.Database + ".requests ADD CONSTRAINT no_42 CHECK seq != 42")
	if err := s.Write(t.Context(), makeBatch("log", 1, 50, march)); !errors.Is(err, audit.ErrPermanent) {
		t.Errorf("got %v", err)
	}
	write(t, s, makeBatch("log", 51, 100, march))
}

// TestMendable: what an operator can mend is not refused for good, and says what to do.
func TestMendable(t *testing.T) {
	srv, s := ready(t)
	db := chtest.Database
	for _, tt := range []struct{ damage, mend, says string }{
		{"ALTER TABLE " + db + ".requests DROP COLUMN host", "ALTER TABLE " + db + ".requests ADD COLUMN host LowCardinality(String)", "schema apply"},
		{"DROP TABLE " + db + ".checkpoints", "", "schema apply"},
		{"DROP VIEW " + db + ".received", "", "schema apply"},
	} {
		srv.Exec(tt.damage)
		s := open(t, srv.DSN)
		err := s.Write(t.Context(), makeBatch("log", 1, 100, march))
		if err == nil || errors.Is(err, audit.ErrPermanent) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: write: %v", tt.damage, err)
		}
		if err := s.Check(t.Context()); err == nil {
			t.Errorf("%s: check found nothing", tt.damage)
		}
		if tt.mend != "" {
			srv.Exec(tt.mend)
		} else if err := s.Apply(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("mended: %v", err)
		}
		write(t, s, makeBatch("log", 1, 100, march))
	}
	write(t, s, makeBatch("log", 1, 100, march))
	holdsOnce(t, srv, "log", 100, 1)
}

// TestRemovalOutlastsReadTimeout: a deletion takes as long as the servers may take, not as long as an answer to a question.
func TestRemovalOutlastsReadTimeout(t *testing.T) {
	srv, s := ready(t)
	write(t, s, makeBatch("log", 1, 100, march))
	separator := "?"
	if strings.Contains(srv.DSN, "?") {
		separator = "&"
	}
	const readTimeout = 200 * time.Millisecond
	hasty := open(t, srv.DSN+separator+"read_timeout="+readTimeout.String())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for err := hasty.Ping(ctx); err != nil; err = hasty.Ping(ctx) { // shaking hands has a time of its own; the answer may be late
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	srv.Hang()
	removed := make(chan error, 1)
	go func() { removed <- hasty.RemoveNow(t.Context(), audit.Prefix{LogID: "log", Through: 40}) }()
	select {
	case err := <-removed:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(4 * readTimeout):
	}
	srv.Resume()
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	if got := srv.Count("SELECT min(seq) FROM " + chtest.Database + ".requests"); got != 41 {
		t.Errorf("requests begin at %d, want 41", got)
	}
}
