package identity

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// HeaderImpersonatedBy tells the app who really acts, while someone impersonates.
const HeaderImpersonatedBy = "X-Impersonated-By"

// maxValue bounds one header's value in bytes. Common servers take 8 KiB for all headers together.
const maxValue = 16 << 10

// Template is one identity header: its name, and a value of literals and the placeholders {impersonate.user.FIELD},
// {impersonate.actor.FIELD}, {impersonate.id} and {impersonate.mode}.
type Template struct {
	Name  string
	Value string
}

// Headers puts an identity on requests, and takes off what a client sent in its place.
type Headers struct {
	templates []template
	// folded are the names to scrub; lengths has the bit of each name's length set, to pass over most headers
	// after one look.
	folded  []string
	lengths uint64
	// impersonatedBy is whether HeaderImpersonatedBy is sent. It is scrubbed either way.
	impersonatedBy bool
}

type template struct {
	name  string
	parts []part
}

// part is a literal, or a field of one of the two identities.
type part struct {
	literal string
	whose   byte // 0: literal, 'u' user, 'a' actor, 'i' impersonation id, 'm' mode
	field   string
}

// Context is what the placeholders stand for. User and Actor are the same value on own-account requests.
type Context struct {
	User, Actor *Identity
	// ID and Mode are empty on own-account requests.
	ID, Mode string
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// NewHeaders compiles templates. Further names are scrubbed too (the assertion's, and any the operator lists).
func NewHeaders(templates []Template, impersonatedBy bool, scrub ...string) (*Headers, error) {
	h := &Headers{impersonatedBy: impersonatedBy}
	seen := map[string]string{}
	add := func(name string) error {
		if !validName(name) {
			return fmt.Errorf("header %q is not a valid field name", name)
		}
		f := Fold(name)
		if old, ok := seen[f]; ok {
			return fmt.Errorf("header %q is set twice (as %q before): apps that fold names see both values", name, old)
		}
		if len(f) > 63 {
			return fmt.Errorf("header %q is longer than 63 bytes", name)
		}
		seen[f] = name
		h.folded = append(h.folded, f)
		h.lengths |= 1 << len(f)
		return nil
	}
	for _, t := range templates {
		switch Fold(t.Name) {
		case "connection", "host", "cookie", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "proxy-connection":
			return nil, fmt.Errorf("header %q can't carry an identity: HTTP itself uses it", t.Name)
		}
		if err := add(t.Name); err != nil {
			return nil, err
		}
		parts, err := parseValue(t.Value)
		if err != nil {
			return nil, fmt.Errorf("header %q: %w", t.Name, err)
		}
		h.templates = append(h.templates, template{http.CanonicalHeaderKey(t.Name), parts})
	}
	for _, name := range append(slices.Clone(scrub), HeaderImpersonatedBy) {
		if _, ok := seen[Fold(name)]; ok && name == HeaderImpersonatedBy {
			h.impersonatedBy = false // the operator sets it from a template of their own
			continue
		}
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func parseValue(v string) ([]part, error) {
	var parts []part
	at := 0
	for _, m := range placeholder.FindAllStringIndex(v, -1) {
		if m[0] > at {
			parts = append(parts, part{literal: v[at:m[0]]})
		}
		at = m[1]
		name := v[m[0]+1 : m[1]-1]
		switch {
		case name == "impersonate.id":
			parts = append(parts, part{whose: 'i'})
		case name == "impersonate.mode":
			parts = append(parts, part{whose: 'm'})
		default:
			f, user := strings.CutPrefix(name, "impersonate.user.")
			if !user {
				var actor bool
				if f, actor = strings.CutPrefix(name, "impersonate.actor."); !actor {
					return nil, fmt.Errorf("{%s} can't be used here: an identity header is made of {impersonate.user.…}, {impersonate.actor.…}, {impersonate.id} and {impersonate.mode}", name)
				}
			}
			if f == "" {
				return nil, fmt.Errorf("{%s} names no field", name)
			}
			p := part{whose: 'a', field: f}
			if user {
				p.whose = 'u'
			}
			parts = append(parts, p)
		}
	}
	if at < len(v) {
		parts = append(parts, part{literal: v[at:]})
	}
	if len(parts) == 0 {
		return nil, errors.New("has no value")
	}
	return parts, nil
}

// Fold is the form in which header names are compared: apps behind CGI, WSGI or PSGI see Remote-User, remote_user
// and Remote.User as one (GHSA-f59h-q822-g45g, CVE-2025-64484).
func Fold(name string) string {
	b := []byte(name)
	for i, c := range b {
		b[i] = foldByte(c)
	}
	return string(b)
}

func foldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case c == '_' || c == '.':
		return '-'
	}
	return c
}

func (h *Headers) ours(name string) bool {
	if len(name) > 63 || h.lengths&(1<<len(name)) == 0 {
		return false
	}
next:
	for _, f := range h.folded {
		if len(f) != len(name) {
			continue
		}
		for i := range len(name) {
			if foldByte(name[i]) != f[i] {
				continue next
			}
		}
		return true
	}
	return false
}

// Scrub removes every header and trailer a client sent under a name of ours, in any spelling, and strikes our
// names from Connection, which would have the proxy drop what we set (CVE-2024-45410). It must come before
// anything else looks at the request.
func (h *Headers) Scrub(r *http.Request) {
	h.scrub(r.Header)
	if r.Trailer != nil {
		h.scrub(r.Trailer)
	}
	h.strike(r.Header, "Connection")
	h.strike(r.Header, "Trailer")
}

func (h *Headers) scrub(header http.Header) {
	for name := range header {
		if h.ours(name) {
			delete(header, name) // by the raw key: Del would canonicalise it and miss remote_user
		}
	}
}

func (h *Headers) strike(header http.Header, field string) {
	values := header[field]
	for i, v := range values {
		if !h.listsOurs(v) {
			continue
		}
		kept := make([]string, 0, 4)
		for token := range strings.SplitSeq(v, ",") {
			if t := strings.TrimSpace(token); t != "" && !h.ours(t) {
				kept = append(kept, t)
			}
		}
		values[i] = strings.Join(kept, ", ")
	}
	if len(values) == 1 && values[0] == "" {
		delete(header, field)
	}
}

func (h *Headers) listsOurs(list string) bool {
	for list != "" {
		token, rest, _ := strings.Cut(list, ",")
		if h.ours(strings.TrimSpace(token)) {
			return true
		}
		list = rest
	}
	return false
}

// Values are the identity headers of one context, ready to be put on any number of requests.
type Values struct {
	names  []string
	values []string
}

// Values computes the headers for c. Empty ones are left out: a scrubbed name without a value stays absent.
func (h *Headers) Values(c Context) (*Values, error) {
	v := &Values{}
	for _, t := range h.templates {
		s, err := t.expand(c)
		if err != nil {
			return nil, err
		}
		if s != "" {
			v.names, v.values = append(v.names, t.name), append(v.values, s)
		}
	}
	if h.impersonatedBy && c.ID != "" {
		s, err := clean(c.Actor.Username)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", HeaderImpersonatedBy, err)
		}
		v.names, v.values = append(v.names, HeaderImpersonatedBy), append(v.values, s)
	}
	return v, nil
}

