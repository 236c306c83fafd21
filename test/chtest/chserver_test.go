package chtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

func open(t *testing.T, srv *chtest.Server, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	opt, err := clickhouse.ParseDSN(srv.DSN)
	if err != nil {
		t.Fatal(err)
	}
	opt.Auth.Database = ""
	if change != nil {
		change(opt)
	}
	c, err := clickhouse.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestTypes sends every kind of column there and back, with each compression.
func TestTypes(t *testing.T) {
	srv := chtest.StartOwn(t)
	srv.Exec("CREATE DATABASE d", `CREATE TABLE d.t (
		u UInt64, i Int32, f Float64, b Bool, s String, fs FixedString(4), lc LowCardinality(String),
		lcn LowCardinality(Nullable(String)), n Nullable(String), e Enum8('a' = 1, 'b' = 2), d Date, dt DateTime('UTC'),
		dt64 DateTime64(6, 'UTC'), id UUID, ip IPv6, dec Decimal(18, 4), a Array(LowCardinality(String)),
		aa Array(Array(UInt8)), m Map(String, UInt64), tu Tuple(x Int8, y String)
	) ENGINE = MergeTree ORDER BY u`)
	at := time.Date(2026, 3, 31, 23, 59, 59, 123456000, time.UTC)
	for name, method := range map[string]clickhouse.CompressionMethod{"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD} {
		t.Run(name, func(t *testing.T) {
			c := open(t, srv, func(o *clickhouse.Options) { o.Compression = &clickhouse.Compression{Method: method} })
			ctx := context.Background()
			if err := c.Exec(ctx, "TRUNCATE TABLE d.t"); err != nil {
				t.Fatal(err)
			}
			batch, err := c.PrepareBatch(ctx, "INSERT INTO d.t")
			if err != nil {
				t.Fatal(err)
			}
			const rows = 1000
			for i := range rows {
				var n *string
				if i%3 == 0 {
					v := fmt.Sprint("n", i)
					n = &v
				}
				err := batch.Append(uint64(i), int32(-i), float64(i)/3, i%2 == 0, fmt.Sprint("string\n\x00", i), "abcd", fmt.Sprint(i%7), n, n,
					[]string{"a", "b"}[i%2], at, at, at.Add(time.Duration(i)*time.Microsecond), "11111111-2222-3333-4444-555555555555", "2001:db8::1",
					"12.5", []string{"x", fmt.Sprint(i % 5)}[:i%3], [][]uint8{{1, 2}, {}, {uint8(i)}}[:i%4], map[string]uint64{"k": uint64(i)}, map[string]any{"x": int8(i % 100), "y": "z"})
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			const hash = `SELECT count(), sum(u), countIf(b), countIf(n IS NULL), countIf(lcn IS NULL), uniqExact(lc), uniqExact(s),
				sum(length(a)), sum(length(aa)), sum(m['k']), sum(i),
				toString(max(dt64)), any(tu.y), toString(any(fs)), toString(any(ip)), toString(any(dec)), toString(argMin(e, u)) FROM d.t`
			var (
				u [10]uint64
				i int64
				x [6]string
			)
			if err := c.QueryRow(ctx, hash).Scan(&u[0], &u[1], &u[2], &u[3], &u[4], &u[5], &u[6], &u[7], &u[8], &u[9],
				&i, &x[0], &x[1], &x[2], &x[3], &x[4], &x[5]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([10]uint64{rows, 499500, 500, 666, 666, 7, rows, 999, 1500, 499500}, u); diff != "" || i != -499500 {
				t.Errorf("numbers (-want +got):\n%s sum(i) = %d", diff, i)
			}
			if diff := cmp.Diff([6]string{"2026-03-31 23:59:59.124455", "z", "abcd", "2001:db8::1", "12.5", "a"}, x); diff != "" {
				t.Errorf("texts (-want +got):\n%s", diff)
			}
			// And out again, whole.
			all, err := c.Query(ctx, "SELECT * FROM d.t ORDER BY u")
			if err != nil {
				t.Fatal(err)
			}
			defer all.Close()
			n := 0
			for all.Next() {
				n++
			}
			if n != rows || all.Err() != nil {
				t.Errorf("read %d rows, %v", n, all.Err())
			}
		})
	}
}

func TestQueries(t *testing.T) {
	srv := chtest.StartOwn(t)
	ctx := context.Background()
	c := open(t, srv, nil)
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}

	t.Run("exception", func(t *testing.T) {
		for query, code := range map[string]int32{"SELECT * FROM nowhere.nothing": 81, "SELECT nonsense": 47, "SELEKT 1": 62, "DROP TABLE nowhere": 60, "SELECT throwIf(1)": 395} {
			err := c.Exec(ctx, query)
			var e *clickhouse.Exception
			if !errors.As(err, &e) || e.Code != code {
				t.Errorf("%s: got %v, want code %d", query, err, code)
			}
		}
		if err := c.Ping(ctx); err != nil {
			t.Errorf("ping after exceptions: %v", err)
		}
	})
	t.Run("empty result has columns", func(t *testing.T) {
		rows, err := c.Query(ctx, "SELECT number AS n, toString(number) AS `a b` FROM numbers(10) WHERE number > 100")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if rows.Next() || rows.Err() != nil {
			t.Errorf("next: %v", rows.Err())
		}
		if diff := cmp.Diff([]string{"n", "a b"}, rows.Columns()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("show", func(t *testing.T) {
		var name string
		if err := c.QueryRow(ctx, "SHOW DATABASES LIKE 'system'").Scan(&name); err != nil || name != "system" {
			t.Errorf("got %q, %v", name, err)
		}
	})
	t.Run("parameters", func(t *testing.T) {
		for _, want := range []string{"plain", "it's", `back\slash`, "ümlaut", ""} {
			var got string
			ctx := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"p": want}))
			if err := c.QueryRow(ctx, "SELECT {p:String}").Scan(&got); err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	})
	t.Run("settings are of one query", func(t *testing.T) {
		var got string
		sctx := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_threads": 1, "format_csv_delimiter": "x"}))
		one := open(t, srv, func(o *clickhouse.Options) { o.MaxOpenConns = 1 })
		if err := one.QueryRow(sctx, "SELECT toString(getSetting('format_csv_delimiter'))").Scan(&got); err != nil || got != "x" {
			t.Errorf("got %q, %v", got, err)
		}
		if err := one.QueryRow(ctx, "SELECT toString(getSetting('format_csv_delimiter'))").Scan(&got); err != nil || got != "," {
			t.Errorf("afterwards got %q, %v", got, err)
		}
		err := one.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"no_such_setting": 1})), "SELECT 1")
		var e *clickhouse.Exception
		if !errors.As(err, &e) || e.Code != 115 {
			t.Errorf("unknown setting: got %v", err)
		}
	})
	t.Run("large result", func(t *testing.T) {
		rows, err := c.Query(ctx, "SELECT number, toString(number) FROM numbers(1000000)")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			n++
		}
		if n != 1_000_000 || rows.Err() != nil {
			t.Errorf("read %d rows, %v", n, rows.Err())
		}
	})
	t.Run("cancel", func(t *testing.T) {
		for _, query := range []string{"SELECT sleepEachRow(1) FROM numbers(600) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0", "SELECT max(sipHash64(number)) FROM numbers(1000000000000)"} {
			cctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			start := time.Now()
			err := c.Exec(cctx, query)
			cancel()
			if err == nil || time.Since(start) > 45*time.Second {
				t.Errorf("cancelled query returned %v after %v", err, time.Since(start))
			}
		}
		deadline := time.Now().Add(2 * time.Minute)
		for srv.Count("SELECT count() FROM system.processes WHERE query NOT LIKE '%system.processes%'") > 0 {
			if time.Now().After(deadline) {
				t.Fatal("cancelled queries go on running")
			}
		}
	})
}

