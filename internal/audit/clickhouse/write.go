package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// maxRepairs bounds how often rows that the server took but does not have are sent again in one call.
const maxRepairs = 3

// Write inserts the batch's rows, those of them that are not there yet. When it returns nil all are in the tables.
// It takes as long as the server takes: ctx bounds it.
func (s *Sink) Write(ctx context.Context, b *audit.Batch) error {
	sure := s.certainlyNew(b)
	err := write(ctx, s, requestsTable, b, b.Requests, sure)
	if err == nil {
		err = write(ctx, s, eventsTable, b, b.Events, sure)
	}
	if err == nil { // after the rows that it is about
		err = write(ctx, s, checkpointsTable, b, b.Checkpoints, sure)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.taken, b.LogID)
		return err
	}
	at := s.taken[b.LogID]
	at.rows = max(at.rows, b.To)
	for _, c := range b.Checkpoints {
		at.checkpoints = max(at.checkpoints, c.Size)
	}
	s.taken[b.LogID] = at
	return nil
}

// certainlyNew tells whether no try of this batch can have reached the tables: this Sink wrote what comes before it,
// and nothing of its log has failed since.
func (s *Sink) certainlyNew(b *audit.Batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.taken[b.LogID]
	if !ok || len(b.Requests)+len(b.Events) > 0 && b.From <= at.rows {
		return false
	}
	for _, c := range b.Checkpoints {
		// Up to at.rows also one that an earlier process wrote may come again.
		if c.Size <= at.checkpoints || c.Size <= at.rows {
			return false
		}
	}
	return true
}

// write brings rows into one table, month by month.
func write[T any](ctx context.Context, s *Sink, t *table[T], b *audit.Batch, rows []*T, sure bool) error {
	for len(rows) > 0 {
		month := t.key(rows[0]).month()
		now, later := rows, []*T(nil)
		for i, row := range rows {
			if t.key(row).month() != month {
				now, later = split(rows, i, func(row *T) bool { return t.key(row).month() == month })
				break
			}
		}
		token := b.Token + "/" + t.name + "/" + month
		var err error
		if sure {
			err = insert(ctx, s, t, token, now)
		} else {
			err = insertMissing(ctx, s, t, b.LogID, token, now)
		}
		if err != nil {
			return err
		}
		rows = later
	}
	return nil
}

// split parts rows, of which the first n belong to the first part.
func split[T any](rows []*T, n int, first func(*T) bool) (now, later []*T) {
	now = append(now, rows[:n]...)
	for _, row := range rows[n:] {
		if first(row) {
			now = append(now, row)
		} else {
			later = append(later, row)
		}
	}
	return now, later
}

// insertMissing inserts those of the rows that are not in the table, and makes sure that they are then. All rows are
// of one month.
func insertMissing[T any](ctx context.Context, s *Sink, t *table[T], logID, token string, rows []*T) error {
	lost, err := missing(ctx, s, t, logID, rows)
	if err != nil || len(lost) == 0 {
		return err
	}
	engines, err := s.engines(ctx)
	if err != nil {
		return err
	}
	if transactional(engines, t.name) {
		return insert(ctx, s, t, token, rows)
	}
	for repairs := 0; len(lost) > 0; repairs++ {
		if repairs > maxRepairs {
			return fmt.Errorf("inserting into %s: the server took the rows but does not have them", t.name)
		}
		tok := token
		if len(lost) < len(rows) || repairs > 0 {
			// Another content needs another token; the same loss gets the same.
			tok = fmt.Sprintf("%s/missing-%d-%d-%d", token, repairs, t.key(lost[0]).seq, len(lost))
		}
		if err := insert(ctx, s, t, tok, lost); err != nil {
			return err
		}
		if lost, err = settle(ctx, s, t, logID, lost); err != nil {
			return err
		}
	}
	return nil
}

// settle waits a little until the rows show: the server may skip them because another try of the same batch, given up
// by its client, is just then coming to its end.
func settle[T any](ctx context.Context, s *Sink, t *table[T], logID string, rows []*T) ([]*T, error) {
	until := time.Now().Add(s.settle)
	for pause := time.Millisecond; ; pause *= 2 {
		lost, err := missing(ctx, s, t, logID, rows)
		if err != nil || len(lost) == 0 || time.Now().After(until) {
			return lost, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("inserting into %s: %w", t.name, context.Cause(ctx))
		}
	}
}

// insert sends the rows as one block. All are of one month, so the server takes all or none.
func insert[T any](ctx context.Context, s *Sink, t *table[T], token string, rows []*T) error {
	doing := "inserting into " + t.name
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplication_token": token,
		"insert_deduplicate":         1,
		// An operator's default must not have the server acknowledge what is only in its memory.
		"async_insert": 0,
		// Nor a Distributed table what it has yet to bring to the shard.
		"distributed_foreground_insert": 1,
	}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO "+s.in(t.name)+" ("+strings.Join(t.names(), ", ")+")")
	if err != nil {
		return s.failed(doing, err)
	}
	for i, c := range t.columns {
		if err := c.fill(batch.Column(i), rows); err != nil {
			// These values don't fit these columns: an operator changed the table.
			return s.failed(doing, errors.Join(err, batch.Abort()))
		}
	}
	if err := batch.Send(); err != nil {
		return s.failed(doing, err)
	}
	return nil
}

// missing returns those of the rows that the table does not have.
func missing[T any](ctx context.Context, s *Sink, t *table[T], logID string, rows []*T) ([]*T, error) {
	first := t.key(rows[0])
	low, high := first, first
	for _, row := range rows {
		k := t.key(row)
		low.seq, high.seq = min(low.seq, k.seq), max(high.seq, k.seq)
		low.micros, high.micros = min(low.micros, k.micros), max(high.micros, k.micros)
	}
	doing := "looking for rows in " + t.name
	result, err := s.conn.Query(ctx, "SELECT seq, toUnixTimestamp64Micro(time) FROM "+s.in("received")+
		" WHERE of = ? AND log_id = ? AND seq BETWEEN ? AND ?"+
		" AND time BETWEEN fromUnixTimestamp64Micro(toInt64(?), 'UTC') AND fromUnixTimestamp64Micro(toInt64(?), 'UTC')",
		t.name, logID, low.seq, high.seq, low.micros, high.micros)
	if err != nil {
		return nil, s.failed(doing, err)
	}
	defer result.Close()
	have := make(map[key]bool)
	for result.Next() {
		var k key
		if err := result.Scan(&k.seq, &k.micros); err != nil {
			return nil, s.failed(doing, err)
		}
		have[k] = true
	}
	if err := errors.Join(result.Err(), result.Close()); err != nil {
		return nil, s.failed(doing, err)
	}
	var lost []*T
	for _, row := range rows {
		if !have[t.key(row)] {
			lost = append(lost, row)
		}
	}
	return lost, nil
}
