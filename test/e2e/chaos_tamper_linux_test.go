package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
	"github.com/seed-240d5494/caddy-impersonate/test/tamper"
)

// verifies tells whether everything in a database of the server is as it was recorded.
func (c *chaos) verifies(dsn string, witness ...string) (clean bool, said string) {
	c.t.Helper()
	db, err := clickhouse.OpenReadOnly(dsn)
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	keys, err := os.ReadFile(filepath.Join(c.fs.dir, "signing_key.pub"))
	if err != nil {
		c.t.Fatal(err)
	}
	o := proof.Options{Keys: strings.Fields(string(keys)), Now: time.Now().Add(time.Hour), Witness: witness} // then nothing may wait for its checkpoint
	report, err := proof.Verify(c.t.Context(), &proof.Store{DB: db, Prefix: "`" + databaseOf(dsn) + "`."}, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return report.Clean(), fmt.Sprint(report.Findings)
}

func databaseOf(dsn string) string { return dsn[strings.LastIndexByte(dsn, '/')+1:] }

// tampering does all that package tamper knows to copies of what was recorded, and counts how much of it is found.
func (c *chaos) tampering() (found, tried int) {
	c.t.Helper()
	logID := ""
	if err := c.ch.Conn().QueryRow(c.t.Context(), "SELECT any(log_id) FROM impersonate.requests").Scan(&logID); err != nil {
		c.t.Fatal(err)
	}
	attacker, err := audit.OwnSigner(c.t.TempDir())
	if err != nil {
		c.t.Fatal(err)
	}
	var witness []string
	for _, kind := range tamper.Kinds {
		dsn := strings.Replace(c.ch.DSN, "/"+chtest.Database, "/tampered", 1)
		run(c.t, "impersonate", "schema", "apply", "--dsn", dsn)
		for _, table := range []string{audit.TableRequests, audit.TableEvents, audit.TableCheckpoints} {
			c.ch.Exec("INSERT INTO tampered." + table + " SELECT * FROM impersonate." + table)
		}
		db, err := clickhouse.OpenReadOnly(dsn)
		if err != nil {
			c.t.Fatal(err)
		}
		d := &tamper.DB{SQL: db, ClickHouse: true, Prefix: "`tampered`.", LogID: logID, Key: attacker}
		if tried == 0 {
			rows, err := d.Rows(c.t.Context(), audit.TableCheckpoints, "1 = 1")
			if err != nil {
				c.t.Fatal(err)
			}
			for _, r := range rows {
				witness = append(witness, r[tamper.Column(audit.TableCheckpoints, "note")])
			}
		}
		var kept []string
		if kind.Witness {
			kept = witness
		}
		if err := kind.Do(c.t.Context(), d); err != nil {
			c.t.Fatalf("%s: %v", kind.Name, err)
		}
		tried++
		if clean, said := c.verifies(dsn, kept...); clean {
			c.t.Errorf("not found: %s\n%s", kind.Name, said)
		} else {
			found++
		}
		if err := db.Close(); err != nil {
			c.t.Error(err)
		}
		c.ch.Exec("DROP DATABASE tampered SYNC")
	}
	return found, tried
}
