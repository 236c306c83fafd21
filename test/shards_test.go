package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// TestQuestionsOnShards: on a cluster of several shards each documented question is answered with the setting that the
// documents name; without it some are refused. Both shards are this server, so each row shows twice.
func TestQuestionsOnShards(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.xml")
	const two = `<clickhouse><tcp_port>9000</tcp_port><remote_servers><two><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
<shard><replica><host>localhost</host><port>9000</port></replica></shard></two></remote_servers></clickhouse>`
	if err := os.WriteFile(config, []byte(two), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := chtest.StartOwn(t, "-config", config)
	sink, err := clickhouse.Open(srv.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	if err := sink.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), story()); err != nil {
		t.Fatal(err)
	}
	srv.Exec("CREATE DATABASE sharded")
	db, err := clickhouse.OpenReadOnly(strings.Replace(srv.DSN, "/"+chtest.Database, "/sharded", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, table := range []string{"requests", "events", "checkpoints"} {
		srv.Exec("CREATE TABLE sharded." + table + " AS " + chtest.Database + "." + table + " ENGINE = Distributed(two, " + chtest.Database + ", " + table + ")")
	}
	for _, view := range []string{"impersonations", "actions", "received"} {
		as, err := answer(t.Context(), db, "SELECT as_select FROM system.tables WHERE database = '"+chtest.Database+"' AND name = '"+view+"'")
		if err != nil {
			t.Fatal(err)
		}
		srv.Exec("CREATE VIEW sharded." + view + " AS " + strings.ReplaceAll(as, chtest.Database+".", "sharded."))
	}
	text := documents(t)["docs/auditing.md"]
	setting := regexp.MustCompile("`SETTINGS (distributed_product_mode = '[a-z]+')`").FindStringSubmatch(text)
	if setting == nil {
		t.Fatal("the documents name no setting")
	}
	asked, refused := 0, 0
	for _, section := range regexp.MustCompile(`(?m)^### \d+\. .*\?$`).Split(text, -1)[1:] {
		section, _, _ = strings.Cut(section, "\n## ")
		for _, block := range fence.FindAllStringSubmatch(section, -1) {
			query := strings.TrimSuffix(strings.TrimSpace(block[3]), ";")
			if strings.HasPrefix(query, "-- SQLite") {
				continue
			}
			asked++
			query = strings.NewReplacer(chtest.Database+".", "sharded.", "3ebaf0d3c4749639ed839b144b80b91e", "i-1").Replace(query)
			if _, err := answer(t.Context(), db, query); err != nil {
				refused++
			}
			if got, err := answer(t.Context(), db, query+" SETTINGS "+setting[1]); err != nil || got == "" {
				t.Errorf("%s\n%q, %v", query, got, err)
			}
		}
	}
	if asked < 22 || refused == 0 {
		t.Errorf("%d asked, of which %d are refused without the setting", asked, refused)
	}
}
