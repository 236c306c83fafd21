package login

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

const (
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// logoutTokenLife is how old a logout token may be, and for how long it is remembered.
	logoutTokenLife = 24 * time.Hour
)

// ServeBackchannelLogout serves POST /.impersonate/backchannel-logout, which the provider calls when a person logged out
// there (OpenID Connect Back-Channel Logout 1.0). It must be exempt from cross-origin protection and needs no cookie:
// the token is the proof.
func (h *Handler) ServeBackchannelLogout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !allowed(w, r, http.MethodPost) {
		return
	}
	if err := h.backchannel(w, r); err != nil {
		// Anybody can call this: the log is no more theirs to fill than the audit.
		if h.failed.take() {
			h.log.Warn("a back-channel logout was refused", "error", brief(err), "client_ip", h.clientIP(r))
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request"}) // nobody to tell
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (h *Handler) backchannel(w http.ResponseWriter, r *http.Request) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return errors.New("not a form")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxToken+(8<<10))
	if err := r.ParseForm(); err != nil {
		return errors.New("the form can't be read, or is too long")
	}
	raw := r.PostForm["logout_token"]
	if len(raw) != 1 || raw[0] == "" || len(raw[0]) > maxToken {
		return errors.New("no logout_token, several, or one too long")
	}
	p := h.provider(r.Context())
	if p == nil {
		return h.Ready()
	}
	t, err := h.verifyLogoutToken(r.Context(), p, raw[0])
	if err != nil {
		return err
	}
	now := h.clock.Now()
	if !h.jtis.use(t.TokenID, now, now.Add(logoutTokenLife+skew)) {
		return errors.New("the logout token was used before")
	}
	ctx := context.WithoutCancel(r.Context())
	sessions, err := h.sessionsOf(ctx, t)
	ok := err == nil
	for _, s := range sessions {
		ok = h.end(ctx, s.ID, s.Claims.Username) && ok
		h.event(r, h.actor(audit.EventLogout, &s.Claims), map[string]string{"by": "provider"})
	}
	if !ok {
		h.jtis.forget(t.TokenID) // the provider may try again
		return errors.Join(errors.New("not every session could be ended"), err)
	}
	return nil
}

// sessionsOf are those a logout token is about: the provider's session, if it names one, else all of the person's. A
// session of theirs of which it is not known may be the one that is meant.
func (h *Handler) sessionsOf(ctx context.Context, t *oidc.LogoutToken) ([]*session.Session, error) {
	var all []*session.Session
	if t.SessionID != "" {
		found, err := h.o.Sessions.ByProvider(ctx, h.issuer, "", t.SessionID)
		if err != nil {
			return nil, err
		}
		for _, s := range found {
			if t.Subject == "" || s.Subject == t.Subject {
				all = append(all, s)
			}
		}
	}
	if t.Subject != "" {
		found, err := h.o.Sessions.ByProvider(ctx, h.issuer, t.Subject, "")
		if err != nil {
			return all, err
		}
		for _, s := range found {
			if t.SessionID == "" || s.SID == "" {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// verifyLogoutToken checks section 2.6 of the specification. Signature, algorithm, issuer, audience, expiry, jti and
// the absence of a nonce are go-oidc's; the rest, and the exact names of claims, are checked here.
func (h *Handler) verifyLogoutToken(ctx context.Context, p *provider, raw string) (*oidc.LogoutToken, error) {
	if err := checkType(raw); err != nil {
		return nil, err
	}
	t, err := p.logoutTokens.VerifyLogout(oidc.ClientContext(ctx, h.client), raw)
	if err != nil {
		return nil, err
	}
	claims, err := claimsOf(t.Claims)
	if err != nil {
		return nil, err
	}
	if err := h.checkParties(claims, nil); err != nil {
		return nil, err
	}
	if _, ok := claims["nonce"]; ok {
		return nil, errors.New("a logout token has no claim nonce")
	}
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return nil, errors.New("the claim events does not say that it is a logout")
	}
	now := h.clock.Now()
	if issued, ok := seconds(claims["iat"]); !ok || issued.After(now.Add(skew)) || issued.Before(now.Add(-logoutTokenLife)) {
		return nil, errors.New("the claim iat is missing, no time, or not a recent one")
	}
	for name, value := range map[string]string{"sub": t.Subject, "sid": t.SessionID, "jti": t.TokenID} {
		got, ok := claims[name]
		if s, isText := got.(string); (ok || value != "") && (!isText || s != value || len(s) > maxSubject) {
			return nil, fmt.Errorf("the claim %s can't be used", name)
		}
	}
	return t, nil
}

// checkType refuses tokens that are marked as being for something else (RFC 8725, section 3.11).
func checkType(raw string) error {
	head, _, _ := strings.Cut(raw, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return errors.New("not a token")
	}
	var header struct {
		Type string `json:"typ"`
	}
	if err := json.Unmarshal(b, &header); err != nil {
		return errors.New("not a token")
	}
	switch strings.ToLower(strings.TrimPrefix(strings.ToLower(header.Type), "application/")) {
	case "", "jwt", "logout+jwt":
		return nil
	}
	return errors.New("a token of another type")
}
