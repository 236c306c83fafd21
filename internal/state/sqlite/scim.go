package sqlite

import (
	"context"
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func (s *store) EachSCIM(ctx context.Context, f func(*state.SCIMResource) error) error {
	const doing = "reading SCIM resources"
	rows, err := s.r.QueryContext(ctx, `SELECT kind, id, name, body, version, created_at, modified_at FROM scim ORDER BY kind, id`)
	if err != nil {
		return failed(ctx, doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r state.SCIMResource
		if err := rows.Scan(&r.Kind, &r.ID, &r.Name, &r.Body, &r.Version, when{&r.CreatedAt}, when{&r.ModifiedAt}); err != nil {
			return failed(ctx, doing, err)
		}
		if err := f(&r); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return failed(ctx, doing, err)
	}
	return nil
}

func (s *store) PutSCIM(ctx context.Context, r *state.SCIMResource) error {
	if err := r.Check(); err != nil {
		return err
	}
	const doing = "keeping a SCIM resource"
	if r.Version == 1 {
		_, err := s.exec(ctx, doing, `INSERT INTO scim (kind, id, name, body, version, created_at, modified_at) VALUES (?,?,?,?,?,?,?)`,
			r.Kind, r.ID, r.Name, r.Body, r.Version, micros(r.CreatedAt), micros(r.ModifiedAt))
		return err
	}
	n, err := s.exec(ctx, doing, `UPDATE scim SET name = ?, body = ?, version = ?, modified_at = ? WHERE kind = ? AND id = ? AND version = ?`,
		r.Name, r.Body, r.Version, micros(r.ModifiedAt), r.Kind, r.ID, r.Version-1)
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", doing, state.ErrNotFound)
	}
	return err
}

func (s *store) DeleteSCIM(ctx context.Context, kind, id string) error {
	n, err := s.exec(ctx, "deleting a SCIM resource", `DELETE FROM scim WHERE kind = ? AND id = ?`, kind, id)
	if err == nil && n == 0 {
		return fmt.Errorf("deleting a SCIM resource: %w", state.ErrNotFound)
	}
	return err
}
