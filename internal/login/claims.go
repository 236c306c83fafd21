package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// Bounds on claims. They go into headers and logs of every request.
const (
	maxUsername  = 255
	maxName      = 1024
	maxEmail     = 320
	maxGroups    = 1000
	maxGroup     = 256
	maxAttribute = 1024
)

// lookup finds a claim by its path. A path is a claim's whole name before it is anything else, for names that hold
// dots themselves (https://example.com/groups); otherwise dots reach into objects.
func lookup(claims map[string]any, path string) (any, bool) {
	if v, ok := claims[path]; ok {
		return v, v != nil
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if inner, ok := claims[path[:i]].(map[string]any); ok {
			if v, ok := lookup(inner, path[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// sources are where claims are looked for, in order: the ID token, then userinfo.
type sources []map[string]any

func (s sources) lookup(path string) (any, bool) {
	for _, claims := range s {
		if v, ok := lookup(claims, path); ok {
			return v, true
		}
	}
	return nil, false
}

// claimsFrom collects the claims of a login: those of the ID token, and of userinfo when some are missing from it.
func (h *Handler) claimsFrom(ctx context.Context, p *provider, t *idToken, token *oauth2.Token) (sources, *failure) {
	all := sources{t.claims}
	var missing []string
	for fact, path := range h.claims {
		if _, ok := lookup(t.claims, path); !ok {
			missing = append(missing, fact)
		}
	}
	slices.Sort(missing)
	if len(missing) == 0 || !p.userinfo {
		return all, nil
	}
	more, err := h.userinfo(ctx, p, token)
	if err == nil {
		// Any other account's answer would be put in this one's name (OpenID Connect Core 1.0, section 5.3.2).
		if sub, _ := more["sub"].(string); sub != t.subject {
			return nil, failUserinfo.because(errors.New("userinfo is about another account (claim sub)"))
		}
		return append(all, more), nil
	}
	// A person without their groups would be someone else: protected by less, allowed other things. A name can be
	// done without.
	if slices.ContainsFunc(missing, func(fact string) bool { return fact != "name" && fact != "email" }) {
		return nil, failUserinfo.because(fmt.Errorf("asking userinfo for %s: %w", strings.Join(missing, ", "), err))
	}
	h.log.Warn("userinfo could not be read; going on with the ID token", "missing", missing, "error", err)
	return all, nil
}

// userinfo errors quote nothing of the answer: it is personal.
func (h *Handler) userinfo(ctx context.Context, p *provider, token *oauth2.Token) (map[string]any, error) {
	if t := token.Type(); !strings.EqualFold(t, "Bearer") {
		return nil, errors.New("the access token is no bearer token")
	}
	info, err := p.oidc.UserInfo(oidc.ClientContext(ctx, h.client), oauth2.StaticTokenSource(token))
	if err != nil {
		if status, _, ok := strings.Cut(err.Error(), ":"); ok && len(status) > 3 && status[0] >= '1' && status[0] <= '5' {
			return nil, fmt.Errorf("answered %s", cut(status, 60))
		}
		return nil, errors.New("not reached, or not understood")
	}
	return claimsOf(info.Claims)
}

// facts makes the account out of its claims. Nothing is made up: what is there but unusable refuses the login, and so
// does a missing username; falling back to another claim would let in under one person's name whoever can choose
// another's value.
func (h *Handler) facts(all sources) (*identity.Identity, *failure) {
	id := &identity.Identity{}
	if f := h.username(all, id); f != nil {
		return nil, f
	}
	if v, ok := all.lookup(h.claims["id"]); ok {
		if n, isNumber := v.(json.Number); isNumber {
			v = n.String()
		}
		s, err := text(v, maxSubject)
		if err != nil {
			return nil, h.unusable("id", err)
		}
		id.ID = s
	}
	if id.ID == "" {
		return nil, h.missing("id")
	}
	for _, field := range []struct {
		fact  string
		to    *string
		limit int
	}{{"name", &id.Name, maxName}, {"email", &id.Email, maxEmail}} {
		v, ok := all.lookup(h.claims[field.fact])
		if !ok {
			continue
		}
		s, err := text(v, field.limit)
		if err != nil {
			return nil, h.unusable(field.fact, err)
		}
		*field.to = s
	}
	if f := h.groups(all, id); f != nil {
		return nil, f
	}
	return id, h.attributes(all, id)
}

func (h *Handler) username(all sources, id *identity.Identity) *failure {
	path := h.claims["username"]
	v, ok := all.lookup(path)
	if !ok {
		return h.missing("username")
	}
	s, err := text(v, maxUsername)
	switch {
	case err != nil:
	case s == "":
		err = errors.New("is empty")
	default:
		err = checkUsername(s)
	}
	if err != nil {
		return h.unusable("username", err)
	}
	if path == "email" {
		// An address nobody checked is one that anybody could have entered at the provider.
		if verified, said := all.lookup("email_verified"); said && (verified == false || verified == "false") {
			return h.unusable("username", errors.New("is an address that the provider has not verified (claim email_verified)"))
		}
	}
	id.Username = s
	return nil
}

// checkUsername refuses what would look or be compared like another account's name: usernames are joined regardless
// of case and outer spaces (identity.Key).
func checkUsername(s string) error {
	if strings.TrimSpace(s) != s {
		return errors.New("begins or ends with a space")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return errors.New("holds characters that don't print")
		}
		// U+212A KELVIN SIGN in lower case is a plain k: "\u212Aate" would be kate.
		if r > unicode.MaxASCII && unicode.ToLower(r) <= unicode.MaxASCII {
			return errors.New("holds a letter that turns into a plain one in lower case")
		}
	}
	return nil
}

// groups takes a list of strings, or one string: one group, since names of groups hold spaces and commas.
func (h *Handler) groups(all sources, id *identity.Identity) *failure {
	path := h.claims["groups"]
	v, ok := all.lookup(path)
	if !ok {
		// Some providers leave out the groups when there are many, and say where they are instead (OpenID Connect
		// Core 1.0, section 5.6.2). None is not what they mean.
		for _, claims := range all {
			if elsewhere, ok := claims["_claim_names"].(map[string]any); ok && elsewhere[path] != nil {
				return h.unusable("groups", errors.New("is not in the answer but elsewhere (the account is in too many groups): have the provider send fewer"))
			}
		}
		return nil
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if len(list) > maxGroups {
		return h.unusable("groups", fmt.Errorf("has %d groups; at most %d are taken", len(list), maxGroups))
	}
	for _, v := range list {
		g, err := text(v, maxGroup)
		if err != nil {
			return h.unusable("groups", err)
		}
		if g != "" && !slices.Contains(id.Groups, g) {
			id.Groups = append(id.Groups, g)
		}
	}
	return nil
}

// attributes are all further claims the operator named.
func (h *Handler) attributes(all sources, id *identity.Identity) *failure {
	for name, path := range h.claims {
		if _, standard := defaultClaims[name]; standard {
			continue
		}
		v, ok := all.lookup(path)
		if !ok {
			continue
		}
		switch x := v.(type) {
		case json.Number:
			v = x.String()
		case bool:
			v = strconv.FormatBool(x)
		}
		s, err := text(v, maxAttribute)
		if err != nil {
			return h.unusable(name, err)
		}
		if id.Attributes == nil {
			id.Attributes = map[string]string{}
		}
		id.Attributes[name] = s
	}
	return nil
}

// text is a claim that has to be a string.
func text(v any, limit int) (string, error) {
	s, ok := v.(string)
	switch {
	case !ok:
		return "", errors.New("is not text")
	case len(s) > limit:
		return "", fmt.Errorf("is longer than %d bytes", limit)
	case hasControl(s):
		return "", errors.New("holds control characters")
	}
	return s, nil
}

func (h *Handler) missing(fact string) *failure {
	return &failure{
		reason: fact + "_missing", kind: kindRefused,
		message: fmt.Sprintf("The identity provider did not send the claim %q, which is to hold the %s. Whoever runs this gateway can have the provider send it, or name another claim: \"claim %s …\" in the oidc block of the configuration.", h.claims[fact], fact, fact),
	}
}

func (h *Handler) unusable(fact string, err error) *failure {
	return &failure{
		reason: fact + "_invalid", kind: kindRefused, err: err,
		message: fmt.Sprintf("The claim %q, which is to hold the %s, can't be used: it %s. Please tell whoever runs the identity provider.", h.claims[fact], fact, err),
	}
}
