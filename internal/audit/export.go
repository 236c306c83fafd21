package audit

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// TableImpersonations is what an export calls the rows of the view.
const TableImpersonations = "impersonations"

// ExportFormat is the first line of an export that can be verified; docs/audit-format.md is its specification.
const ExportFormat = "caddy-impersonate-export/1"

// exportPage is how many rows of an export are in memory at once.
const exportPage = 1000

// Export is what is to be exported.
type Export struct {
	Filter Filter
	// Tables in their order: requests, events, checkpoints, impersonations. Checkpoints are narrowed by time and log
	// only, and belong to an export that is narrowed by nothing else.
	Tables []string
	// Progress is called after each page with the rows written so far; may be nil.
	Progress func(rows int) error
}

// Whole tells whether nothing but time and log narrows the filter.
func (f Filter) Whole() bool {
	f.From, f.To, f.Log = time.Time{}, time.Time{}, ""
	return f == Filter{}
}

// RowWriter writes exported rows.
type RowWriter interface {
	Begin(e *Export, now time.Time) error
	Row(table string, columns []Column, values []string) error
	// End is called when all are written: what has no end was cut off.
	End(rows map[string]int) error
}

// Write exports, the oldest rows first, in bounded memory. What is recorded after now is not in it. It tells how many rows
// of each table were written, also when it fails.
func (e Export) Write(ctx context.Context, r Reader, w RowWriter, now time.Time) (map[string]int, error) {
	if e.Filter.To.IsZero() || e.Filter.To.After(now) {
		e.Filter.To = now
	}
	if !e.Filter.From.IsZero() && !e.Filter.From.Before(e.Filter.To) {
		e.Filter.From, e.Filter.To = now.Add(-time.Microsecond), now
	}
	rows := map[string]int{}
	if err := w.Begin(&e, now); err != nil {
		return rows, err
	}
	for _, table := range e.Tables {
		rows[table] = 0
		if err := e.table(ctx, r, w, table, rows); err != nil {
			return rows, fmt.Errorf("exporting %s: %w", table, err)
		}
	}
	return rows, w.End(rows)
}

func (e *Export) table(ctx context.Context, r Reader, w RowWriter, table string, rows map[string]int) error {
	hashed := func(columns []Column) []Column { return append(columns, Column{0, "leaf_hash", KindHash}) }
	switch table {
	case TableRequests:
		columns := hashed(RequestColumns())
		return pages(ctx, e, r.Requests, table, rows, func(q *Request) error {
			return w.Row(table, columns, append(q.Values(), hex.EncodeToString(q.LeafHash[:])))
		})
	case TableEvents:
		columns := hashed(EventColumns())
		return pages(ctx, e, r.Events, table, rows, func(v *Event) error {
			return w.Row(table, columns, append(v.Values(), hex.EncodeToString(v.LeafHash[:])))
		})
	case TableCheckpoints:
		columns := CheckpointColumns()
		return pages(ctx, e, r.Checkpoints, table, rows, func(c *Checkpoint) error { return w.Row(table, columns, c.Values()) })
	case TableImpersonations:
		columns := ImpersonationColumns()
		return pages(ctx, e, r.Impersonations, table, rows, func(i *Impersonation) error { return w.Row(table, columns, i.Values()) })
	}
	return fmt.Errorf("there is no table %q", table)
}

