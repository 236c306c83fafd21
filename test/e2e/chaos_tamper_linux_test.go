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
	o := proof.Options{Keys: strings.Fields(string(keys)), Now: time.Now().Add(time.Hour), Witness: proof.Notes(witness...)} // then nothing may wait for its checkpoint
	report, err := proof.Verify(c.t.Context(), &proof.Store{DB: db, Prefix: "`" + databaseOf(dsn) + "`."}, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return report.Clean(), fmt.Sprint(report.Findings)
}

func databaseOf(dsn string) string { return dsn[strings.LastIndexByte(dsn, '/')+1:] }

// tamperRows is about how many of the recorded rows are tampered with: what is found is the same with more, later.
const tamperRows = 2000

// tampering does all that package tamper knows to copies of the beginning of what was recorded, and counts how much of it
// is found.
func (c *chaos) tampering() (found, tried int) {
	c.t.Helper()
	ctx := c.t.Context()
	var logID string
	var size uint64
	// Up to a checkpoint with as many before it as the kinds need.
	err := c.ch.Conn().QueryRow(ctx, "SELECT log_id, size FROM impersonate.checkpoints QUALIFY row_number() OVER (ORDER BY size) >= 6 AND (size >= ? OR size = max(size) OVER ()) ORDER BY size LIMIT 1", uint64(tamperRows)).Scan(&logID, &size)
	if err != nil {
		c.t.Fatalf("looking for a checkpoint: %v", err)
	}
	attacker, err := audit.OwnSigner(c.t.TempDir())
	if err != nil {
		c.t.Fatal(err)
	}
	dsn := strings.Replace(c.ch.DSN, "/"+chtest.Database, "/tampered", 1)
	run(c.t, "impersonate", "schema", "apply", "--dsn", dsn)
	db, err := clickhouse.OpenReadOnly(dsn)
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	d := &tamper.DB{SQL: db, ClickHouse: true, Prefix: "`tampered`.", LogID: logID, Key: attacker}
	var witness []string
	for _, kind := range tamper.Kinds {
		for table, place := range map[string]string{audit.TableRequests: "seq", audit.TableEvents: "seq", audit.TableCheckpoints: "size"} {
			c.ch.Exec("TRUNCATE TABLE tampered."+table+" SYNC",
				fmt.Sprintf("INSERT INTO tampered.%[1]s SELECT * FROM impersonate.%[1]s WHERE %[2]s <= %[3]d SETTINGS insert_deduplicate = 0", table, place, size))
		}
		if tried == 0 {
			if clean, said := c.verifies(dsn); !clean {
				c.t.Fatalf("the copy is not clean: %s", said)
			}
			rows, err := d.Rows(ctx, audit.TableCheckpoints, "1 = 1")
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
		begun := time.Now()
		if err := kind.Do(ctx, d); err != nil {
			c.t.Fatalf("%s: %v", kind.Name, err)
		}
		tried++
		clean, said := c.verifies(dsn, kept...)
		if clean {
			c.t.Errorf("not found: %s\n%s", kind.Name, said)
		} else {
			found++
		}
		c.t.Logf("%s: found %v, in %v, of %d rows", kind.Name, !clean, time.Since(begun).Round(time.Millisecond), size)
	}
	return found, tried
}