// TestDatabasesBySession has many clients use databases of their own at the same time.
func TestDatabasesBySession(t *testing.T) {
	srv := chtest.StartOwn(t)
	var wg sync.WaitGroup
	for n := range 8 {
		srv.Exec(fmt.Sprintf("CREATE DATABASE d%d", n), fmt.Sprintf("CREATE TABLE d%d.t (n UInt8) ENGINE = MergeTree ORDER BY n", n))
		c := open(t, srv, func(o *clickhouse.Options) { o.Auth.Database = fmt.Sprintf("d%d", n) })
		wg.Go(func() {
			for range 20 {
				b, err := c.PrepareBatch(context.Background(), "INSERT INTO t (n)")
				if err == nil {
					err = errors.Join(b.Append(uint8(n)), b.Send())
				}
				var db string
				if err == nil {
					err = c.QueryRow(context.Background(), "SELECT currentDatabase()").Scan(&db)
				}
				if err != nil || db != fmt.Sprintf("d%d", n) {
					t.Errorf("client %d: %q %v", n, db, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for n := range 8 {
		if got := srv.Count(fmt.Sprintf("SELECT countIf(n = %d) FROM d%d.t", n, n)); got != 20 {
			t.Errorf("d%d has %d rows of its own", n, got)
		}
	}
}

func TestAuthentication(t *testing.T) {
	srv := chtest.StartOwn(t, "-user", "alice", "-password", "secret")
	for _, tt := range []struct {
		user, password, database string
		code                     int32
	}{
		{"alice", "secret", "", 0},
		{"alice", "wrong", "", 516},
		{"default", "", "", 516},
		{"alice", "secret", "nowhere", 81},
	} {
		c := open(t, srv, func(o *clickhouse.Options) {
			o.Auth = clickhouse.Auth{Username: tt.user, Password: tt.password, Database: tt.database}
		})
		err := c.Ping(context.Background())
		var e *clickhouse.Exception
		if tt.code == 0 && err != nil || tt.code != 0 && (!errors.As(err, &e) || e.Code != tt.code) {
			t.Errorf("%s/%s/%s: got %v, want code %d", tt.user, tt.password, tt.database, err, tt.code)
		}
	}
}

func TestHang(t *testing.T) {
	srv := chtest.Start(t)
	c := open(t, srv, nil)
	ctx := context.Background()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	srv.Hang()
	hctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := c.Ping(hctx); err == nil {
		t.Error("a hanging server answered")
	}
	srv.Resume()
	if err := c.Ping(ctx); err != nil {
		t.Errorf("after the hang: %v", err)
	}
	srv.Kill()
	if err := c.Ping(ctx); err == nil {
		t.Error("a dead server answered")
	}
	srv.Restart()
	if err := c.Ping(ctx); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}
