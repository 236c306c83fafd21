package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// maxHint is the longest ID token that goes into an address; servers refuse very long ones.
const maxHint = 6 << 10

// What became of the logout at the provider; the value of the parameter provider of the page after it.
const (
	providerUnreachable = "unreachable"
	providerNone        = "none" // it has no page to log out at
)

// ServeLogout serves POST /.impersonate/logout: logged out here at once, whatever else is down, and at the provider by
// sending the browser there (OpenID Connect RP-Initiated Logout 1.0). Refusing cross-origin requests is the caller's.
func (h *Handler) ServeLogout(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodPost) {
		return
	}
	hint := h.logoutHere(w, r)
	p := h.current.Load()
	switch {
	case p != nil && p.endSession == "":
		redirect(w, LoggedOutPath+"?provider="+providerNone)
		return
	case p == nil || !h.reachable(r.Context()):
		redirect(w, LoggedOutPath+"?provider="+providerUnreachable)
		return
	}
	to, err := h.logoutThere(w, r, p, hint)
	if err != nil {
		h.log.Error("logged out here only", "error", err)
		redirect(w, LoggedOutPath+"?provider="+providerUnreachable)
		return
	}
	leave(w, r, to, "You are logged out here")
}

// logoutHere ends the browser's session and its impersonation, and returns the ID token it began with.
func (h *Handler) logoutHere(w http.ResponseWriter, r *http.Request) (idToken string) {
	https := h.https(r)
	session.ClearCookie(w, https)
	raw, ok := session.RawID(r, https)
	if !ok {
		return ""
	}
	ctx := context.WithoutCancel(r.Context())
	s, err := h.o.Sessions.Get(ctx, raw)
	if errors.Is(err, state.ErrNotFound) {
		return ""
	}
	if err != nil {
		// Unread, it can be ended all the same.
		h.log.Error("a session could not be read at its logout", "error", err)
		h.end(ctx, state.HashID(raw), "")
		return ""
	}
	if idToken, err = s.IDToken(raw); err != nil {
		h.log.Warn("the ID token of a session could not be read; the provider will ask who wants to log out", "error", err)
	}
	h.end(ctx, s.ID, s.Claims.Username)
	h.event(r, h.actor(audit.EventLogout, &s.Claims), map[string]string{"by": "person"})
	return idToken
}

// end ends a session and its impersonation as far as it can be done; a session the store could not delete opens
// nothing any more all the same.
func (h *Handler) end(ctx context.Context, id state.Hash, by string) (ok bool) {
	err := errors.Join(
		h.o.Impersonations.EndSession(ctx, id, session.CauseLogout, by),
		h.o.Sessions.Delete(ctx, id),
	)
	if err != nil {
		h.log.Error("a session could not be ended wholly", "username", by, "error", err)
	}
	return err == nil
}

// logoutThere is the address at the provider.
func (h *Handler) logoutThere(w http.ResponseWriter, r *http.Request, p *provider, hint string) (string, error) {
	scheme, host := h.site(r)
	v := &pending{Kind: kindLogout, Site: scheme + "://" + host, Created: h.clock.Now().Unix()}
	var err error
	if v.State, err = h.random(); err != nil {
		return "", err
	}
	if err := h.setPending(w, r, scheme == "https", v); err != nil {
		return "", err
	}
	u, err := url.Parse(p.endSession)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Set("client_id", h.o.ClientID)
	q.Set("post_logout_redirect_uri", v.Site+LoggedOutPath)
	q.Set("state", v.State)
	if hint != "" && len(hint) <= maxHint {
		q.Set("id_token_hint", hint)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// ServeLoggedOut serves GET /.impersonate/logged-out, the page after a logout.
func (h *Handler) ServeLoggedOut(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	if raw, ok := session.RawID(r, h.https(r)); ok {
		if _, err := h.o.Sessions.Get(r.Context(), raw); err == nil {
			redirect(w, prefix) // not logged out at all
			return
		}
	}
	q := r.URL.Query()
	text, there := "You are logged out here.", "unknown"
	switch {
	case q.Has("state"):
		if _, f := h.takePending(w, r, kindLogout, q.Get("state")); f == nil {
			text, there = "You are logged out here and at the identity provider.", "done"
		}
	case q.Get("provider") == providerUnreachable:
		text, there = "You are logged out here. The identity provider can't be reached: you may still be logged in there.", providerUnreachable
	case q.Get("provider") == providerNone:
		text, there = "You are logged out here. You may still be logged in at the identity provider.", providerNone
	}
	if !problem.WantsPage(r) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(map[string]any{"logged_out": true, "provider": there}) // nobody to tell
		return
	}
	problem.Write(w, r, &problem.Problem{
		Code: "logged-out", Status: http.StatusOK, Title: "You are logged out", Detail: text,
		Links: []problem.Link{{Text: "Log in again", Href: LoginPath}},
	})
}
