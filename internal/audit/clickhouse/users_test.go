package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// TestUsers holds deploy/clickhouse/users.sql to what it promises. The engine of the tests can't make users, but it
// takes them from its configuration, and it runs a view with the rights of its definer: so the grants of the file are
// given to two users there, and what they may is tried through views.
func TestUsers(t *testing.T) {
	statements := chtest.UserStatements(t)
	srv := chtest.StartOwn(t, "-config", chtest.UsersConfig(t, statements))
	s := open(t, srv.DSN)
	if err := s.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	c := srv.Conn()

	// code is that of the exception, 0 for success.
	code := func(ctx context.Context, query string) int32 {
		err := c.Exec(ctx, query)
		var e *driver.Exception
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%s: %v", query, err)
		}
		if e == nil {
			return 0
		}
		return e.Code
	}

	const cannotStoreUsers, unknownRole = 514, 511 // as far as the engine can go with a right statement
	for _, st := range statements {
		ctx := driver.Context(t.Context(), driver.WithParameters(driver.Parameters{"writer_password": "it's", "auditor_password": "b"}))
		if !strings.Contains(st, "{") {
			ctx = t.Context()
		}
		if got := code(ctx, st); got != cannotStoreUsers && got != unknownRole {
			t.Errorf("%s: code %d", st, got)
		}
	}

	srv.Exec("CREATE DATABASE probe")
	n := 0
	// as runs a SELECT with the rights of a user.
	as := func(user, query string) int32 {
		n++
		srv.Exec(fmt.Sprintf("CREATE VIEW probe.v%d DEFINER = %s SQL SECURITY DEFINER AS %s", n, user, query))
		return code(t.Context(), fmt.Sprintf("SELECT * FROM probe.v%d FORMAT Null", n))
	}
	// insertAs inserts a row with the rights of a user.
	insertAs := func(user, table string) int32 {
		n++
		// The user may read what is inserted, see [chtest.UsersConfig]; the table it goes to is the question.
		srv.Exec(fmt.Sprintf("CREATE TABLE probe.source%d AS impersonate.%s ENGINE = Null", n, table),
			fmt.Sprintf("CREATE MATERIALIZED VIEW probe.mv%d TO impersonate.%s DEFINER = %s SQL SECURITY DEFINER AS SELECT * FROM probe.source%d", n, table, user, n))
		return code(t.Context(), fmt.Sprintf("INSERT INTO probe.source%d (log_id) SELECT 'probe'", n))
	}
	const denied = 497
	for _, table := range []string{"requests", "events", "checkpoints"} {
		for got, want := range map[string][2]int32{
			"writer inserts into":  {insertAs("writer", table), 0},
			"writer reads":         {as("writer", "SELECT count() FROM impersonate."+table), denied},
			"writer reads time of": {as("writer", "SELECT time FROM impersonate."+table), denied},
			"auditor inserts into": {insertAs("auditor", table), denied},
			"auditor reads":        {as("auditor", "SELECT * FROM impersonate."+table), 0},
		} {
			if want[0] != want[1] {
				t.Errorf("%s %s: code %d, want %d", got, table, want[0], want[1])
			}
		}
	}
	for _, view := range []string{"actions", "impersonations"} {
		if got := as("writer", "SELECT count() FROM impersonate."+view); got != denied {
			t.Errorf("writer reads %s: code %d", view, got)
		}
		if got := as("auditor", "SELECT * FROM impersonate."+view); got != 0 {
			t.Errorf("auditor reads %s: code %d", view, got)
		}
	}
	for _, name := range []string{"schema_versions", "received"} {
		if got := as("writer", "SELECT * FROM impersonate."+name); got != 0 {
			t.Errorf("writer reads %s: code %d", name, got)
		}
	}
	// The maintainer reads to find what may go; to write is not theirs. ALTER can't be tried through a view.
	for _, table := range []string{"requests", "events", "checkpoints"} {
		if read, insert := as("maintainer", "SELECT log_id FROM impersonate."+table), insertAs("maintainer", table); read != 0 || insert != denied {
			t.Errorf("maintainer on %s: reads with code %d, inserts with %d", table, read, insert)
		}
	}
	// What Check looks at.
	srv.Exec("CREATE VIEW probe.columns DEFINER = writer SQL SECURITY DEFINER AS SELECT table FROM system.columns WHERE database = 'impersonate'")
	if got := srv.Count("SELECT uniqExact(table) FROM probe.columns WHERE table IN ('requests', 'events', 'checkpoints', 'received')"); got != 4 {
		t.Errorf("writer sees the columns of %d tables", got)
	}
}
