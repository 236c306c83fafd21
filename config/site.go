package config

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Site is how one app is served through the gateway.
type Site struct {
	// Identity are the headers the app is told with who its user is. Whatever a client sends under these names, in any
	// spelling, is removed. Default, where no assertion is asked for either: Remote-User, Remote-Email,
	// Remote-Name and Remote-Groups.
	Identity []Header `json:"identity,omitempty"`

	// Assertion is the header for a signed JWT (RFC 7519) of the same: sub is the target, act.sub the actor
	// (RFC 8693). The keys are at /.impersonate/jwks.json. Default: none.
	Assertion string `json:"assertion,omitempty"`

	// ImpersonatedBy says whether the app is told the actor's username in X-Impersonated-By while impersonating.
	// The header is removed from what clients send either way. Default: true.
	ImpersonatedBy *bool `json:"impersonated_by,omitempty"`

	// Banner is what marks each page while impersonating.
	Banner Banner `json:"banner,omitzero"`

	// Actions give requests a name for the record: "Completed booking". The first that matches names it.
	Actions []Action `json:"actions,omitempty"`

	// Deny are paths that can't be requested while impersonating.
	Deny []string `json:"deny,omitempty"`

	// Safe are requests that change nothing, though their method says otherwise: allowed in mode read_only.
	Safe []Safe `json:"safe,omitempty"`

	// Public are paths that need no login. The app is told no identity where there is none.
	Public []string `json:"public,omitempty"`

	// ClearStorage has the browser forget, at an impersonation's start and end, what the site's pages stored there:
	// localStorage, IndexedDB, caches, service workers. The actor's own is lost with it. Default: false.
	ClearStorage bool `json:"clear_storage,omitempty"`
}

// Header is one header of an identity.
type Header struct {
	// Name as the app expects it.
	Name string `json:"name"`
	// Value with placeholders {impersonate.user.*}, {impersonate.actor.*}, {impersonate.id}, {impersonate.mode}.
	Value string `json:"value"`
}

// Banner is the bar on each page while impersonating.
type Banner struct {
	// Text, with placeholders as in an identity header's value.
	// Default: a sentence that names both, in the browser's language.
	Text string `json:"text,omitempty"`

	// Color of the bar, #rgb or #rrggbb. Default: #b91c1c.
	Color string `json:"color,omitempty"`

	// Position on the page, top or bottom. Default: top.
	Position string `json:"position,omitempty"`

	// Unmarked is what becomes of an HTML page that can't carry the banner: block withholds it, allow lets it
	// through, and the record says so. Default: block.
	Unmarked string `json:"unmarked,omitempty"`
}

// Action names requests.
type Action struct {
	Name   string   `json:"name"`
	Method string   `json:"method"`
	Paths  []string `json:"paths"`
}

// Safe selects requests by method and path.
type Safe struct {
	Method string   `json:"method"`
	Paths  []string `json:"paths"`
}

var defaultIdentity = []Header{
	{Name: "Remote-User", Value: "{impersonate.user.username}"},
	{Name: "Remote-Email", Value: "{impersonate.user.email}"},
	{Name: "Remote-Name", Value: "{impersonate.user.name}"},
	{Name: "Remote-Groups", Value: "{impersonate.user.groups}"},
}

// ImpersonatedByHeader tells the app who really acts.
const ImpersonatedByHeader = "X-Impersonated-By"

// SetDefaults fills in what was left out.
func (s *Site) SetDefaults() {
	if len(s.Identity) == 0 && s.Assertion == "" {
		s.Identity = slices.Clone(defaultIdentity)
	}
	if s.ImpersonatedBy == nil {
		on := true
		s.ImpersonatedBy = &on
	}
	setDefault(&s.Banner.Color, "#b91c1c")
	setDefault(&s.Banner.Position, "top")
	setDefault(&s.Banner.Unmarked, "block")
}

// maxPatterns bounds what is looked through on each request.
const maxPatterns = 512

