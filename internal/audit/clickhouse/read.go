package clickhouse

import (
	"database/sql"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// OpenReadOnly prepares a connection pool for reading the tables and views at dsn; it dials nothing yet.
func OpenReadOnly(dsn string) (*sql.DB, error) {
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("reading the ClickHouse DSN: %w", err)
	}
	return clickhouse.OpenDB(o), nil
}
