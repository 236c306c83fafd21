package chtest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// TestDeduplication pins what the engine does with insert_deduplication_token on a plain MergeTree: the audit sink
// rests on it.
func TestDeduplication(t *testing.T) {
	srv := chtest.StartOwn(t)
	const settings = " SETTINGS non_replicated_deduplication_window = 100"
	srv.Exec("CREATE DATABASE d",
		"CREATE TABLE d.t (month UInt8, n UInt64) ENGINE = MergeTree PARTITION BY month ORDER BY n"+settings,
		"CREATE TABLE d.off (month UInt8, n UInt64) ENGINE = MergeTree PARTITION BY month ORDER BY n")
	insert := func(t *testing.T, table, token string, months ...uint8) {
		t.Helper()
		c := srv.Conn()
		ctx := clickhouse.Context(context.Background(), clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": token}))
		b, err := c.PrepareBatch(ctx, "INSERT INTO d."+table+" (month, n)")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range months {
			if err := b.Append(m, uint64(1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Send(); err != nil {
			t.Fatal(err)
		}
	}
	want := func(t *testing.T, table string, n uint64) {
		t.Helper()
		if got := srv.Count("SELECT count() FROM d." + table); got != n {
			t.Errorf("%d rows, want %d", got, n)
		}
		srv.Exec("TRUNCATE TABLE d." + table)
	}
	tests := []struct {
		name string
		want uint64
		run  func(t *testing.T)
	}{
		{"same token", 1, func(t *testing.T) { insert(t, "t", "a1", 1); insert(t, "t", "a1", 1) }},
		{"same token, other content", 1, func(t *testing.T) { insert(t, "t", "a2", 1); insert(t, "t", "a2", 1, 1) }},
		{"same content, other token", 2, func(t *testing.T) { insert(t, "t", "b1", 1); insert(t, "t", "b2", 1) }},
		{"same token after others", 3, func(t *testing.T) {
			insert(t, "t", "c1", 1)
			insert(t, "t", "c2", 1)
			insert(t, "t", "c3", 1)
			insert(t, "t", "c1", 1)
		}},
		{"several partitions", 3, func(t *testing.T) { insert(t, "t", "d1", 1, 2, 3); insert(t, "t", "d1", 1, 2, 3) }},
		{"the partition that was missing", 3, func(t *testing.T) { insert(t, "t", "e1", 1, 2); insert(t, "t", "e1", 1, 2, 3) }},
		{"after SIGKILL", 2, func(t *testing.T) {
			insert(t, "t", "f1", 1)
			srv.Kill()
			srv.Restart()
			insert(t, "t", "f1", 1)
			insert(t, "t", "f2", 1)
		}},
		{"out of the window", 2 + 201, func(t *testing.T) {
			insert(t, "t", "g", 1)
			for n := range 201 {
				insert(t, "t", fmt.Sprint("g", n), 1)
			}
			insert(t, "t", "g", 1)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t); want(t, "t", tt.want) })
	}
	t.Run("window not set", func(t *testing.T) {
		insert(t, "off", "a", 1)
		insert(t, "off", "a", 1)
		want(t, "off", 2)
	})
	t.Run("INSERT SELECT", func(t *testing.T) {
		for query, n := range map[string]uint64{"SELECT 1, 1": 1, "SELECT 1, number FROM numbers(3)": 3, "SELECT 1, number FROM numbers(3) ORDER BY number": 3} {
			for range 2 {
				srv.Exec("INSERT INTO d.t SETTINGS insert_deduplication_token = 'x' " + query)
			}
			want(t, "t", n)
		}
	})
}

// TestDieAfterCommit: the row is there, the client was not told.
func TestDieAfterCommit(t *testing.T) {
	srv := chtest.StartOwn(t)
	srv.Exec("CREATE DATABASE d", "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
	c := srv.Conn()
	srv.DieAfterCommit()
	if err := send(c, 1); err == nil {
		t.Error("the insert was acknowledged")
	}
	srv.Wait()
	srv.Restart()
	if got := srv.Count("SELECT count() FROM d.t"); got != 1 {
		t.Errorf("%d rows", got)
	}
	if err := send(c, 2); err != nil {
		t.Error(err)
	}
}

func send(c driver.Conn, n uint64) error {
	b, err := c.PrepareBatch(context.Background(), "INSERT INTO d.t (n)")
	if err != nil {
		return err
	}
	if err := b.Append(n); err != nil {
		return err
	}
	return b.Send()
}
