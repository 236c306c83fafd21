package portal

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

// serveAuditExport streams rows as a file. Two events tell of it: one before the first byte, and one after the last with
// the number of rows, or that it broke off.
func (p *portal) serveAuditExport(w http.ResponseWriter, r *http.Request, v *viewer) {
	e, format, f, err := p.exportOf(r)
	if err != nil {
		p.auditProblem(w, r, err)
		return
	}
	now := p.Clock.Now()
	// Whether it can be read at all is known before anything is promised.
	if _, err := p.Audit.Events(r.Context(), audit.Filter{}, audit.Page{Limit: 1}); err != nil {
		p.auditProblem(w, r, err)
		return
	}
	name := rand.Text()[:10]
	event := eventOf(v, audit.EventAuditExported)
	about := []any{"export", name, "format", format, "state", audit.ExportBegun}
	event.Detail = f.Detail(e.What(), about...)
	h := w.Header()
	h.Set("Content-Type", map[string]string{"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/jsonl; charset=utf-8"}[format])
	h.Set("Content-Disposition", `attachment; filename="audit-`+e.What()+"-"+now.UTC().Format("20060102-150405")+"."+format+`"`)
	if r.Method == http.MethodHead {
		return
	}
	if err := p.readings.record(r.Context(), event); err != nil {
		p.Log.ErrorContext(r.Context(), "an export of the audit can't be recorded, so it is not made", "error", err)
		h.Del("Content-Disposition")
		problem.Write(w, r, unrecorded())
		return
	}
	stream := http.NewResponseController(w)
	e.Progress = func(int) error {
		_ = stream.SetWriteDeadline(time.Now().Add(exportStall)) // where the server has deadlines at all
		return nil
	}
	out := audit.RowWriter(audit.NewJSONLWriter(w))
	if format == "csv" {
		out = audit.NewCSVWriter(w)
	}
	rows, err := e.Write(r.Context(), p.Audit, out, now)
	about[len(about)-1] = audit.ExportEnd(err)
	event.Detail = f.Detail(e.What(), append(about, audit.Pairs(rows)...)...)
	event.Time = time.Time{}
	if recordErr := p.readings.record(context.WithoutCancel(r.Context()), event); recordErr != nil {
		p.Log.ErrorContext(r.Context(), "the audit does not say how much was exported", "export", name, "error", recordErr)
	}
	if err != nil {
		if r.Context().Err() == nil {
			p.Log.ErrorContext(r.Context(), "an export of the audit broke off", "export", name, "error", err)
		}
		panic(http.ErrAbortHandler) // a file that looks whole would be worse
	}
}

// exportStall is how long a browser may take for a page of rows.
const exportStall = time.Minute

// exportOf reads what is to be exported, and as what. f is the filter as asked.
func (p *portal) exportOf(r *http.Request) (e *audit.Export, format string, f audit.Filter, err error) {
	q, err := query(r, append([]string{"format", "table"}, filterParameters...)...)
	if err != nil {
		return nil, "", f, audit.BadQuestion(err.Error())
	}
	if f, err = p.filterOf(q); err != nil {
		return nil, "", f, err
	}
	format = q.Get("format")
	tables, err := audit.ExportTables(q.Get("table"), format, f)
	return &audit.Export{Filter: f, Tables: tables}, format, f, err
}
