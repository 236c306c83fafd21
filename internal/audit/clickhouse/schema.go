package clickhouse

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// versionsTable is where the database keeps which versions of the schema it has.
const versionsTable = "schema_versions"

const applyHint = "run: caddy-impersonate impersonate schema apply"

// durable are the settings of all tables with rows: tokens of the last 10,000 inserts are remembered, and an insert
// is acknowledged when it is on disk, since the journal forgets it then.
const durable = "non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1"

// Statement is one step of bringing the schema up to date.
type Statement struct {
	Version int    // of the schema that it belongs to; 0 for the database itself
	Name    string // such as "table requests"
	SQL     string
}

// migration is one version of the schema.
type migration struct {
	version    int
	statements []Statement
}

// migrations reads the embedded files: 0001_tables.sql is version 1. A statement begins with a line "-- name: …" and
// ends with a semicolon at the end of a line; other comments are for readers of the file.
func migrations() ([]migration, error) {
	files, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var list []migration
	for i, file := range files {
		number, _, _ := strings.Cut(strings.TrimPrefix(file, "schema/"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("schema file %s is not version %d", file, i+1)
		}
		text, err := schemaFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		statements, err := parse(version, string(text))
		if err != nil {
			return nil, fmt.Errorf("schema file %s: %w", file, err)
		}
		list = append(list, migration{version, statements})
	}
	return list, nil
}

func parse(version int, text string) ([]Statement, error) {
	var list []Statement
	var name string
	var sql []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if n, ok := strings.CutPrefix(line, "-- name: "); ok {
			name = n
			continue
		}
		if strings.HasPrefix(line, "--") || line == "" && sql == nil {
			continue
		}
		if name == "" {
			return nil, fmt.Errorf("statement without a name: %s", line)
		}
		end := strings.HasSuffix(line, ";")
		sql = append(sql, strings.TrimSuffix(line, ";"))
		if end {
			list = append(list, Statement{version, name, strings.Join(sql, "\n")})
			name, sql = "", nil
		}
	}
	if sql != nil {
		return nil, fmt.Errorf("%s is not ended by a semicolon", name)
	}
	return list, nil
}

// SchemaVersion is the version that this build writes to.
func SchemaVersion() int {
	list, err := migrations()
	if err != nil || len(list) == 0 {
		panic("the embedded schema is broken") // a test reads it
	}
	return list[len(list)-1].version
}