// pages gives each row of a list to write.
func pages[T any](ctx context.Context, e *Export, list func(context.Context, Filter, Page) (*Found[T], error), table string, rows map[string]int, write func(*T) error) error {
	page := Page{Limit: exportPage, Oldest: true}
	for {
		found, err := list(ctx, e.Filter, page)
		if err != nil {
			return err
		}
		for _, row := range found.Rows {
			if err := write(row); err != nil {
				return err
			}
		}
		rows[table] += len(found.Rows)
		if e.Progress != nil {
			total := 0
			for _, n := range rows {
				total += n
			}
			if err := e.Progress(total); err != nil {
				return err
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return nil
		}
	}
}

// What the events of an export (audit_exported) say of it.
const (
	ExportedAll      = "all" // several tables
	ExportedEvidence = "evidence"

	ExportBegun     = "begun"
	ExportDone      = "done"
	ExportBrokenOff = "broken_off"
)

// What is exported, as its events say it.
func (e *Export) What() string {
	if len(e.Tables) == 1 {
		return e.Tables[0]
	}
	return ExportedAll
}

// ExportEnd is how an export ended, as its second event says it.
func ExportEnd(err error) string {
	if err != nil {
		return ExportBrokenOff
	}
	return ExportDone
}

// ImpersonationColumns are the columns of an exported impersonation. They are made of rows, and not hashed.
func ImpersonationColumns() []Column {
	var list []Column
	for _, name := range []string{
		"impersonation_id", "started", "ended", "actor_id", "actor_username", "actor_name", "target_id", "target_username", "target_name",
		"reason", "ticket", "mode", "policy", "site", "client_ip", "end_cause", "ended_by",
	} {
		list = append(list, Column{0, name, KindText})
	}
	for _, name := range []string{"requests", "writes", "refusals"} {
		list = append(list, Column{0, name, KindNumber})
	}
	return list
}

// Values is the row as text, in the order of [ImpersonationColumns].
func (i *Impersonation) Values() []string {
	ended := ""
	if i.Ended != nil {
		ended = timeText(*i.Ended)
	}
	return []string{
		i.ID, timeText(i.Started), ended, i.ActorID, i.ActorUsername, i.ActorName, i.TargetID, i.TargetUsername, i.TargetName,
		i.Reason, i.Ticket, i.Mode, i.Policy, i.Site, i.ClientIP, i.EndCause, i.EndedBy,
		uintText(i.Requests), uintText(i.Writes), uintText(i.Refusals),
	}
}

// RowJSON appends a row as a JSON object, its columns in their order; numbers are numbers, all else is text. first is the
// beginning of the object, such as `{"table":"events"`, or `{`.
func RowJSON(b []byte, first string, columns []Column, values []string) []byte {
	b = append(b, first...)
	for i, c := range columns {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), c.Name...), `":`...)
		if c.Kind == KindNumber {
			b = append(b, values[i]...)
		} else {
			b = append(b, encodeJSON(values[i])...)
		}
	}
	return append(b, '}')
}

// JSON is the row as a JSON object, leaf_hash with it.
func (r *Request) JSON() json.RawMessage {
	columns := append(RequestColumns(), Column{0, "leaf_hash", KindHash})
	return RowJSON(nil, "{", columns, append(r.Values(), hex.EncodeToString(r.LeafHash[:])))
}

// JSON is the row as a JSON object, leaf_hash with it.
func (e *Event) JSON() json.RawMessage {
	columns := append(EventColumns(), Column{0, "leaf_hash", KindHash})
	return RowJSON(nil, "{", columns, append(e.Values(), hex.EncodeToString(e.LeafHash[:])))
}

// JSONLWriter writes the export that `audit verify` reads: JSON objects, one a line.
type JSONLWriter struct {
	w   *bufio.Writer
	row []byte
}

// NewJSONLWriter writes to w.
func NewJSONLWriter(w io.Writer) *JSONLWriter { return &JSONLWriter{w: bufio.NewWriterSize(w, 64<<10)} }

// Begin implements [RowWriter].
func (j *JSONLWriter) Begin(e *Export, now time.Time) error {
	filter := map[string]string{}
	for name, value := range e.Filter.Values() {
		filter[name] = value
	}
	_, err := fmt.Fprintf(j.w, "{\"format\":%q,\"made_at\":%q,\"tables\":%s,\"filter\":%s}\n", ExportFormat, timeText(now), encodeJSON(e.Tables), encodeJSON(filter))
	return err
}

