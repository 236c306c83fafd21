package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const (
	// mutationTimeout is how long the servers of a cluster may take to delete from one table.
	mutationTimeout = time.Hour
	// tableTimeout is how long a table may take when the caller sets no end: the servers say first that it took too long.
	tableTimeout = mutationTimeout + time.Minute
	// RemovalTime is how long one [Sink.RemoveNow] takes at most.
	RemovalTime = 3 * tableTimeout
)

// Removable implements [audit.Trimmer], by what the view received says.
func (s *Sink) Removable(ctx context.Context, own string, before time.Time, limit uint64) ([]audit.Prefix, error) {
	const doing = "looking for old rows"
	received := s.in("received")
	const at = "fromUnixTimestamp64Micro(toInt64(?), 'UTC')"
	const rows = "of IN ('requests', 'events')"
	micros := before.UnixMicro()
	var old, first, young, size uint64
	// Behind the last old row there is none to look at.
	err := s.conn.QueryRow(ctx, "SELECT max(seq), min(seq) FROM "+received+" WHERE "+rows+" AND log_id = ? AND time < "+at, own, micros).Scan(&old, &first)
	if err != nil {
		return nil, s.failed(doing, err)
	}
	limit = min(limit, old)
	err = s.conn.QueryRow(ctx, "SELECT if(count() = 0, toUInt64(?), toUInt64(min(seq) - 1)) FROM "+received+" WHERE "+rows+" AND log_id = ? AND seq <= ? AND time >= "+at, limit, own, limit, micros).Scan(&young)
	if err == nil {
		err = s.conn.QueryRow(ctx, "SELECT max(seq) FROM "+received+" WHERE of = 'checkpoints' AND log_id = ? AND seq <= ?", own, young).Scan(&size)
	}
	if err != nil {
		return nil, s.failed(doing, err)
	}
	var list []audit.Prefix
	if old > 0 && first <= size {
		list = append(list, audit.Prefix{LogID: own, Through: size})
	}
	result, err := s.conn.Query(ctx, "SELECT log_id, max(if(of = 'checkpoints', 0, seq)) FROM "+received+" WHERE log_id != ? GROUP BY log_id HAVING max(time) < "+at+" ORDER BY log_id", own, micros)
	if err != nil {
		return nil, s.failed(doing, err)
	}
	defer result.Close()
	for result.Next() {
		p := audit.Prefix{Whole: true}
		if err := result.Scan(&p.LogID, &p.Through); err != nil {
			return nil, s.failed(doing, err)
		}
		list = append(list, p)
	}
	if err := errors.Join(result.Err(), result.Close()); err != nil {
		return nil, s.failed(doing, err)
	}
	return list, nil
}

// Maintain names the user that deletes: impersonate_maintainer of deploy/clickhouse/users.sql. The writer can't, and
// shouldn't: without one the Sink deletes nothing. It dials nothing yet.
func (s *Sink) Maintain(dsn string) error {
	m, err := Open(dsn)
	if err != nil {
		return err
	}
	if m.database != s.database {
		return errors.Join(fmt.Errorf("the maintainer's database is %q, the writer's %q: they must be the same", m.database, s.database), m.Close())
	}
	s.maintainer = m
	return nil
}

// Remove implements [audit.Trimmer].
func (s *Sink) Remove(ctx context.Context, p audit.Prefix) error {
	if s.maintainer == nil {
		return audit.ErrElsewhere
	}
	return s.maintainer.RemoveNow(ctx, p)
}

// RemoveNow removes with this Sink's own user, and returns when the rows are gone from the disks of all servers.
func (s *Sink) RemoveNow(ctx context.Context, p audit.Prefix) error {
	sizes := p.Through
	if p.Whole {
		sizes = math.MaxUint64
	}
	// A mutation, not a lightweight DELETE: that only hides rows, for as long as the server likes. Two: also on replicas.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"mutations_sync": 2,
		// Of a cluster: a server that does not answer in this time is an error, and so is one that can't.
		"distributed_ddl_task_timeout": int(mutationTimeout.Seconds()),
		"distributed_ddl_output_mode":  "throw",
	}))
	for _, d := range []struct {
		table, column string
		below         uint64
	}{
		{audit.TableRequests, "seq <=", p.Through},
		{audit.TableEvents, "seq <=", p.Through},
		{audit.TableCheckpoints, "size <", sizes}, // the one of that size stays: it begins the proof of what is behind it
	} {
		if err := s.removeFrom(ctx, d.table, d.column, p.LogID, d.below); err != nil {
			return err
		}
	}
	return nil
}

// removeFrom removes a log's rows whose column is below.
func (s *Sink) removeFrom(ctx context.Context, table, column, log string, below uint64) error {
	const doing = "looking where rows are kept"
	if _, ok := ctx.Deadline(); !ok {
		// Without one the read timeout ends the wait, and the next look begins the same deletion again.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, tableTimeout)
		defer cancel()
	}
	var engine string
	err := s.conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = ? AND name = ?", s.database, table).Scan(&engine)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // without one the deletion says what is wrong
		return s.failed(doing, err)
	}
	where, err := s.kept(table, engine)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := s.conn.Exec(ctx, "ALTER TABLE "+where+" DELETE WHERE log_id = ? AND "+column+" ?", log, below); err != nil {
		return s.failed("removing old rows from "+table, err)
	}
	return nil
}

// Authorised is how far each log may be removed, as the events retention_applied in the database say; a log that is
// removed whole is told by another's.
func (s *Sink) Authorised(ctx context.Context) (list []audit.Prefix, err error) {
	const doing = "reading what the retention removes"
	result, err := s.conn.Query(ctx, "SELECT JSONExtractString(detail, 'log') AS log, max(JSONExtractUInt(detail, 'through')), max(log != log_id) FROM "+
		s.in(audit.TableEvents)+" WHERE type = ? AND log != '' GROUP BY log ORDER BY log", audit.EventRetentionApplied)
	if err != nil {
		return nil, s.failed(doing, err)
	}
	defer result.Close()
	for result.Next() {
		var p audit.Prefix
		var whole uint8
		if err := result.Scan(&p.LogID, &p.Through, &whole); err != nil {
			return nil, s.failed(doing, err)
		}
		p.Whole = whole == 1
		list = append(list, p)
	}
	if err := errors.Join(result.Err(), result.Close()); err != nil {
		return nil, s.failed(doing, err)
	}
	return list, nil
}

var _ audit.Trimmer = (*Sink)(nil)
