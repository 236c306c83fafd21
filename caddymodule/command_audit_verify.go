package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

func auditVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [--config <path> | --sqlite <file> | --clickhouse <dsn> | --export <file> | --evidence <file>] [--key <file>]",
		Short: "Proves that no row was changed, removed, added or moved",
		Long: `
Recomputes every leaf hash and every checkpoint of the audit, and names the rows that are not those recorded: changed,
missing, cut off, there twice, at another place, covered by no checkpoint; and checkpoints that were changed, forged,
taken away, or contradict each other. It needs the rows and the public key and asks nobody else.

The rows are those of the configuration's audit, of an SQLite file, of a ClickHouse database, or of an export in JSON
lines. The key is signing_key.pub from the journal's directory: copy it once, when the gateway is set up, to where
nobody who can write to the audit can write. With --witness it is also held against checkpoints kept elsewhere, so
that rows cut off together with their checkpoints are found.

With --evidence a pack is checked instead: it is made anew of its rows, checkpoints and keys, and compared byte by byte.

Exit codes: 0 all is as recorded; 1 it could not be read; 6 something is not as recorded.`,
		RunE: run(verifyAudit),
	}
	configFlags(cmd)
	storeFlags(cmd)
	cmd.Flags().String("evidence", "", "A pack that audit evidence or the portal has written, instead of an audit")
	cmd.Flags().StringArray("witness", nil, "File of checkpoints kept by a witness; can be given several times")
	cmd.Flags().String("retained-since", "", "Rows older than this day (2006-01-02) may have been removed by retention")
	cmd.Flags().Bool("json", false, "Print the report as JSON")
	return cmd
}

// storeFlags say where the rows and keys are.
func storeFlags(cmd *cobra.Command) {
	cmd.Flags().String("sqlite", "", "The audit's SQLite file")
	cmd.Flags().String("clickhouse", "", "The audit's ClickHouse database: clickhouse://auditor:secret@host:9000/db; {env.NAME} and {file./path} are replaced")
	cmd.Flags().String("export", "", "An export in JSON lines; - is the standard input")
	cmd.Flags().StringArray("key", nil, "File of public keys, one a line (default: signing_key.pub in the configuration's journal); can be given several times")
}

func verifyAudit(cmd *cobra.Command) (code int, err error) {
	if file, _ := cmd.Flags().GetString("evidence"); file != "" {
		return verifyEvidence(cmd, file)
	}
	s, err := openStore(cmd)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	o := proof.Options{Keys: s.keys, Now: time.Now()}
	files, _ := cmd.Flags().GetStringArray("witness")
	if len(files) > 0 {
		o.Witness = notesOf(files)
	}
	if day, _ := cmd.Flags().GetString("retained-since"); day != "" {
		if o.RetainedSince, err = time.Parse(time.DateOnly, day); err != nil {
			return 1, fmt.Errorf("--retained-since: %w", err)
		}
	}
	total, err := s.Count(cmd.Context())
	if err != nil {
		return 1, err
	}
	bar := newBar(cmd.ErrOrStderr(), total, time.Now)
	o.Progress = bar.to
	report, err := proof.Verify(cmd.Context(), s.Store, o)
	bar.end()
	if err != nil {
		return 1, err
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		printReport(cmd.OutOrStdout(), report)
	}
	if !report.Clean() {
		return exitFound, err
	}
	return exitDone, err
}

// notesOf are the notes in witnesses' files.
func notesOf(files []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, file := range files {
			f, err := os.Open(file)
			if err != nil {
				yield("", err)
				return
			}
			defer f.Close()
			for note, err := range proof.ReadNotes(f) {
				if err != nil {
					yield("", fmt.Errorf("%s: %w", file, err))
					return
				}
				if !yield(note, nil) {
					return
				}
			}
		}
	}
}

