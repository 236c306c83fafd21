// Package sqlite is the audit's sink where no ClickHouse is named: one file with the same tables and views, for one
// machine. Times are text (RFC 3339, UTC, microseconds), hashes blobs of 32 bytes.
//
// It writes exactly once because a row's key is its place in its log: a batch that comes again adds nothing. Another
// row for a place that is taken is refused, never dropped: two journals must have come by one log id.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Sink implements [audit.Sink].
type Sink struct {
	path string
	db   *sql.DB
}

// Open opens or makes the file (mode 0600, its directory 0700) and brings its schema up to date. A file that a newer
// version has written is refused.
func Open(ctx context.Context, path string) (_ *Sink, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening the audit database %s: %w", path, err)
		}
	}()
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating its directory: %w", err)
	}
	// SQLite gives its -wal and -shm files the mode of this one.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	q := url.Values{"_pragma": {"busy_timeout(10000)", "auto_vacuum(INCREMENTAL)", "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)", "secure_delete(1)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &Sink{path: path, db: db}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *Sink) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, s.db, dir, goose.WithDisableGlobalRegistry(true), goose.WithTableName("schema_versions"), goose.WithLogger(goose.NopLogger()))
}

func (s *Sink) migrate(ctx context.Context) error {
	p, err := s.provider()
	if err != nil {
		return fmt.Errorf("preparing migrations: %w", err)
	}
	if err := known(ctx, p); err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating it: %w", err)
	}
	return nil
}

func known(ctx context.Context, p *goose.Provider) error {
	have, know, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading its schema version: %w", err)
	}
	if have > know {
		return fmt.Errorf("its schema has version %d, this program knows up to %d: a newer caddy-impersonate has written it; run that one", have, know)
	}
	return nil
}

// Name implements [audit.Sink].
func (s *Sink) Name() string { return "sqlite" }

// Check implements [audit.Sink]: the schema is one this version knows, and its tables are there.
func (s *Sink) Check(ctx context.Context) error {
	p, err := s.provider()
	if err != nil {
		return err
	}
	if err := known(ctx, p); err != nil {
		return fmt.Errorf("checking the audit database %s: %w", s.path, err)
	}
	for _, table := range []string{audit.TableRequests, audit.TableEvents, audit.TableCheckpoints} {
		var n int
		if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+table+" LIMIT 1)").Scan(&n); err != nil {
			return fmt.Errorf("checking table %s of the audit database %s: %w", table, s.path, err)
		}
	}
	return nil
}

