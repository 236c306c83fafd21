package caddymodule

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// past is the clock of two months ago.
type past struct{ clock.Clock }

func (p past) Now() time.Time { return p.Clock.Now().AddDate(0, 0, -60) }

// aged records a signed log into a sink, eight rows of two months ago and two of today, of which the first says that the
// retention lets rows 1 to through go. The first names the key. It returns the log's name and the file of its public key.
// Rows 4, 7 and 8 are of the impersonation "half"; checkpoints cover 3, 6, 8 and 10 rows.
func aged(t *testing.T, sink audit.Sink, through int) (log, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	now := time.Now()
	at := now.AddDate(0, 0, -60)
	r, err := audit.Open(audit.Options{Dir: dir, Clock: past{clock.System}})
	if err != nil {
		t.Fatal(err)
	}
	r.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	event := func(kind, id, detail string) {
		t.Helper()
		at = at.Add(time.Minute)
		e := audit.Event{Time: at, Type: kind, ImpersonationID: id, ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng", Detail: detail}
		if id != "" {
			e.TargetID, e.TargetUsername, e.TargetName, e.Mode = "u-2", "sam", "Sam Reed", "full"
		}
		if kind == audit.EventImpersonationStarted {
			e.Reason = "because of " + id
		}
		if err := r.Event(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	const started, ended = audit.EventImpersonationStarted, audit.EventImpersonationEnded
	event(started, "gone", `{"policy":"support"}`)
	event(ended, "gone", `{"cause":"stopped","duration_s":60,"requests":0}`)
	event(started, "half", `{"policy":"support"}`)
	event(started, "other", `{"policy":"support"}`)
	event(ended, "other", `{"cause":"stopped","duration_s":60,"requests":0}`)
	in, err := r.Intent(&audit.Request{
		Time: at, RequestID: "r-1", ImpersonationID: "half", ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng",
		TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full", Method: "POST", Path: "/bookings/17",
	})
	if err != nil {
		t.Fatal(err)
	}
	in.Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeCompleted})
	event(ended, "half", `{"cause":"stopped","duration_s":240,"requests":1}`)
	at = now
	log = r.LogID()
	event(audit.EventRetentionApplied, "", audit.Detail("log", log, "through", through, "before", now.AddDate(0, 0, -30).Format(time.RFC3339), "retention", "30d", "sink", sink.Name()))
	event(audit.EventLogin, "", "")
	if err := errors.Join(r.UseSinks(ctx, audit.ShipOptions{}, sink), r.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	return log, filepath.Join(dir, "signing_key.pub")
}

// TestPruneTimeout: the command does not give up before the servers do.
func TestPruneTimeout(t *testing.T) {
	if got, err := auditPruneCommand().Flags().GetDuration("timeout"); err != nil || got <= clickhouse.RemovalTime {
		t.Errorf("%v, %v; one removal may take %v", got, err, clickhouse.RemovalTime)
	}
}

// TestPruneCommand: what the log says may go leaves ClickHouse, and nothing else; what is left verifies, and the report
// tells what is gone.
func TestPruneCommand(t *testing.T) {
	srv := chtest.StartOwn(t)
	apply := func() *clickhouse.Sink {
		t.Helper()
		sink, err := clickhouse.Open(srv.DSN)
		if err == nil {
			err = sink.Apply(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return sink
	}
	log, key := aged(t, apply(), 6)
	rows := func() uint64 {
		return srv.Count("SELECT count() FROM " + chtest.Database + ".received WHERE of != 'checkpoints' AND log_id = '" + log + "'")
	}
	prune := func(want int, said string, args ...string) {
		t.Helper()
		out, errs, code := execute(t, auditCommand(), append([]string{"prune"}, args...)...)
		if code != want || !strings.Contains(out+errs, said) {
			t.Errorf("%q: code %d\n%s%s", args, code, out, errs)
		}
	}
	verify := func(said string) {
		t.Helper()
		out, errs, code := execute(t, auditCommand(), "verify", "--clickhouse", srv.DSN, "--key", key)
		if code != 0 || !strings.Contains(out, said) {
			t.Errorf("verifying: code %d, no %q\n%s%s", code, said, out, errs)
		}
	}
	prune(1, "nobody is named who may delete", "--config", writeCaddyfile(t, "audit {\n\t\t\tjournal "+t.TempDir()+"\n\t\t\tclickhouse "+srv.DSN+"\n\t\t}"))
	prune(1, "--keep", "--dsn", srv.DSN, "--keep", "soon")
	prune(1, "forever removes nothing", "--dsn", srv.DSN, "--keep", "forever")
	prune(0, "Nothing to remove", "--dsn", srv.DSN, "--keep", "90d")
	prune(0, "log "+log+": rows up to 6 would be removed", "--dsn", srv.DSN, "--dry-run")
	if n := rows(); n != 10 {
		t.Fatalf("%d rows are left by what removes nothing", n)
	}
	verify("Everything is as it was recorded.")
	// By the configuration, whose writer can't delete: there is no such server.
	config := func(retention string) string {
		return writeCaddyfile(t, "audit {\n\t\t\tjournal "+t.TempDir()+"\n"+retention+"\t\t\tclickhouse clickhouse://writer@127.0.0.1:1/"+chtest.Database+" {\n\t\t\t\tmaintainer "+srv.DSN+"\n\t\t\t}\n\t\t}")
	}
	// The operator's floor is kept to, also where it came after what the log says.
	prune(0, "Nothing to remove", "--config", config("\t\t\tretention 400d floor 90d\n"))
	prune(1, "--keep: at least 90d", "--config", config("\t\t\tretention 400d floor 90d\n"), "--keep", "89d")
	prune(1, "floor of the retention is forever", "--config", config("\t\t\tretention forever floor forever\n"))
	// Also of somebody who says where the database is, whose configuration need not name who deletes.
	floor := writeCaddyfile(t, "audit {\n\t\t\tjournal "+t.TempDir()+"\n\t\t\tretention 400d floor 90d\n\t\t}")
	prune(0, "Nothing to remove", "--config", floor, "--dsn", srv.DSN)
	prune(1, "--keep: at least 90d", "--config", floor, "--dsn", srv.DSN, "--keep", "89d")
	// An adapter says that there is a configuration: without its file nothing is removed.
	prune(1, "config", "--adapter", "caddyfile", "--dsn", srv.DSN)
	prune(1, "--keep: at least forever", "--config", config("\t\t\tretention forever floor forever\n"), "--keep", "3000d")
	if n := rows(); n != 10 {
		t.Fatalf("%d rows are left by what the floor forbids", n)
	}
	prune(0, "log "+log+": rows up to 6 are removed", "--config", config(""))
	// Rows 7 and 8 are as old, but nobody has let them go.
	if n := rows(); n != 4 {
		t.Errorf("%d rows are left, want 4", n)
	}
	verify("removed by retention")
	prune(0, "Nothing to remove", "--dsn", srv.DSN)
	if n := rows(); n != 4 {
		t.Errorf("%d rows are left by doing it again", n)
	}
	// What somebody says in the gateway's place takes nothing young, and is found.
	srv.Exec("INSERT INTO " + chtest.Database + ".events (time, log_id, seq, type, detail) SELECT now(), '" + log + "', 11, 'retention_applied', '{\"log\":\"" + log + "\",\"through\":10}'")
	prune(0, "log "+log+": rows up to 8 are removed", "--dsn", srv.DSN)
	if n := rows(); n != 3 {
		t.Errorf("%d rows are left, want the two young ones and the one that was added", n)
	}
	if out, errs, code := execute(t, auditCommand(), "verify", "--clickhouse", srv.DSN, "--key", key); code != exitFound || !strings.Contains(out, "missing") {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	srv.Kill()
	prune(1, srv.Addr, "--dsn", srv.DSN, "--timeout", "30s")
}

// TestPrunedSQLite: what is left of an SQLite audit, which the gateway itself prunes, is verified and told by the command.
func TestPrunedSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	open := func() *sqlite.Sink {
		t.Helper()
		sink, err := sqlite.Open(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		return sink
	}
	log, key := aged(t, open(), 6)
	verify := func(want int, said string) {
		t.Helper()
		if out, errs, code := execute(t, auditCommand(), "verify", "--sqlite", file, "--key", key); code != want || !strings.Contains(out, said) {
			t.Errorf("code %d, no %q\n%s%s", code, said, out, errs)
		}
	}
	verify(0, "Everything is as it was recorded.")
	remove := func(through uint64) {
		t.Helper()
		sink := open()
		if err := errors.Join(sink.Remove(t.Context(), audit.Prefix{LogID: log, Through: through}), sink.Close()); err != nil {
			t.Fatal(err)
		}
	}
	remove(6)
	verify(0, "removed by retention")
	// More than the log lets go is found.
	remove(8)
	verify(exitFound, "missing")
}

// TestReaderReads: a configuration's audit is verified, listed and exported as the user named as reader, who has the
// rights that deploy/clickhouse/users.sql gives an auditor, and not as the writer, who has the writer's.
func TestReaderReads(t *testing.T) {
	srv := chtest.StartOwn(t, "-user", "auditor", "-password", "it's", "-config", chtest.UsersConfig(t, chtest.UserStatements(t)))
	srv.DSN = strings.Replace(srv.DSN, "default@", "auditor:it%27s@", 1)
	sink, err := clickhouse.Open(srv.DSN)
	if err == nil {
		err = sink.Apply(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, key := aged(t, sink, 0)
	// What a user reads of the audit's tables is in a database of views that have the user's rights.
	dsn := map[string]string{}
	for _, user := range []string{"auditor", "writer"} {
		srv.Exec("CREATE DATABASE as_" + user)
		for _, name := range []string{"requests", "events", "checkpoints", "received", "schema_versions", "impersonations", "actions"} {
			srv.Exec("CREATE VIEW as_" + user + "." + name + " DEFINER = " + user + " SQL SECURITY DEFINER AS SELECT * FROM " + chtest.Database + "." + name)
		}
		dsn[user] = strings.Replace(srv.DSN, "/"+chtest.Database, "/as_"+user, 1)
	}
	config := func(reader string) string {
		return writeCaddyfile(t, "audit {\n\t\t\tjournal "+t.TempDir()+"\n\t\t\tclickhouse "+dsn["writer"]+" {\n"+reader+"\t\t\t}\n\t\t}")
	}
	with, without := config("\t\t\t\treader "+dsn["auditor"]+"\n"), config("")
	export := filepath.Join(t.TempDir(), "export.jsonl")
	for want, args := range map[string][]string{
		"Everything is as it was recorded.": {"verify", "--key", key, "--config"},
		"alice":                             {"impersonations", "--config"},
		" rows":                             {"export", "--output", export, "--config"},
	} {
		out, errs, code := execute(t, auditCommand(), append(args, without)...)
		if code != 1 || !strings.Contains(errs, "ot enough privileges") {
			t.Errorf("%q as the writer: code %d\n%s%s", args, code, out, errs)
		}
		out, errs, code = execute(t, auditCommand(), append(args, with)...)
		if code != 0 || !strings.Contains(out+errs, want) {
			t.Errorf("%q: code %d, no %q\n%s%s", args, code, want, out, errs)
		}
		if text, err := os.ReadFile(export); args[0] == "export" && (err != nil || strings.Count(string(text), "\n") < 12) {
			t.Errorf("%v: %s", err, text)
		}
	}
}
