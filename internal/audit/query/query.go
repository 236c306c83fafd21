// Package query implements [audit.Reader] on the tables of a sink, in the SQL that both engines speak and a few words
// in which they differ ([Dialect]). It knows no engine and no driver.
//
// Values reach the engine as parameters, never as text of a statement. Rows are read by the place of the last one
// (time, log, seq), the order in which they are kept.
package query

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Dialect is what an engine says in its own way.
type Dialect struct {
	// Prefix stands before the name of each table.
	Prefix string
	// Global stands before IN (SELECT …): "GLOBAL " where tables may be on several servers, each of which would otherwise
	// ask all again.
	Global string
	// At is a time as a parameter, and the parameter's value.
	At  string
	Arg func(time.Time) any
	// Text and Number are a field of the JSON in column detail: '' and 0 where there is none.
	Text, Number func(field string) string
	// Begin is the text of the hour, day or month that column time is in: 2026-03-01T09, 2026-03-01, 2026-03.
	Begin func(letters int) string
	// Contains finds a parameter in a column, ASCII letters without regard to case; Needle is the parameter's value.
	Contains func(column string) string
	Needle   func(string) string
	// OfFirst is a column of the row with the least time in a group that also selects min(time).
	OfFirst func(column string) string
	// Explain adds to an error what an operator has to do; may be nil.
	Explain func(error) error
}

// Timeout is how long a question may take.
const Timeout = 20 * time.Second

// Reader implements [audit.Reader].
type Reader struct {
	db      *sql.DB
	dialect Dialect
	timeout time.Duration
	now     func() time.Time
	columns atomic.Pointer[string] // of requests; nil: the database may lack some
}

// New reads from db, which the Reader closes. now tells how long what goes on has lasted; nil: the system's clock.
func New(db *sql.DB, d Dialect, now func() time.Time) *Reader {
	if now == nil {
		now = time.Now
	}
	return &Reader{db: db, dialect: d, timeout: Timeout, now: now}
}

// Close implements [audit.Reader].
func (r *Reader) Close() error { return r.db.Close() }

// each runs a statement and gives each row to scan.
func (r *Reader) each(ctx context.Context, doing string, b *builder, scan func(*sql.Rows) error) error {
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := func() error {
		rows, err := r.db.QueryContext(limited, b.sql.String(), b.args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}()
	if err == nil {
		return nil
	}
	return r.failed(ctx, limited, doing, err)
}

// failed says what went wrong while a question was answered, within limited.
func (r *Reader) failed(ctx, limited context.Context, doing string, err error) error {
	switch {
	case ctx.Err() == nil && limited.Err() != nil:
		return fmt.Errorf("%s: %w (%w)", doing, audit.ErrTooSlow, err)
	case r.dialect.Explain != nil:
		err = r.dialect.Explain(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// builder puts a statement together, each piece with its parameters.
type builder struct {
	*Dialect
	sql   strings.Builder
	args  []any
	where bool
}

func (r *Reader) build(text string, args ...any) *builder {
	b := &builder{Dialect: &r.dialect}
	return b.add(text, args...)
}

func (b *builder) add(text string, args ...any) *builder {
	b.sql.WriteString(text)
	b.args = append(b.args, args...)
	return b
}

// begin starts another list of conditions: that of a statement inside or after.
func (b *builder) begin() *builder {
	b.where = false
	return b
}

// and adds a condition.
func (b *builder) and(text string, args ...any) *builder {
	if b.where {
		b.add(" AND ")
	} else {
		b.add(" WHERE ")
	}
	b.where = true
	return b.add(text, args...)
}

func (b *builder) table(name string) string { return b.Prefix + name }

// is narrows a column to a value, unless it is empty.
func (b *builder) is(column, value string) *builder {
	if value == "" {
		return b
	}
	return b.and(column+" = ?", value)
}

// person narrows a username, as given or in lower case.
func (b *builder) person(column, value string) *builder {
	lower := strings.ToLower(value)
	switch {
	case value == "":
		return b
	case lower == value:
		return b.and(column+" = ?", value)
	}
	return b.and(column+" IN (?, ?)", value, lower)
}

// time narrows to From and To.
func (b *builder) time(f audit.Filter) *builder {
	if !f.From.IsZero() {
		b.and("time >= "+b.At, b.Arg(f.From))
	}
	if !f.To.IsZero() {
		b.and("time < "+b.At, b.Arg(f.To))
	}
	return b
}

// who narrows to the actor, target, impersonation and log.
func (b *builder) who(f audit.Filter) *builder {
	return b.person("actor_username", f.Actor).person("target_username", f.Target).is("impersonation_id", f.Impersonation).is("log_id", f.Log)
}

// contains looks for q in any of the columns.
func (b *builder) contains(q string, columns ...string) *builder {
	if q == "" {
		return b
	}
	var parts []string
	var args []any
	for _, c := range columns {
		parts = append(parts, b.Contains(c))
		args = append(args, b.Needle(q))
	}
	return b.and("("+strings.Join(parts, " OR ")+")", args...)
}

// in narrows a column to the values, of which there is one at least.
func (b *builder) in(column string, values []string) *builder {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return b.and(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

// page narrows to what comes behind the cursor, and orders.
func (b *builder) page(k *place, p audit.Page, extra int) *builder {
	direction, behind, bound := "DESC", "<", "<="
	if p.Oldest {
		direction, behind, bound = "ASC", ">", ">="
	}
	if k != nil {
		// The first condition is for the index, which the engines do not find in a comparison of rows.
		b.and("time "+bound+" "+b.At, b.Arg(k.at))
		b.and("(time, log_id, seq) "+behind+" ("+b.At+", ?, ?)", b.Arg(k.at), k.logID, k.seq)
	}
	return b.add(fmt.Sprintf(" ORDER BY time %[1]s, log_id %[1]s, seq %[1]s LIMIT %[2]d", direction, p.Rows()+extra))
}

// checked is what every list begins with.
func checked(list string, f audit.Filter, p audit.Page) (*place, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	return open(p.Cursor, list, f, p.Oldest)
}

// cut takes the row too many off, and makes the cursor for what follows.
func cut[T any](rows []*T, list string, f audit.Filter, p audit.Page, at func(*T) place) *audit.Found[T] {
	found := &audit.Found[T]{Rows: rows}
	if n := p.Rows(); len(rows) > n {
		found.Rows = rows[:n]
		found.Next = at(rows[n-1]).seal(list, f, p.Oldest)
	}
	return found
}
