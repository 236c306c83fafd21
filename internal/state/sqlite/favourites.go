package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func (s *store) PutFavourite(ctx context.Context, f *state.Favourite) error {
	const doing = "marking a favourite"
	if err := f.Check(); err != nil {
		return err
	}
	return s.tx(ctx, doing, func(tx *sql.Tx) error {
		var others int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM favourites WHERE actor_username = ? AND target_username <> ?`, f.ActorUsername, f.TargetUsername).Scan(&others)
		switch {
		case err != nil:
			return failed(ctx, doing, err)
		case others >= state.MaxFavourites:
			return fmt.Errorf("%s: %w", doing, state.ErrFull)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO favourites (actor_username, target_username, target_id, created_at) VALUES (?,?,?,?) ON CONFLICT DO NOTHING`,
			f.ActorUsername, f.TargetUsername, f.TargetID, micros(f.CreatedAt))
		if err != nil {
			return failed(ctx, doing, err)
		}
		return nil
	})
}

func (s *store) Favourites(ctx context.Context, actor string) ([]*state.Favourite, error) {
	scan := func(r row) (*state.Favourite, error) {
		var f state.Favourite
		return &f, r.Scan(&f.ActorUsername, &f.TargetUsername, &f.TargetID, when{&f.CreatedAt})
	}
	return collect(ctx, s, "listing favourites", scan,
		`SELECT actor_username, target_username, target_id, created_at FROM favourites WHERE actor_username = ? ORDER BY created_at, target_username`, actor)
}

func (s *store) DeleteFavourite(ctx context.Context, actor, target string) error {
	_, err := s.exec(ctx, "taking a favourite's mark off", `DELETE FROM favourites WHERE actor_username = ? AND target_username = ?`, actor, target)
	return err
}
