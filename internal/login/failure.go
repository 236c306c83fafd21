package login

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

// eventTimeout bounds how long an answer waits for its event to be durable.
const eventTimeout = 2 * time.Second

// failure is why a login did not happen: for the person, for the audit, for the log.
type failure struct {
	reason  string // stable; in the event and in the problem's JSON
	kind    *kind
	message string // for the person; no secret
	err     error  // for the log and, cut, the event; may be nil; no secret

	// Who it would have been, once the provider has said so.
	userID, username string
}

// kind is what sort of problem it is to the person.
type kind struct {
	code   string
	status int
	title  string
	retry  time.Duration
}

var (
	kindUnavailable = &kind{"provider-unavailable", http.StatusServiceUnavailable, "The identity provider can't be reached", 5 * time.Second}
	kindExpired     = &kind{"login-expired", http.StatusBadRequest, "This login is out of date", 0}
	kindFailed      = &kind{"login-failed", http.StatusBadRequest, "Login failed", 0}
	kindProvider    = &kind{"login-failed", http.StatusBadGateway, "Login failed", 0}
	kindRefused     = &kind{"login-refused", http.StatusForbidden, "Login refused", 0}
	kindDeactivated = &kind{"account-deactivated", http.StatusForbidden, "Account deactivated", 0}
	kindInternal    = &kind{"login-unavailable", http.StatusServiceUnavailable, "Login is not possible right now", 5 * time.Second}
)

var (
	failProviderDown = &failure{reason: "provider_unavailable", kind: kindUnavailable, message: "Logging in needs the identity provider, and it does not answer. It is retried automatically; people who are logged in already can go on."}
	failUnknownState = &failure{reason: "state_unknown", kind: kindExpired, message: "This browser did not begin this login, or began it too long ago. Nothing has happened; please log in again."}
	failExpired      = &failure{reason: "state_expired", kind: kindExpired, message: "This login took longer than ten minutes. Please log in again."}
	failReplayed     = &failure{reason: "state_replayed", kind: kindExpired, message: "This login was completed before. Please log in again."}
	failMalformed    = &failure{reason: "malformed", kind: kindFailed, message: "The identity provider sent the browser back with an answer that makes no sense."}
	failMixUp        = &failure{reason: "issuer_mismatch", kind: kindFailed, message: "The answer came from a different identity provider than the one the login was begun at."}
	failCodeRefused  = &failure{reason: "code_refused", kind: kindFailed, message: "The identity provider did not accept the login's code: it was used before, or is too old."}
	failExchange     = &failure{reason: "token_endpoint", kind: kindProvider, message: "The identity provider did not answer as it should when it was asked who logged in."}
	failNoIDToken    = &failure{reason: "id_token_missing", kind: kindProvider, message: "The identity provider did not say who logged in: there was no ID token in its answer."}
	failUserinfo     = &failure{reason: "userinfo", kind: kindProvider, message: "The identity provider did not answer as it should when it was asked for the account's details."}
	failOtherPerson  = &failure{reason: "subject_changed", kind: kindRefused, message: "This needs a fresh login of the person who asked for it, and somebody else logged in. Nothing was started. Log in as yourself, or log out first."}
	failInternal     = &failure{reason: "internal", kind: kindInternal, message: "The gateway could not store the login. Please try again in a moment."}
)

// because is the failure with its cause.
func (f *failure) because(err error) *failure {
	g := *f
	g.err = err
	return &g
}

// of is the failure of a person.
func (f *failure) of(userID, username string) *failure {
	g := *f
	g.userID, g.username = userID, username
	return &g
}

// fail tells everybody concerned: the person by a page, the audit by an event, the operator by the log.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, f *failure, returnTo string) {
	h.recordFailure(r, f)
	h.refuse(w, r, f, LoginPath, returnTo)
}

// refuse answers with the failure's page, from which the person can try again.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, f *failure, again, returnTo string) {
	if returnTo != "" && returnTo != "/" {
		again += "?return_to=" + url.QueryEscape(returnTo)
	}
	problem.Write(w, r, &problem.Problem{
		Code: f.kind.code, Status: f.kind.status, Title: f.kind.title, Detail: f.message, RetryAfter: f.kind.retry,
		Links: []problem.Link{{Text: "Try again", Href: again}},
		Extra: map[string]any{"reason": f.reason},
	})
}

// recordFailure writes the event login_failed. Anybody can make logins fail as fast as they like, so the audit gets
// at most a burst of them and then ten a second; the next one written says how many were not.
func (h *Handler) recordFailure(r *http.Request, f *failure) {
	if !h.failed.take() {
		h.unrecorded.Add(1)
		return
	}
	detail := struct {
		Reason string `json:"reason"`
		Error  string `json:"error,omitempty"`
		// Unrecorded counts failures before this one that have no event of their own.
		Unrecorded int64 `json:"unrecorded,omitempty"`
	}{f.reason, brief(f.err), h.unrecorded.Swap(0)}
	h.log.Warn("login failed", "reason", detail.Reason, "error", detail.Error, "username", f.username, "client_ip", h.clientIP(r))
	h.event(r, audit.Event{Type: audit.EventLoginFailed, ActorID: f.userID, ActorUsername: f.username}, detail)
}

// event writes an event as well as can be: what has happened has happened, and people must be able to log in and out
// while the journal can't be written.
func (h *Handler) event(r *http.Request, e audit.Event, detail any) {
	if b, err := json.Marshal(detail); err == nil {
		e.Detail = string(b)
	}
	e.ClientIP = h.clientIP(r)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), eventTimeout)
	defer cancel()
	if err := h.o.Events.Event(ctx, e); err != nil {
		h.log.Error("an event could not be written to the audit", "type", e.Type, "username", e.ActorUsername, "error", err)
	}
}

// maxBrief is how much of a text from outside goes into a log or an event.
const maxBrief = 300

// brief is an error's text, fit for a log: bounded, on one line. Errors of the libraries quote what a provider sent.
func brief(err error) string {
	if err == nil {
		return ""
	}
	return cut(err.Error(), maxBrief)
}

// cut bounds a text and takes out what does not print.
func cut(s string, limit int) string {
	var b strings.Builder
	for _, c := range s {
		if b.Len() >= limit {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(c) {
			c = ' '
		}
		b.WriteRune(c)
	}
	return b.String()
}