// Row implements [RowWriter].
func (j *JSONLWriter) Row(table string, columns []Column, values []string) error {
	j.row = append(RowJSON(j.row[:0], `{"table":"`+table+`"`, columns, values), '\n')
	_, err := j.w.Write(j.row)
	return err
}

// End implements [RowWriter].
func (j *JSONLWriter) End(rows map[string]int) error {
	_, err := fmt.Fprintf(j.w, "{\"end\":true,\"rows\":%s}\n", encodeJSON(rows))
	return errors.Join(err, j.w.Flush())
}

// CSVWriter writes one table for a spreadsheet (RFC 4180, with a line of names). Cells that a spreadsheet would compute
// begin with an apostrophe, so it is not for verification.
type CSVWriter struct{ w *csv.Writer }

// NewCSVWriter writes to w.
func NewCSVWriter(w io.Writer) *CSVWriter {
	c := &CSVWriter{csv.NewWriter(w)}
	c.w.UseCRLF = true
	return c
}

// Begin implements [RowWriter].
func (c *CSVWriter) Begin(e *Export, _ time.Time) error {
	if len(e.Tables) != 1 {
		return errors.New("CSV holds one table")
	}
	var columns []Column
	switch e.Tables[0] {
	case TableRequests:
		columns = append(RequestColumns(), Column{0, "leaf_hash", KindHash})
	case TableEvents:
		columns = append(EventColumns(), Column{0, "leaf_hash", KindHash})
	case TableCheckpoints:
		columns = CheckpointColumns()
	case TableImpersonations:
		columns = ImpersonationColumns()
	default:
		return fmt.Errorf("there is no table %q", e.Tables[0])
	}
	var names []string
	for _, column := range columns {
		names = append(names, column.Name)
	}
	return c.w.Write(names)
}

// Row implements [RowWriter].
func (c *CSVWriter) Row(_ string, columns []Column, values []string) error {
	for i := range values {
		if columns[i].Kind == KindText {
			values[i] = cell(values[i])
		}
	}
	return c.w.Write(values)
}

// End implements [RowWriter].
func (c *CSVWriter) End(map[string]int) error {
	c.w.Flush()
	return c.w.Error()
}

// cell keeps a spreadsheet from taking text for a formula (CWE-1236): what begins with =, +, -, @ or a full-width form of
// them, also after blanks, gets an apostrophe before it. Rows hold no control characters.
func cell(s string) string {
	bare := strings.TrimLeft(s, " \u00a0\u3000\ufeff\t\r\n'\"")
	if c, _ := utf8.DecodeRuneInString(bare); bare != "" && strings.ContainsRune("=+-@|%＝＋－＠", c) {
		return "'" + s
	}
	return s
}

// Values are the fields that narrow something, as the API and the commands name them, in their order.
func (f Filter) Values() func(yield func(name, value string) bool) {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return timeText(t)
	}
	return func(yield func(name, value string) bool) {
		for _, v := range [][2]string{
			{"actor", f.Actor},
			{"target", f.Target},
			{"impersonation", f.Impersonation},
			{"from", at(f.From)},
			{"to", at(f.To)},
			{"outcome", f.Outcome},
			{"type", f.Type},
			{"log", f.Log},
			{"q", f.Q},
		} {
			if v[1] != "" && !yield(v[0], v[1]) {
				return
			}
		}
	}
}

// Detail are pairs for an event about a reading: what was asked, then the filter, then more.
func (f Filter) Detail(what string, more ...any) string {
	pairs := []any{"what", what}
	for name, value := range f.Values() {
		pairs = append(pairs, name, value)
	}
	return Detail(append(pairs, more...)...)
}

// Pairs are counts by name in the order of the names, for [Detail].
func Pairs(counts map[string]int) []any {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	var pairs []any
	for _, name := range names {
		pairs = append(pairs, name, counts[name])
	}
	return pairs
}

