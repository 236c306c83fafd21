package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// trimRows is how many places of a log one transaction empties: a few milliseconds, between which batches are written.
const trimRows = 500

// vacuumPages is how many free pages are given back to the file system at once.
const vacuumPages = 512

// Removable implements [audit.Trimmer].
func (s *Sink) Removable(ctx context.Context, own string, before time.Time, limit uint64) ([]audit.Prefix, error) {
	list, err := s.removable(ctx, own, before.UTC().Format(audit.TimeLayout), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for old rows in the audit database %s: %w", s.path, err)
	}
	return list, nil
}

func (s *Sink) removable(ctx context.Context, own, before string, limit uint64) ([]audit.Prefix, error) {
	var list []audit.Prefix
	young := int64(min(limit, math.MaxInt64-1)) + 1
	for _, table := range []string{audit.TableRequests, audit.TableEvents} {
		// In order of seq, whatever index there is: it ends at the first row that is young enough.
		var seq int64
		err := s.db.QueryRowContext(ctx, "SELECT seq FROM "+table+" WHERE log_id = ? AND +time >= ? ORDER BY seq LIMIT 1", own, before).Scan(&seq)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return nil, err
		default:
			young = min(young, seq)
		}
	}
	var size, first sql.NullInt64
	err := s.db.QueryRowContext(ctx, "SELECT max(size) FROM checkpoints WHERE log_id = ? AND size < ?", own, young).Scan(&size)
	if err == nil {
		err = s.db.QueryRowContext(ctx, firstSeq, own).Scan(&first)
	}
	if err != nil {
		return nil, err
	}
	if first.Valid && first.Int64 <= size.Int64 {
		list = append(list, audit.Prefix{LogID: own, Through: uint64(size.Int64)})
	}
	others, err := s.whole(ctx, own, before)
	return append(list, others...), err
}

const firstSeq = `SELECT min(seq) FROM (
	SELECT (SELECT min(seq) FROM requests WHERE log_id = ?1) AS seq UNION ALL SELECT (SELECT min(seq) FROM events WHERE log_id = ?1))`

// whole lists the other logs that have nothing as young as before.
func (s *Sink) whole(ctx context.Context, own, before string) (list []audit.Prefix, err error) {
	const query = `SELECT l.log_id FROM (SELECT log_id, time FROM checkpoints UNION ALL SELECT log_id, time FROM events) l
		WHERE l.log_id <> ?1 GROUP BY l.log_id HAVING max(l.time) < ?2
		AND NOT EXISTS (SELECT 1 FROM requests r WHERE r.log_id = l.log_id AND r.time >= ?2)
		ORDER BY l.log_id`
	rows, err := s.db.QueryContext(ctx, query, own, before)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		p := audit.Prefix{Whole: true}
		if err := rows.Scan(&p.LogID); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil { // before the next: there is one connection
		return nil, err
	}
	for i := range list {
		if list[i].Through, err = s.LastSeq(ctx, list[i].LogID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Remove implements [audit.Trimmer].
func (s *Sink) Remove(ctx context.Context, p audit.Prefix) error {
	if err := s.remove(ctx, p); err != nil {
		return fmt.Errorf("removing old rows from the audit database %s: %w", s.path, err)
	}
	return nil
}

func (s *Sink) remove(ctx context.Context, p audit.Prefix) error {
	through := int64(min(p.Through, math.MaxInt64))
	for {
		var first sql.NullInt64
		if err := s.db.QueryRowContext(ctx, firstSeq, p.LogID).Scan(&first); err != nil {
			return err
		}
		if !first.Valid || first.Int64 > through {
			break
		}
		to := min(first.Int64+trimRows-1, through)
		if err := s.inTx(ctx, func(tx *sql.Tx) error {
			for _, table := range []string{audit.TableRequests, audit.TableEvents} {
				if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE log_id = ? AND seq <= ?", p.LogID, to); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for {
		// The one of that size stays: it begins the proof of what is behind it.
		query := "DELETE FROM checkpoints WHERE rowid IN (SELECT rowid FROM checkpoints WHERE log_id = ? AND size < ? ORDER BY size LIMIT ?)"
		size := through
		if p.Whole {
			size = math.MaxInt64
		}
		result, err := s.db.ExecContext(ctx, query, p.LogID, size, trimRows)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return err
			}
			break
		}
	}
	return s.giveBack(ctx)
}

// giveBack shrinks the file by the pages that are free.
func (s *Sink) giveBack(ctx context.Context) error {
	free := func() (n int64, err error) {
		err = s.db.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&n)
		return n, err
	}
	for last := int64(math.MaxInt64); ; {
		n, err := free()
		if err != nil || n == 0 || n >= last {
			return err // a file that was made without incremental vacuum keeps its pages, for new rows
		}
		last = n
		rows, err := s.db.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages))
		if err != nil {
			return err
		}
		for rows.Next() { // each step gives back a page
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
}

func (s *Sink) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

var _ audit.Trimmer = (*Sink)(nil)
