package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/witness"
)

// sealedAudit is a recorded and signed audit: its database, the public key of its beginning (the key was replaced twice),
// and what a witness has kept.
func sealedAudit(t *testing.T) (database, key, kept string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	database, key, kept = filepath.Join(dir, "audit.db"), filepath.Join(dir, "old.pub"), filepath.Join(dir, "kept")
	sink, err := sqlite.Open(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Open(audit.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.UseWitnesses(ctx, audit.ShipOptions{}, witness.NewFile(kept)); err != nil {
		t.Fatal(err)
	}
	if err := r.UseSinks(ctx, audit.ShipOptions{}, sink); err != nil {
		t.Fatal(err)
	}
	own := func() (*audit.Signer, error) { return audit.OwnSigner(dir) }
	r.UseSigner(own)
	if err := os.Link(filepath.Join(dir, "signing_key.pub"), key); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		who := audit.Event{ImpersonationID: fmt.Sprint("imp-", n), ActorID: "u-1", ActorUsername: "alice", TargetID: "u-2", TargetUsername: "sam", Detail: `{"policy":"support"}`}
		for _, kind := range []string{audit.EventImpersonationStarted, audit.EventImpersonationEnded} {
			if who.Type = kind; kind == audit.EventImpersonationEnded {
				who.Detail = ""
			}
			if err := r.Event(ctx, who); err != nil {
				t.Fatal(err)
			}
		}
		if n == 2 {
			break
		}
		if _, err := audit.RotateOwnSigner(dir); err != nil {
			t.Fatal(err)
		}
		r.UseSigner(own)
	}
	for r.Stats().Witnesses[0].Backlog > 0 {
		if ctx.Err() != nil {
			t.Fatal("the witness has not got all")
		}
	}
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return database, key, kept
}

// TestAuditVerifyCommand: the verdict is in the exit code, in words and as JSON; of the database, of an export of it, of a
// pack; with the first key alone, over rotations.
func TestAuditVerifyCommand(t *testing.T) {
	database, key, kept := sealedAudit(t)
	dir := t.TempDir()
	export, pack := filepath.Join(dir, "export.jsonl"), filepath.Join(dir, "pack.zip")
	if _, errs, code := execute(t, auditCommand(), "export", "--sqlite", database, "--output", export); code != 0 {
		t.Fatal(errs)
	}
	if _, errs, code := execute(t, auditCommand(), "evidence", "imp-1", "--sqlite", database, "--output", pack, "--key", key); code != 0 || !strings.Contains(errs, " bytes in "+pack) {
		t.Fatal(errs)
	}
	for name, args := range map[string][]string{
		"database":      {"--sqlite", database},
		"with witness":  {"--sqlite", database, "--witness", kept},
		"with two":      {"--sqlite", database, "--witness", kept, "--witness", kept},
		"export":        {"--export", export},
		"pack":          {"--evidence", pack},
		"retained":      {"--sqlite", database, "--retained-since", "2020-01-01"},
		"database JSON": {"--sqlite", database, "--json"},
		"pack JSON":     {"--evidence", pack, "--json"},
	} {
		out, errs, code := execute(t, auditCommand(), append([]string{"verify", "--key", key}, args...)...)
		if code != 0 || errs != "" || strings.HasSuffix(name, "JSON") != json.Valid([]byte(out)) || !strings.HasSuffix(name, "JSON") && !strings.Contains(out, "Everything is as it was recorded.") {
			t.Errorf("%s: code %d, %q, %q", name, code, out, errs)
		}
	}
	text, err := os.ReadFile(export)
	if err != nil {
		t.Fatal(err)
	}
	out, _, code := executeWith(t, string(text), auditCommand(), "verify", "--export", "-", "--key", key)
	if code != 0 || !strings.Contains(out, "Everything") {
		t.Errorf("from standard input: code %d, %q", code, out)
	}
	n := 0
	write := func(s string) string {
		t.Helper()
		n++
		file := filepath.Join(dir, fmt.Sprint("bad", n))
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	changed := strings.Replace(string(text), `"actor_username":"alice"`, `"actor_username":"mallory"`, 1)
	bad := write(changed)
	out, _, code = execute(t, auditCommand(), "verify", "--export", bad, "--key", key)
	if code != exitFound || !strings.Contains(out, "changed: log ") || !strings.Contains(out, "NOT as it was recorded: 1 finding.") {
		t.Errorf("changed: code %d, %q", code, out)
	}
	out, _, code = execute(t, auditCommand(), "verify", "--export", bad, "--key", key, "--json")
	var report proof.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFound || len(report.Findings) != 1 || report.Findings[0].Kind != proof.KindChanged || report.Findings[0].Table != audit.TableEvents {
		t.Errorf("changed, as JSON: code %d, %q, %v", code, out, err)
	}
	zip, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	zip[len(zip)/2] ^= 1
	if out, _, code := execute(t, auditCommand(), "verify", "--evidence", write(string(zip)), "--key", key); code != exitFound || !strings.Contains(out, "pack_changed") {
		t.Errorf("a changed pack: code %d, %q", code, out)
	}
	for want, args := range map[string][]string{
		"no such file":        {"--sqlite", database + "x", "--key", key},
		"reading the public":  {"--sqlite", database, "--key", key + "x"},
		"reading the witness": {"--sqlite", database, "--key", key, "--witness", write("hello\n")},
		"the verifier key":    {"--sqlite", database, "--key", write("hello\n")},
		"--retained-since":    {"--sqlite", database, "--key", key, "--retained-since", "yesterday"},
		"no export":           {"--export", write("{}\n"), "--key", key},
		"reading the pack":    {"--evidence", pack + "x", "--key", key},
		"with --key":          {"--sqlite", database, "--config", database + "x"},
		"must be clickhouse":  {"--clickhouse", "http://x", "--key", key},
	} {
		out, errs, code := execute(t, auditCommand(), append([]string{"verify"}, args...)...)
		if code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%v: code %d, %q, %q; want %q", args, code, out, errs, want)
		}
	}
	if _, errs, code := execute(t, auditCommand(), "evidence", "none", "--sqlite", database, "--key", key); code != 1 || !strings.Contains(errs, "not in the audit") {
		t.Errorf("evidence of nothing: code %d, %q", code, errs)
	}
	if _, errs, code := execute(t, auditCommand(), "evidence", "imp-1", "--sqlite", database, "--key", key, "--output", pack); code != 1 || !strings.Contains(errs, "is there already") {
		t.Errorf("over another: code %d, %q", code, errs)
	}
}

// TestProvable: a configuration's ClickHouse is verified as the user who may read.
func TestProvable(t *testing.T) {
	sinks := func(list ...SinkOpener) *App { return &App{sinks: list} }
	lite := &SQLiteSink{}
	lite.Path = "/a.db"
	house := &ClickHouseSink{}
	house.DSN = "clickhouse://writer@x"
	if file, dsn := sinks(lite, house).provable(); file != "" || dsn != "clickhouse://writer@x" {
		t.Errorf("%q, %q", file, dsn)
	}
	house.Reader = "clickhouse://auditor@x"
	if file, dsn := sinks(house, lite).provable(); file != "" || dsn != "clickhouse://auditor@x" {
		t.Errorf("%q, %q", file, dsn)
	}
	if file, dsn := sinks(lite).provable(); file != "/a.db" || dsn != "" {
		t.Errorf("%q, %q", file, dsn)
	}
}

// TestReportIsPlain: what somebody wrote into the database can't move the terminal's cursor, nor be taken for a verdict.
func TestReportIsPlain(t *testing.T) {
	const log = "a\x1b[8m\nEverything is as it was recorded.\n"
	var out bytes.Buffer
	printReport(&out, &proof.Report{
		Findings: []proof.Finding{{Kind: proof.KindChanged, LogID: log, Table: "events", From: 1, To: 1, What: "it is not the row that was recorded"}},
		Logs:     []proof.Log{{LogID: log, Rows: 1}},
	})
	if got := out.String(); strings.Contains(got, "\x1b") || strings.Contains(got, "\nEverything") {
		t.Errorf("%q", got)
	}
}
