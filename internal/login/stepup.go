package login

import (
	"net/http"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// StepUp sends the browser to log in afresh, as the person of that session, and then to returnTo. The session is replaced
// once they have; until then, and if they don't, it stays as it is.
func (h *Handler) StepUp(w http.ResponseWriter, r *http.Request, s *session.Session, returnTo string) {
	if h.o.StepUp <= 0 {
		problem.Write(w, r, &problem.Problem{Code: "not-found", Status: http.StatusNotFound, Title: "Not found", Detail: "There is nothing at this address."})
		return
	}
	o := BeginOptions{ReturnTo: returnTo, Prompt: "login", MaxAge: h.o.StepUp, ACR: strings.Join(h.o.StepUpACR, " ")}
	if s != nil && s.Issuer == h.issuer {
		o.Subject = s.Subject
	}
	h.Begin(w, r, o)
}

// ServeStepUp serves GET /.impersonate/step-up?return_to=…
func (h *Handler) ServeStepUp(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	returnTo := SafeReturnTo(r.URL.Query().Get("return_to"))
	var s *session.Session
	if raw, ok := session.RawID(r, h.https(r)); ok {
		s, _ = h.o.Sessions.Get(r.Context(), raw) //nolint:errcheck // then it is a login like any other
	}
	// As with a login: another site must not be able to end an impersonation by it.
	if s != nil && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		redirect(w, returnTo)
		return
	}
	h.StepUp(w, r, s, returnTo)
}
