package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	maxCallbackQuery = 16 << 10
	maxCode          = 8 << 10
)

// ServeCallback serves GET /.impersonate/callback, where the provider sends the browser back to.
func (h *Handler) ServeCallback(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	login, f := h.callback(w, r)
	if f == nil {
		redirect(w, login.ReturnTo)
		return
	}
	h.recordFailure(r, f)
	switch {
	case login == nil:
		h.refuse(w, r, f, LoginPath, "")
	case login.Prompt != "": // a step-up is tried again as one
		h.refuse(w, r, f, StepUpPath, login.ReturnTo)
	default:
		h.refuse(w, r, f, LoginPath, login.ReturnTo)
	}
}

// callback completes the login; the pending one is returned as soon as it is known, for the way on.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request) (*pending, *failure) {
	q, err := single(r.URL.RawQuery)
	if err != nil {
		return nil, failMalformed.because(err)
	}
	// First of all: is this a login that this browser began? Otherwise nothing the address says counts, or anyone
	// could log a person in to an account of the attacker's choice (RFC 6749, section 10.12).
	login, f := h.takePending(w, r, kindLogin, q["state"])
	if f != nil {
		return login, f
	}
	p := h.provider(r.Context())
	if p == nil {
		return login, failProviderDown.because(h.Ready())
	}
	if iss, said := q["iss"]; (said || p.issPromised) && iss != h.issuer {
		return login, failMixUp.because(fmt.Errorf("parameter iss is %q", cut(iss, 100)))
	}
	if code, said := q["error"]; said {
		return login, providerError(code, q["error_description"])
	}
	if q["code"] == "" || len(q["code"]) > maxCode {
		return login, failMalformed.because(errors.New("no code, or one too long"))
	}
	ctx := oidc.ClientContext(r.Context(), h.client)
	token, f := h.exchange(ctx, p, q["code"], login)
	if f != nil {
		return login, f
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return login, failNoIDToken
	}
	t, f := h.verifyIDToken(ctx, p, raw, token.AccessToken, login)
	if f != nil {
		return login, f
	}
	if login.Subject != "" && t.subject != login.Subject {
		return login, failOtherPerson.of(t.subject, "")
	}
	if f := h.fresh(t, login); f != nil {
		return login, f.of(t.subject, "")
	}
	all, f := h.claimsFrom(ctx, p, t, token)
	if f != nil {
		return login, f.of(t.subject, "")
	}
	who, f := h.facts(all)
	if f != nil {
		return login, f.of(t.subject, "")
	}
	if u, known := h.o.Directory.Person(who); known && !u.Active {
		return login, (&failure{
			reason: "deactivated", kind: kindDeactivated,
			message: "The account " + who.Username + " is deactivated here. If that is a mistake, ask whoever manages the accounts.",
		}).of(u.ID, who.Username)
	}
	if f := h.admit(w, r, t, who); f != nil {
		return login, f.of(who.ID, who.Username)
	}
	return login, nil
}

// single parses a query in which no parameter may come twice: readers differ in which one they take.
func single(query string) (map[string]string, error) {
	if len(query) > maxCallbackQuery {
		return nil, errors.New("the query is too long")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the query can't be read")
	}
	q := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) > 1 {
			switch name {
			case "state", "code", "iss", "error", "error_description":
				return nil, fmt.Errorf("parameter %s comes twice", name)
			}
		}
		q[name] = v[0]
	}
	return q, nil
}

// providerError is the provider's refusal (RFC 6749, section 4.1.2.1). What it says is shown as text, and not much.
func providerError(code, description string) *failure {
	f := &failure{reason: "provider_error", kind: kindFailed, err: fmt.Errorf("%s: %s", cut(code, 64), cut(description, 200))}
	switch code {
	case "access_denied":
		f.kind, f.message = kindRefused, "The identity provider did not let you in, or you cancelled the login."
	case "temporarily_unavailable", "server_error":
		f.kind, f.message = kindProvider, "The identity provider could not log you in right now."
	default:
		f.message = "The identity provider could not log you in."
	}
	if description = strings.TrimSpace(cut(description, 200)); description != "" {
		f.message += " It says: “" + description + "”"
	}
	return f
}

func (h *Handler) exchange(ctx context.Context, p *provider, code string, login *pending) (*oauth2.Token, *failure) {
	token, err := h.oauth2(p, login.Site).Exchange(ctx, code, oauth2.VerifierOption(login.Verifier))
	if err == nil {
		return token, nil
	}
	var refused *oauth2.RetrieveError
	var unreached *url.Error
	switch {
	case errors.As(err, &refused):
		// The rest of the answer stays out of the log: a confused provider may have put a token there.
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		f := failExchange
		if refused.ErrorCode == "invalid_grant" {
			f = failCodeRefused
		}
		return nil, f.because(fmt.Errorf("the token endpoint answered %d %s", status, cut(refused.ErrorCode, 64)))
	case errors.As(err, &unreached):
		return nil, failProviderDown.because(unreached.Err)
	}
	return nil, failExchange.because(errors.New("the token endpoint's answer can't be read"))
}

// admit makes the session. The browser's old one ends, whosever it was: an id that was known before the login must
// not be good for anything after it.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, t *idToken, who *identity.Identity) *failure {
	// A browser that goes away now must not leave half of it done.
	ctx := context.WithoutCancel(r.Context())
	https := h.https(r)
	old, had := session.RawID(r, https)
	if had {
		if err := h.o.Impersonations.EndSession(ctx, state.HashID(old), session.CauseLogout, who.Username); err != nil {
			return failInternal.because(fmt.Errorf("ending the impersonation of the session before: %w", err))
		}
	}
	s, raw, err := h.o.Sessions.Create(ctx, session.Login{
		Claims: *who, Issuer: h.issuer, Subject: t.subject, SID: t.sid, ACR: t.acr, AuthTime: t.authTime, IDToken: t.raw, Replaces: old,
	})
	if err != nil {
		return failInternal.because(err)
	}
	h.seen(ctx, t.subject, who)
	detail := struct {
		ACR      string `json:"acr,omitempty"`
		AuthTime string `json:"auth_time,omitempty"`
	}{ACR: s.ACR}
	if !t.authTime.IsZero() {
		detail.AuthTime = t.authTime.UTC().Format(time.RFC3339)
	}
	h.event(r, h.actor(audit.EventLogin, who), detail)
	session.SetCookie(w, https, raw)
	return nil
}

func (h *Handler) seen(ctx context.Context, subject string, who *identity.Identity) {
	if h.o.Seen == nil {
		return
	}
	now := h.clock.Now()
	err := h.o.Seen(ctx, state.SeenUser{
		Issuer: h.issuer, Subject: subject, ID: who.ID, Username: who.Username, Name: who.Name, Email: who.Email,
		Groups: who.Groups, Attributes: who.Attributes, FirstSeen: now, LastSeen: now,
	})
	if err != nil {
		h.log.Warn("a login could not be noted for the directory", "username", who.Username, "error", err)
	}
}

// actor is an event of this person, under the directory's id and name for them.
func (h *Handler) actor(kind string, who *identity.Identity) audit.Event {
	if u, known := h.o.Directory.Person(who); known {
		who = &u.Identity
	}
	return audit.Event{Type: kind, ActorID: who.ID, ActorUsername: who.Username, ActorName: who.Name}
}
