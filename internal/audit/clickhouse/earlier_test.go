package clickhouse_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// firstVersion makes the schema's first version and puts the rows of testdata/before-fields into it.
func firstVersion(t *testing.T, srv *chtest.Server, plan []clickhouse.Statement, edit func(sql string) string) {
	t.Helper()
	for _, st := range plan {
		if st.Version <= 1 {
			srv.Exec(edit(st.SQL))
		}
	}
	f, err := os.Open("../testdata/before-fields/export.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	hash := audit.Column{Name: "leaf_hash", Kind: audit.KindHash}
	columns := map[string][]audit.Column{
		audit.TableRequests: append(audit.RequestColumns(), hash), audit.TableEvents: append(audit.EventColumns(), hash),
		audit.TableCheckpoints: audit.CheckpointColumns(),
	}
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`)
	err = audit.ReadJSONL(f, func(table string, values []string) error {
		var names, cells []string
		for i, c := range columns[table] {
			cell := "'" + quote.Replace(values[i]) + "'"
			switch {
			case c.Later():
				continue
			case c.Kind == audit.KindNumber:
				cell = values[i]
			case c.Kind == audit.KindTime:
				cell = "parseDateTime64BestEffort(" + cell + ", 6, 'UTC')"
			case c.Kind == audit.KindHash:
				cell = "unhex(" + cell + ")"
			}
			names, cells = append(names, c.Name), append(cells, cell)
		}
		srv.Exec(fmt.Sprintf("INSERT INTO %s.%s (%s) SELECT %s", chtest.Database, table, strings.Join(names, ", "), strings.Join(cells, ", ")))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// verified counts the rows that are as they were recorded; there must be no others.
func verified(t *testing.T, dsn string) uint64 {
	t.Helper()
	db, err := clickhouse.OpenReadOnly(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	keys, err := os.ReadFile("../testdata/before-fields/signing_key.pub")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := clickhouse.SortOnDisk(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	store := &proof.Store{DB: db, Prefix: chtest.Database + ".", Settings: settings}
	report, err := proof.Verify(t.Context(), store, proof.Options{Keys: strings.Fields(string(keys)), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("%+v", f)
	}
	n, err := store.Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fieldsIn are those of all requests, by the reader.
func fieldsIn(t *testing.T, dsn string) (names string) {
	t.Helper()
	r, err := clickhouse.OpenReader(dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found, err := r.Requests(t.Context(), audit.Filter{}, audit.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range found.Rows {
		names += q.Fields
	}
	if found, err = r.Requests(t.Context(), audit.Filter{Q: "SKU"}, audit.Page{}); err != nil || (len(found.Rows) == 1) != (names != "") {
		t.Errorf("searched for a field: %+v, %v", found, err)
	}
	return names
}

// upgraded goes from the first version to this one, with rows before and after.
func upgraded(t *testing.T, srv *chtest.Server, s *clickhouse.Sink, all []clickhouse.Statement, edit func(string) string, plan func() []clickhouse.Statement, want string) {
	t.Helper()
	firstVersion(t, srv, all, edit)
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "has version 1, this build needs 2; run: caddy-impersonate impersonate schema apply") {
		t.Errorf("the gateway took an earlier schema: %v", err)
	}
	before := verified(t, srv.DSN)
	if names := fieldsIn(t, srv.DSN); before < 40 || names != "" {
		t.Fatalf("%d rows, fields %q", before, names)
	}
	var names []string
	for _, st := range plan() {
		names = append(names, st.Name)
		srv.Exec(edit(st.SQL))
		srv.Exec(strings.ReplaceAll(edit(st.SQL), "SELECT 2", "SELECT 2 WHERE 0")) // it can be run again
	}
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("the plan is %s, want %s", got, want)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(plan()) != 0 {
		t.Error("there is more to apply")
	}
	if n := verified(t, srv.DSN); n != before {
		t.Errorf("%d rows after the upgrade, %d before", n, before)
	}
	b := makeBatch("log", 1, 3, march)
	b.Requests[0].Fields = "title, items[].sku, …"
	b.Requests[0].Hash()
	write(t, s, b)
	if got := fieldsIn(t, srv.DSN); got != b.Requests[0].Fields {
		t.Errorf("fields %q", got)
	}
}

func TestEarlierSchema(t *testing.T) {
	srv := chtest.StartOwn(t)
	s := open(t, srv.DSN)
	plan := func() []clickhouse.Statement {
		t.Helper()
		list, err := s.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	same := func(sql string) string { return sql }
	upgraded(t, srv, s, plan(), same, plan, "column fields of requests, version 2")
}

func TestEarlierSchemaOfACluster(t *testing.T) {
	srv := clustered(t)
	plan := func() []clickhouse.Statement { return planned(t, srv.DSN) }
	upgraded(t, srv, open(t, srv.DSN), plan(), alone, plan, "column fields of requests_local, column fields of requests, version 2")
}
