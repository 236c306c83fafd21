package retention_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	statesqlite "github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

var begin = time.Date(2025, 1, 1, 9, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"400d": "400d", " 30d ": "30d", "2w": "14d", "forever": "forever", "36500d": "36500d",
		"": "", "d": "", "0d": "", "-3d": "", "+3d": "", "1.5d": "", "400": "", "12h": "", "36501d": "", "9999w": "", "99999999999999999999d": "", "ever": "",
	} {
		p, err := retention.Parse(text)
		if got := p.String(); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// rig is a gateway's log with a sink, and the keeper of its retention.
type rig struct {
	t        *testing.T
	clock    *clock.Manual
	store    state.Store
	recorder *audit.Recorder
	keeper   *retention.Keeper
	proof    *proof.Store
	key      string
}

func newRig(t *testing.T, sink audit.Sink, store *proof.Store, limits retention.Limits) *rig {
	t.Helper()
	g := &rig{t: t, clock: clock.NewManual(begin), proof: store}
	st, err := statesqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), statesqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g.store = st
	t.Cleanup(func() { _ = st.Close() })
	dir := filepath.Join(t.TempDir(), "journal")
	if g.recorder, err = audit.Open(audit.Options{Dir: dir, Clock: g.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.recorder.Close(over)
	})
	g.recorder.SealEvery(10, 10*time.Second)
	g.recorder.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	if err := g.recorder.UseSinks(t.Context(), audit.ShipOptions{}, sink); err != nil {
		t.Fatal(err)
	}
	g.keeper = retention.New(retention.Options{Store: st, Audit: g.recorder, Clock: g.clock, Log: slog.New(slog.DiscardHandler), Limits: limits})
	key, err := os.ReadFile(filepath.Join(dir, "signing_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(key)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			g.key = line
		}
	}
	return g
}

// requests are made by one impersonation.
func (g *rig) requests(id string, n int) {
	g.t.Helper()
	for range n {
		in, err := g.recorder.Intent(&audit.Request{ImpersonationID: id, ActorUsername: "alice", TargetUsername: "sam", Method: "GET", Host: "app.example.com", Path: "/"})
		if err != nil {
			g.t.Fatal(err)
		}
		in.Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeCompleted})
	}
}

func (g *rig) event(kind, id, detail string) {
	g.t.Helper()
	if err := g.recorder.Event(g.t.Context(), audit.Event{Type: kind, ImpersonationID: id, ActorUsername: "alice", TargetUsername: "sam", Detail: detail}); err != nil {
		g.t.Fatal(err)
	}
}

// ship waits until the sink has everything, under a checkpoint.
func (g *rig) ship() {
	g.t.Helper()
	g.clock.Advance(11 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		if s := g.recorder.Stats(); len(s.Sinks) == 1 && s.Sinks[0].ShippedSeq == s.LastSeq && g.checkpointed(s.LastSeq) {
			return
		}
		if n == 40_000 {
			g.t.Fatalf("not shipped: %+v", g.recorder.Stats().Sinks)
		}
		if n%20 == 19 {
			g.clock.Advance(time.Second) // a batch waits for as long, a try after an error too
		}
		<-tick.C
	}
}

func (g *rig) checkpointed(seq uint64) bool {
	var size uint64
	err := g.proof.DB.QueryRowContext(g.t.Context(), "SELECT max(size) FROM "+g.proof.Prefix+"checkpoints").Scan(&size)
	return err == nil && size >= seq
}

