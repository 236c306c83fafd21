package clickhouse_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sinktest"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

var update = flag.Bool("update", false, "write testdata/cluster.sql anew")

// clustered starts an engine that is the only server of the cluster "main", and both shards of the cluster "two". It does
// not do ON CLUSTER, since that is a queue of clickhouse-server's, and has no keeper, so that a replicated table can't be
// made.
func clustered(t *testing.T, args ...string) *chtest.Server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.xml")
	// What has the server's own port is its own: no connection is made to it.
	const text = `<clickhouse><tcp_port>9000</tcp_port><macros><shard>1</shard><replica>ch1</replica></macros><remote_servers><main><shard>
<internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9000</port></replica></shard></main>
<two><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard><shard><replica><host>localhost</host><port>9000</port></replica></shard></two></remote_servers></clickhouse>`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return chtest.StartOwn(t, append([]string{"-config", config}, args...)...)
}

// planned is what schema plan --cluster says.
func planned(t *testing.T, dsn string) []clickhouse.Statement {
	t.Helper()
	s := open(t, dsn)
	if err := s.OnCluster("main"); err != nil {
		t.Fatal(err)
	}
	plan, err := s.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// alone makes of a cluster's statement what one of its servers carries out, without the keeper.
func alone(sql string) string {
	sql = strings.ReplaceAll(sql, " ON CLUSTER `main`", "")
	sql = regexp.MustCompile(`ReplicatedMergeTree\('[^']*', '[^']*'\)`).ReplaceAllString(sql, "MergeTree")
	return regexp.MustCompile(`replicated_deduplication_window = (\d+), replicated_deduplication_window_seconds = \d+`).
		ReplaceAllString(sql, "non_replicated_deduplication_window = $1")
}

// TestClusterSQL holds what --cluster runs to testdata/cluster.sql; after a change: go test -run TestClusterSQL -update.
func TestClusterSQL(t *testing.T) {
	srv := clustered(t)
	var text strings.Builder
	for _, st := range planned(t, srv.DSN) {
		fmt.Fprintf(&text, "-- version %d: %s\n%s;\n\n", st.Version, st.Name, st.SQL)
	}
	const golden = "testdata/cluster.sql"
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil { //nolint:gosec // for all to read
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestClusterStatements gives the engine each statement as it is. It reads them all; those without a replicated table it
// refuses only because it has no queue for ON CLUSTER, and a replicated table only because there is no keeper.
func TestClusterStatements(t *testing.T) {
	srv := clustered(t)
	c := srv.Conn()
	const noQueue, noKeeper = 392, 225
	code := func(sql string) int32 {
		err := c.Exec(t.Context(), sql)
		var e *driver.Exception
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%s: %v", sql, err)
		}
		if e == nil {
			return 0
		}
		return e.Code
	}
	srv.Exec("CREATE DATABASE " + chtest.Database)
	replicated := 0
	for _, st := range planned(t, srv.DSN) {
		if strings.Contains(st.SQL, "ON CLUSTER") {
			if got := code(st.SQL); got != noQueue {
				t.Errorf("%s: code %d", st.Name, got)
			}
		}
		if strings.Contains(st.SQL, "ReplicatedMergeTree(") {
			replicated++
			if got := code(strings.ReplaceAll(st.SQL, " ON CLUSTER `main`", "")); got != noKeeper {
				t.Errorf("%s: code %d", st.Name, got)
			}
		}
		if got := code(alone(st.SQL)); got != 0 {
			t.Errorf("%s alone: code %d", st.Name, got)
		}
	}
	if replicated != 4 {
		t.Errorf("%d replicated tables", replicated)
	}
}

// onCluster starts an engine with a cluster's tables, except that the local ones are not replicated.
func onCluster(t *testing.T, args ...string) (*chtest.Server, *clickhouse.Sink) {
	t.Helper()
	srv := clustered(t, args...)
	for _, st := range planned(t, srv.DSN) {
		srv.Exec(alone(st.SQL))
	}
	return srv, open(t, srv.DSN)
}

// TestDistributed: rows get through Distributed tables once, also when the server dies in between.
func TestDistributed(t *testing.T) {
	srv, s := onCluster(t)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, s, makeBatch("log", 1, 100, march))
	b := makeBatch("log", 101, 200, lateMarch)
	srv.DieAfterCommit()
	if err := s.Write(t.Context(), b); err == nil {
		t.Fatal("the server died, but the write succeeded")
	}
	srv.Wait()
	srv.Restart()
	write(t, s, b)
	write(t, open(t, srv.DSN), b)
	write(t, s, makeBatch("other", 1, 50, march))
	holdsOnce(t, srv, "log", 200, 2)
	holdsOnce(t, srv, "other", 50, 1)
	db := chtest.Database
	if got := srv.Count("SELECT count() FROM " + db + ".requests_local"); got != 180+45 {
		t.Errorf("%d rows are on the shard", got) // and none waits to be brought there
	}
	if got := srv.Count("SELECT count() FROM " + db + ".actions WHERE actor_username = 'alice'"); got != 225 {
		t.Errorf("the view actions shows %d", got)
	}

	// schema knows what is there.
	if plan := planned(t, srv.DSN); len(plan) != 0 {
		t.Errorf("there is more to apply: %v", plan)
	}
	if _, err := s.Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "--cluster") {
		t.Errorf("without --cluster: %v", err)
	}
	_, single := ready(t)
	if err := single.OnCluster("main"); err != nil {
		t.Fatal(err)
	}
	if _, err := single.Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "can't become a cluster's") {
		t.Errorf("a single server's with --cluster: %v", err)
	}
	if err := single.OnCluster("main` SYNC"); err == nil {
		t.Error("a cluster of any name")
	}
}

