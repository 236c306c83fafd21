// Package tamper does to an audit, by SQL, what somebody with the database's password could do to it; each kind must be
// found by audit verify.
package tamper

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
)

// DB is an audit's database that can be written to.
type DB struct {
	SQL        *sql.DB
	Prefix     string // before tables' names
	ClickHouse bool   // else SQLite
	LogID      string
	// Key is the attacker's own, to forge with.
	Key *audit.Signer
}

var columns = map[string][]audit.Column{
	audit.TableRequests:    append(audit.RequestColumns(), audit.Column{Name: "leaf_hash", Kind: audit.KindHash}),
	audit.TableEvents:      append(audit.EventColumns(), audit.Column{Name: "leaf_hash", Kind: audit.KindHash}),
	audit.TableCheckpoints: audit.CheckpointColumns(),
}

func (d *DB) exec(ctx context.Context, statement string, args ...any) error {
	if d.ClickHouse {
		statement += " SETTINGS mutations_sync = 2"
	}
	if _, err := d.SQL.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// Delete removes rows.
func (d *DB) Delete(ctx context.Context, table, where string) error {
	if d.ClickHouse {
		return d.exec(ctx, "ALTER TABLE "+d.Prefix+table+" DELETE WHERE "+where)
	}
	return d.exec(ctx, "DELETE FROM "+table+" WHERE "+where)
}

// Row is a row as text; hashes are their bytes.
type Row []string

// Rows reads rows in order of their place.
func (d *DB) Rows(ctx context.Context, table, where string) ([]Row, error) {
	var names []string
	for _, c := range columns[table] {
		names = append(names, c.Name)
	}
	rows, err := d.SQL.QueryContext(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+d.Prefix+table+" WHERE "+where+" ORDER BY "+names[2])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Row
	for rows.Next() {
		row, into := make(Row, len(names)), make([]any, len(names))
		cells := make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range cells {
			switch v := v.(type) {
			case []byte:
				row[i] = string(v)
			case time.Time:
				row[i] = v.UTC().Format(audit.TimeLayout)
			default:
				row[i] = fmt.Sprint(v)
			}
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

func (d *DB) literal(c audit.Column, v string) string {
	quoted := "'" + strings.NewReplacer("'", "''").Replace(v) + "'"
	switch {
	case c.Kind == audit.KindNumber:
		return v
	case c.Kind == audit.KindHash && d.ClickHouse:
		return "unhex('" + hex.EncodeToString([]byte(v)) + "')"
	case c.Kind == audit.KindHash:
		return "x'" + hex.EncodeToString([]byte(v)) + "'"
	case c.Kind == audit.KindTime && d.ClickHouse:
		return "parseDateTime64BestEffort('" + v + "', 6, 'UTC')"
	case d.ClickHouse:
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`).Replace(v) + "'"
	}
	return quoted
}

// insertRows is how many rows one statement adds.
const insertRows = 100

// Insert adds rows. In SQLite the table's keys are dropped first: whoever can write can do that.
func (d *DB) Insert(ctx context.Context, table string, rows ...Row) error {
	if !d.ClickHouse {
		for _, s := range []string{"CREATE TABLE loose AS SELECT * FROM " + table, "DROP TABLE " + table, "CREATE TABLE " + table + " AS SELECT * FROM loose", "DROP TABLE loose"} {
			if err := d.exec(ctx, s); err != nil {
				return err
			}
		}
	}
	var names []string
	for _, c := range columns[table] {
		names = append(names, c.Name)
	}
	for some := range slices.Chunk(rows, insertRows) {
		var selects []string
		for _, row := range some {
			var values []string
			for i, c := range columns[table] {
				values = append(values, d.literal(c, row[i]))
			}
			selects = append(selects, "SELECT "+strings.Join(values, ", "))
		}
		statement := "INSERT INTO " + d.Prefix + table + " (" + strings.Join(names, ", ") + ") " + strings.Join(selects, " UNION ALL ")
		if d.ClickHouse {
			// A block like one before would be taken for a repetition.
			statement += " SETTINGS insert_deduplicate = 0"
		}
		if _, err := d.SQL.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%.2000s: %w", statement, err)
		}
	}
	return nil
}

// Replace puts rows in the place of those that where finds.
func (d *DB) Replace(ctx context.Context, table, where string, change func([]Row) []Row) error {
	rows, err := d.Rows(ctx, table, where)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("no row of %s has %s", table, where)
	}
	if err := d.Delete(ctx, table, where); err != nil {
		return err
	}
	return d.Insert(ctx, table, change(rows)...)
}

// Column is the place of a column.
func Column(table, name string) int {
	for i, c := range columns[table] {
		if c.Name == name {
			return i
		}
	}
	panic("no column " + name)
}

// Rehash makes a row's leaf_hash anew.
func Rehash(table string, row Row) {
	h := proof.LeafHash(table, row)
	row[len(row)-1] = string(h[:])
}
