package demo

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

// followEvery is how often the audit is asked for new lines.
const followEvery = 500 * time.Millisecond

// follow prints each action once it has reached the audit's database, until ctx ends.
func follow(ctx context.Context, data, dsn string, out io.Writer) {
	f := follower{since: time.Now().UTC().Truncate(time.Second), out: out}
	var err error
	if f.db, f.query, err = openAudit(data, dsn); err != nil {
		fmt.Fprintf(out, "  The audit can't be shown here: %v\n", err)
		return
	}
	defer f.db.Close()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = f.print(ctx) // not there yet, or busy: next time
		}
	}
}

// follower remembers how far it has printed.
type follower struct {
	db    *sql.DB
	query string
	since time.Time
	last  int64
	out   io.Writer
}

func (f *follower) print(ctx context.Context) error {
	rows, err := f.db.QueryContext(ctx, f.query, f.since.Format(time.RFC3339), f.last)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at, line string
		if err := rows.Scan(&f.last, &at, &line); err != nil {
			return err
		}
		fmt.Fprintf(f.out, "  %s  %s\n", clockOf(at), line)
	}
	return rows.Err()
}

// clockOf is the time of day of a timestamp as text.
func clockOf(at string) string {
	if len(at) >= 19 {
		return at[11:19]
	}
	return at
}

func openAudit(data, dsn string) (*sql.DB, string, error) {
	if dsn == "" {
		db, err := sqlite.OpenReadOnly(filepath.Join(data, "audit.db"))
		return db, "SELECT seq, time, line FROM actions WHERE time >= ? AND seq > ? ORDER BY seq LIMIT 1000", err
	}
	db, err := clickhouse.OpenReadOnly(dsn)
	return db, "SELECT toInt64(seq), toString(time), line FROM actions WHERE time >= parseDateTimeBestEffort(?) AND seq > ? ORDER BY seq LIMIT 1000", err
}
