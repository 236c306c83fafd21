package tamper_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
	"github.com/seed-240d5494/caddy-impersonate/test/tamper"
)

// TestTheLogProvesItself is invariant 12: each kind of tampering, by SQL, is found and named.
func TestTheLogProvesItself(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, func(t *testing.T) (audit.Sink, *tamper.DB) {
			file := filepath.Join(t.TempDir(), "audit.db")
			sink, err := sqlite.Open(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
			if err != nil {
				t.Fatal(err)
			}
			return sink, &tamper.DB{SQL: db}
		})
	})
	t.Run("clickhouse", func(t *testing.T) {
		t.Parallel()
		srv := chtest.Start(t)
		n := 0
		run(t, func(t *testing.T) (audit.Sink, *tamper.DB) {
			n++
			database := fmt.Sprintf("tamper_%d", n)
			dsn := strings.Replace(srv.DSN, "/"+chtest.Database, "/"+database, 1)
			sink, err := clickhouse.Open(dsn)
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.Apply(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			db, err := clickhouse.OpenReadOnly(dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { srv.Exec("DROP DATABASE " + database) })
			return sink, &tamper.DB{SQL: db, ClickHouse: true, Prefix: "`" + database + "`."}
		})
	})
}

func run(t *testing.T, open func(*testing.T) (audit.Sink, *tamper.DB)) {
	check := func(t *testing.T, kind *tamper.Kind) {
		sink, d := open(t)
		t.Cleanup(func() { _ = d.SQL.Close() })
		key := record(t, sink, d)
		if d.Key, _ = audit.OwnSigner(t.TempDir()); d.Key == nil {
			t.Fatal("no key to forge with")
		}
		var witness []string
		rows, err := d.Rows(t.Context(), audit.TableCheckpoints, "1 = 1")
		if err != nil || len(rows) < 4 {
			t.Fatalf("%d checkpoints, %v", len(rows), err)
		}
		for _, r := range rows {
			witness = append(witness, r[4])
		}
		verify := func(witness []string) *proof.Report {
			r, err := proof.Verify(t.Context(), &proof.Store{DB: d.SQL, Prefix: d.Prefix}, proof.Options{Keys: []string{key}, Now: time.Now().Add(time.Hour), Witness: proof.Notes(witness...)})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := verify(witness); !r.Clean() {
			t.Fatalf("before: %v", r.Findings)
		}
		if kind == nil {
			return
		}
		if err := kind.Do(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if kind.Witness {
			if r := verify(nil); !r.Clean() {
				t.Errorf("found without the witness: %v", r.Findings)
			}
		} else {
			witness = nil
		}
		r := verify(witness)
		named := slices.ContainsFunc(r.Findings, func(f proof.Finding) bool { return slices.Contains(kind.Want, f.Kind) })
		if !named {
			t.Errorf("found %v, want one of %v", r.Findings, kind.Want)
		}
		for _, f := range r.Findings {
			t.Log(f)
		}
	}
	for _, kind := range tamper.Kinds {
		t.Run(strings.ReplaceAll(kind.Name, " ", "_"), func(t *testing.T) { check(t, &kind) })
	}
}

// record writes the log of a small help desk to a sink and witnesses, by a real recorder, and returns its public key.
func record(t *testing.T, sink audit.Sink, d *tamper.DB, witnesses ...audit.Witness) (key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	r, err := audit.Open(audit.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	d.LogID = r.LogID()
	r.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	r.SealEvery(7, time.Minute)
	if err := r.UseWitnesses(ctx, audit.ShipOptions{}, witnesses...); err != nil {
		t.Fatal(err)
	}
	if err := r.UseSinks(ctx, audit.ShipOptions{}, sink); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		id := fmt.Sprintf("imp-%d", i)
		who := audit.Event{ImpersonationID: id, ActorID: "u-1", ActorUsername: "alice", TargetID: "u-2", TargetUsername: "sam", Reason: "it's \\ odd"}
		who.Type = audit.EventImpersonationStarted
		if err := r.Event(ctx, who); err != nil {
			t.Fatal(err)
		}
		for n := range 8 {
			in, err := r.Intent(&audit.Request{ImpersonationID: id, ActorID: "u-1", ActorUsername: "alice", TargetID: "u-2", TargetUsername: "sam", Method: "POST", Path: fmt.Sprintf("/bookings/%d", n)})
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Durable(ctx); err != nil {
				t.Fatal(err)
			}
			in.Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeCompleted, Duration: time.Millisecond})
		}
		who.Type, who.Detail = audit.EventImpersonationEnded, `{"cause":"stopped"}`
		if err := r.Event(ctx, who); err != nil {
			t.Fatal(err)
		}
	}
	// The last event was sealed.
	for slices.ContainsFunc(r.Stats().Witnesses, func(s audit.SinkStatus) bool { return s.Backlog > 0 }) {
		if ctx.Err() != nil {
			t.Fatalf("witnesses: %+v", r.Stats().Witnesses)
		}
	}
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := audit.OwnSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s.Verifier()
}
