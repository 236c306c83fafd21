package portal

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

const (
	auditRoot    = root + "/audit"
	auditAPIRoot = apiRoot + "/audit"

	codeAuditUnreadable = "audit-unreadable"
)

// auditRoutes are the pages and the API for auditors and owners. What they read is an event; see reading.
func (p *portal) auditRoutes() map[string]methods {
	return map[string]methods{
		auditRoot:                        {"GET": p.page(p.auditor(p.serveAudit))},
		auditRoot + "/events":            {"GET": p.page(p.auditor(p.serveAuditEvents))},
		auditRoot + "/activity":          {"GET": p.page(p.auditor(p.serveAuditActivity))},
		auditAPIRoot + "/impersonations": {"GET": p.api(p.auditor(p.apiAuditImpersonations))},
		auditAPIRoot + "/requests":       {"GET": p.api(p.auditor(p.apiAuditRequests))},
		auditAPIRoot + "/events":         {"GET": p.api(p.auditor(p.apiAuditEvents))},
		auditAPIRoot + "/activity":       {"GET": p.api(p.auditor(p.apiAuditActivity))},
		auditAPIRoot + "/notable":        {"GET": p.api(p.auditor(p.apiAuditNotable))},
		auditAPIRoot + "/export":         {"GET": p.api(p.auditor(p.serveAuditExport))},
	}
}

// auditRoute serves what has an impersonation's id in its address; nil: nothing does.
func (p *portal) auditRoute(path string) methods {
	if id, ok := strings.CutPrefix(path, auditAPIRoot+"/impersonations/"); ok && strings.HasSuffix(id, evidenceSuffix) && validID(strings.TrimSuffix(id, evidenceSuffix)) {
		return methods{"GET": p.api(p.auditor(p.serveEvidence))}
	}
	if id, ok := strings.CutPrefix(path, auditAPIRoot+"/impersonations/"); ok && validID(id) {
		return methods{"GET": p.api(p.auditor(p.apiAuditTimeline))}
	}
	if id, ok := strings.CutPrefix(path, auditRoot+"/impersonations/"); ok && validID(id) {
		return methods{"GET": p.page(p.auditor(p.serveAuditStory))}
	}
	return nil
}

// auditor serves those who may read the audit, where it can be read.
func (p *portal) auditor(serve func(http.ResponseWriter, *http.Request, *viewer)) func(http.ResponseWriter, *http.Request, *viewer) {
	return func(w http.ResponseWriter, r *http.Request, v *viewer) {
		switch {
		case !v.overseer():
			problem.Write(w, r, forbidden("Only auditors and owners may read the audit."))
		case p.Audit == nil || p.Events == nil:
			problem.Write(w, r, unreadable("None of the audit's sinks can be read through the gateway."))
		default:
			serve(w, r, v)
		}
	}
}

// unreadable: the sink is down, or may not be read. Nothing that is recorded is lost by it.
func unreadable(detail string) *problem.Problem {
	return &problem.Problem{
		Code: codeAuditUnreadable, Status: http.StatusServiceUnavailable, Title: "The audit can't be read right now",
		Detail: detail + " What is done goes on being recorded, and waits in the journal where it has to.",
		Links:  []problem.Link{toPortal}, RetryAfter: 10 * time.Second,
	}
}

// unrecorded: what is read must be recorded, and can't be.
func unrecorded() *problem.Problem {
	return &problem.Problem{
		Code: "audit-unavailable", Status: http.StatusServiceUnavailable, Title: "This can't be recorded right now",
		Detail: "Reading the audit is recorded too, and the gateway's journal takes nothing at the moment. Whoever runs the gateway finds the cause in its log.",
		Links:  []problem.Link{toPortal}, RetryAfter: 10 * time.Second,
	}
}

// auditProblem answers an error of the reader. What it was is for the log, unless it is about what was asked.
func (p *portal) auditProblem(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // gone away
	}
	var bad audit.BadQuestion
	switch {
	case errors.As(err, &bad):
		problem.Write(w, r, badRequest(bad.Error()))
	case errors.Is(err, audit.ErrCursor):
		problem.Write(w, r, badRequest("cursor: not one of this list's; begin again without it"))
	case errors.Is(err, audit.ErrNotThere):
		problem.Write(w, r, notFound())
	default:
		p.Log.ErrorContext(r.Context(), "the audit can't be read", "error", err)
		problem.Write(w, r, unreadable(sinkDetail(err)))
	}
}

func sinkDetail(err error) string {
	if errors.Is(err, audit.ErrTooSlow) {
		return "It took too long to answer. Narrow the time, or leave out the search."
	}
	return "Where it is kept does not answer, or may not be read by the gateway; whoever runs the gateway finds the cause in its log."
}

// question is what was asked of the audit.
type question struct {
	what   string
	filter audit.Filter
	page   audit.Page
	asked  url.Values // as it was typed, without the place in the list
}

var filterParameters = []string{"actor", "target", "impersonation", "from", "to", "outcome", "type", "log", "q"}

// questionOf reads a question from the address, strictly: a filter with a typing error must not show everything.
func (p *portal) questionOf(r *http.Request, what string, more ...string) (*question, error) {
	q, err := query(r, append(append([]string{"limit", "cursor", "order"}, filterParameters...), more...)...)
	if err != nil {
		return nil, audit.BadQuestion(err.Error())
	}
	a := &question{what: what, asked: q}
	if a.filter, err = p.filterOf(q); err != nil {
		return nil, err
	}
	a.page.Cursor = q.Get("cursor")
	if a.page.Limit, err = limitOf(q.Get("limit")); err != nil {
		return nil, audit.BadQuestion(err.Error())
	}
	switch q.Get("order") {
	case "", "newest":
	case "oldest":
		a.page.Oldest = true
	default:
		return nil, audit.BadQuestion("order: give newest or oldest")
	}
	for _, name := range []string{"limit", "cursor"} {
		q.Del(name)
	}
	return a, nil
}

func (p *portal) filterOf(q url.Values) (audit.Filter, error) {
	f := audit.Filter{
		Actor: strings.TrimSpace(q.Get("actor")), Target: strings.TrimSpace(q.Get("target")), Impersonation: strings.TrimSpace(q.Get("impersonation")),
		Outcome: q.Get("outcome"), Type: q.Get("type"), Log: q.Get("log"), Q: strings.TrimSpace(q.Get("q")),
	}
	var err error
	now := p.Clock.Now()
	if f.From, err = audit.ParseFrom(q.Get("from"), now, time.UTC); err != nil {
		return f, audit.BadQuestion("from: " + err.Error())
	}
	if f.To, err = audit.ParseTo(q.Get("to"), now, time.UTC); err != nil {
		return f, audit.BadQuestion("to: " + err.Error())
	}
	return f, f.Check()
}