func printReport(out io.Writer, r *proof.Report) {
	width := widthOf(out)
	for _, f := range r.Findings {
		fmt.Fprintln(out, hanging("", plain(f.String()), width, gap))
	}
	if r.More > 0 {
		fmt.Fprintf(out, "and %d more\n", r.More)
	}
	for _, l := range r.Logs {
		line := fmt.Sprintf("log %s: %s (%d to %d), %s, the last of %s", plain(l.LogID), several(l.Rows, "row"), l.First, l.Last, several(l.Checkpoints, "checkpoint"), several(l.Covered, "row"))
		for _, n := range []struct {
			n    uint64
			what string
		}{{l.Pending, "wait for their checkpoint"}, {l.Removed, "removed by retention"}, {l.Lost, "lost by the journal"}} {
			if n.n > 0 {
				line += fmt.Sprintf("; %d %s", n.n, n.what)
			}
		}
		fmt.Fprintln(out, hanging("", line, width, gap))
	}
	printVerdict(out, r.Clean(), uint64(len(r.Findings))+r.More)
}

func printVerdict(out io.Writer, clean bool, findings uint64) {
	if clean {
		fmt.Fprintln(out, "Everything is as it was recorded.")
		return
	}
	fmt.Fprintf(out, "NOT as it was recorded: %s.\n", several(findings, "finding"))
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// store is the audit that a command works on.
type store struct {
	*proof.Store
	keys  []string
	close func() error
}

func openStore(cmd *cobra.Command) (*store, error) {
	s := &store{}
	get := func(name string) string { v, _ := cmd.Flags().GetString(name); return v }
	file, dsn, export := get("sqlite"), get("clickhouse"), get("export")
	keys, _ := cmd.Flags().GetStringArray("key")
	if file == "" && dsn == "" && export == "" || len(keys) == 0 {
		app, done, err := loadApp(cmd)
		if err != nil {
			return nil, fmt.Errorf("%w; or name the audit with --sqlite, --clickhouse or --export, and its public key with --key", err)
		}
		defer done()
		if len(keys) == 0 {
			keys = []string{publishedKeys(app.Audit.Journal)}
		}
		if file == "" && dsn == "" && export == "" {
			file, dsn = app.provable()
		}
	}
	var err error
	if s.keys, err = readKeys(keys); err != nil {
		return nil, err
	}
	return s, s.open(cmd.Context(), file, dsn, export, cmd.InOrStdin())
}

// provable is the sink whose tables are verified: ClickHouse, by the user who may read, else SQLite.
func (a *App) provable() (file, dsn string) {
	for _, sink := range a.sinks {
		switch sink := sink.(type) {
		case *SQLiteSink:
			file = sink.Path
		case *ClickHouseSink:
			return "", cmp.Or(sink.Reader, sink.DSN)
		}
	}
	return file, ""
}

// publishedKeys is where a gateway writes its public keys.
func publishedKeys(journal string) string { return filepath.Join(journal, "signing_key.pub") }

// readKeys reads verifier keys, one a line.
func readKeys(files []string) (keys []string, err error) {
	for _, k := range files {
		text, err := os.ReadFile(k)
		if err != nil {
			return nil, fmt.Errorf("reading the public key: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				keys = append(keys, line)
			}
		}
	}
	return keys, nil
}

func (s *store) open(ctx context.Context, file, dsn, export string, stdin io.Reader) error {
	switch {
	case dsn != "":
		if err := resolve("--clickhouse", &dsn); err != nil {
			return err
		}
		sink, err := clickhouse.Open(dsn)
		if err != nil {
			return err
		}
		prefix := "`" + sink.Database() + "`."
		if err := sink.Close(); err != nil {
			return err
		}
		db, err := clickhouse.OpenReadOnly(dsn)
		if err != nil {
			return err
		}
		settings, err := clickhouse.SortOnDisk(ctx, db)
		if err != nil {
			return errors.Join(err, db.Close())
		}
		s.Store, s.close = &proof.Store{DB: db, Prefix: prefix, Settings: settings}, db.Close
	case file != "":
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("reading the audit database: %w", err)
		}
		db, err := sqlite.OpenReadOnly(file)
		if err != nil {
			return err
		}
		s.Store, s.close = &proof.Store{DB: db}, db.Close
	case export != "":
		in := stdin
		if export != "-" {
			f, err := os.Open(export)
			if err != nil {
				return fmt.Errorf("reading the export: %w", err)
			}
			defer f.Close()
			in = f
		}
		db, done, err := sqlite.ImportExport(ctx, in)
		if err != nil {
			return err
		}
		s.Store, s.close = &proof.Store{DB: db}, func() error { return errors.Join(db.Close(), done()) }
	default:
		return errors.New("there is no audit to read: name one with --sqlite, --clickhouse or --export")
	}
	return nil
}
