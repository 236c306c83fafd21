package query

import (
	"context"
	"database/sql"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Extent implements [audit.Reader].
func (r *Reader) Extent(ctx context.Context, before time.Time) (*audit.Extent, error) {
	e := &audit.Extent{}
	older := audit.Filter{To: before}
	count := func(into *uint64, table, kind string) error {
		b := r.build("SELECT count(*) FROM " + r.dialect.Prefix + table)
		b.time(older).is("type", kind)
		return r.each(ctx, "counting "+table, b, func(rows *sql.Rows) error { return rows.Scan(into) })
	}
	if err := count(&e.Requests, audit.TableRequests, ""); err != nil {
		return nil, err
	}
	if err := count(&e.Events, audit.TableEvents, ""); err != nil {
		return nil, err
	}
	if err := count(&e.Impersonations, audit.TableEvents, audit.EventImpersonationStarted); err != nil {
		return nil, err
	}
	for _, table := range []string{audit.TableRequests, audit.TableEvents} {
		b := r.build("SELECT time FROM " + r.dialect.Prefix + table + " ORDER BY time LIMIT 1")
		err := r.each(ctx, "looking for the oldest row", b, func(rows *sql.Rows) error {
			var t time.Time
			if err := rows.Scan(timeOf{&t}); err != nil {
				return err
			}
			if e.Oldest.IsZero() || t.Before(e.Oldest) {
				e.Oldest = t
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}
