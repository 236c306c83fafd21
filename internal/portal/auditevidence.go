package portal

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

const evidenceSuffix = "/evidence"

// prover is what the recorder can do beside taking events: sign by the log's key.
type prover interface {
	SignNote(text string) (string, error)
	PublicKeys() ([]string, error)
}

// serveEvidence answers one impersonation's evidence as a zip, signed by the gateway. Two events tell of it, as of an export:
// in their detail, so that the pack does not grow by being read.
func (p *portal) serveEvidence(w http.ResponseWriter, r *http.Request, v *viewer) {
	id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, auditAPIRoot+"/impersonations/"), evidenceSuffix)
	by, ok := p.Events.(prover)
	if !ok {
		problem.Write(w, r, unreadable("The log is not signed here, so there is no evidence of it."))
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "application/zip")
		return
	}
	zip, err := p.evidence(r.Context(), by, id)
	if err != nil {
		p.evidenceProblem(w, r, err)
		return
	}
	event := eventOf(v, audit.EventAuditExported)
	f := audit.Filter{Impersonation: id}
	about := []any{"format", "zip", "state", audit.ExportBegun}
	event.Detail = f.Detail(audit.ExportedEvidence, about...)
	if err := p.readings.record(r.Context(), event); err != nil {
		p.Log.ErrorContext(r.Context(), "evidence can't be recorded as read, so it is not given", "error", err)
		problem.Write(w, r, unrecorded())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Length", strconv.Itoa(len(zip)))
	h.Set("Content-Disposition", `attachment; filename="evidence-`+audit.FileName(id)+`.zip"`)
	_, err = w.Write(zip)
	about[len(about)-1] = audit.ExportEnd(err)
	event.Time, event.Detail = time.Time{}, f.Detail(audit.ExportedEvidence, append(about, "bytes", len(zip))...)
	if err := p.readings.record(context.WithoutCancel(r.Context()), event); err != nil {
		p.Log.ErrorContext(r.Context(), "the audit does not say that evidence was given", "impersonation", id, "error", err)
	}
}

func (p *portal) evidence(ctx context.Context, by prover, id string) ([]byte, error) {
	keys, err := by.PublicKeys()
	if err != nil {
		return nil, err
	}
	pack, err := evidence.Collect(ctx, p.Audit, id, keys)
	if err != nil {
		return nil, err
	}
	return pack.Zip(by.SignNote)
}

func (p *portal) evidenceProblem(w http.ResponseWriter, r *http.Request, err error) {
	var gone *evidence.GoneError
	switch {
	case errors.As(err, &gone):
		problem.Write(w, r, &problem.Problem{
			Code: codeNotFound, Status: http.StatusNotFound, Title: "Not in the audit",
			Detail: "Either there was no such impersonation, or it was older than the audit is kept (" + gone.Kept + "): what was before " + gone.Before + " is removed.", Links: []problem.Link{toPortal},
		})
	case errors.Is(err, evidence.ErrRemoving):
		problem.Write(w, r, &problem.Problem{
			Code: "evidence-pending", Status: http.StatusConflict, Title: "Its beginning is being removed",
			Detail: "It, or what was recorded before it, is older than the audit is kept. Once that is removed, what is left can be proven. Try again in a few minutes.", Links: []problem.Link{toPortal}, RetryAfter: time.Minute,
		})
	case errors.Is(err, audit.ErrUnsealed):
		problem.Write(w, r, &problem.Problem{
			Code: "evidence-pending", Status: http.StatusConflict, Title: "Its newest rows are not signed yet",
			Detail: "A checkpoint is signed within seconds, and at the end of each impersonation. Try again then.", Links: []problem.Link{toPortal}, RetryAfter: 10 * time.Second,
		})
	case errors.Is(err, evidence.ErrUnplaced):
		problem.Write(w, r, &problem.Problem{
			Code: "audit-unproven", Status: http.StatusConflict, Title: "Its start is not there",
			Detail: "Its end does not say where in the log its start was, so nothing in it shows that the start was older than the audit is kept. Whoever runs the gateway finds out by the command audit verify.", Links: []problem.Link{toPortal},
		})
	case errors.Is(err, evidence.ErrUnproven):
		p.Log.ErrorContext(r.Context(), "the audit does not prove itself: run audit verify", "error", err)
		problem.Write(w, r, &problem.Problem{
			Code: "audit-unproven", Status: http.StatusInternalServerError, Title: "The audit is not as it was recorded",
			Detail: "Rows are not those that the gateway has signed, or are missing, so there is no evidence of them. Whoever runs the gateway finds out which by the command audit verify.", Links: []problem.Link{toPortal},
		})
	case errors.Is(err, evidence.ErrTooLarge):
		problem.Write(w, r, badRequest("It has too many rows for one pack; export them as JSON lines instead."))
	default:
		p.auditProblem(w, r, err)
	}
}
