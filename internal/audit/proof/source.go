package proof

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Store reads an audit's tables.
type Store struct {
	DB *sql.DB
	// Prefix goes before the tables' names; Settings behind each query that sorts.
	Prefix, Settings string
}

// Logs are the logs that the tables have anything of, in order.
func (s *Store) Logs(ctx context.Context) (ids []string, err error) {
	rows, err := s.DB.QueryContext(ctx, fmt.Sprintf("SELECT DISTINCT log_id FROM (SELECT log_id FROM %[1]srequests UNION ALL SELECT log_id FROM %[1]sevents UNION ALL SELECT log_id FROM %[1]scheckpoints) AS l", s.Prefix))
	if err != nil {
		return nil, fmt.Errorf("reading the logs: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("reading the logs: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Count is the number of rows in requests and events.
func (s *Store) Count(ctx context.Context) (uint64, error) {
	var sum uint64
	for _, table := range []string{audit.TableRequests, audit.TableEvents} {
		var n uint64
		if err := s.DB.QueryRowContext(ctx, "SELECT count(*) FROM "+s.Prefix+table).Scan(&n); err != nil {
			return 0, fmt.Errorf("counting %s: %w", table, err)
		}
		sum += n
	}
	return sum, nil
}

// cursor reads the rows of one table and log in order.
type cursor struct {
	table string
	rows  *sql.Rows
	into  []any
	cells []any
	buf   []byte
	row   *Row // at hand; nil: there is no more
}

func (s *Store) query(ctx context.Context, table, logID, order string, columns []audit.Column, more ...string) (*cursor, error) {
	list, _, err := audit.Selected(ctx, s.DB, s.Prefix+table, columns, more...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", table, err)
	}
	rows, err := s.DB.QueryContext(ctx, "SELECT "+list+" FROM "+s.Prefix+table+" WHERE log_id = ? ORDER BY "+order+s.Settings, logID)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", table, err)
	}
	c := &cursor{table: table, rows: rows, cells: make([]any, len(columns)+len(more)), into: make([]any, len(columns)+len(more))}
	for i := range c.cells {
		c.into[i] = &c.cells[i]
	}
	return c, nil
}

func (s *Store) open(ctx context.Context, table, logID string) (*cursor, error) {
	c, err := s.query(ctx, table, logID, "seq", columns[table], "leaf_hash")
	if err != nil {
		return nil, err
	}
	if err := c.next(); err != nil {
		return nil, errors.Join(err, c.rows.Close())
	}
	return c, nil
}

// scan reads the next row's values.
func (c *cursor) scan() ([]string, error) {
	if !c.rows.Next() {
		return nil, c.rows.Err()
	}
	if err := c.rows.Scan(c.into...); err != nil {
		return nil, err
	}
	values := make([]string, len(c.cells))
	for i, v := range c.cells {
		var err error
		if values[i], err = value(v); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func (c *cursor) next() error {
	values, err := c.scan()
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.table, err)
	}
	if c.row = nil; values == nil {
		return nil
	}
	last := len(values) - 1
	r := &Row{Table: c.table, LogID: values[1], Values: values[:last]}
	// What is no place in a log is place 0: no row has it.
	r.Seq, _ = strconv.ParseUint(values[seqColumn], 10, 64)
	copy(r.Stored[:], values[last])
	c.buf = appendEncoding(c.buf[:0], c.table, r.Values, values[seqColumn])
	r.leaf = sha256.Sum256(c.buf)
	c.row = r
	return nil
}

// stream is the rows of one log, of both tables, in order of seq.
type stream struct {
	cursors []*cursor
	last    *Row
}

func (s *Store) stream(ctx context.Context, logID string) (*stream, error) {
	st := &stream{}
	for _, table := range []string{audit.TableRequests, audit.TableEvents} {
		c, err := s.open(ctx, table, logID)
		if err != nil {
			return nil, errors.Join(err, st.Close())
		}
		st.cursors = append(st.cursors, c)
	}
	return st, nil
}

// Next is the next row with a seq up to most; nil when there is none.
func (s *stream) Next(most uint64) (*Row, error) {
	var first *cursor
	for _, c := range s.cursors {
		if c.row != nil && c.row.Seq <= most && (first == nil || c.row.Seq < first.row.Seq) {
			first = c
		}
	}
	if first == nil {
		return nil, nil
	}
	row := first.row
	s.last = row
	return row, first.next()
}

// ended tells that there are no more rows.
func (s *stream) ended() bool {
	for _, c := range s.cursors {
		if c.row != nil {
			return false
		}
	}
	return true
}

// newest is the time of the last row read.
func (s *stream) newest() (time.Time, bool) {
	if s.last == nil {
		return time.Time{}, false
	}
	t, err := time.Parse(audit.TimeLayout, s.last.Values[0])
	return t, err == nil
}

func (s *stream) Close() (err error) {
	for _, c := range s.cursors {
		err = errors.Join(err, c.rows.Close())
	}
	return err
}

// checkpoints gives the checkpoints of a log in order of size, as they were found.
func (s *Store) checkpoints(ctx context.Context, logID string) (*cursor, error) {
	return s.query(ctx, audit.TableCheckpoints, logID, "size, time", audit.CheckpointColumns())
}

// removed is how far retention has removed each log, as events of the audit say.
func (s *Store) removed(ctx context.Context) (through map[string]uint64, err error) {
	rows, err := s.DB.QueryContext(ctx, "SELECT detail FROM "+s.Prefix+"events WHERE type = ?", audit.EventRetentionApplied)
	if err != nil {
		return nil, fmt.Errorf("reading the retention: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	through = map[string]uint64{}
	for rows.Next() {
		var detail string
		if err := rows.Scan(&detail); err != nil {
			return nil, fmt.Errorf("reading the retention: %w", err)
		}
		r := audit.RemovalOf(detail)
		through[r.Log] = max(through[r.Log], r.Through)
	}
	return through, rows.Err()
}
