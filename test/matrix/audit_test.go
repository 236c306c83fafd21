package matrix

import (
	"database/sql"
	"testing"

	_ "modernc.org/sqlite"
)

// count runs a query for one number on the audit while the gateway writes it; -1: it can't be read now.
func count(t *testing.T, file, query string) int {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	n := -1
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Logf("reading the audit: %v", err)
		return -1
	}
	return n
}