func (g *rig) verify() *proof.Report {
	g.t.Helper()
	r, err := proof.Verify(g.t.Context(), g.proof, proof.Options{Keys: []string{g.key}, Now: g.clock.Now().Add(time.Hour)})
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

func (g *rig) apply(more bool) {
	g.t.Helper()
	if got, err := g.keeper.Apply(g.t.Context()); err != nil || got != more {
		g.t.Fatalf("applying: more %v, %v", got, err)
	}
}

func (g *rig) count(what string) (n int) {
	g.t.Helper()
	if err := g.proof.DB.QueryRowContext(g.t.Context(), "SELECT count(*) FROM "+g.proof.Prefix+what).Scan(&n); err != nil {
		g.t.Fatal(err)
	}
	return n
}

// onBothEngines runs a test on SQLite and on ClickHouse.
func onBothEngines(t *testing.T, f func(t *testing.T, open func(*testing.T) (audit.Sink, *proof.Store))) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, func(t *testing.T) (audit.Sink, *proof.Store) {
			file := filepath.Join(t.TempDir(), "audit.db")
			sink, err := sqlite.Open(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return sink, &proof.Store{DB: db}
		})
	})
	t.Run("clickhouse", func(t *testing.T) {
		t.Parallel()
		srv := chtest.Start(t)
		n := 0
		f(t, func(t *testing.T) (audit.Sink, *proof.Store) {
			n++
			database := fmt.Sprintf("retention_%d", n)
			dsn := strings.Replace(srv.DSN, "/"+chtest.Database, "/"+database, 1)
			sink, err := clickhouse.Open(dsn)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(sink.Apply(t.Context(), nil), sink.Maintain(dsn)); err != nil {
				t.Fatal(err)
			}
			db, err := clickhouse.OpenReadOnly(dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close(); srv.Exec("DROP DATABASE " + database) })
			settings, err := clickhouse.SortOnDisk(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			return sink, &proof.Store{DB: db, Prefix: "`" + database + "`.", Settings: settings}
		})
	})
}

