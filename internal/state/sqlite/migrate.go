package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	// No globals of goose's: another module in the same process may use it for its own tables.
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true), goose.WithTableName("schema_versions"), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("preparing migrations: %w", err)
	}
	have, know, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading its schema version: %w", err)
	}
	if have > know {
		return fmt.Errorf("it has schema version %d and this program knows versions up to %d: a newer caddy-impersonate has written it; run that one, or bring back a copy from before the upgrade", have, know)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrating it from schema version %d: %w", have, err)
	}
	if len(done) > 0 {
		log.InfoContext(ctx, "migrated the state database", "from", have, "to", know)
	}
	return nil
}