// Apply sets the headers. Scrub must have run before.
func (v *Values) Apply(header http.Header) {
	fresh := make([]string, len(v.values)) // own copy: later handlers may edit values in place
	copy(fresh, v.values)
	for i, n := range v.names {
		header[n] = fresh[i : i+1 : i+1]
	}
}

func (t *template) expand(c Context) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		switch p.whose {
		case 0:
			b.WriteString(p.literal)
		case 'i':
			b.WriteString(c.ID)
		case 'm':
			b.WriteString(c.Mode)
		case 'u':
			b.WriteString(headerField(c.User, p.field))
		case 'a':
			b.WriteString(headerField(c.Actor, p.field))
		}
	}
	s, err := clean(b.String())
	if err != nil {
		return "", fmt.Errorf("header %s: %w", t.name, err)
	}
	return s, nil
}

// headerField is the field's value; of groups, only those that can't be mistaken for two: an app splits at the comma.
func headerField(i *Identity, field string) string {
	if field == "groups" && slices.ContainsFunc(i.Groups, hasComma) {
		return strings.Join(slices.DeleteFunc(slices.Clone(i.Groups), hasComma), ",")
	}
	s, _ := i.Get(field)
	return s
}

func hasComma(s string) bool { return strings.Contains(s, ",") }

// clean makes s fit for a header field: valid UTF-8 without controls. A value that is too long is an error, not
// cut: a username cut short is somebody else's.
func clean(s string) (string, error) {
	if len(s) > maxValue {
		return "", fmt.Errorf("value has %d bytes; %d is the most a header can carry", len(s), maxValue)
	}
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s), nil
}

func validName(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}

// Text is a sentence with the same placeholders as a header's value, for the banner.
type Text struct{ template }

// NewText compiles a text.
func NewText(s string) (*Text, error) {
	parts, err := parseValue(s)
	if err != nil {
		return nil, err
	}
	return &Text{template{name: "text", parts: parts}}, nil
}

// Expand fills in the placeholders.
func (t *Text) Expand(c Context) (string, error) { return t.expand(c) }
