package clickhouse_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

func TestSchema(t *testing.T) {
	srv := chtest.Start(t)
	s := open(t, srv.DSN)
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "caddy-impersonate impersonate schema apply") {
		t.Errorf("check of an empty server: %v", err)
	}
	plan, err := s.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) < 8 || plan[0].SQL != "CREATE DATABASE IF NOT EXISTS `"+s.Database()+"`" {
		t.Errorf("plan: %+v", plan)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("planning changed something")
	}

	// Several at once, as when two gateways are set up.
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			other := open(t, srv.DSN)
			if err := other.Apply(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if plan, err := s.Plan(t.Context()); err != nil || len(plan) != 0 {
		t.Errorf("plan afterwards: %v, %v", plan, err)
	}
	if err := s.Apply(t.Context(), nil); err != nil {
		t.Error(err)
	}

	// One that was cut off in the middle.
	srv.Exec("DROP VIEW "+s.Database()+".actions", "TRUNCATE TABLE "+s.Database()+".schema_versions")
	var done []string
	if err := s.Apply(t.Context(), func(st clickhouse.Statement, took time.Duration) { done = append(done, st.Name) }); err != nil {
		t.Error(err)
	}
	if got := strings.Join(done, ", "); !strings.Contains(got, "table requests") || !strings.Contains(got, "view actions") {
		t.Errorf("progress: %s", got)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	for dsn, word := range map[string]string{
		"":                                   "DSN",
		"ch1:9000":                           "DSN",
		"http://ch1:8123/impersonate":        "HTTP",
		"clickhouse://ch1:9000/a-b":          "database",
		"clickhouse://ch1:9000/a`b":          "database",
		"clickhouse://u:s3cret@ch1:9000/%zz": "DSN",
		"clickhouse://u:s3cret@ch1:9000/x?dial_timeout=soon": "dial timeout",
	} {
		s, err := clickhouse.Open(dsn)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
	for dsn, database := range map[string]string{
		"clickhouse://ch1:9000": "impersonate",
		"clickhouse://writer:pw@ch1:9000,ch2:9000/audit_log?secure=true&skip_verify=false": "audit_log",
		"tcp://ch1:9000/x": "x",
	} {
		s, err := clickhouse.Open(dsn)
		if err != nil {
			t.Errorf("%q: %v", dsn, err)
			continue
		}
		if s.Database() != database || s.Name() != "clickhouse" {
			t.Errorf("%q: database %q", dsn, s.Database())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
