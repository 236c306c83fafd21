package clickhouse_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sinktest"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// TestConformance runs the suite of all sinks.
func TestConformance(t *testing.T) {
	srv := chtest.Start(t)
	n := 0
	sinktest.Run(t, func(t *testing.T) *sinktest.Harness {
		// One server for all: starting one costs more than a database.
		n++
		opt, err := driver.ParseDSN(srv.DSN)
		if err != nil {
			t.Fatal(err)
		}
		database := fmt.Sprintf("%s_%d", opt.Auth.Database, n)
		user := opt.Auth.Username
		if opt.Auth.Password != "" {
			user += ":" + opt.Auth.Password
		}
		dsn := fmt.Sprintf("clickhouse://%s@%s/%s", user, srv.Addr, database)
		admin := open(t, dsn)
		if err := admin.Apply(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		return harness(t, srv, dsn)
	})
}

// harness is that of a database whose schema is in place.
func harness(t *testing.T, srv *chtest.Server, dsn string) *sinktest.Harness {
	t.Helper()
	opt, err := driver.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := driver.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Exec(context.Background(), "DROP DATABASE "+opt.Auth.Database+" SYNC")
		_ = conn.Close()
	})
	return &sinktest.Harness{
		Open: func(context.Context) (audit.Sink, error) {
			s, err := clickhouse.Open(dsn)
			if err != nil {
				return nil, err
			}
			return s, s.Maintain(dsn)
		},
		Reader: func(_ context.Context, now func() time.Time) (audit.Reader, error) {
			return clickhouse.OpenReader(dsn, now)
		},
		Query: func(ctx context.Context, query string) ([][]string, error) { return texts(ctx, conn, query) },
		Exec:  func(ctx context.Context, statement string) error { return conn.Exec(ctx, statement) },
		SchemaVersion: func(ctx context.Context) (int, error) {
			var v uint32
			err := conn.QueryRow(ctx, "SELECT max(version) FROM schema_versions").Scan(&v)
			return int(v), err
		},
		SetSchemaVersion: func(ctx context.Context, version int) error {
			if err := conn.Exec(ctx, "TRUNCATE TABLE schema_versions"); err != nil {
				return err
			}
			return conn.Exec(ctx, fmt.Sprintf("INSERT INTO schema_versions (version) SELECT %d", version))
		},
	}
}

// texts runs a query and returns all values as text.
func texts(ctx context.Context, conn driver.Conn, query string) ([][]string, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][]string
	for rows.Next() {
		var values []any
		for _, c := range rows.ColumnTypes() {
			values = append(values, reflect.New(c.ScanType()).Interface())
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		var row []string
		for i, v := range values {
			row = append(row, asText(rows.ColumnTypes()[i].DatabaseTypeName(), reflect.ValueOf(v).Elem()))
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func asText(typ string, v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return x.UTC().Format(audit.TimeLayout)
	case string:
		if typ == "FixedString(32)" {
			return hex.EncodeToString([]byte(x))
		}
		return x
	default:
		return fmt.Sprint(x)
	}
}

// open opens a sink and closes it at the end of the test.
func open(t testing.TB, dsn string) *clickhouse.Sink {
	t.Helper()
	s, err := clickhouse.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
