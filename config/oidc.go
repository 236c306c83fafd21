package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// OIDC is an OpenID Connect provider and the client registered for the gateway at it. The redirect URI to register is
// https://SITE/.impersonate/callback, for each protected site.
type OIDC struct {
	// Issuer is the provider's issuer identifier, exactly as its discovery document gives it. Required. It is
	// asked for its endpoints once the server runs; while it can't be reached, people already logged in go on.
	Issuer string `json:"issuer"`

	// ClientID is the gateway's name at the provider. Required.
	ClientID string `json:"client_id"`

	// ClientSecret is the gateway's password at the provider. Required. Placeholders such as {env.NAME} and
	// {file./run/secrets/oidc} keep it out of the configuration.
	ClientSecret string `json:"client_secret"`

	// Scopes to ask for. Default: openid, profile, email. Must hold openid.
	Scopes []string `json:"scopes,omitempty"`

	// Claims maps a fact of a person (id, username, name, email, groups, or any other name, which becomes an
	// attribute) to the claim that holds it; dots reach into objects: realm_access.roles. Default: id is sub,
	// username is preferred_username, name is name, email is email, groups is groups. What is given here
	// is added to these.
	Claims map[string]string `json:"claims,omitempty"`

	// StepUp is how long ago a fresh login may be at a start, where a policy requires one. The provider has to say when it
	// was (claim auth_time). From 10s to 1d. Default: no policy can require it.
	StepUp Duration `json:"step_up,omitempty"`

	// StepUpACR are the authentication contexts that such a login may have (claim acr); they are asked for as acr_values.
	// Default: any.
	StepUpACR []string `json:"step_up_acr,omitempty"`
}

// defaultClaims are the standard claims (OpenID Connect Core 1.0, section 5.1), and groups as most providers name it.
var defaultClaims = map[string]string{
	"id":       "sub",
	"username": "preferred_username",
	"name":     "name",
	"email":    "email",
	"groups":   "groups",
}

const (
	maxClaims = 32
	maxACR    = 8
)

func (o *OIDC) setDefaults() {
	if len(o.Scopes) == 0 {
		o.Scopes = []string{"openid", "profile", "email"}
	}
	claims := make(map[string]string, len(defaultClaims)+len(o.Claims))
	for name, path := range defaultClaims {
		claims[name] = path
	}
	for name, path := range o.Claims {
		claims[name] = path
	}
	o.Claims = claims
}

func (o *OIDC) validate() error {
	if o.Issuer == "" && o.ClientID == "" {
		return errors.New("oidc: not given; people log in at an OpenID Connect provider, so it needs at least issuer, client_id and client_secret")
	}
	errs := []error{validateIssuer(o.Issuer)}
	if o.ClientID == "" {
		errs = append(errs, errors.New("oidc client_id: missing; write the id the provider gave this gateway"))
	}
	if o.ClientSecret == "" {
		errs = append(errs, errors.New("oidc client_secret: missing or empty; write it, or where it is: {env.NAME} or {file./path}"))
	}
	if !slices.Contains(o.Scopes, "openid") {
		errs = append(errs, fmt.Errorf("oidc scopes %s: openid is missing; without it the provider sends no ID token", strings.Join(o.Scopes, " ")))
	}
	for _, s := range o.Scopes {
		if !isScope(s) {
			errs = append(errs, fmt.Errorf("oidc scopes: %q is no scope; write names without spaces or quotes, separated by spaces", s))
		}
	}
	switch {
	case o.StepUp == 0 && len(o.StepUpACR) > 0:
		errs = append(errs, errors.New("oidc step_up: how recent the login has to be is missing; write such as step_up 5m urn:example:mfa"))
	case o.StepUp != 0 && (o.StepUp < Duration(10*time.Second) || o.StepUp > Duration(day)):
		errs = append(errs, fmt.Errorf("oidc step_up %s: must be from 10s to 1d; write such as 5m", o.StepUp))
	case len(o.StepUpACR) > maxACR:
		errs = append(errs, fmt.Errorf("oidc step_up: %d authentication contexts; at most %d", len(o.StepUpACR), maxACR))
	}
	for i, acr := range o.StepUpACR {
		if !isScope(acr) || slices.Contains(o.StepUpACR[:i], acr) {
			errs = append(errs, fmt.Errorf("oidc step_up: %.80q is no authentication context, or there twice; write what the provider puts into the claim acr", acr))
		}
	}
	if len(o.Claims) > maxClaims {
		errs = append(errs, fmt.Errorf("oidc claim: %d of them; at most %d", len(o.Claims), maxClaims))
	}
	for _, name := range sortedKeys(o.Claims) {
		errs = append(errs, validateClaim(name, o.Claims[name]))
	}
	return errors.Join(errs...)
}

func validateIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("oidc issuer: missing; write the provider's issuer URL, such as https://idp.example.com/realms/main")
	}
	u, err := parseHTTPURL(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("oidc issuer %q: %w; write a URL such as https://idp.example.com/realms/main", issuer, err)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		// OpenID Connect Discovery 1.0, section 3: no query, no fragment.
		return fmt.Errorf("oidc issuer %q: an issuer has no user, query or fragment; write it as the provider's discovery document gives it", issuer)
	case strings.HasSuffix(u.Path, "/.well-known/openid-configuration"):
		return fmt.Errorf("oidc issuer %q: this is the discovery document; leave out /.well-known/openid-configuration", issuer)
	}
	return nil
}

func validateClaim(name, path string) error {
	if !isName(name) {
		return fmt.Errorf("oidc claim %q: not a name; use letters, digits, _ and -", name)
	}
	if len(path) > 256 || slices.Contains(strings.Split(path, "."), "") {
		return fmt.Errorf("oidc claim %s %q: not a path; write the claim's name, dots reaching into objects, such as realm_access.roles", name, path)
	}
	return nil
}

// isScope checks RFC 6749, section 3.3: printable ASCII but space, " and \.
func isScope(s string) bool {
	return s != "" && len(s) <= 256 && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	}) < 0
}
