package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const requestColumns = `id, state, site, actor, actor_username, target_id, target_username, target_name, mode, policy, reason, ticket, duration,
	return_to, next, client_ip, emergency, need_approval, need_consent, created_at, expires_at, start_by, approver, approved_at, consented_at,
	closed_by, note, closed_at, impersonation`

const requestValues = `?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?`

func scanRequest(r row) (*state.Request, error) {
	var v state.Request
	var username string
	var duration int64
	err := r.Scan(&v.ID, &v.State, &v.Site, decoded{&v.Actor}, &username, &v.TargetID, &v.TargetUsername, &v.TargetName, &v.Mode, &v.Policy,
		&v.Reason, &v.Ticket, &duration, &v.ReturnTo, &v.Next, &v.ClientIP, &v.Emergency, &v.NeedApproval, &v.NeedConsent,
		when{&v.CreatedAt}, when{&v.ExpiresAt}, when{&v.StartBy}, decoded{&v.Approver}, when{&v.ApprovedAt}, when{&v.ConsentedAt},
		&v.ClosedBy, &v.Note, when{&v.ClosedAt}, &v.Impersonation)
	if err != nil {
		return nil, err
	}
	v.Duration = time.Duration(duration) * time.Microsecond
	return &v, nil
}

// requestArgs are the values of requestColumns.
func requestArgs(v *state.Request) ([]any, error) {
	if err := v.Check(); err != nil {
		return nil, err
	}
	if v.Open() != v.ClosedAt.IsZero() {
		return nil, fmt.Errorf("request: %w: it is %s, and ClosedAt says otherwise", state.ErrInvalid, v.State)
	}
	actor, err := json.Marshal(v.Actor)
	if err != nil {
		return nil, err
	}
	approver, err := json.Marshal(v.Approver)
	if err != nil {
		return nil, err
	}
	return []any{
		v.ID, v.State, v.Site, string(actor), v.Actor.Username, v.TargetID, v.TargetUsername, v.TargetName, v.Mode, v.Policy,
		v.Reason, v.Ticket, v.Duration.Microseconds(), v.ReturnTo, v.Next, v.ClientIP, flag(v.Emergency), flag(v.NeedApproval), flag(v.NeedConsent),
		micros(v.CreatedAt), micros(v.ExpiresAt), micros(v.StartBy), string(approver), micros(v.ApprovedAt), micros(v.ConsentedAt),
		v.ClosedBy, v.Note, micros(v.ClosedAt), v.Impersonation,
	}, nil
}

// flag is a truth as STRICT tables keep it.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *store) CreateRequest(ctx context.Context, r *state.Request) error {
	args, err := requestArgs(r)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "creating request", `INSERT INTO requests (`+requestColumns+`) VALUES (`+requestValues+`)`, args...)
	return err
}

func (s *store) Request(ctx context.Context, id string) (*state.Request, error) {
	v, err := scanRequest(s.r.QueryRowContext(ctx, `SELECT `+requestColumns+` FROM requests WHERE id = ?`, id))
	if err != nil {
		return nil, failed(ctx, "finding request", err)
	}
	return v, nil
}

func (s *store) UpdateRequest(ctx context.Context, id string, f func(*state.Request) error) error {
	const doing = "updating request"
	return s.tx(ctx, doing, func(tx *sql.Tx) error {
		v, err := scanRequest(tx.QueryRowContext(ctx, `SELECT `+requestColumns+` FROM requests WHERE id = ?`, id))
		if err != nil {
			return failed(ctx, doing, err)
		}
		if err := f(v); err != nil {
			return err
		}
		if v.ID != id {
			return fmt.Errorf("%s: %w: its id may not change", doing, state.ErrInvalid)
		}
		args, err := requestArgs(v)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE requests SET (`+requestColumns+`) = (`+requestValues+`) WHERE id = ?`, append(args, id)...); err != nil {
			return failed(ctx, doing, err)
		}
		return nil
	})
}

func (s *store) OpenRequests(ctx context.Context) ([]*state.Request, error) {
	return collect(ctx, s, "listing open requests", scanRequest,
		`SELECT `+requestColumns+` FROM requests WHERE closed_at IS NULL ORDER BY created_at, rowid LIMIT ?`, state.MaxList)
}

func (s *store) ListRequests(ctx context.Context, actor string, behind state.Place, limit int) ([]*state.Request, error) {
	q, args := `SELECT `+requestColumns+` FROM requests WHERE state <> ?`, []any{state.RequestStepUp}
	if actor != "" {
		q, args = q+` AND actor_username = ?`, append(args, actor)
	}
	if !behind.At.IsZero() {
		q, args = q+` AND (created_at, id) < (?, ?)`, append(args, behind.At.UnixMicro(), behind.ID)
	}
	return collect(ctx, s, "listing requests", scanRequest, q+` ORDER BY created_at DESC, id DESC LIMIT ?`, append(args, bounded(limit))...)
}

func (s *store) DeleteRequest(ctx context.Context, id string) error {
	_, err := s.exec(ctx, "deleting request", `DELETE FROM requests WHERE id = ?`, id)
	return err
}

func (s *store) PruneRequests(ctx context.Context, closedBefore time.Time, limit int) (int, error) {
	n, err := s.exec(ctx, "pruning requests", `DELETE FROM requests WHERE id IN (
		SELECT id FROM requests WHERE closed_at < ? ORDER BY closed_at LIMIT ?)`, closedBefore.UnixMicro(), bounded(limit))
	return int(n), err
}
