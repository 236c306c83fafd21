package login

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	maxToken   = 64 << 10
	maxSubject = 255 // bytes; OpenID Connect Core 1.0, section 2
	// skew is how far the provider's clock may be from ours.
	skew = 5 * time.Minute
)

var (
	failIDToken = &failure{reason: "id_token_invalid", kind: kindProvider, message: "What the identity provider sent as proof of who logged in could not be verified."}
	failExpiry  = &failure{reason: "id_token_expired", kind: kindProvider, message: "What the identity provider sent as proof of who logged in is out of date. Its clock and the gateway's may differ."}
	failNonce   = &failure{reason: "nonce_mismatch", kind: kindProvider, message: "What the identity provider sent as proof of who logged in belongs to another login."}
	failSubject = &failure{reason: "subject_invalid", kind: kindProvider, message: "The identity provider did not send a usable account id (the claim sub)."}
)

// idToken is a verified ID token.
type idToken struct {
	raw      string
	claims   map[string]any
	subject  string
	sid, acr string
	authTime time.Time // zero: not said
}

// verifyIDToken checks the token of a login (OpenID Connect Core 1.0, section 3.1.3.7). Signature, algorithm, issuer,
// audience, expiry and nbf are go-oidc's; the rest it leaves to its user.
func (h *Handler) verifyIDToken(ctx context.Context, p *provider, raw, accessToken string, login *pending) (*idToken, *failure) {
	if len(raw) > maxToken {
		return nil, failIDToken.because(fmt.Errorf("%d bytes long; at most %d are taken", len(raw), maxToken))
	}
	t, err := p.idTokens.Verify(oidc.ClientContext(ctx, h.client), raw)
	if err != nil {
		if expired := new(oidc.TokenExpiredError); errors.As(err, &expired) {
			return nil, failExpiry.because(err)
		}
		return nil, failIDToken.because(err)
	}
	claims, err := claimsOf(t.Claims)
	if err != nil {
		return nil, failIDToken.because(err)
	}
	if err := h.checkParties(claims, t.Audience); err != nil {
		return nil, failIDToken.because(err)
	}
	nonce, _ := claims["nonce"].(string)
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(login.Nonce)) != 1 {
		return nil, failNonce
	}
	now := h.clock.Now()
	switch issued, ok := seconds(claims["iat"]); {
	case !ok:
		return nil, failIDToken.because(errors.New("the claim iat is missing, or no time"))
	case issued.After(now.Add(skew)) || issued.Before(login.created().Add(-skew)):
		return nil, failExpiry.because(fmt.Errorf("issued at %s, outside of the login (begun %s, now %s)", issued.UTC().Format(time.RFC3339), login.created().UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	}
	if t.AccessTokenHash != "" {
		if err := t.VerifyAccessToken(accessToken); err != nil {
			return nil, failIDToken.because(err)
		}
	}
	v := &idToken{raw: raw, claims: claims}
	if v.subject, err = subject(claims); err != nil {
		return nil, failSubject.because(err)
	}
	v.sid, v.acr = short(claims["sid"]), short(claims["acr"])
	if at, ok := seconds(claims["auth_time"]); ok && at.Unix() > 0 && !at.After(now.Add(skew)) {
		v.authTime = at
	}
	return v, nil
}

// checkParties goes over issuer and audience by their exact names. The libraries decode JSON regardless of case, so
// that {"SUB":…} would pass for sub; and they leave azp alone.
func (h *Handler) checkParties(claims map[string]any, audience []string) error {
	if iss, _ := claims["iss"].(string); strings.TrimPrefix(iss, "https://") != strings.TrimPrefix(h.issuer, "https://") {
		return errors.New("no claim iss")
	}
	if _, ok := claims["aud"]; !ok {
		return errors.New("no claim aud")
	}
	azp, given := claims["azp"]
	switch {
	case given && azp != h.o.ClientID:
		return errors.New("issued to another client (claim azp)")
	case len(audience) > 1 && !given:
		return errors.New("several audiences, and no claim azp to say whom it was issued to")
	}
	return nil
}

// claimsOf decodes claims, numbers as they are written.
func claimsOf(unmarshal func(any) error) (map[string]any, error) {
	var raw json.RawMessage
	if err := unmarshal(&raw); err != nil {
		return nil, fmt.Errorf("decoding claims: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, fmt.Errorf("decoding claims: %w", err)
	}
	if claims == nil {
		return nil, errors.New("decoding claims: not an object")
	}
	return claims, nil
}

func subject(claims map[string]any) (string, error) {
	s, ok := claims["sub"].(string)
	switch {
	case !ok || s == "":
		return "", errors.New("the claim sub is missing, empty, or not a string")
	case len(s) > maxSubject:
		return "", fmt.Errorf("the claim sub is longer than %d bytes", maxSubject)
	case hasControl(s):
		return "", errors.New("the claim sub holds control characters")
	}
	return s, nil
}

// short is a claim that may be missing; one that can't be kept is as good as missing.
func short(v any) string {
	s, _ := v.(string)
	if len(s) > maxSubject || hasControl(s) {
		return ""
	}
	return s
}

// seconds reads a NumericDate (RFC 7519, section 2).
func seconds(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// fresh checks what was asked of the login: how, and how long ago, the person proved who they are. Providers differ:
// some send no auth_time, some 0, some an old one after prompt=login. What is not proven does not hold.
func (h *Handler) fresh(t *idToken, login *pending) *failure {
	now := h.clock.Now()
	stale := &failure{reason: "not_fresh", kind: kindRefused}
	switch {
	case login.MaxAge == 0 && login.Prompt != "login":
	case t.authTime.IsZero():
		stale.message = "This needs a fresh login, and the identity provider did not say when you last entered your password (the claim auth_time)."
		return stale
	case login.MaxAge > 0 && now.Sub(t.authTime) > time.Duration(login.MaxAge)*time.Second+time.Minute,
		login.Prompt == "login" && t.authTime.Before(login.created().Add(-time.Minute)):
		stale.message = "This needs a fresh login, and the identity provider let you pass with an older one. Log out there, and try again."
		return stale
	}
	if login.ACR != "" && (t.acr == "" || !slices.Contains(strings.Fields(login.ACR), t.acr)) {
		return &failure{reason: "acr_not_met", kind: kindRefused, message: "This needs a stronger login than the identity provider made (the claim acr)."}
	}
	return nil
}

// hasControl tells whether a text holds control characters, line separators, or what was no text.
func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.IndexFunc(s, func(r rune) bool {
		return r < 0x20 || (r >= 0x7f && r < 0xa0) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
	}) >= 0
}
