package caddymodule

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// TestAuditRefused: an operator's constraint refuses a batch; it is set aside, listed, and sent once the constraint is gone.
func TestAuditRefused(t *testing.T) {
	srv := chtest.StartOwn(t)
	sink, err := clickhouse.Open(srv.DSN)
	if err == nil {
		err = sink.Apply(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	const events = chtest.Database + ".events"
	srv.Exec("ALTER TABLE " + events + " ADD CONSTRAINT nobody CHECK actor_username != 'mallory'")
	dir := filepath.Join(t.TempDir(), "journal")
	r, err := audit.Open(audit.Options{Dir: dir})
	if err == nil {
		err = r.UseSinks(t.Context(), audit.ShipOptions{BatchRows: 1}, sink)
	}
	for _, actor := range []string{"alice", "mallory", "bob"} {
		if err == nil {
			err = r.Event(t.Context(), audit.Event{Type: audit.EventLogin, ActorUsername: actor, Detail: `{"acr":"1"}`})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(3 * time.Minute); r.Stats().Sinks[0].ShippedSeq < 3; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the sink: %+v", r.Stats().Sinks[0])
		}
	}
	if got := r.Stats().Sinks[0].SetAside; got != 1 {
		t.Errorf("%d batches are set aside", got)
	}
	if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}

	config := writeCaddyfile(t, "audit {\n\t\t\tjournal "+dir+"\n\t\t\tclickhouse "+srv.DSN+"\n\t\t}")
	out, errs, code := execute(t, auditCommand(), "refused", "--config", config)
	if code != exitPending || !strings.Contains(out, "refused-clickhouse-2-2.jsonl: rows 2 to 2") {
		t.Errorf("listing: code %d\n%s%s", code, out, errs)
	}
	out, errs, code = execute(t, auditCommand(), "refused", "--config", config, "--send")
	if code != 1 || !strings.Contains(errs, "refused for good") {
		t.Errorf("sending while the constraint is there: code %d\n%s%s", code, out, errs)
	}
	srv.Exec("ALTER TABLE " + events + " DROP CONSTRAINT nobody")
	out, errs, code = execute(t, auditCommand(), "refused", "--config", config, "--send")
	if code != 0 || !strings.Contains(out, "rows 2 to 2 sent to clickhouse") {
		t.Errorf("sending: code %d\n%s%s", code, out, errs)
	}
	if got := srv.Count("SELECT count() FROM " + events + " WHERE actor_username = 'mallory' AND seq = 2"); got != 1 {
		t.Errorf("%d rows arrived", got)
	}
	if out, errs, code = execute(t, auditCommand(), "refused", "--config", config); code != 0 || !strings.Contains(out, "No refused batch") {
		t.Errorf("afterwards: code %d\n%s%s", code, out, errs)
	}

	// What was tampered with in the file is not sent.
	file := filepath.Join(dir, "refused-clickhouse-2-2.jsonl")
	was, err := os.ReadFile(file + ".sent")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(was), "mallory", "alice", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code = execute(t, auditCommand(), "refused", "--config", config, "--send"); code != 1 || !strings.Contains(errs, "leaf hash differs") {
		t.Errorf("of a changed file: code %d\n%s%s", code, out, errs)
	}
}
