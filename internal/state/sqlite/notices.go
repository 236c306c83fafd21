package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const noticeColumns = `id, via, body, created_at, due_at, attempts, error, sent`

func scanNotice(r row) (*state.Notice, error) {
	var n state.Notice
	return &n, r.Scan(&n.ID, &n.Via, &n.Body, when{&n.CreatedAt}, when{&n.DueAt}, &n.Attempts, &n.Error, &n.Sent)
}

// execer is what a transaction and a database have in common.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func putNotices(ctx context.Context, to execer, notices []*state.Notice) error {
	for _, n := range notices {
		if err := n.Check(); err != nil {
			return err
		}
		_, err := to.ExecContext(ctx, `INSERT INTO notices (`+noticeColumns+`) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING`,
			n.ID, n.Via, n.Body, micros(n.CreatedAt), micros(n.DueAt), n.Attempts, n.Error, flag(n.Sent))
		if err != nil {
			return failed(ctx, "queueing a notice", err)
		}
	}
	return nil
}

func (s *store) PutNotices(ctx context.Context, notices ...*state.Notice) error {
	if len(notices) == 0 {
		return nil
	}
	return s.tx(ctx, "queueing notices", func(tx *sql.Tx) error { return putNotices(ctx, tx, notices) })
}

func (s *store) ClaimNotices(ctx context.Context, via string, now, until time.Time, limit int) (claimed []*state.Notice, next time.Time, err error) {
	const doing = "taking notices"
	err = s.tx(ctx, doing, func(tx *sql.Tx) error {
		claimed, next = nil, time.Time{}
		rows, err := tx.QueryContext(ctx, `SELECT `+noticeColumns+` FROM notices WHERE via = ? AND due_at <= ? ORDER BY due_at, rowid LIMIT ?`,
			via, now.UnixMicro(), bounded(limit))
		if err != nil {
			return failed(ctx, doing, err)
		}
		defer rows.Close()
		for rows.Next() {
			n, err := scanNotice(rows)
			if err != nil {
				return failed(ctx, doing, err)
			}
			claimed = append(claimed, n)
		}
		if err := rows.Err(); err != nil {
			return failed(ctx, doing, err)
		}
		for _, n := range claimed {
			n.DueAt = until.UTC().Truncate(time.Microsecond)
			if _, err := tx.ExecContext(ctx, `UPDATE notices SET due_at = ? WHERE id = ?`, micros(n.DueAt), n.ID); err != nil {
				return failed(ctx, doing, err)
			}
		}
		if err := tx.QueryRowContext(ctx, `SELECT min(due_at) FROM notices WHERE via = ?`, via).Scan(when{&next}); err != nil {
			return failed(ctx, doing, err)
		}
		return nil
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return claimed, next, nil
}

func (s *store) UpdateNotice(ctx context.Context, n *state.Notice) error {
	if err := n.Check(); err != nil {
		return err
	}
	_, err := s.exec(ctx, "updating a notice", `UPDATE notices SET due_at = ?, attempts = ?, error = ?, sent = ? WHERE id = ?`,
		micros(n.DueAt), n.Attempts, n.Error, flag(n.Sent), n.ID)
	return err
}

func (s *store) DeleteNotice(ctx context.Context, id string) error {
	_, err := s.exec(ctx, "deleting a notice", `DELETE FROM notices WHERE id = ?`, id)
	return err
}

func (s *store) CountNotices(ctx context.Context) (map[string]int, error) {
	type count struct {
		via string
		n   int
	}
	scan := func(r row) (c count, err error) { return c, r.Scan(&c.via, &c.n) }
	all, err := collect(ctx, s, "counting notices", scan, `SELECT via, count(*) FROM notices GROUP BY via`)
	if err != nil {
		return nil, err
	}
	by := make(map[string]int, len(all))
	for _, c := range all {
		by[c.via] = c.n
	}
	return by, nil
}

func putBell(ctx context.Context, to execer, b *state.Bell) error {
	if err := b.Check(); err != nil {
		return err
	}
	_, err := to.ExecContext(ctx, `INSERT INTO bells (username, impersonation_id, created_at, told) VALUES (?,?,?,?)
		ON CONFLICT (username, impersonation_id) DO UPDATE SET created_at = excluded.created_at, told = excluded.told`,
		b.Username, b.ImpersonationID, micros(b.CreatedAt), flag(b.Told))
	if err != nil {
		return failed(ctx, "leaving word for a person", err)
	}
	return nil
}

func (s *store) PutBell(ctx context.Context, b *state.Bell) error { return putBell(ctx, s.w, b) }

func (s *store) Bells(ctx context.Context) ([]*state.Bell, error) {
	scan := func(r row) (*state.Bell, error) {
		var b state.Bell
		return &b, r.Scan(&b.Username, &b.ImpersonationID, when{&b.CreatedAt}, &b.Told)
	}
	return collect(ctx, s, "listing words left for people", scan, `SELECT username, impersonation_id, created_at, told FROM bells ORDER BY created_at, rowid`)
}

func (s *store) DeleteBell(ctx context.Context, username, impersonationID string) error {
	_, err := s.exec(ctx, "deleting word for a person", `DELETE FROM bells WHERE username = ? AND impersonation_id = ?`, username, impersonationID)
	return err
}

func (s *store) PutLock(ctx context.Context, l *state.Lock) error {
	if err := l.Check(); err != nil {
		return err
	}
	_, err := s.exec(ctx, "locking a pair", `INSERT INTO locks (actor_username, target_username, impersonation_id, created_at) VALUES (?,?,?,?) ON CONFLICT DO NOTHING`,
		l.ActorUsername, l.TargetUsername, l.ImpersonationID, micros(l.CreatedAt))
	return err
}

func (s *store) Locks(ctx context.Context) ([]*state.Lock, error) {
	scan := func(r row) (*state.Lock, error) {
		var l state.Lock
		return &l, r.Scan(&l.ActorUsername, &l.TargetUsername, &l.ImpersonationID, when{&l.CreatedAt})
	}
	return collect(ctx, s, "listing locks", scan, `SELECT actor_username, target_username, impersonation_id, created_at FROM locks ORDER BY created_at, rowid`)
}

func (s *store) DeleteLock(ctx context.Context, actor, target string) error {
	const doing = "lifting a lock"
	n, err := s.exec(ctx, doing, `DELETE FROM locks WHERE actor_username = ? AND target_username = ?`, actor, target)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: %w", doing, state.ErrNotFound)
	}
	return err
}

func (s *store) PutLanguage(ctx context.Context, username, language string) error {
	if err := state.CheckLanguage(username, language); err != nil {
		return err
	}
	_, err := s.exec(ctx, "noting a person's language", `INSERT INTO languages (username, language) VALUES (?,?)
		ON CONFLICT (username) DO UPDATE SET language = excluded.language WHERE language <> excluded.language`, username, language)
	return err
}

func (s *store) Language(ctx context.Context, username string) (string, error) {
	var l string
	if err := s.r.QueryRowContext(ctx, `SELECT language FROM languages WHERE username = ?`, username).Scan(&l); err != nil {
		return "", failed(ctx, "finding a person's language", err)
	}
	return l, nil
}
