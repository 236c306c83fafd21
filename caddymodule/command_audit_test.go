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

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

// auditFile is a record with one impersonation in it, of the morning of 2026-03-02.
func auditFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.db")
	sink, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t0 := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	b := &audit.Batch{LogID: "kxp3vbq2mwu7zdnc", From: 1, To: 5, Token: "t"}
	event := func(seq uint64, after time.Duration, kind, detail string) {
		e := &audit.Event{
			Time: t0.Add(after), LogID: b.LogID, Seq: seq, Type: kind, ImpersonationID: "imp-1", ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng",
			TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam \u202eReed", Mode: "full", ClientIP: "192.0.2.7", Detail: detail,
		}
		if kind == audit.EventImpersonationStarted {
			e.Reason, e.Ticket = "the booking won't complete", "T-17"
		}
		e.Hash()
		b.Events = append(b.Events, e)
	}
	request := func(seq uint64, after time.Duration, method, path, action, outcome, refusal string, status int) {
		r := &audit.Request{
			Time: t0.Add(after), LogID: b.LogID, Seq: seq, RequestID: fmt.Sprint("r", seq), ImpersonationID: "imp-1", ImpersonationSeq: seq - 1,
			ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng", TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full",
			Method: method, Path: path, Action: action, Outcome: outcome, Refusal: refusal, Status: status,
		}
		if method == "POST" {
			r.Fields = "note, items[].sku\x1b[2J, …"
		}
		r.Hash()
		b.Requests = append(b.Requests, r)
	}
	event(1, 0, audit.EventImpersonationStarted, `{"policy":"support","site":"https://app.example.com"}`)
	request(2, time.Minute, "GET", "/bookings/17", "", audit.OutcomeCompleted, "", 200)
	request(3, 2*time.Minute, "POST", "/bookings/17/complete", "Completed booking", audit.OutcomeCompleted, "", 422)
	request(4, 3*time.Minute, "GET", "/account/password\x1b[2J", "", audit.OutcomeRefused, "path_denied", 403)
	event(5, 4*time.Minute, audit.EventImpersonationEnded, `{"cause":"stopped","by":"alice","duration_s":240,"requests":3}`)
	if err := sink.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAuditCommands prints as the golden files have it.
func TestAuditCommands(t *testing.T) {
	file := auditFile(t)
	for name, args := range map[string][]string{
		"impersonations": {"impersonations"},
		"requests":       {"requests"},
		"requests_q":     {"requests", "--q", "COMPLETE", "--json"},
		"events":         {"events", "--type", "impersonation_ended"},
		"show":           {"show", "imp-1"},
		"show_json":      {"show", "imp-1", "--json"},
		"tail":           {"tail", "-n", "3"},
		"csv":            {"export", "--format", "csv", "--table", "impersonations"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := execute(t, auditCommand(), append(args, "--utc", "--sqlite", file)...)
			if code != 0 || strings.Contains(errs, "No event was recorded") != (name == "csv") {
				t.Fatalf("code %d: %s", code, errs)
			}
			golden := filepath.Join("testdata", "audit", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.ContainsAny(out, "\x1b\u202e") && !strings.Contains(name, "json") && name != "csv" {
				t.Errorf("a terminal would obey it: %q", out)
			}
		})
	}
}

// TestAuditCommandsHeadless: an impersonation whose start is not there is shown as what is left of it, and why.
func TestAuditCommandsHeadless(t *testing.T) {
	file := auditFile(t)
	sink, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	const log = "kxp3vbq2mwu7zdnc"
	if err := sink.Remove(t.Context(), audit.Prefix{LogID: log, Through: 2}); err != nil {
		t.Fatal(err)
	}
	if out, _, _ := execute(t, auditCommand(), "show", "imp-1", "--sqlite", file); !strings.Contains(out, "(its beginning is missing, and not by the retention: run audit verify)") {
		t.Errorf("nothing lets it go: %s", out)
	}
	applied := &audit.Event{Time: time.Now(), LogID: log, Seq: 6, Type: audit.EventRetentionApplied, Detail: audit.Detail("log", log, "through", 2)}
	applied.Hash()
	if err := sink.Write(t.Context(), &audit.Batch{LogID: log, From: 6, To: 6, Token: "u", Events: []*audit.Event{applied}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"impersonations"}, []string{"4m0s", "alice", "sam", "stopped", "(its beginning was removed: older than the audit is kept)"}},
		{[]string{"show", "imp-1"}, []string{"a policy that is not known any more, mode full", "(its beginning was removed", "2 (writes 1, refused 1)", "Completed booking"}},
		{[]string{"impersonations", "--json"}, []string{`"beginning_removed":true`, `"reason":""`}},
	} {
		out, errs, code := execute(t, auditCommand(), append(tt.args, "--utc", "--sqlite", file)...)
		if code != 0 {
			t.Errorf("%q: code %d: %s", tt.args, code, errs)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%q: no %q in\n%s", tt.args, want, out)
			}
		}
	}
}

