package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sinktest"
)

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) *sinktest.Harness {
		path := filepath.Join(t.TempDir(), "sub", "audit.db")
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		exec := func(ctx context.Context, statement string) error {
			_, err := db.ExecContext(ctx, statement)
			return err
		}
		return &sinktest.Harness{
			Open:   func(ctx context.Context) (audit.Sink, error) { return Open(ctx, path) },
			Reader: func(_ context.Context, now func() time.Time) (audit.Reader, error) { return OpenReader(path, now) },
			Query:  func(ctx context.Context, query string) ([][]string, error) { return texts(ctx, db, query) },
			Exec:   exec,
			SchemaVersion: func(ctx context.Context) (v int, err error) {
				err = db.QueryRowContext(ctx, "SELECT max(version_id) FROM schema_versions").Scan(&v)
				return v, err
			},
			SetSchemaVersion: func(ctx context.Context, version int) error {
				return exec(ctx, fmt.Sprintf("INSERT INTO schema_versions (version_id, is_applied) VALUES (%d, 1)", version))
			},
			MigratesItself: true,
		}
	})
}

func texts(ctx context.Context, db *sql.DB, query string) ([][]string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		var row []string
		for _, v := range values {
			switch v := (*v.(*any)).(type) {
			case nil:
				row = append(row, "")
			case []byte:
				row = append(row, hex.EncodeToString(v))
			default:
				row = append(row, fmt.Sprint(v))
			}
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func TestFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "audit.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if fi, err := os.Stat(filepath.Dir(path)); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("directory's mode %v, %v", fi.Mode(), err)
	}
}
