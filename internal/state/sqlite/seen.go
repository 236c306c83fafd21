package sqlite

import (
	"context"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

func (s *store) PutSeen(ctx context.Context, u *state.SeenUser) error {
	if err := u.Check(); err != nil {
		return err
	}
	groups, err := encode(u.Groups)
	if err != nil {
		return err
	}
	attributes, err := encode(u.Attributes)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "noting a login", `INSERT INTO seen (issuer, subject, id, username, name, email, groups, attributes, first_seen, last_seen)
		VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (issuer, subject) DO UPDATE SET id = excluded.id, username = excluded.username, name = excluded.name,
		email = excluded.email, groups = excluded.groups, attributes = excluded.attributes, last_seen = excluded.last_seen`,
		u.Issuer, u.Subject, u.ID, u.Username, u.Name, u.Email, groups, attributes, micros(u.FirstSeen), micros(u.LastSeen))
	return err
}

func (s *store) EachSeen(ctx context.Context, f func(*state.SeenUser) error) error {
	return s.eachSeen(ctx, f, `ORDER BY username, issuer, subject`)
}

func (s *store) SeenSince(ctx context.Context, since time.Time, f func(*state.SeenUser) error) error {
	return s.eachSeen(ctx, f, `WHERE last_seen >= ? ORDER BY last_seen, issuer, subject`, since.UnixMicro())
}

func (s *store) eachSeen(ctx context.Context, f func(*state.SeenUser) error, which string, args ...any) error {
	const doing = "reading the logins seen"
	// #nosec G202 -- which is one of the two constants above
	rows, err := s.r.QueryContext(ctx, `SELECT issuer, subject, id, username, name, email, groups, attributes, first_seen, last_seen FROM seen `+which, args...)
	if err != nil {
		return failed(ctx, doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		var u state.SeenUser
		if err := rows.Scan(&u.Issuer, &u.Subject, &u.ID, &u.Username, &u.Name, &u.Email, decoded{&u.Groups}, decoded{&u.Attributes}, when{&u.FirstSeen}, when{&u.LastSeen}); err != nil {
			return failed(ctx, doing, err)
		}
		if err := f(&u); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return failed(ctx, doing, err)
	}
	return nil
}