// TestAuditCommandsFail: what can't be done is told by the exit code and a sentence.
func TestAuditCommandsFail(t *testing.T) {
	file := auditFile(t)
	there := filepath.Join(t.TempDir(), "there.csv")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"not in the audit":      {"show", "none", "--sqlite", file},
		"no such file":          {"requests", "--sqlite", file + "x"},
		"is no time":            {"requests", "--from", "noon", "--sqlite", file},
		"outcome: give":         {"requests", "--outcome", "a b", "--sqlite", file},
		"give one of them":      {"requests", "--sqlite", file, "--clickhouse", "clickhouse://x"},
		"starts with neither":   {"requests", "--clickhouse", "http://x"},
		"ClickHouse can't be":   {"requests", "--clickhouse", "clickhouse://127.0.0.1:1"},
		"give csv or jsonl":     {"export", "--format", "xml", "--sqlite", file},
		"is there already":      {"export", "--output", there, "--sqlite", file},
		"--clickhouse or --sql": {"requests", "--config", file + "x"},
	} {
		out, errs, code := execute(t, auditCommand(), args...)
		if code != 1 || !strings.Contains(errs, want) || out != "" {
			t.Errorf("%v: code %d, %q, %q; want %q", args, code, out, errs, want)
		}
	}
	if _, errs, code := execute(t, auditCommand(), "requests", "--actor", "nobody", "--sqlite", file); code != 0 || !strings.Contains(errs, "Nothing found") {
		t.Errorf("nothing found: code %d, %q", code, errs)
	}
}

// TestAuditExportCommand: the file is whole or not there.
func TestAuditExportCommand(t *testing.T) {
	file := auditFile(t)
	output := filepath.Join(t.TempDir(), "audit.jsonl")
	_, errs, code := execute(t, auditCommand(), "export", "--output", output, "--sqlite", file)
	if code != 0 || !strings.Contains(errs, "5 rows in ") {
		t.Fatalf("code %d: %s", code, errs)
	}
	b, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := audit.ReadJSONL(bytes.NewReader(b), func(string, []string) error { n++; return nil }); err != nil || n != 5 {
		t.Errorf("%d rows, %v", n, err)
	}
	if left, err := os.ReadDir(filepath.Dir(output)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestAuditFollow: what is written after the beginning is printed once, until the command is interrupted.
func TestAuditFollow(t *testing.T) {
	file := auditFile(t)
	sink, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	cmd := auditCommand()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	lines := make(lineWriter, 100)
	cmd.SetOut(lines)
	cmd.SetErr(lines)
	cmd.SetArgs([]string{"tail", "-f", "-n", "1", "--json", "--sqlite", file})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	next := func() (row struct{ Seq uint64 }) {
		t.Helper()
		select {
		case line := <-lines:
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		}
		return row
	}
	if got := next(); got.Seq != 5 {
		t.Errorf("it begins with %d", got.Seq)
	}
	for seq := uint64(6); seq < 9; seq++ {
		r := &audit.Request{Time: time.Now().UTC(), LogID: "kxp3vbq2mwu7zdnc", Seq: seq, Outcome: audit.OutcomeCompleted}
		r.Hash()
		if err := sink.Write(t.Context(), &audit.Batch{LogID: r.LogID, From: seq, To: seq, Token: fmt.Sprint(seq), Requests: []*audit.Request{r}}); err != nil {
			t.Fatal(err)
		}
		if got := next(); got.Seq != seq {
			t.Errorf("got %d, want %d", got.Seq, seq)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

type lineWriter chan string

func (w lineWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

// TestTable: where the terminal is narrow the widest columns give way, and no line is longer.
func TestTable(t *testing.T) {
	tab := &table{head: []string{"A", "B", "C"}}
	tab.add("short", strings.Repeat("é", 50), "x\ty\x1b")
	for _, width := range []int{30, 40, 200} {
		var b strings.Builder
		if err := tab.print(&b, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Errorf("width %d: a line of %d: %q", width, n, line)
			}
		}
		if strings.Contains(b.String(), "…") != (width < 70) {
			t.Errorf("width %d:\n%s", width, b.String())
		}
	}
	// What is copied is never cut; where columns can't stand beside each other they stand below each other.
	id := strings.Repeat("f", 32)
	tab = &table{head: []string{"ID", "REASON", "WHO"}, whole: []string{"ID"}}
	tab.add(id, strings.Repeat("why ", 20), "alice")
	tab.add(id, "", "bob")
	for width, want := range map[int]string{
		60: "ID                                REASON               WHO\n" + id + "  why why why why wh…  alice\n" + id + "                       bob\n",
		40: "ID      " + id + "\nREASON  why why why why why why why why…\nWHO     alice\n\nID      " + id + "\nREASON\nWHO     bob\n",
	} {
		var b strings.Builder
		if err := tab.print(&b, width); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("width %d:\n%s\nwant:\n%s", width, b.String(), want)
		}
	}
}
