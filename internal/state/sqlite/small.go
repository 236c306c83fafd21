package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// The small tables: cookie jars, keys, settings.

func (s *store) PutJar(ctx context.Context, j *state.Jar) error {
	if err := j.Check(); err != nil {
		return err
	}
	_, err := s.exec(ctx, "keeping a cookie jar", `INSERT INTO jars (owner, host, sealed) VALUES (?,?,?)
		ON CONFLICT (owner, host) DO UPDATE SET sealed = excluded.sealed`, j.Owner, j.Host, j.Sealed)
	return err
}

func (s *store) Jar(ctx context.Context, owner, host string) (*state.Jar, error) {
	j := state.Jar{Owner: owner, Host: host}
	if err := s.r.QueryRowContext(ctx, `SELECT sealed FROM jars WHERE owner = ? AND host = ?`, owner, host).Scan(&j.Sealed); err != nil {
		return nil, failed(ctx, "finding a cookie jar", err)
	}
	return &j, nil
}

func (s *store) DeleteJars(ctx context.Context, owner string) error {
	_, err := s.exec(ctx, "deleting cookie jars", `DELETE FROM jars WHERE owner = ?`, owner)
	return err
}

func (s *store) Keys(ctx context.Context, use string) ([]*state.Key, error) {
	scan := func(r row) (*state.Key, error) {
		var k state.Key
		return &k, r.Scan(&k.Use, &k.ID, &k.PKCS8, when{&k.CreatedAt}, when{&k.RetiredAt})
	}
	return collect(ctx, s, "listing keys", scan, `SELECT use, id, pkcs8, created_at, retired_at FROM keys WHERE use = ? ORDER BY created_at DESC, rowid DESC`, use)
}

func (s *store) AddKey(ctx context.Context, k *state.Key) error {
	if err := k.Check(); err != nil {
		return err
	}
	_, err := s.exec(ctx, "adding a key", `INSERT INTO keys (use, id, pkcs8, created_at, retired_at) VALUES (?,?,?,?,?)`,
		k.Use, k.ID, k.PKCS8, micros(k.CreatedAt), micros(k.RetiredAt))
	return err
}

func (s *store) RetireKey(ctx context.Context, use, id string, at time.Time) error {
	n, err := s.exec(ctx, "retiring a key", `UPDATE keys SET retired_at = ? WHERE use = ? AND id = ?`, micros(at), use, id)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("retiring a key: %w", state.ErrNotFound)
	}
	return nil
}

func (s *store) Setting(ctx context.Context, name string) (string, error) {
	var v string
	if err := s.r.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = ?`, name).Scan(&v); err != nil {
		return "", failed(ctx, "reading a setting", err)
	}
	return v, nil
}

func (s *store) PutSetting(ctx context.Context, name, value string) error {
	return s.PutSettingTelling(ctx, name, value)
}

func (s *store) PutSettingTelling(ctx context.Context, name, value string, notices ...*state.Notice) error {
	if err := state.CheckSetting(name, value); err != nil {
		return err
	}
	const doing = "keeping a setting"
	return s.tx(ctx, doing, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
		if err != nil {
			return failed(ctx, doing, err)
		}
		return putNotices(ctx, tx, notices)
	})
}
