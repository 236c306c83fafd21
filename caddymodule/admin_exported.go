package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// exportedPath is where the administration endpoint takes POST.
const exportedPath = "/impersonate/audit/exported"

const (
	maxExported     = 64 << 10 // of a request, in bytes
	maxExportedText = 256      // of a name in it
)

// exported is what a command that takes the audit away tells the running gateway, for the event that the portal would have
// recorded. It came with the right to the administration endpoint; who ran the command is the command's word.
type exported struct {
	Journal string         `json:"journal"` // directory of the journal that the command's configuration names
	OSUser  string         `json:"os_user"`
	Sudo    string         `json:"sudo_user,omitempty"` // who became OSUser by sudo
	Source  string         `json:"source,omitempty"`    // what was read, if it is not what the configuration names
	What    string         `json:"what"`
	Filter  audit.Filter   `json:"filter"`
	Export  string         `json:"export,omitempty"`
	Format  string         `json:"format"`
	State   string         `json:"state"`
	Rows    map[string]int `json:"rows,omitempty"`
	Bytes   int            `json:"bytes,omitempty"`
}

const byCommandLine = "command line"

var exportName = regexp.MustCompile(`^[A-Z2-7]{0,26}$`) // of rand.Text

var exportTables = []string{audit.TableRequests, audit.TableEvents, audit.TableImpersonations, audit.TableCheckpoints}

// check tells what of it is none of a command's.
func (e *exported) check() error {
	if !slices.Contains(append([]string{audit.ExportedEvidence, audit.ExportedAll}, exportTables...), e.What) {
		return fmt.Errorf("what: %.40q is nothing that is exported", e.What)
	}
	if !slices.Contains([]string{"zip", "csv", "jsonl"}, e.Format) {
		return fmt.Errorf("format: give zip, csv or jsonl, not %.40q", e.Format)
	}
	if !slices.Contains([]string{audit.ExportBegun, audit.ExportDone, audit.ExportBrokenOff}, e.State) {
		return fmt.Errorf("state: give begun, done or broken_off, not %.40q", e.State)
	}
	if !exportName.MatchString(e.Export) {
		return errors.New("export: give a name of 26 letters at most")
	}
	if e.OSUser == "" {
		return errors.New("os_user: say who runs the command")
	}
	for name, value := range map[string]string{"os_user": e.OSUser, "sudo_user": e.Sudo, "source": e.Source} {
		if len(value) > maxExportedText || !utf8.ValidString(value) || slices.ContainsFunc([]rune(value), unicode.IsControl) {
			return fmt.Errorf("%s: give text of at most %d bytes on one line", name, maxExportedText)
		}
	}
	for table, n := range e.Rows {
		if n < 0 || !slices.Contains(exportTables, table) {
			return fmt.Errorf("rows: %.40q is no table with rows", table)
		}
	}
	if e.Bytes < 0 {
		return errors.New("bytes: give what was written")
	}
	return e.Filter.Check()
}

// event is the one for the record: the portal's, but for who it was. Nobody is named as actor, since an account of the machine
// is none of the gateway's.
func (e *exported) event() audit.Event {
	about := []any{"export", e.Export, "format", e.Format, "state", e.State}
	about = append(about, audit.Pairs(e.Rows)...)
	if e.Bytes > 0 {
		about = append(about, "bytes", e.Bytes)
	}
	about = append(about, "by", byCommandLine, "os_user", e.OSUser, "sudo_user", e.Sudo, "source", e.Source)
	return audit.Event{Type: audit.EventAuditExported, Detail: e.Filter.Detail(e.What, about...)}
}

// recordExported records that a command exports. It answers once that is on disk.
func recordExported(w http.ResponseWriter, r *http.Request) error {
	app, err := posted(w, r)
	if err != nil {
		return err
	}
	var e exported
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxExported))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("reading what was exported: %w", err)}
	}
	if err := e.check(); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	// Another gateway may listen where the configuration's would.
	if e.Journal != app.Audit.Journal {
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: fmt.Errorf("its journal is %s, not %.256q", app.Audit.Journal, e.Journal)}
	}
	ctx, cancel := context.WithTimeout(r.Context(), eventWithin)
	defer cancel()
	if err := app.trail.recorder.Event(ctx, e.event()); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("recording the export: %w", err)}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