// Write implements [audit.Sink], in one transaction.
func (s *Sink) Write(ctx context.Context, b *audit.Batch) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s to the audit database %s: %w", b.Token, s.path, err)
		}
	}()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if len(b.Requests) > 0 {
		err := insert(ctx, tx, audit.TableRequests, names(audit.RequestColumns(), "leaf_hash"), len(b.Requests), func(row []any, i int) []any {
			return appendRequest(row, b.Requests[i])
		})
		if err != nil {
			return err
		}
	}
	if len(b.Events) > 0 {
		columns := audit.EventColumns()
		err := insert(ctx, tx, audit.TableEvents, names(columns, "leaf_hash"), len(b.Events), func(row []any, i int) []any {
			e := b.Events[i]
			return append(appendValues(row, columns, e.Values()), e.LeafHash[:])
		})
		if err != nil {
			return err
		}
	}
	if len(b.Checkpoints) > 0 {
		columns := audit.CheckpointColumns()
		err := insert(ctx, tx, audit.TableCheckpoints, names(columns), len(b.Checkpoints), func(row []any, i int) []any {
			c := b.Checkpoints[i]
			row = appendValues(row, columns, c.Values())
			row[len(row)-2] = c.RootHash[:]
			return row
		})
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// together is how many rows one statement adds: what a statement costs by itself is shared.
const together = 64

// insert adds rows. Their last column is what tells two rows with one key apart.
func insert(ctx context.Context, tx *sql.Tx, table string, columns []string, n int, row func([]any, int) []any) error {
	done := 0
	for _, size := range []int{together, 1} {
		if n-done < size {
			continue
		}
		stmt, err := tx.PrepareContext(ctx, statement(table, columns, size))
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
		for ; n-done >= size && err == nil; done += size {
			values := make([]any, 0, size*len(columns))
			for i := range size {
				values = row(values, done+i)
			}
			err = insertSome(ctx, tx, stmt, table, values, size)
		}
		if err = errors.Join(err, stmt.Close()); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}

func statement(table string, columns []string, rows int) string {
	one := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + one + strings.Repeat(", "+one, rows-1) + " ON CONFLICT DO NOTHING"
}

// insertSome runs the statement for so many rows.
func insertSome(ctx context.Context, tx *sql.Tx, stmt *sql.Stmt, table string, values []any, rows int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// With a context that can end the driver starts a goroutine for each statement; these are short.
	result, err := stmt.ExecContext(context.WithoutCancel(ctx), values...)
	if err != nil {
		return err
	}
	if added, err := result.RowsAffected(); err != nil || added == int64(rows) {
		return err
	}
	each := len(values) / rows
	for i := range rows {
		if err := same(ctx, tx, table, values[i*each:(i+1)*each]); err != nil {
			return err
		}
	}
	return nil
}

// same checks that a row that is there already is the one that came.
func same(ctx context.Context, tx *sql.Tx, table string, values []any) error {
	key, last := "seq", "leaf_hash"
	if table == audit.TableCheckpoints {
		key, last = "size", "note"
	}
	logID, place := values[1], values[2]
	query := "SELECT count(*) FROM " + table + " WHERE log_id = ? AND " + key + " = ? AND " + last + " = ?"
	var n int
	if err := tx.QueryRowContext(ctx, query, logID, place, values[len(values)-1]).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s %v of log %v is there with other contents; do two gateways use copies of one journal? %w", key, place, logID, audit.ErrPermanent)
	}
	return nil
}

// LastSeq implements [audit.Resumer].
func (s *Sink) LastSeq(ctx context.Context, logID string) (uint64, error) {
	const query = `SELECT max(coalesce((SELECT max(seq) FROM requests WHERE log_id = ?1), 0), coalesce((SELECT max(seq) FROM events WHERE log_id = ?1), 0))`
	var last int64
	if err := s.db.QueryRowContext(ctx, query, logID).Scan(&last); err != nil {
		return 0, fmt.Errorf("reading the end of log %s in the audit database %s: %w", logID, s.path, err)
	}
	return uint64(last), nil
}

func names(columns []audit.Column, more ...string) []string {
	list := make([]string, 0, len(columns)+len(more))
	for _, c := range columns {
		list = append(list, c.Name)
	}
	return append(list, more...)
}

// appendRequest appends a row's values, in the order of [audit.RequestColumns], as [audit.Request.Values] has them. Most
// rows are requests: numbers do not go by way of text.
func appendRequest(row []any, r *audit.Request) []any {
	return append(row,
		r.Time.UTC().Format(audit.TimeLayout), r.LogID, number(r.Seq), r.RequestID, r.ImpersonationID, number(r.ImpersonationSeq),
		r.ActorID, r.ActorUsername, r.ActorName, r.TargetID, r.TargetUsername, r.TargetName,
		r.Mode, r.ClientIP, r.UserAgent, r.Method, r.Scheme, r.Host, r.Path, r.Query, r.Action,
		int64(max(r.Status, 0)), r.Outcome, r.Refusal, r.Banner, max(r.Duration.Microseconds(), 0),
		max(r.RequestBytes, 0), max(r.ResponseBytes, 0), r.ContentType, r.Fields, r.LeafHash[:],
	)
}

// number is for a column: what is no int64 stays text, and the table's STRICT type refuses it.
func number(n uint64) any {
	if n > math.MaxInt64 {
		return strconv.FormatUint(n, 10)
	}
	return int64(n)
}

// appendValues appends a row's values for the driver.
func appendValues(row []any, columns []audit.Column, texts []string) []any {
	for i, t := range texts {
		var v any = t
		if columns[i].Kind == audit.KindNumber {
			if n, err := strconv.ParseInt(t, 10, 64); err == nil {
				v = n
			}
		}
		row = append(row, v)
	}
	return row
}

// Close implements [audit.Sink].
func (s *Sink) Close() error { return s.db.Close() }
