package clickhouse

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// On a cluster each table of rows is two: NAME_local, a ReplicatedMergeTree on every server, which has one shard's rows,
// and NAME, a Distributed one over all of these, by which rows are written and read. Views are over NAME, and so the
// same as on a single server. All rows of a log are on one shard: a batch is one block there, and its token holds.
const localSuffix = "_local"

// replicated are the settings in the place of durable. The tokens are in the keeper, in one transaction with the data.
const replicated = "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000, " +
	"fsync_after_insert = 1, fsync_part_directory = 1"

// OnCluster makes Plan and Apply see to the tables of a cluster of this name, one of the server's remote_servers. Its
// servers need the macros shard and replica.
func (s *Sink) OnCluster(name string) error {
	if !identifier.MatchString(name) {
		return fmt.Errorf("%q can't be a cluster: use letters, digits and _", name)
	}
	s.cluster = name
	return nil
}

var (
	tableStatement = regexp.MustCompile(`^(CREATE TABLE IF NOT EXISTS \{database\}\.)(\w+)\n([^;]*\n)ENGINE = MergeTree\n`)
	viewStatement  = regexp.MustCompile(`^(CREATE OR REPLACE VIEW \{database\}\.\w+)`)
	alterStatement = regexp.MustCompile(`^ALTER TABLE \{database\}\.(\w+)`)
	columnClause   = regexp.MustCompile(`\b(ADD|DROP|MODIFY|RENAME) COLUMN\b`)
)

// onCluster is a statement of a single server as a cluster needs it.
func (s *Sink) onCluster(st Statement) ([]Statement, error) {
	const on = " ON CLUSTER {cluster}"
	with := func(name, sql string) Statement { return Statement{st.Version, name, sql} }
	sql := st.SQL
	switch {
	case strings.HasPrefix(sql, "CREATE DATABASE "):
		return []Statement{with(st.Name, sql+on)}, nil
	case strings.HasPrefix(sql, "INSERT INTO {database}."+versionsTable+" "):
		return []Statement{st}, nil
	case viewStatement.MatchString(sql):
		sql = viewStatement.ReplaceAllString(sql, "${1}"+on)
		// Each server would take its own for the current user.
		return []Statement{with(st.Name, strings.Replace(sql, "DEFINER = CURRENT_USER", "DEFINER = `"+s.userName()+"`", 1))}, nil
	case alterStatement.MatchString(sql):
		name := alterStatement.FindStringSubmatch(sql)[1]
		list := []Statement{with(st.Name+localSuffix, alterStatement.ReplaceAllString(sql, "ALTER TABLE {database}.${1}"+localSuffix+on))}
		if columnClause.MatchString(sql) {
			list = append(list, with(st.Name, alterStatement.ReplaceAllString(sql, "ALTER TABLE {database}."+name+on)))
		}
		return list, nil
	case tableStatement.MatchString(sql):
	default:
		return nil, fmt.Errorf("%s has no form for a cluster", st.Name)
	}
	name := tableStatement.FindStringSubmatch(sql)[2]
	sql = strings.Replace(sql, "SETTINGS {durable}", "SETTINGS "+replicated, 1)
	if name == versionsTable {
		// The same on all servers, whatever their shard.
		return []Statement{with(st.Name, tableStatement.ReplaceAllString(sql, "${1}${2}"+on+"\n${3}"+
			"ENGINE = ReplicatedMergeTree('/clickhouse/tables/{path}/${2}', '{shard}-{replica}')\n"))}, nil
	}
	local := name + localSuffix
	return []Statement{
		with(st.Name+localSuffix, tableStatement.ReplaceAllString(sql, "${1}"+local+on+"\n${3}"+
			"ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{path}/"+local+"', '{replica}')\n")),
		with(st.Name, "CREATE TABLE IF NOT EXISTS {database}."+name+on+" AS {database}."+local+"\n"+
			"ENGINE = Distributed({cluster}, {database}, "+local+", cityHash64(log_id))"),
	}, nil
}

// engines are those of the tables that are there.
func (s *Sink) engines(ctx context.Context) (map[string]string, error) {
	rows, err := s.conn.Query(ctx, "SELECT name, engine FROM system.tables WHERE database = ?", s.database)
	if err != nil {
		return nil, s.failed("reading the schema", err)
	}
	defer rows.Close()
	list := map[string]string{}
	for rows.Next() {
		var name, engine string
		if err := rows.Scan(&name, &engine); err != nil {
			return nil, s.failed("reading the schema", err)
		}
		list[name] = engine
	}
	if err := rows.Err(); err != nil {
		return nil, s.failed("reading the schema", err)
	}
	return list, nil
}

// sameKind refuses to bring a single server's tables up to date as a cluster's, and the other way round.
func (s *Sink) sameKind(engines map[string]string) error {
	engine, there := engines[audit.TableRequests]
	switch distributed := engine == "Distributed"; {
	case !there || distributed == (s.cluster != ""):
		return nil
	case distributed:
		return fmt.Errorf("ClickHouse database %q is on a cluster: name it with --cluster", s.database)
	}
	return fmt.Errorf("ClickHouse database %q has the tables of a single server, which can't become a cluster's: "+
		"name another database, and copy the rows into it", s.database)
}

// transactional tells whether a token that a table's server remembers is proof that it has the rows. On plain MergeTree
// it is none. Replicated tables keep both in one transaction of the keeper; but the replica that is asked may not have the
// rows yet, so there it is the token that counts, and not what shows.
func transactional(engines map[string]string, table string) bool {
	engine := engines[table]
	if engine == "Distributed" {
		local, seen := engines[table+localSuffix]
		if !seen {
			return true // made by another's hands, or not for the writer's eyes: of ours it is replicated
		}
		engine = local
	}
	return strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared")
}

// distributedEngine is what a server says of a Distributed table: cluster, database and table of the rows.
var distributedEngine = regexp.MustCompile(`^Distributed\(('(?:[^'\\]|\\.)*'|\w+), ('(?:[^'\\]|\\.)*'|\w+), ('(?:[^'\\]|\\.)*'|\w+)[,)]`)

// kept is where a table's rows are, as the statement that changes them says it. A Distributed table has none and can't
// change any: they are in the tables behind it, on all servers of its cluster.
func (s *Sink) kept(table, engine string) (string, error) {
	if !strings.HasPrefix(engine, "Distributed(") {
		return s.in(table), nil
	}
	m := distributedEngine.FindStringSubmatch(engine)
	if m == nil {
		return "", fmt.Errorf("table %s of ClickHouse database %q is on a cluster, of which only the server's word %.200q is known; make it with schema apply --cluster", table, s.database, engine)
	}
	for i, name := range m[1:] {
		plain := strings.Trim(name, "'")
		if m[i+1] = plain; clusterName.MatchString(plain) || i == 1 && name == "''" {
			continue
		}
		return "", fmt.Errorf("table %s of ClickHouse database %q is on a cluster with names that are not: %.200q", table, s.database, engine)
	}
	local := "`" + m[3] + "` ON CLUSTER `" + m[1] + "`"
	if m[2] != "" { // else each server's default_database
		local = "`" + m[2] + "`." + local
	}
	return local, nil
}

// clusterName may be one of the server's macros.
var clusterName = regexp.MustCompile(`^[\w.{}-]{1,128}$`)
