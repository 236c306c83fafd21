package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const impersonationColumns = `id, session, site, actor_id, actor_username, actor_name, target_id, target_username, target_name,
	mode, policy, reason, ticket, return_to, started_at, expires_at, idle, last_seen, ended_at, end_cause, ended_by, end_recorded, extensions, extended,
	emergency, request, approved_by, objected_at, reviewed_at, reviewed_by, review_note`

const impersonationValues = `?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?`

func scanImpersonation(r row) (*state.Impersonation, error) {
	var i state.Impersonation
	var session []byte
	var idle, extended int64
	err := r.Scan(&i.ID, &session, &i.Site, &i.ActorID, &i.ActorUsername, &i.ActorName, &i.TargetID, &i.TargetUsername, &i.TargetName,
		&i.Mode, &i.Policy, &i.Reason, &i.Ticket, &i.ReturnTo, when{&i.StartedAt}, when{&i.ExpiresAt}, &idle, when{&i.LastSeen},
		when{&i.EndedAt}, &i.EndCause, &i.EndedBy, &i.EndRecorded, &i.Extensions, &extended, &i.Emergency, &i.Request, &i.ApprovedBy,
		when{&i.ObjectedAt}, when{&i.ReviewedAt}, &i.ReviewedBy, &i.ReviewNote)
	if err != nil {
		return nil, err
	}
	copy(i.Session[:], session)
	i.Idle, i.Extended = time.Duration(idle)*time.Microsecond, time.Duration(extended)*time.Microsecond
	return &i, nil
}

// impersonationArgs are the values of impersonationColumns.
func impersonationArgs(i *state.Impersonation) ([]any, error) {
	if err := i.Check(); err != nil {
		return nil, err
	}
	return []any{
		i.ID, i.Session[:], i.Site, i.ActorID, i.ActorUsername, i.ActorName, i.TargetID, i.TargetUsername, i.TargetName,
		i.Mode, i.Policy, i.Reason, i.Ticket, i.ReturnTo, micros(i.StartedAt), micros(i.ExpiresAt), i.Idle.Microseconds(), micros(i.LastSeen),
		micros(i.EndedAt), i.EndCause, i.EndedBy, flag(i.EndRecorded), i.Extensions, i.Extended.Microseconds(),
		flag(i.Emergency), i.Request, i.ApprovedBy, micros(i.ObjectedAt), micros(i.ReviewedAt), i.ReviewedBy, i.ReviewNote,
	}, nil
}

func (s *store) CreateImpersonation(ctx context.Context, i *state.Impersonation, told ...state.Telling) error {
	const doing = "creating impersonation"
	args, err := impersonationArgs(i)
	if err != nil {
		return err
	}
	return s.tx(ctx, doing, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO impersonations (`+impersonationColumns+`) SELECT `+impersonationValues+` WHERE EXISTS (SELECT 1 FROM sessions WHERE id = ?)`,
			append(args, i.Session[:])...)
		if err != nil {
			return failed(ctx, doing, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return failed(ctx, doing, err)
		}
		if n == 0 {
			return fmt.Errorf("%s: its session: %w", doing, state.ErrNotFound)
		}
		for _, t := range told {
			if err := putNotices(ctx, tx, t.Notices); err != nil {
				return err
			}
			if t.Bell == nil {
				continue
			}
			if err := putBell(ctx, tx, t.Bell); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) Impersonation(ctx context.Context, id string) (*state.Impersonation, error) {
	v, err := scanImpersonation(s.r.QueryRowContext(ctx, `SELECT `+impersonationColumns+` FROM impersonations WHERE id = ?`, id))
	if err != nil {
		return nil, failed(ctx, "finding impersonation", err)
	}
	return v, nil
}

func (s *store) UpdateImpersonation(ctx context.Context, id string, f func(*state.Impersonation) error) error {
	const doing = "updating impersonation"
	return s.tx(ctx, doing, func(tx *sql.Tx) error {
		v, err := scanImpersonation(tx.QueryRowContext(ctx, `SELECT `+impersonationColumns+` FROM impersonations WHERE id = ?`, id))
		if err != nil {
			return failed(ctx, doing, err)
		}
		session := v.Session
		if err := f(v); err != nil {
			return err
		}
		if v.ID != id || v.Session != session {
			return fmt.Errorf("%s: %w: its id and session may not change", doing, state.ErrInvalid)
		}
		args, err := impersonationArgs(v)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE impersonations SET (`+impersonationColumns+`) = (`+impersonationValues+`) WHERE id = ?`, append(args, id)...)
		if err != nil {
			return failed(ctx, doing, err)
		}
		return nil
	})
}

func (s *store) LiveImpersonations(ctx context.Context) ([]*state.Impersonation, error) {
	return collect(ctx, s, "listing live impersonations", scanImpersonation,
		`SELECT `+impersonationColumns+` FROM impersonations WHERE ended_at IS NULL ORDER BY started_at, rowid`)
}

func (s *store) LastImpersonation(ctx context.Context, session state.Hash) (*state.Impersonation, error) {
	v, err := scanImpersonation(s.r.QueryRowContext(ctx,
		`SELECT `+impersonationColumns+` FROM impersonations WHERE session = ? ORDER BY ended_at IS NULL DESC, started_at DESC, rowid DESC LIMIT 1`, session[:]))
	if err != nil {
		return nil, failed(ctx, "finding the session's impersonation", err)
	}
	return v, nil
}

func (s *store) UnrecordedEnds(ctx context.Context) ([]*state.Impersonation, error) {
	return collect(ctx, s, "listing unrecorded ends", scanImpersonation,
		`SELECT `+impersonationColumns+` FROM impersonations WHERE ended_at IS NOT NULL AND end_recorded = 0 ORDER BY ended_at, rowid`)
}

func (s *store) ListImpersonations(ctx context.Context, actor, target string, behind state.Place, limit int) ([]*state.Impersonation, error) {
	var where []string
	var args []any
	add := func(cond string, arg ...any) { where, args = append(where, cond), append(args, arg...) }
	if actor != "" {
		add("actor_username = ?", actor)
	}
	if target != "" {
		add("target_username = ?", target)
	}
	if !behind.At.IsZero() {
		add("(started_at, id) < (?, ?)", behind.At.UnixMicro(), behind.ID)
	}
	q := `SELECT ` + impersonationColumns + ` FROM impersonations`
	if len(where) > 0 {
		q += ` WHERE ` + strings.Join(where, " AND ")
	}
	return collect(ctx, s, "listing impersonations", scanImpersonation, q+` ORDER BY started_at DESC, id DESC LIMIT ?`, append(args, bounded(limit))...)
}

func (s *store) PruneImpersonations(ctx context.Context, endedBefore time.Time, limit int) (int, error) {
	const doing = "pruning impersonations"
	n := 0
	err := s.tx(ctx, doing, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `DELETE FROM impersonations WHERE id IN (
			SELECT id FROM impersonations WHERE ended_at < ? AND end_recorded = 1 ORDER BY ended_at LIMIT ?) RETURNING id`, endedBefore.UnixMicro(), bounded(limit))
		if err != nil {
			return failed(ctx, doing, err)
		}
		defer rows.Close()
		var ids []string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return failed(ctx, doing, err)
			}
			ids = append(ids, id)
		}
		if err := rows.Err(); err != nil {
			return failed(ctx, doing, err)
		}
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `DELETE FROM jars WHERE owner = ?`, id); err != nil {
				return failed(ctx, doing, err)
			}
		}
		n = len(ids)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
