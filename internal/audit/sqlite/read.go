package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/query"
)

// OpenReadOnly opens the database for reading beside whoever writes it. It makes nothing; a file that is not there yet
// is an error of the first query.
func OpenReadOnly(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening the audit database: %w", err)
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)"}}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String())
}

// OpenReader opens the database for auditors' questions beside whoever writes it. now may be nil.
func OpenReader(path string, now func() time.Time) (audit.Reader, error) {
	db, err := OpenReadOnly(path)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(readers)
	return query.New(db, dialect(path), now), nil
}

// readers bounds how many questions are answered at once.
const readers = 4

func dialect(path string) query.Dialect {
	return query.Dialect{
		At:  "?",
		Arg: func(t time.Time) any { return t.UTC().Format(audit.TimeLayout) },
		Text: func(field string) string {
			return "CASE WHEN json_valid(detail) THEN coalesce(json_extract(detail, '$." + field + "'), '') ELSE '' END"
		},
		Number: func(field string) string {
			return "CASE WHEN json_valid(detail) THEN CAST(coalesce(json_extract(detail, '$." + field + "'), 0) AS INTEGER) ELSE 0 END"
		},
		Begin:    func(letters int) string { return fmt.Sprintf("substr(time, 1, %d)", letters) },
		Contains: func(column string) string { return column + ` LIKE ? ESCAPE '\'` },
		Needle: func(q string) string {
			return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(q) + "%"
		},
		// A bare column beside a single min() is that row's: https://www.sqlite.org/lang_select.html#bareagg
		OfFirst: func(column string) string { return column },
		Explain: func(err error) error {
			if _, statErr := os.Stat(path); statErr != nil {
				return fmt.Errorf("the audit database can't be read: %w", statErr)
			}
			return fmt.Errorf("the audit database %s: %w", path, err)
		},
	}
}
