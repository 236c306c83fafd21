package audit

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// Selected lists columns as a SELECT from a table names them. A database that was put away, or that is not brought up to
// date yet, lacks columns added since: they read as what its rows were hashed with, nothing. current: it lacks none.
func Selected(ctx context.Context, db *sql.DB, table string, columns []Column, more ...string) (list string, current bool, err error) {
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		return "", false, err
	}
	defer rows.Close()
	have, err := rows.Columns()
	if err != nil {
		return "", false, err
	}
	current = true
	names := make([]string, 0, len(columns)+len(more))
	for _, c := range columns {
		switch {
		case !c.Later() || slices.Contains(have, c.Name):
			names = append(names, c.Name)
		default:
			names, current = append(names, "'' AS "+c.Name), false
		}
	}
	return strings.Join(append(names, more...), ", "), current, rows.Err()
}