// TestReplicaBehind: on replicated tables a retry may meet a replica that has not got the rows yet. Its keeper knows their
// token; what does not show must not be sent under another.
func TestReplicaBehind(t *testing.T) {
	srv, s := onCluster(t)
	db := chtest.Database
	// The local tables are out of the writer's sight, as where only clickhouse-server's own user may see them, and none
	// of their rows shows.
	for _, table := range []string{"requests", "events", "checkpoints"} {
		srv.Exec(fmt.Sprintf("RENAME TABLE %[1]s.%[2]s_local TO %[1]s.%[2]s_shard", db, table),
			fmt.Sprintf("DROP TABLE %s.%s", db, table),
			fmt.Sprintf("CREATE TABLE %[1]s.%[2]s AS %[1]s.%[2]s_shard ENGINE = Distributed(main, %[1]s, %[2]s_shard, cityHash64(log_id))", db, table))
	}
	srv.Exec("CREATE OR REPLACE VIEW " + db + ".received AS SELECT 'requests' AS of, time, log_id, seq FROM " + db + ".requests WHERE 0")
	b := makeBatch("log", 1, 100, lateMarch)
	write(t, s, b)
	for range 3 {
		again := open(t, srv.DSN)
		again.SetSettle(time.Millisecond)
		write(t, again, b)
	}
	if got := srv.Count("SELECT count() FROM " + db + ".requests"); got != 90 {
		t.Errorf("%d rows, want 90", got)
	}
}

// TestRemoveOnCluster: the statements that delete go to the shards' tables, on all servers.
func TestRemoveOnCluster(t *testing.T) {
	srv, s := onCluster(t, "-on-cluster")
	db := chtest.Database
	write(t, s, makeBatch("log", 1, 100, march))
	if err := s.RemoveNow(t.Context(), audit.Prefix{LogID: "log", Through: 40}); err != nil {
		t.Fatal(err)
	}
	holds := func(table, want string) {
		t.Helper()
		if got := fmt.Sprint(srv.Count("SELECT min(seq) FROM " + db + "." + table)); got != want {
			t.Errorf("%s begins at %s, want %s", table, got, want)
		}
	}
	holds("requests_local", "41")
	holds("requests", "41")
	// What is no cluster's name is none of ours.
	srv.Exec("DROP TABLE "+db+".requests", "CREATE TABLE "+db+".requests AS "+db+".requests_local ENGINE = Distributed('main', '"+db+"', 'requests`_local')")
	if err := s.RemoveNow(t.Context(), audit.Prefix{LogID: "log", Through: 60}); err == nil || !strings.Contains(err.Error(), "names that are not") {
		t.Errorf("a table of any name: %v", err)
	}
	// A server without the queue refuses, and is not taken for one that did it.
	_, s = onCluster(t)
	if err := s.RemoveNow(t.Context(), audit.Prefix{LogID: "log", Through: 60}); err == nil {
		t.Error("nobody carries out ON CLUSTER, and yet it is done")
	}
}

