package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// ImportExport reads an export into tables in a temporary file that take whatever is in it, also what a gateway would not
// write. done removes them.
func ImportExport(ctx context.Context, export io.Reader) (db *sql.DB, done func() error, err error) {
	dir, err := os.MkdirTemp("", "impersonate-export-*")
	if err != nil {
		return nil, nil, fmt.Errorf("reading the export: %w", err)
	}
	done = func() error { return os.RemoveAll(dir) }
	if db, err = importInto(ctx, dir, export); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("reading the export: %w", err), done())
	}
	return db, done, nil
}

// importInto reads an export into a database in a directory; after an error it is closed.
func importInto(ctx context.Context, dir string, export io.Reader) (db *sql.DB, err error) {
	opened, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(dir, "export.db"))+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.Close())
		}
	}()
	tx, err := opened.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	kinds := map[string][]audit.Column{
		audit.TableRequests:    append(audit.RequestColumns(), audit.Column{Name: "leaf_hash", Kind: audit.KindHash}),
		audit.TableEvents:      append(audit.EventColumns(), audit.Column{Name: "leaf_hash", Kind: audit.KindHash}),
		audit.TableCheckpoints: audit.CheckpointColumns(),
	}
	inserts := map[string]*sql.Stmt{}
	for table, columns := range kinds {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE "+table+" ("+strings.Join(names(columns), ", ")+")"); err != nil {
			return nil, err
		}
		stmt, err := tx.PrepareContext(ctx, "INSERT INTO "+table+" VALUES (?"+strings.Repeat(", ?", len(columns)-1)+")")
		if err != nil {
			return nil, err
		}
		inserts[table] = stmt
	}
	err = audit.ReadJSONL(export, func(table string, texts []string) error {
		stmt := inserts[table]
		if stmt == nil {
			return nil // made of rows; nothing to verify
		}
		values := appendValues(nil, kinds[table], texts)
		for i, c := range kinds[table] {
			if c.Kind == audit.KindHash {
				h, err := hex.DecodeString(texts[i])
				if err != nil {
					return fmt.Errorf("column %s: %w", c.Name, err)
				}
				values[i] = h
			}
		}
		_, err := stmt.ExecContext(context.WithoutCancel(ctx), values...)
		return errors.Join(err, ctx.Err())
	})
	if err != nil {
		return nil, err
	}
	for table, by := range map[string]string{audit.TableRequests: "log_id, seq", audit.TableEvents: "log_id, seq", audit.TableCheckpoints: "log_id, size"} {
		if _, err := tx.ExecContext(ctx, "CREATE INDEX "+table+"_order ON "+table+" ("+by+")"); err != nil {
			return nil, err
		}
	}
	return opened, tx.Commit()
}
