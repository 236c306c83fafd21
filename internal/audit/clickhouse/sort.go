package clickhouse

import (
	"context"
	"database/sql"
	"fmt"
)

// sortOnDisk lets each of two threads sort 256 MiB in memory. The bytes are those of one thread: without a number of these
// a server of many cores would take as many times as much.
const sortOnDisk = " SETTINGS max_bytes_before_external_sort = 268435456, max_threads = 2"

// SortOnDisk are the settings of queries that read a whole log in order, by the server at db: a large one is sorted on
// disk. A server that has max_bytes_ratio_before_external_sort (24.12 and later) goes by it alone, unless it is 0; an older
// one refuses a query that names it.
func SortOnDisk(ctx context.Context, db *sql.DB) (string, error) {
	var ratio uint64
	err := db.QueryRowContext(ctx, "SELECT count() FROM system.settings WHERE name = 'max_bytes_ratio_before_external_sort'").Scan(&ratio)
	if err != nil {
		return "", fmt.Errorf("asking ClickHouse for its settings: %w", err)
	}
	if ratio == 0 {
		return sortOnDisk, nil
	}
	return sortOnDisk + ", max_bytes_ratio_before_external_sort = 0", nil
}
