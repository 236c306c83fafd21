package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	sqlitedrv "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed-240d5494/caddy-impersonate/internal/filelock"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// store implements [state.Store]. One connection writes, several read: SQLite has one writer at a time anyway, and
// waiting in Go's queue honours the context where waiting in SQLite polls.
type store struct {
	w, r *sql.DB
	lock *os.File

	once sync.Once
	err  error // of Close
}

// Ping reports whether the database can be read and written.
func (s *store) Ping(ctx context.Context) error {
	return s.tx(ctx, "pinging the state database", func(*sql.Tx) error { return nil })
}

// Close waits for transactions under way. Once it has returned another process can open the file.
func (s *store) Close() error {
	s.once.Do(func() {
		var errs []error
		if s.r != nil {
			errs = append(errs, s.r.Close())
		}
		if s.w != nil {
			errs = append(errs, s.w.Close()) // the last one out checkpoints
		}
		if s.lock != nil {
			errs = append(errs, filelock.Release(s.lock))
		}
		s.err = errors.Join(errs...)
	})
	return s.err
}

// tx runs f in a transaction that holds the write lock from its beginning. f's error is returned as it is.
func (s *store) tx(ctx context.Context, doing string, f func(*sql.Tx) error) error {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return failed(ctx, doing, err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return failed(ctx, doing, err)
	}
	return nil
}

// exec runs one statement as a transaction of its own.
func (s *store) exec(ctx context.Context, doing, query string, args ...any) (int64, error) {
	res, err := s.w.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, failed(ctx, doing, err)
	}
	return res.RowsAffected()
}

// dropOrphans removes jars whose session and impersonation are gone: a request under way during a logout may have
// written one after it. Nobody can open them.
func (s *store) dropOrphans(ctx context.Context) error {
	_, err := s.exec(ctx, "removing orphaned jars", `DELETE FROM jars WHERE
		NOT EXISTS (SELECT 1 FROM impersonations WHERE id = jars.owner) AND
		NOT EXISTS (SELECT 1 FROM sessions WHERE id = unhex(jars.owner))`)
	return err
}

// failed wraps a driver's error in what the callers can tell apart.
func failed(ctx context.Context, doing string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", doing, state.ErrNotFound)
	}
	var e *sqlitedrv.Error
	if errors.As(err, &e) {
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
			return fmt.Errorf("%s: %w", doing, state.ErrConflict)
		case sqlite3.SQLITE_INTERRUPT:
			// How a statement ends when its context does.
			if cause := ctx.Err(); cause != nil {
				return fmt.Errorf("%s: %w", doing, cause)
			}
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// micros is a time as it is stored.
func micros(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

// when scans a stored time.
type when struct{ t *time.Time }

func (w when) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*w.t = time.Time{}
	case int64:
		*w.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time of type %T", v)
	}
	return nil
}

// encode writes a list or map as JSON; an empty one as NULL.
func encode[T []string | map[string]string](v T) (sql.NullString, error) {
	if len(v) == 0 {
		return sql.NullString{}, nil
	}
	b, err := json.Marshal(v)
	return sql.NullString{String: string(b), Valid: true}, err
}

// decoded scans what encode wrote.
type decoded struct{ to any }

func (d decoded) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(v), d.to)
	default:
		return fmt.Errorf("a list of type %T", v)
	}
}

// row is what *sql.Row and *sql.Rows have in common.
type row interface{ Scan(to ...any) error }

// collect reads all rows of a query.
func collect[T any](ctx context.Context, s *store, doing string, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed(ctx, doing, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, failed(ctx, doing, err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, failed(ctx, doing, err)
	}
	return all, nil
}
