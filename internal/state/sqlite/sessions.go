package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const sessionColumns = `id, issuer, subject, user_id, username, name, email, groups, attributes, sid, acr, auth_time, created_at, last_seen, sealed, notice`

func scanSession(r row) (*state.Session, error) {
	var s state.Session
	var id []byte
	err := r.Scan(&id, &s.Issuer, &s.Subject, &s.UserID, &s.Username, &s.Name, &s.Email, decoded{&s.Groups}, decoded{&s.Attributes},
		&s.SID, &s.ACR, when{&s.AuthTime}, when{&s.CreatedAt}, when{&s.LastSeen}, &s.Sealed, &s.Notice)
	if err != nil {
		return nil, err
	}
	copy(s.ID[:], id)
	return &s, nil
}

// sessionArgs are the values of sessionColumns.
func sessionArgs(s *state.Session) ([]any, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	groups, err := encode(s.Groups)
	if err != nil {
		return nil, err
	}
	attributes, err := encode(s.Attributes)
	if err != nil {
		return nil, err
	}
	seen := s.LastSeen
	if seen.IsZero() {
		seen = s.CreatedAt
	}
	return []any{
		s.ID[:], s.Issuer, s.Subject, s.UserID, s.Username, s.Name, s.Email, groups, attributes,
		s.SID, s.ACR, micros(s.AuthTime), micros(s.CreatedAt), micros(seen), s.Sealed, s.Notice,
	}, nil
}

func (s *store) CreateSession(ctx context.Context, v *state.Session) error {
	args, err := sessionArgs(v)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "creating session", `INSERT INTO sessions (`+sessionColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, args...)
	return err
}

func (s *store) Session(ctx context.Context, id state.Hash) (*state.Session, error) {
	v, err := scanSession(s.r.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = ?`, id[:]))
	if err != nil {
		return nil, failed(ctx, "finding session", err)
	}
	return v, nil
}

func (s *store) UpdateSession(ctx context.Context, id state.Hash, f func(*state.Session) error) error {
	const doing = "updating session"
	return s.tx(ctx, doing, func(tx *sql.Tx) error {
		v, err := scanSession(tx.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = ?`, id[:]))
		if err != nil {
			return failed(ctx, doing, err)
		}
		if err := f(v); err != nil {
			return err
		}
		if v.ID != id {
			return fmt.Errorf("%s: %w: its id may not change", doing, state.ErrInvalid)
		}
		args, err := sessionArgs(v)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE sessions SET (`+sessionColumns+`) = (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) WHERE id = ?`, append(args, id[:])...)
		if err != nil {
			return failed(ctx, doing, err)
		}
		return nil
	})
}

func (s *store) TouchSessions(ctx context.Context, seen map[state.Hash]time.Time) error {
	const doing = "touching sessions"
	if len(seen) == 0 {
		return nil
	}
	return s.tx(ctx, doing, func(tx *sql.Tx) error {
		up, err := tx.PrepareContext(ctx, `UPDATE sessions SET last_seen = ?1 WHERE id = ?2 AND last_seen < ?1`)
		if err != nil {
			return failed(ctx, doing, err)
		}
		defer up.Close()
		for id, t := range seen {
			if _, err := up.ExecContext(ctx, t.UnixMicro(), id[:]); err != nil {
				return failed(ctx, doing, err)
			}
		}
		return nil
	})
}

func (s *store) DeleteSession(ctx context.Context, id state.Hash) error {
	const doing = "deleting session"
	return s.tx(ctx, doing, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = ?`, id[:])
		_, err2 := tx.ExecContext(ctx, `DELETE FROM jars WHERE owner = ? OR owner IN (SELECT id FROM impersonations WHERE session = ?)`, hex.EncodeToString(id[:]), id[:])
		if err := errors.Join(err, err2); err != nil {
			return failed(ctx, doing, err)
		}
		return nil
	})
}

func (s *store) SessionsOf(ctx context.Context, issuer, subject, sid string) ([]*state.Session, error) {
	column, value := "subject", subject
	if sid != "" {
		column, value = "sid", sid
	}
	return collect(ctx, s, "finding sessions", scanSession,
		`SELECT `+sessionColumns+` FROM sessions WHERE issuer = ? AND `+column+` = ? AND `+column+` <> '' ORDER BY created_at, rowid`, issuer, value)
}

func (s *store) ExpiredSessions(ctx context.Context, created, seen time.Time, limit int) ([]*state.Session, error) {
	return collect(ctx, s, "finding expired sessions", scanSession,
		`SELECT `+sessionColumns+` FROM sessions WHERE created_at < ? OR last_seen < ? ORDER BY created_at, rowid LIMIT ?`,
		created.UnixMicro(), seen.UnixMicro(), bounded(limit))
}

func bounded(limit int) int { return min(max(limit, 0), state.MaxList) }
