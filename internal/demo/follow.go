package demo

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	_ "modernc.org/sqlite" // the driver "sqlite"
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
		var at, line, outcome string
		if err := rows.Scan(&f.last, &at, &line, &outcome); err != nil {
			return err
		}
		if outcome != "completed" {
			line += " (" + outcome + ")"
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
		db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "audit.db")+"?mode=ro&_pragma=busy_timeout(2000)")
		return db, "SELECT seq, time, line, outcome FROM actions WHERE time >= ? AND seq > ? ORDER BY seq LIMIT 1000", err
	}
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, "", err
	}
	return clickhouse.OpenDB(o), "SELECT toInt64(seq), toString(time), line, toString(outcome) FROM actions WHERE time >= parseDateTimeBestEffort(?) AND seq > ? ORDER BY seq LIMIT 1000", nil
}