// Validate reports everything that is wrong, after [Site.SetDefaults].
func (s *Site) Validate() error {
	errs := s.validateHeaders()
	errs = append(errs, s.Banner.validate())
	for _, p := range s.Deny {
		errs = append(errs, validatePattern("deny", p))
	}
	for _, p := range s.Public {
		errs = append(errs, validatePattern("public", p))
	}
	patterns := len(s.Deny) + len(s.Public)
	for _, a := range s.Actions {
		if a.Name == "" || len(a.Name) > 200 || hasControl(a.Name) {
			errs = append(errs, fmt.Errorf("action %.80q: not a name; write a few words for the record, in quotes", a.Name))
		}
		errs = append(errs, validateRequests("action "+quoteShort(a.Name), a.Method, a.Paths))
		patterns += len(a.Paths)
	}
	for _, f := range s.Safe {
		errs = append(errs, validateRequests("safe", f.Method, f.Paths))
		if slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, f.Method) {
			errs = append(errs, fmt.Errorf("safe %s: is safe already; remove it", f.Method))
		}
		patterns += len(f.Paths)
	}
	if patterns > maxPatterns {
		errs = append(errs, fmt.Errorf("%d path patterns; at most %d on one site", patterns, maxPatterns))
	}
	return errors.Join(errs...)
}

func (s *Site) validateHeaders() []error {
	var errs []error
	seen := make(map[string]string, len(s.Identity)+2)
	check := func(option, name string) {
		errs = append(errs, validateHeaderName(option, name))
		if first, ok := seen[Fold(name)]; ok {
			errs = append(errs, fmt.Errorf("%s %s: the header is set already (%s; upper and lower case, _ . and - are the same to an app); remove one", option, name, first))
		}
		seen[Fold(name)] = name
	}
	for _, h := range s.Identity {
		check("identity", h.Name)
		if h.Value == "" || len(h.Value) > 1024 || hasControl(h.Value) {
			errs = append(errs, fmt.Errorf("identity %s %.80q: not a value; write such as {impersonate.user.username}", h.Name, h.Value))
		}
	}
	if s.Assertion != "" {
		seen[Fold(ImpersonatedByHeader)] = ImpersonatedByHeader // an identity header may be in its place, a token not
		check("assertion", s.Assertion)
	}
	if len(s.Identity) > 64 {
		errs = append(errs, fmt.Errorf("identity: %d headers; at most 64", len(s.Identity)))
	}
	return errs
}

// Fold is the form in which two header names are one to an app: lower case, with _ and . as -. CGI, WSGI and their like
// turn all three into _.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '.':
			return '-'
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// reserved are headers the gateway or HTTP itself needs: they can't say who somebody is.
var reserved = []string{
	"authorization", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "forwarded", "host",
	"keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	"via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id",
}

func validateHeaderName(option, name string) error {
	if name == "" || len(name) > 63 || strings.IndexFunc(name, notToken) >= 0 {
		return fmt.Errorf("%s %.80q: not a header's name; write such as Remote-User", option, name)
	}
	if slices.Contains(reserved, Fold(name)) {
		return fmt.Errorf("%s %s: this header has another meaning; choose one of its own, such as Remote-User", option, name)
	}
	return nil
}

func (b *Banner) validate() error {
	errs := []error{
		oneOf("banner position", []string{b.Position}, []string{"top", "bottom"}),
		oneOf("banner unmarked", []string{b.Unmarked}, []string{"block", "allow"}),
	}
	if len(b.Text) > 500 || hasControl(b.Text) {
		errs = append(errs, fmt.Errorf("banner text %.80q: at most 500 characters on one line", b.Text))
	}
	if !isColor(b.Color) {
		errs = append(errs, fmt.Errorf("banner color %.40q: not a colour; write \"#b91c1c\", in quotes", b.Color))
	}
	return errors.Join(errs...)
}

func isColor(s string) bool {
	return (len(s) == 4 || len(s) == 7) && s[0] == '#' && strings.Trim(s[1:], "0123456789abcdefABCDEF") == ""
}
