package clickhouse

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/query"
)

// OpenReadOnly prepares a connection pool for reading the tables and views at dsn; it dials nothing yet.
func OpenReadOnly(dsn string) (*sql.DB, error) {
	o, d, err := options(dsn)
	if err != nil {
		return nil, err
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = defaultDialTimeout
	}
	return d.openDB(o), nil
}

// OpenReader prepares to answer auditors' questions from the database at dsn; it dials nothing yet. The user there needs
// SELECT on the tables: impersonate_auditor of deploy/clickhouse/users.sql, not the writer. now may be nil.
func OpenReader(dsn string, now func() time.Time) (audit.Reader, error) {
	sink, err := Open(dsn) // the DSN is checked as the writer's is
	if err != nil {
		return nil, err
	}
	database, user := sink.Database(), sink.userName()
	if err := sink.Close(); err != nil {
		return nil, err
	}
	o, d, err := options(dsn)
	if err != nil {
		return nil, err
	}
	o.Auth.Database = ""
	if o.DialTimeout == 0 {
		o.DialTimeout = readDial
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = query.Timeout + readDial
	}
	db := d.openDB(o)
	db.SetMaxOpenConns(readers)
	db.SetConnMaxLifetime(time.Hour)
	return query.New(db, dialect(database, user, d), now), nil
}

const (
	// readers bounds how many questions are answered at once.
	readers  = 4
	readDial = 5 * time.Second
)

func dialect(database, user string, d *dialer) query.Dialect {
	return query.Dialect{
		Global: "GLOBAL ",
		Prefix: "`" + database + "`.",
		At:     "fromUnixTimestamp64Micro(toInt64(?), 'UTC')",
		Arg:    func(t time.Time) any { return t.UnixMicro() },
		Text:   func(field string) string { return "JSONExtractString(detail, '" + field + "')" },
		Number: func(field string) string { return "JSONExtractUInt(detail, '" + field + "')" },
		Begin: func(letters int) string {
			return fmt.Sprintf("substring(formatDateTime(time, '%%Y-%%m-%%dT%%H', 'UTC'), 1, %d)", letters)
		},
		Contains: func(column string) string { return "positionCaseInsensitive(" + column + ", ?) > 0" },
		Needle:   func(q string) string { return q },
		OfFirst:  func(column string) string { return "argMin(" + column + ", time)" },
		Explain: func(err error) error {
			var e *clickhouse.Exception
			if !errors.As(err, &e) {
				if isNetwork(err) {
					d.next()
				}
				if advice := tlsAdvice(err); advice != "" {
					return fmt.Errorf("%s: %w", advice, err)
				}
				return fmt.Errorf("ClickHouse can't be reached: %w", err)
			}
			switch e.Code {
			case codeAccessDenied:
				return fmt.Errorf("user %q may not read database %q; name an auditor's (deploy/clickhouse/users.sql) with `clickhouse … { reader … }`: %w", user, database, err)
			case codeUnknownDatabase, codeUnknownTable:
				return fmt.Errorf("database %q has no audit; %s: %w", database, applyHint, err)
			}
			return fmt.Errorf("ClickHouse database %q: %w", database, err)
		},
	}
}