// TestOnlyTheBeginningGoes: rows leave with their retention, the log says so before they do, what remains is proven as
// before, and nothing that a live impersonation needs is touched.
func TestOnlyTheBeginningGoes(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, open func(*testing.T) (audit.Sink, *proof.Store)) {
		sink, store := open(t)
		g := newRig(t, sink, store, retention.Limits{Initial: 100, Floor: 1})
		g.event(audit.EventImpersonationStarted, "old", "")
		g.requests("old", 25)
		g.event(audit.EventImpersonationEnded, "old", "stopped")
		g.ship()
		g.clock.Advance(50 * day)
		g.event(audit.EventImpersonationStarted, "long", "")
		g.requests("long", 25)
		g.ship()
		live := &state.Impersonation{ID: "long", ActorID: "u1", ActorUsername: "alice", TargetID: "u2", TargetUsername: "sam", Mode: "full", Policy: "p", Site: "https://app.example.com", StartedAt: g.clock.Now(), ExpiresAt: g.clock.Now().Add(1000 * day), LastSeen: g.clock.Now()}
		if err := g.store.CreateSession(t.Context(), &state.Session{ID: live.Session, Issuer: "i", Subject: "s", UserID: "u1", Username: "alice", CreatedAt: g.clock.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := g.store.CreateImpersonation(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		g.apply(false)
		if n := g.count("requests"); n != 50 {
			t.Fatalf("%d rows, and nothing is old yet", n)
		}

		g.clock.Advance(60 * day) // the first is 110 days old, the second 60
		g.apply(true)
		if n := g.count("requests"); n != 50 {
			t.Fatalf("%d rows: they went before the log said so", n)
		}
		g.ship()
		g.clock.Advance(11 * time.Minute)
		g.apply(false)
		if n := g.count("requests WHERE impersonation_id = 'old'"); n > 10 {
			t.Errorf("%d old rows are left; a checkpoint is every ten", n)
		}
		if n := g.count("requests WHERE impersonation_id = 'long'"); n != 25 {
			t.Errorf("%d young rows", n)
		}
		r := g.verify()
		if !r.Clean() || r.Logs[0].Removed == 0 || r.Logs[0].First != r.Logs[0].Removed+1 {
			t.Errorf("verified: %+v", r)
		}
		removed := r.Logs[0].Removed

		// All is old now, but somebody is still in the account: their rows stay.
		g.clock.Advance(100 * day)
		g.requests("other", 30)
		g.ship()
		g.apply(false)
		if n := g.count("requests WHERE impersonation_id = 'long'"); n != 25 {
			t.Errorf("%d rows of a live impersonation", n)
		}
		if r := g.verify(); !r.Clean() || r.Logs[0].Removed < removed {
			t.Errorf("verified: %+v", r)
		}
		if err := g.store.UpdateImpersonation(t.Context(), "long", func(i *state.Impersonation) error {
			i.EndedAt, i.EndCause = g.clock.Now(), "stopped"
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		g.event(audit.EventImpersonationEnded, "long", "stopped")
		g.clock.Advance(day)
		g.apply(true)
		g.ship()
		g.clock.Advance(11 * time.Minute)
		g.apply(false)
		if n := g.count("requests WHERE impersonation_id = 'long'"); n > 10 {
			t.Errorf("%d rows are left after the end", n)
		}
		r = g.verify()
		if !r.Clean() || r.Logs[0].Removed <= removed {
			t.Errorf("verified: %+v", r)
		}
		// What remains is proven as strictly as ever: also the first row behind what is gone.
		first := r.Logs[0].First
		for _, table := range []string{"requests", "events"} {
			statement := fmt.Sprintf("DELETE FROM %s%s WHERE seq = %d", g.proof.Prefix, table, first)
			if g.proof.Prefix != "" {
				statement = fmt.Sprintf("ALTER TABLE %s%s DELETE WHERE seq = %d SETTINGS mutations_sync = 2", g.proof.Prefix, table, first)
			}
			if _, err := g.proof.DB.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if r := g.verify(); !slices.ContainsFunc(r.Findings, func(f proof.Finding) bool { return f.Kind == proof.KindMissing && f.From == first }) {
			t.Errorf("row %d is gone, and not by retention: %+v", first, r.Findings)
		}
	})
}

// TestForgedRemoval: whoever deletes the beginning of a log and adds an event that says retention did is found.
func TestForgedRemoval(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, open func(*testing.T) (audit.Sink, *proof.Store)) {
		sink, store := open(t)
		g := newRig(t, sink, store, retention.Limits{})
		g.requests("a", 35)
		g.ship()
		if r := g.verify(); !r.Clean() {
			t.Fatalf("%+v", r)
		}
		if err := sink.(audit.Trimmer).Remove(t.Context(), audit.Prefix{LogID: g.recorder.LogID(), Through: 20}); err != nil {
			t.Fatal(err)
		}
		if r := g.verify(); !slices.ContainsFunc(r.Findings, func(f proof.Finding) bool { return f.Kind == proof.KindMissing && f.From == 1 && f.To == 20 }) {
			t.Errorf("deleted without a word: %+v", r.Findings)
		}
		forged := &audit.Event{Time: g.clock.Now(), LogID: g.recorder.LogID(), Seq: 36, Type: audit.EventRetentionApplied, Detail: audit.Detail("log", g.recorder.LogID(), "through", 20)}
		forged.Hash()
		if err := sink.Write(t.Context(), &audit.Batch{LogID: forged.LogID, From: 36, To: 36, Token: "forged", Events: []*audit.Event{forged}}); err != nil {
			t.Fatal(err)
		}
		// Young enough that it may wait for its checkpoint.
		r, err := proof.Verify(t.Context(), g.proof, proof.Options{Keys: []string{g.key}, Now: forged.Time})
		if err != nil || r.Clean() {
			t.Errorf("a forged event covers it up: %+v, %v", r, err)
		}
	})
}

// failing is a log that takes nothing.
type failing struct{ retention.Log }

func (failing) Event(context.Context, audit.Event) error {
	return errors.New("no space left on device")
}

func TestChange(t *testing.T) {
	t.Parallel()
	sink, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	limits := retention.Limits{Initial: 400, Floor: 90}
	g := newRig(t, sink, nil, limits)
	ctx := t.Context()
	change := func(p retention.Period, reason, match string) (*retention.Setting, error) {
		return g.keeper.Change(ctx, retention.Change{Period: p, Reason: reason, Match: match, ActorUsername: "olga"})
	}
	s, err := g.keeper.Setting(ctx)
	if err != nil || s.Period != 400 || !s.ChangedAt.IsZero() || s.Effective(begin) != 400 {
		t.Fatalf("%+v, %v", s, err)
	}
	floor := new(retention.FloorError)
	if _, err := change(89, "why", ""); !errors.As(err, &floor) || floor.Floor != 90 {
		t.Errorf("below the floor: %v", err)
	}
	for _, reason := range []string{"", " \n", strings.Repeat("x", retention.MaxReason+1)} {
		if _, err := change(200, reason, ""); !errors.Is(err, retention.ErrReason) {
			t.Errorf("reason %.10q: %v", reason, err)
		}
	}
	if _, err := change(200, "why", "old"); !errors.Is(err, retention.ErrChanged) {
		t.Errorf("another version: %v", err)
	}
	before := g.recorder.LastSeq()
	next, err := change(90, " the works council asked ", s.Version)
	if err != nil || next.Period != 90 || next.Version == s.Version || next.ChangedBy != "olga" || next.Reason != "the works council asked" {
		t.Fatalf("%+v, %v", next, err)
	}
	if g.recorder.LastSeq() != before+1 {
		t.Error("the change is not recorded")
	}
	// What is deleted can't be had back: a shorter time takes a day to take effect.
	if got := next.Effective(begin.Add(retention.Grace - time.Second)); got != 400 {
		t.Errorf("at once %s", got)
	}
	if got := next.Effective(begin.Add(retention.Grace)); got != 90 {
		t.Errorf("after a day %s", got)
	}
	// Changing it again within the day does not get around that.
	if again, err := change(91, "hurry", ""); err != nil || again.Effective(begin.Add(time.Hour)) != 400 {
		t.Errorf("%+v, %v", again, err)
	}
	if longer, err := change(retention.Forever, "a lawsuit", ""); err != nil || longer.Effective(begin) != retention.Forever {
		t.Errorf("longer: %+v, %v", longer, err)
	}
	// A later floor of the operator's counts at once.
	k := retention.New(retention.Options{Store: g.store, Audit: g.recorder, Clock: g.clock, Limits: retention.Limits{Floor: retention.Forever}})
	if _, err := change(90, "over", ""); err != nil {
		t.Fatal(err)
	}
	if s, err := k.Setting(ctx); err != nil || s.Effective(begin.Add(100*day)) != retention.Forever {
		t.Errorf("%+v, %v", s, err)
	}
	// No record, no change.
	k = retention.New(retention.Options{Store: g.store, Audit: failing{g.recorder}, Clock: g.clock, Limits: limits})
	if _, err := k.Change(ctx, retention.Change{Period: 300, Reason: "why"}); err == nil {
		t.Error("changed without a record")
	}
	if s, err := k.Setting(ctx); err != nil || s.Period != 90 {
		t.Errorf("%+v, %v", s, err)
	}
	if n := g.recorder.LastSeq(); n != before+4 {
		t.Errorf("%d events of 4 changes", n-before)
	}
}

// TestRun: it looks a minute after the start, then every hour, and soon after what it said.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks := make(chan time.Time, 100)
		k := retention.New(retention.Options{Store: looked{looks}, Clock: clock.System, Log: slog.New(slog.DiscardHandler), Limits: retention.Limits{Initial: 1}})
		ctx, cancel := context.WithCancel(t.Context())
		go k.Run(ctx)
		start := time.Now()
		<-time.After(3*time.Hour + 2*time.Minute) // of the bubble's time
		cancel()
		synctest.Wait()
		var got []time.Duration
		for len(looks) > 0 {
			got = append(got, (<-looks).Sub(start))
		}
		if want := []time.Duration{time.Minute, time.Hour + time.Minute, 2*time.Hour + time.Minute, 3*time.Hour + time.Minute}; !slices.Equal(got, want) {
			t.Errorf("looked at %v", got)
		}
	})
}

// looked is a store that can't be read.
type looked struct{ at chan time.Time }

func (l looked) Setting(context.Context, string) (string, error) {
	l.at <- time.Now()
	return "", errors.New("disk I/O error")
}
func (looked) PutSetting(context.Context, string, string) error { return nil }
func (looked) LiveImpersonations(context.Context) ([]*state.Impersonation, error) {
	return nil, nil
}