// ReadJSONL reads an export, calling row for each. The values are as [Request.Values] and the like have them, in the order of
// the table's columns, leaf_hash behind them; columns the program does not know are an error, those missing are empty. It fails
// when the export was cut off.
func ReadJSONL(r io.Reader, row func(table string, values []string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), 1<<20)
	index := map[string]map[string]int{}
	kinds := map[string][]Kind{}
	for table, columns := range map[string][]Column{
		TableRequests: append(RequestColumns(), Column{0, "leaf_hash", KindHash}), TableEvents: append(EventColumns(), Column{0, "leaf_hash", KindHash}),
		TableCheckpoints: CheckpointColumns(), TableImpersonations: ImpersonationColumns(),
	} {
		index[table] = map[string]int{}
		for i, c := range columns {
			index[table][c.Name] = i
			kinds[table] = append(kinds[table], c.Kind)
		}
	}
	counts := map[string]int{}
	for line := 1; s.Scan(); line++ {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(s.Bytes(), &fields); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		text := func(name string) (v string) {
			_ = json.Unmarshal(fields[name], &v)
			return v
		}
		if line == 1 {
			if got := text("format"); got != ExportFormat {
				return fmt.Errorf("line 1: this is no export of the audit (format %.40q, want %q)", got, ExportFormat)
			}
			continue
		}
		if fields["end"] != nil {
			var want map[string]int
			if err := json.Unmarshal(fields["rows"], &want); err != nil {
				return fmt.Errorf("line %d: rows: %w", line, err)
			}
			for table, n := range want {
				if counts[table] != n {
					return fmt.Errorf("the export says that it has %d rows of %s, and has %d", n, table, counts[table])
				}
			}
			if s.Scan() {
				return fmt.Errorf("line %d: something follows the end", line+1)
			}
			return s.Err()
		}
		table := text("table")
		columns := index[table]
		if columns == nil {
			return fmt.Errorf("line %d: there is no table %.40q", line, table)
		}
		values := make([]string, len(columns))
		for i, k := range kinds[table] {
			if k == KindNumber {
				values[i] = "0"
			}
		}
		for name, raw := range fields {
			i, ok := columns[name]
			switch {
			case name == "table":
			case !ok:
				return fmt.Errorf("line %d: column %.40q of %s is unknown: a newer version has written it", line, name, table)
			case kinds[table][i] == KindNumber:
				if _, err := strconv.ParseUint(string(raw), 10, 64); err != nil {
					return fmt.Errorf("line %d: column %s: %w", line, name, err)
				}
				values[i] = string(raw)
			default:
				if err := json.Unmarshal(raw, &values[i]); err != nil {
					return fmt.Errorf("line %d: column %s: %w", line, name, err)
				}
			}
		}
		counts[table]++
		if err := row(table, values); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := s.Err(); err != nil {
		return err
	}
	return errors.New("the export has no last line: it was cut off")
}

// ExportTables are the tables of an export, by what was asked for: the name of one, or nothing for what is usual: requests in
// CSV; requests and events in JSON lines, and the checkpoints that prove them unless the filter leaves out rows.
func ExportTables(table, format string, f Filter) ([]string, error) {
	if format != "csv" && format != "jsonl" {
		return nil, BadQuestion("format: give csv or jsonl")
	}
	switch table {
	case "":
		if format == "csv" {
			return []string{TableRequests}, nil
		}
		if f.Whole() {
			return []string{TableRequests, TableEvents, TableCheckpoints}, nil
		}
		return []string{TableRequests, TableEvents}, nil
	case TableRequests, TableEvents, TableImpersonations, TableCheckpoints:
		return []string{table}, nil
	}
	return nil, BadQuestion("table: give requests, events, impersonations or checkpoints")
}

// RowWithTable says in a row's JSON object which table it is of.
func RowWithTable(row json.RawMessage, table string) json.RawMessage {
	return append([]byte(`{"table":"`+table+`",`), row[1:]...)
}