// Plan returns the statements that bring the database's schema to [SchemaVersion], in order; none when it is there
// already. Where a table or view was dropped since, that is all of them: each can be run again. It changes nothing. A
// newer schema is an error.
func (s *Sink) Plan(ctx context.Context) ([]Statement, error) {
	list, err := migrations()
	if err != nil {
		return nil, err
	}
	version, err := s.version(ctx)
	if err != nil && !isMissing(err) {
		return nil, s.failed("reading the schema's version", err)
	}
	if known := len(list); version > known {
		return nil, s.newer(version, known)
	}
	engines, err := s.engines(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.sameKind(engines); err != nil {
		return nil, err
	}
	var all, plan []Statement
	database := []Statement{
		{0, "database " + s.database, "CREATE DATABASE IF NOT EXISTS {database}"},
		{0, "table " + versionsTable, "CREATE TABLE IF NOT EXISTS {database}." + versionsTable + "\n" +
			"(\n    version    UInt32,\n    applied_at DateTime('UTC') DEFAULT now('UTC')\n)\n" +
			"ENGINE = MergeTree\nORDER BY version\nSETTINGS {durable}"},
	}
	for _, m := range append([]migration{{0, database}}, list...) {
		if m.version > 0 {
			m.statements = append(slices.Clone(m.statements), Statement{
				m.version, fmt.Sprintf("version %d", m.version),
				fmt.Sprintf("INSERT INTO {database}.%s (version) SELECT %d", versionsTable, m.version),
			})
		}
		for _, st := range m.statements {
			forms := []Statement{st}
			if s.cluster != "" {
				if forms, err = s.onCluster(st); err != nil {
					return nil, err
				}
			}
			all = append(all, forms...)
			if m.version > version {
				plan = append(plan, forms...)
			}
		}
	}
	if version == 0 || !whole(all, version, engines) {
		plan = all
	}
	for i := range plan {
		plan[i].SQL = strings.NewReplacer("{database}", "`"+s.database+"`", "{durable}", durable,
			"{cluster}", "`"+s.cluster+"`", "{path}", s.database).Replace(plan[i].SQL)
	}
	return plan, nil
}

// whole tells whether all tables and views that the versions so far made are still there.
func whole(all []Statement, version int, engines map[string]string) bool {
	for _, st := range all {
		kind, name, _ := strings.Cut(st.Name, " ")
		if _, there := engines[name]; (kind == "table" || kind == "view") && st.Version <= version && !there {
			return false
		}
	}
	return true
}

// Apply does what [Sink.Plan] says, and calls progress after each statement. Every statement can be run again, so one
// that was cut off in the middle is mended by the next, and two at the same time do no harm. The user in the DSN needs
// the rights to create: another than the gateway's.
func (s *Sink) Apply(ctx context.Context, progress func(st Statement, took time.Duration)) error {
	plan, err := s.Plan(ctx)
	if err != nil {
		return err
	}
	for _, st := range plan {
		start := time.Now()
		if err := s.conn.Exec(ctx, st.SQL); err != nil {
			return s.failed("creating "+st.Name, err)
		}
		if progress != nil {
			progress(st, time.Since(start))
		}
	}
	return nil
}

// Check tells whether rows can be written: the server answers, and has the schema of this build.
func (s *Sink) Check(ctx context.Context) error {
	version, err := s.version(ctx)
	known := SchemaVersion()
	switch {
	case isMissing(err) || err == nil && version == 0:
		return s.missing("")
	case err != nil:
		return s.failed("checking the schema", err)
	case version > known:
		return s.newer(version, known)
	case version < known:
		return fmt.Errorf("the schema of ClickHouse database %q has version %d, this build needs %d; %s", s.database, version, known, applyHint)
	}
	return s.checkColumns(ctx)
}

// version is 0 when there is none yet.
func (s *Sink) version(ctx context.Context) (int, error) {
	var version uint32
	err := s.conn.QueryRow(ctx, "SELECT max(version) FROM "+s.in(versionsTable)).Scan(&version)
	return int(version), err
}

// checkColumns looks for what the versions table can't know: what was dropped since.
func (s *Sink) checkColumns(ctx context.Context) error {
	rows, err := s.conn.Query(ctx, "SELECT table, name FROM system.columns WHERE database = ?", s.database)
	if err != nil {
		return s.failed("checking the schema", err)
	}
	defer rows.Close()
	have := map[string]bool{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return s.failed("checking the schema", err)
		}
		have[table] = true
		have[table+"."+column] = true
	}
	if err := rows.Err(); err != nil {
		return s.failed("checking the schema", err)
	}
	for _, t := range []struct {
		name    string
		columns []string
	}{
		{audit.TableRequests, requestsTable.names()},
		{audit.TableEvents, eventsTable.names()},
		{audit.TableCheckpoints, checkpointsTable.names()},
		{"received", []string{"of", "log_id", "seq", "time"}},
	} {
		if !have[t.name] {
			return s.missing(t.name)
		}
		for _, c := range t.columns {
			if !have[t.name+"."+c] {
				return fmt.Errorf("column %s of table %s is missing in ClickHouse database %q, or may not be seen by user %q", c, t.name, s.database, s.userName())
			}
		}
	}
	return nil
}

// missing is the error for a schema that is not there, or one table of it.
func (s *Sink) missing(table string) error {
	what := "the schema"
	if table != "" {
		what = "table " + table
	}
	return fmt.Errorf("%s is missing in ClickHouse database %q, or user %q has no rights on it; %s", what, s.database, s.userName(), applyHint)
}

func (s *Sink) newer(version, known int) error {
	return fmt.Errorf("the schema of ClickHouse database %q has version %d, newer than this build knows (%d): update caddy-impersonate", s.database, version, known)
}

func isMissing(err error) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e) && (e.Code == codeUnknownDatabase || e.Code == codeUnknownTable)
}
