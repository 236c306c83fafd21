package caddymodule

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// progressEvery is how often a long export says how far it is, after as long.
const progressEvery = 2 * time.Second

func auditExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [--format csv|jsonl] [--table <name>] [--output <file>] [--from <time>] [--to <time>]",
		Short: "Exports rows as CSV, or as JSON lines that can be verified",
		Long: `
Writes rows to standard output or a file, the oldest first: as JSON lines all that audit verify needs, or one table; as CSV one table,
requests unless --table says otherwise. A file appears under its name once it is whole; one that is there is not overwritten.

Like an export by the portal it is an event (audit_exported, with who ran the command), recorded by the running gateway, which is asked
at the administration endpoint of the configuration. The export is made without it, too; the message then says that there is no event.

Exit codes: 0 done; 1 it could not be read or written, and the message says why.`,
		RunE: withAudit(exportAudit),
	}
	readFlags(cmd)
	filterFlags(cmd)
	cmd.Flags().String("format", "jsonl", "csv or jsonl")
	cmd.Flags().String("table", "", "requests, events, impersonations or checkpoints")
	cmd.Flags().StringP("output", "o", "", "The file to write (default: standard output)")
	return cmd
}

func exportAudit(ctx context.Context, r *reading) (err error) {
	f, err := r.filter()
	if err != nil {
		return err
	}
	format, _ := r.cmd.Flags().GetString("format")
	table, _ := r.cmd.Flags().GetString("table")
	output, _ := r.cmd.Flags().GetString("output")
	tables, err := audit.ExportTables(table, format, f)
	if err != nil {
		return err
	}
	to, finish := r.cmd.OutOrStdout(), func(err error) error { return err }
	if output != "" {
		if to, finish, err = newFile(output); err != nil {
			return err
		}
	}
	var w audit.RowWriter = audit.NewJSONLWriter(to)
	if format == "csv" {
		w = audit.NewCSVWriter(to)
	}
	e := audit.Export{Filter: f, Tables: tables}
	told := r.announce(ctx, exported{What: e.What(), Filter: f, Export: rand.Text()[:10], Format: format})
	progress, end := r.progress()
	e.Progress = progress
	counts, err := e.Write(ctx, r.Reader, w, r.now)
	end()
	err = finish(err)
	told.end(ctx, err, counts, 0)
	if err != nil {
		return err
	}
	if output != "" {
		total := 0
		for _, n := range counts {
			total += n
		}
		r.cmd.PrintErrf("%s in %s.\n", several(total, "row"), output)
	}
	return nil
}

// newFile writes beside path; finish puts it there, or removes it after an error.
func newFile(path string) (w io.Writer, finish func(error) error, err error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, nil, fmt.Errorf("%s is there already", path)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, nil, err
	}
	return tmp, func(err error) error {
		err = errors.Join(err, tmp.Sync(), tmp.Close())
		if err == nil {
			err = os.Link(tmp.Name(), path) // not over one that has come meanwhile
		}
		return errors.Join(err, os.Remove(tmp.Name()))
	}, nil
}

// progress tells on a terminal how far a long export is.
func (r *reading) progress() (each func(int) error, end func()) {
	began, said := time.Now(), time.Time{}
	terminal := columnsOf(r.cmd.ErrOrStderr()) > 0
	each = func(rows int) error {
		now := time.Now()
		every := progressEvery
		if terminal && !said.IsZero() {
			every /= 10
		}
		if now.Sub(began) < progressEvery || now.Sub(said) < every {
			return nil
		}
		said = now
		text := fmt.Sprintf("%d rows, %.0f/s", rows, float64(rows)/now.Sub(began).Seconds())
		if terminal {
			r.cmd.PrintErrf("\r\x1b[K%s", text)
		} else {
			r.cmd.PrintErrln(text)
		}
		return nil
	}
	return each, func() {
		if terminal && !said.IsZero() {
			r.cmd.PrintErr("\r\x1b[K")
		}
	}
}