// TestKept holds what is changed to what the server says of the engine.
func TestKept(t *testing.T) {
	s := open(t, "clickhouse://default@127.0.0.1:1/impersonate")
	for engine, want := range map[string]string{
		"": "`impersonate`.requests",
		"MergeTree PARTITION BY toYYYYMM(time) ORDER BY (time, log_id, seq)":                  "`impersonate`.requests",
		"Distributed('main', 'impersonate', 'requests_local', cityHash64(log_id))":            "`impersonate`.`requests_local` ON CLUSTER `main`",
		"Distributed('{cluster}', 'rows-of', 'r.1')":                                          "`rows-of`.`r.1` ON CLUSTER `{cluster}`",
		"Distributed(main, impersonate, requests_local, rand(), 'policy') SETTINGS fsync = 1": "`impersonate`.`requests_local` ON CLUSTER `main`",
		"Distributed('main', '', 'requests_local')":                                           "`requests_local` ON CLUSTER `main`",
		"Distributed('', 'impersonate', 'requests_local')":                                    "",
		"Distributed('main', currentDatabase(), 'requests_local')":                            "",
		"Distributed('ma`in', 'impersonate', 'requests_local')":                               "",
		"Distributed('main', 'impersonate', 'a\\'b')":                                         "",
	} {
		got, err := s.Kept("requests", engine)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", engine, got, err)
		}
	}
}

// TestQuorum: what the DSN says of quorums is in force where the rows are inserted, behind the Distributed table.
func TestQuorum(t *testing.T) {
	srv, _ := onCluster(t)
	db := chtest.Database
	srv.Exec("CREATE TABLE "+db+".quorums (said String) ENGINE = MergeTree ORDER BY said",
		"CREATE MATERIALIZED VIEW "+db+".see TO "+db+".quorums AS SELECT toString(getSetting('insert_quorum')) || ' in ' || toString(getSetting('insert_quorum_timeout')) AS said FROM "+db+".requests_local")
	write(t, open(t, srv.DSN+"?insert_quorum=auto&insert_quorum_timeout=61000"), makeBatch("log", 1, 10, march))
	if got, want := srv.Count("SELECT count() FROM "+db+".quorums WHERE said LIKE 'auto in 61%'"), srv.Count("SELECT count() FROM "+db+".requests"); got != want || got == 0 {
		t.Errorf("%d of %d rows are inserted with the quorum", got, want)
	}
	if err := open(t, srv.DSN+"?insert_quorum=most").Write(t.Context(), makeBatch("log", 11, 20, march)); err == nil || !strings.Contains(err.Error(), "most") {
		t.Errorf("a quorum of most: %v", err)
	}
}

// TestClusterConformance runs the suite of all sinks on Distributed tables.
func TestClusterConformance(t *testing.T) {
	srv := clustered(t, "-on-cluster")
	n := 0
	sinktest.Run(t, func(t *testing.T) *sinktest.Harness {
		n++
		dsn := fmt.Sprintf("clickhouse://default@%s/%s_%d", srv.Addr, chtest.Database, n)
		for _, st := range planned(t, dsn) {
			srv.Exec(alone(st.SQL))
		}
		return harness(t, srv, dsn)
	})
}

// TestTwoShards: what is asked of tables that are on more than one shard is answered. Both shards are this server, so each
// row shows twice.
func TestTwoShards(t *testing.T) {
	srv := clustered(t)
	for _, st := range planned(t, srv.DSN) {
		srv.Exec(strings.Replace(alone(st.SQL), "Distributed(`main`", "Distributed(`two`", 1))
	}
	e := &audit.Event{Time: march, LogID: "log", Seq: 1, Type: audit.EventImpersonationStarted, ImpersonationID: "a", ActorUsername: "alice", TargetUsername: "sam"}
	e.Hash()
	write(t, open(t, srv.DSN), &audit.Batch{LogID: "log", From: 1, To: 1, Token: "log-1-1", Events: []*audit.Event{e}})
	r, err := clickhouse.OpenReader(srv.DSN, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, outcome := range []string{"", audit.OutcomeActive, "stopped"} {
		found, err := r.Impersonations(t.Context(), audit.Filter{Outcome: outcome}, audit.Page{})
		if err != nil || outcome == audit.OutcomeActive && len(found.Rows) == 0 {
			t.Errorf("%q: %+v, %v", outcome, found, err)
		}
	}
	if _, err := r.Notable(t.Context(), audit.Filter{From: march.AddDate(0, 0, -1), To: march.AddDate(0, 0, 1)}, audit.Thresholds{}); err != nil {
		t.Error(err)
	}
	if _, err := r.Activity(t.Context(), audit.Filter{From: march.AddDate(0, 0, -1), To: march.AddDate(0, 0, 1)}, audit.StepHour); err != nil {
		t.Error(err)
	}
	if found, err := r.Timeline(t.Context(), "a", audit.Page{}); err != nil || len(found.Rows) == 0 {
		t.Errorf("%+v, %v", found, err)
	}
	for _, view := range []string{"impersonations", "actions", "received"} {
		srv.Count("SELECT count() FROM " + chtest.Database + "." + view)
	}
}
