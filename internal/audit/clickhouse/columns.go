package clickhouse

import (
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// table is how rows of one kind get into their table.
type table[T any] struct {
	name    string
	columns []column[T]
	key     func(*T) key
}

// key tells rows of one log apart. For a checkpoint seq is the size.
type key struct {
	seq    uint64
	micros int64
}

func (k key) month() string { return time.UnixMicro(k.micros).UTC().Format("200601") }

// column fills one column of an insert from all its rows.
type column[T any] struct {
	name string
	fill func(driver.BatchColumn, []*T) error
}

var requestsTable = &table[audit.Request]{
	name: audit.TableRequests,
	key:  func(r *audit.Request) key { return key{r.Seq, r.Time.UnixMicro()} },
	columns: []column[audit.Request]{
		times("time", func(r *audit.Request) time.Time { return r.Time }),
		word("log_id", func(r *audit.Request) string { return r.LogID }),
		number("seq", func(r *audit.Request) uint64 { return r.Seq }),
		text("request_id", func(r *audit.Request) string { return r.RequestID }),
		text("impersonation_id", func(r *audit.Request) string { return r.ImpersonationID }),
		number("impersonation_seq", func(r *audit.Request) uint64 { return r.ImpersonationSeq }),
		word("actor_id", func(r *audit.Request) string { return r.ActorID }),
		word("actor_username", func(r *audit.Request) string { return r.ActorUsername }),
		word("actor_name", func(r *audit.Request) string { return r.ActorName }),
		word("target_id", func(r *audit.Request) string { return r.TargetID }),
		word("target_username", func(r *audit.Request) string { return r.TargetUsername }),
		word("target_name", func(r *audit.Request) string { return r.TargetName }),
		word("mode", func(r *audit.Request) string { return r.Mode }),
		word("client_ip", func(r *audit.Request) string { return r.ClientIP }),
		word("user_agent", func(r *audit.Request) string { return r.UserAgent }),
		word("method", func(r *audit.Request) string { return r.Method }),
		word("scheme", func(r *audit.Request) string { return r.Scheme }),
		word("host", func(r *audit.Request) string { return r.Host }),
		text("path", func(r *audit.Request) string { return r.Path }),
		text("query", func(r *audit.Request) string { return r.Query }),
		word("action", func(r *audit.Request) string { return r.Action }),
		small("status", func(r *audit.Request) int { return r.Status }),
		word("outcome", func(r *audit.Request) string { return r.Outcome }),
		word("refusal", func(r *audit.Request) string { return r.Refusal }),
		word("banner", func(r *audit.Request) string { return r.Banner }),
		number("duration_us", func(r *audit.Request) uint64 { return unsigned(r.Duration.Microseconds()) }),
		number("request_bytes", func(r *audit.Request) uint64 { return unsigned(r.RequestBytes) }),
		number("response_bytes", func(r *audit.Request) uint64 { return unsigned(r.ResponseBytes) }),
		word("content_type", func(r *audit.Request) string { return r.ContentType }),
		word("fields", func(r *audit.Request) string { return r.Fields }),
		hash("leaf_hash", func(r *audit.Request) []byte { return r.LeafHash[:] }),
	},
}

var eventsTable = &table[audit.Event]{
	name: audit.TableEvents,
	key:  func(e *audit.Event) key { return key{e.Seq, e.Time.UnixMicro()} },
	columns: []column[audit.Event]{
		times("time", func(e *audit.Event) time.Time { return e.Time }),
		word("log_id", func(e *audit.Event) string { return e.LogID }),
		number("seq", func(e *audit.Event) uint64 { return e.Seq }),
		word("type", func(e *audit.Event) string { return e.Type }),
		text("impersonation_id", func(e *audit.Event) string { return e.ImpersonationID }),
		word("actor_id", func(e *audit.Event) string { return e.ActorID }),
		word("actor_username", func(e *audit.Event) string { return e.ActorUsername }),
		word("target_id", func(e *audit.Event) string { return e.TargetID }),
		word("target_username", func(e *audit.Event) string { return e.TargetUsername }),
		word("client_ip", func(e *audit.Event) string { return e.ClientIP }),
		text("reason", func(e *audit.Event) string { return e.Reason }),
		text("ticket", func(e *audit.Event) string { return e.Ticket }),
		text("detail", func(e *audit.Event) string { return e.Detail }),
		word("actor_name", func(e *audit.Event) string { return e.ActorName }),
		word("target_name", func(e *audit.Event) string { return e.TargetName }),
		word("mode", func(e *audit.Event) string { return e.Mode }),
		hash("leaf_hash", func(e *audit.Event) []byte { return e.LeafHash[:] }),
	},
}

var checkpointsTable = &table[audit.Checkpoint]{
	name: audit.TableCheckpoints,
	key:  func(c *audit.Checkpoint) key { return key{c.Size, c.Time.UnixMicro()} },
	columns: []column[audit.Checkpoint]{
		times("time", func(c *audit.Checkpoint) time.Time { return c.Time }),
		word("log_id", func(c *audit.Checkpoint) string { return c.LogID }),
		number("size", func(c *audit.Checkpoint) uint64 { return c.Size }),
		hash("root_hash", func(c *audit.Checkpoint) []byte { return c.RootHash[:] }),
		text("note", func(c *audit.Checkpoint) string { return c.Note }),
	},
}

// names of the columns, as checks and INSERT list them.
func (t *table[T]) names() []string {
	var list []string
	for _, c := range t.columns {
		list = append(list, c.name)
	}
	return list
}

func times[T any](name string, get func(*T) time.Time) column[T] { return slice(name, get) }
func text[T any](name string, get func(*T) string) column[T]     { return slice(name, get) }
func number[T any](name string, get func(*T) uint64) column[T]   { return slice(name, get) }

func small[T any](name string, get func(*T) int) column[T] {
	return slice(name, func(row *T) uint16 { return uint16(min(max(get(row), 0), 65535)) })
}

func unsigned(n int64) uint64 { return uint64(max(n, 0)) }

// slice hands the driver all values of the column at once.
func slice[T, V any](name string, get func(*T) V) column[T] {
	return column[T]{name, func(c driver.BatchColumn, rows []*T) error {
		values := make([]V, len(rows))
		for i, row := range rows {
			values[i] = get(row)
		}
		return named(name, c.Append(values))
	}}
}

// word is a text with few different values, a LowCardinality(String). The driver takes a slice of these by
// reflection, value by value; giving it each value is cheaper, and cheaper still when it is the one before, as it
// mostly is.
func word[T any](name string, get func(*T) string) column[T] {
	return column[T]{name, func(c driver.BatchColumn, rows []*T) error {
		last := ""
		var boxed any = last
		for _, row := range rows {
			if v := get(row); v != last {
				last, boxed = v, v
			}
			if err := c.AppendRow(boxed); err != nil {
				return named(name, err)
			}
		}
		return nil
	}}
}

// hash is a FixedString(32).
func hash[T any](name string, get func(*T) []byte) column[T] {
	return column[T]{name, func(c driver.BatchColumn, rows []*T) error {
		values := make([][]byte, len(rows))
		for i, row := range rows {
			values[i] = get(row)
		}
		return named(name, c.Append(values))
	}}
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("column %s: %w", name, err)
}
