package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

// auditReadCommands are those that read the audit where it is kept. The server need not run.
func auditReadCommands() []*cobra.Command {
	return []*cobra.Command{
		auditListCommand("impersonations", "Lists impersonations, the newest first", listImpersonations),
		auditListCommand("requests", "Lists requests, the newest first", listRequests),
		auditListCommand("events", "Lists events, the newest first", listEvents),
		auditShowCommand(), auditTailCommand(), auditExportCommand(), auditEvidenceCommand(),
	}
}

// readFlags are those of every command that reads.
func readFlags(cmd *cobra.Command) {
	configFlags(cmd)
	f := cmd.Flags()
	f.String("clickhouse", "", "Read from this ClickHouse, as clickhouse://auditor:password@host:9000/impersonate")
	f.String("sqlite", "", "Read from this SQLite file")
	f.Bool("utc", false, "Print times in UTC, not in local time")
}

func filterFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("actor", "", "Only by this person (username)")
	f.String("target", "", "Only in this person's account (username)")
	f.String("impersonation", "", "Only of this impersonation (id)")
	f.String("from", "", "From this time on: 2026-03-01, 2026-03-01T09:30, or how long ago: 90m, 12h, 7d")
	f.String("to", "", "Before this time; of a day, its end")
	f.String("outcome", "", "Only with this outcome; of impersonations the cause of the end, or active")
	f.String("type", "", "Only events of this type")
	f.StringP("q", "q", "", "Text to look for")
}

// reading is what a command reads with.
type reading struct {
	audit.Reader
	cmd  *cobra.Command
	zone *time.Location
	now  time.Time
}

// withAudit makes f a command's function, with the audit that the flags or the configuration name.
func withAudit(f func(ctx context.Context, r *reading) error) func(*cobra.Command, []string) error {
	return run(func(cmd *cobra.Command) (code int, err error) {
		reader, done, err := openAudit(cmd)
		if err != nil {
			return 0, err
		}
		defer done()
		defer func() { err = errors.Join(err, reader.Close()) }()
		r := &reading{Reader: reader, cmd: cmd, zone: time.Local, now: time.Now()}
		if utc, err := cmd.Flags().GetBool("utc"); err == nil && utc {
			r.zone = time.UTC
		}
		return exitDone, f(cmd.Context(), r)
	})
}

func openAudit(cmd *cobra.Command) (reader Reader, done func(), err error) {
	nothing := func() {}
	dsn, err := cmd.Flags().GetString("clickhouse")
	if err != nil {
		return nil, nil, err
	}
	file, err := cmd.Flags().GetString("sqlite")
	if err != nil {
		return nil, nil, err
	}
	switch {
	case dsn != "" && file != "":
		return nil, nil, errors.New("--clickhouse and --sqlite: give one of them")
	case dsn != "":
		if err := resolve("--clickhouse", &dsn); err != nil {
			return nil, nil, err
		}
		if err := (&config.ClickHouseSink{DSN: dsn}).Validate(); err != nil {
			return nil, nil, err
		}
		reader, err = clickhouse.OpenReader(dsn, nil)
		return reader, nothing, err
	case file != "":
		reader, err = sqlite.OpenReader(file, nil)
		return reader, nothing, err
	}
	app, done, err := loadApp(cmd)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; or name the audit with --clickhouse or --sqlite", err)
	}
	reader, err = app.openReader(cmd.Context())
	if err == nil && reader == nil {
		err = errors.New("none of the configuration's audit sinks can be read by this command")
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	app.releases = nil // the command closes it
	return reader, done, nil
}

// filter reads the flags. Times without a zone are local, or UTC with --utc.
func (r *reading) filter() (f audit.Filter, err error) {
	flags := r.cmd.Flags()
	for name, into := range map[string]*string{
		"actor": &f.Actor, "target": &f.Target, "impersonation": &f.Impersonation, "outcome": &f.Outcome, "type": &f.Type, "q": &f.Q,
	} {
		if *into, err = flags.GetString(name); err != nil {
			return f, err
		}
	}
	from, _ := flags.GetString("from")
	if f.From, err = audit.ParseFrom(from, r.now, r.zone); err != nil {
		return f, fmt.Errorf("--from: %w", err)
	}
	to, _ := flags.GetString("to")
	if f.To, err = audit.ParseTo(to, r.now, r.zone); err != nil {
		return f, fmt.Errorf("--to: %w", err)
	}
	return f, f.Check()
}

func (r *reading) json() bool {
	v, err := r.cmd.Flags().GetBool("json")
	return err == nil && v
}

func (r *reading) time(t time.Time) string { return t.In(r.zone).Format("2006-01-02 15:04:05") }

// width of the terminal that is written to; without one it is as wide as anybody likes.
func (r *reading) width() int {
	if f, ok := r.cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 40 {
			return w
		}
	}
	return 1 << 16
}

// table prints for people. Where a row is wider than the terminal, the widest columns give way, but for those that are
// copied or compared whole; where that is not enough, each row is a paragraph.
type table struct {
	head  []string
	whole []string // heads of the columns that never give way
	rows  [][]string
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = plain(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// paragraphs prints each column of a row on a line of its own.
func (t *table) paragraphs(w io.Writer, width int) error {
	heads := 0
	for _, h := range t.head {
		heads = max(heads, utf8.RuneCountInString(h))
	}
	var b strings.Builder
	for i, row := range t.rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		for i, c := range row {
			line := []rune(fmt.Sprintf("%-*s  %s", heads, t.head[i], c))
			if len(line) > width && !slices.Contains(t.whole, t.head[i]) {
				line = append(line[:width-1], '…')
			}
			b.WriteString(strings.TrimRight(string(line), " ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// leastColumn is how narrow a column gets.
const leastColumn = 8

func (t *table) print(w io.Writer, width int) error {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for ; total > width; total-- {
		widest := -1
		for i, n := range widths {
			if !slices.Contains(t.whole, t.head[i]) && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 || widths[widest] <= leastColumn {
			return t.paragraphs(w, width)
		}
		widths[widest]--
	}
	var b strings.Builder
	for _, row := range append([][]string{t.head}, t.rows...) {
		line := ""
		for i, c := range row {
			if n := utf8.RuneCountInString(c); n > widths[i] {
				c = string([]rune(c)[:widths[i]-1]) + "…"
			}
			line += c
			if i < len(row)-1 {
				line += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
