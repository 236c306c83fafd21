package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// parseUsers reads the accounts, all or none. An error begins with the file's name and the line.
func parseUsers(path string, data []byte) (users []User, err error) {
	if err := plain(path, data); err != nil {
		return nil, err
	}
	defer func() {
		// The YAML reader is another's, and the file anybody's.
		if r := recover(); r != nil {
			users, err = nil, fmt.Errorf("%s: the YAML in it can't be read (%v)", path, r)
		}
	}()
	if len(data) >= pieceSize {
		if p := newParser(path); p.pieces(data, pieceSize) {
			return p.result()
		}
	}
	p := newParser(path)
	if err := p.whole(data); err != nil {
		return nil, err
	}
	return p.result()
}

func (p *parser) whole(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s:1: it is empty; write \"users: []\" if nobody is meant", p.path)
		}
		return p.syntax(err)
	}
	if err := dec.Decode(&more); err == nil {
		return p.errorf(&more, "", "a second YAML document; keep all users in one list")
	} else if !errors.Is(err, io.EOF) {
		return p.syntax(err)
	}
	p.file(&doc)
	return nil
}

func (p *parser) result() ([]User, error) {
	switch {
	case p.errors > 1:
		return nil, fmt.Errorf("%w (and %d more mistakes)", p.first, p.errors-1)
	case p.errors == 1:
		return nil, p.first
	}
	return p.users, nil
}

type parser struct {
	path  string
	line  int // lines before the piece at hand
	users []User
	ids   map[string]int    // → line
	keys  map[string]int    // → line
	texts map[string]string // groups and the like come a thousand times: kept once
	// What anchored nodes have been read as: a list that a million users refer to is kept once.
	groupsOf map[*yaml.Node][]string
	attrsOf  map[*yaml.Node]map[string]string

	first  error
	errors int
}

func newParser(path string) *parser {
	return &parser{
		path: path, users: []User{}, ids: map[string]int{}, keys: map[string]int{}, texts: map[string]string{},
		groupsOf: map[*yaml.Node][]string{}, attrsOf: map[*yaml.Node]map[string]string{},
	}
}

func (p *parser) errorf(n *yaml.Node, field, format string, args ...any) error {
	if field != "" {
		field += ": "
	}
	return fmt.Errorf("%s:%d: %s%s", p.path, p.line+max(n.Line, 1), field, fmt.Sprintf(format, args...))
}

// bad notes a mistake and goes on, to count the others.
func (p *parser) bad(n *yaml.Node, field, format string, args ...any) {
	p.errors++
	if p.first == nil {
		p.first = p.errorf(n, field, format, args...)
	}
}

// plain refuses bytes that YAML forbids, with their line, which the YAML reader does not tell. Files in UTF-16 are
// refused with them.
func plain(path string, data []byte) error {
	line := 1
	for i := 0; i < len(data); {
		c := data[i]
		switch {
		case c == '\n':
			line++
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			return fmt.Errorf("%s:%d: a control character (0x%02x); remove it", path, line, c)
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n <= 1 {
				return fmt.Errorf("%s:%d: not UTF-8; save the file as UTF-8", path, line)
			}
			i += n
			continue
		}
		i++
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)

// syntax says where the YAML itself is broken.
func (p *parser) syntax(err error) error {
	m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil || m[1] == "" {
		return fmt.Errorf("%s: YAML: %s", p.path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return fmt.Errorf("%s:%s: YAML: %s; check the indentation and quotes here and just above", p.path, m[1], m[2])
}

// deref follows an alias. The node it stands for is used as if written here; nothing is followed twice, so a
// document of aliases can't grow.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func (p *parser) file(doc *yaml.Node) {
	if len(doc.Content) != 1 {
		p.bad(doc, "", "no users; write \"users: []\" if nobody is meant")
		return
	}
	top := deref(doc.Content[0])
	list := top
	if top.Kind == yaml.MappingNode {
		list = nil
		p.fields(top, "", func(key string, k, v *yaml.Node) {
			if key != "users" {
				p.bad(k, key, "unknown; the file has one field, users")
				return
			}
			list = v
		})
		if list == nil {
			p.bad(top, "users", "missing; the list of users goes under it")
			return
		}
	}
	if list.Kind != yaml.SequenceNode {
		p.bad(list, "users", "must be a list; write \"users: []\" if nobody is meant, else begin each user with a dash")
		return
	}
	p.list(list)
}

func (p *parser) list(list *yaml.Node) {
	if n := len(p.users) + len(list.Content); n > maxUsers {
		p.bad(list, "users", "more than %d; a file holds at most so many", maxUsers)
		return
	}
	p.users = slices.Grow(p.users, len(list.Content))
	for _, n := range list.Content {
		p.user(n)
	}
}

// fields calls f for each field of a mapping, once per name.
func (p *parser) fields(m *yaml.Node, where string, f func(name string, key, value *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := deref(m.Content[i]), deref(m.Content[i+1])
		name, ok := scalar(k)
		switch {
		case k.Tag == "!!merge":
			p.bad(k, where+"<<", "merging is not supported; write the fields out")
		case !ok:
			p.bad(k, where+"field", "its name must be a text")
		case seen[name]:
			p.bad(k, where+clip(name), "given twice; keep one")
		default:
			seen[name] = true
			f(name, k, v)
		}
	}
}

// scalar is the text of a scalar as it is written: an id of 017 stays 017.
func scalar(n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		return "", false
	}
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		return n.Value, true
	case "!!null":
		return "", true
	}
	return "", false
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (p *parser) user(at *yaml.Node) {
	n := deref(at)
	if n.Kind != yaml.MappingNode {
		p.bad(at, "users", "each must have fields, as \"- username: sam\"")
		return
	}
	u := User{Active: true}
	var idAt, nameAt *yaml.Node
	p.fields(n, "", func(name string, k, v *yaml.Node) {
		switch name {
		case "id":
			u.ID, idAt = p.text(v, name, maxID), v
		case "username":
			u.Username, nameAt = p.username(v), v
		case "name":
			u.Name = p.text(v, name, maxName)
		case "email":
			u.Email = p.text(v, name, maxEmail)
		case "groups":
			u.Groups = anchored(p.groupsOf, v, p.groups)
		case "active":
			u.Active = p.active(v)
		case "attributes":
			u.Attributes = anchored(p.attrsOf, v, p.attributes)
		default:
			p.bad(k, clip(name), "unknown; the fields are id, username, name, email, groups, active and attributes (for anything else)")
		}
	})
	if nameAt == nil {
		p.bad(at, "username", "missing; every user needs one")
		return
	}
	if u.Username == "" {
		return // reported
	}
	if u.ID == "" {
		u.ID, idAt = u.Username, nameAt
	}
	if line, dup := p.ids[u.ID]; dup {
		p.bad(idAt, "id", "%q is the id of the user in line %d too; give each their own", clip(u.ID), line)
	}
	key := identity.Key(u.Username)
	if line, dup := p.keys[key]; dup {
		p.bad(nameAt, "username", "%q is the username in line %d too (case does not count); remove one", clip(u.Username), line)
	}
	p.ids[u.ID], p.keys[key] = p.line+idAt.Line, p.line+nameAt.Line
	p.users = append(p.users, u)
}

// text reads a text; none at all (null) is an empty one.
func (p *parser) text(n *yaml.Node, field string, limit int) string {
	s, ok := scalar(n)
	if !ok {
		p.bad(n, field, "must be a text")
		return ""
	}
	if err := checkText(s, limit); err != nil {
		p.bad(n, field, "%q %v; correct it", clip(s), err)
		return ""
	}
	return s
}

func (p *parser) username(n *yaml.Node) string {
	s, ok := scalar(n)
	if !ok {
		p.bad(n, "username", "must be a text")
		return ""
	}
	if err := CheckUsername(s); err != nil {
		p.bad(n, "username", "%q %v; correct it", clip(s), err)
		return ""
	}
	return s
}

func anchored[T any](done map[*yaml.Node]T, n *yaml.Node, read func(*yaml.Node) T) T {
	if n.Anchor == "" {
		return read(n)
	}
	v, ok := done[n]
	if !ok {
		v = read(n)
		done[n] = v
	}
	return v
}

func (p *parser) active(n *yaml.Node) bool {
	// YAML's "no" is a text to some readers and a boolean to others. Here a wrong guess would let someone in.
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		switch strings.ToLower(n.Value) {
		case "true":
			return true
		case "false":
			return false
		}
	}
	p.bad(n, "active", "must be true or false")
	return false
}

func (p *parser) groups(n *yaml.Node) []string {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		p.bad(n, "groups", "must be a list, as [support, admins]")
		return nil
	}
	if len(n.Content) > maxGroups {
		p.bad(n, "groups", "%d of them; at most %d", len(n.Content), maxGroups)
		return nil
	}
	groups := make([]string, 0, len(n.Content))
	seen := make(map[string]bool, len(n.Content))
	for _, at := range n.Content {
		g := p.text(deref(at), "groups", maxGroup)
		switch {
		case strings.TrimSpace(g) == "":
			p.bad(at, "groups", "an empty name; remove it")
		case !seen[g]:
			seen[g] = true
			groups = append(groups, p.once(g))
		}
	}
	return groups
}

func (p *parser) attributes(n *yaml.Node) map[string]string {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		p.bad(n, "attributes", "must be names and values, as {department: north}")
		return nil
	}
	if len(n.Content)/2 > maxAttrs {
		p.bad(n, "attributes", "%d of them; at most %d", len(n.Content)/2, maxAttrs)
		return nil
	}
	attrs := make(map[string]string, len(n.Content)/2)
	p.fields(n, "attributes.", func(name string, k, v *yaml.Node) {
		switch name {
		case "id", "username", "name", "email", "groups":
			p.bad(k, "attributes."+name, "is a field of its own; move it out of attributes")
			return
		}
		if !attrName(name) {
			p.bad(k, "attributes", "the name %q; use up to %d letters, digits and _ . -", clip(name), maxAttrName)
			return
		}
		attrs[p.once(name)] = p.once(p.text(v, "attributes."+name, maxAttrValue))
	})
	return attrs
}

// attrName: it is to stand in a placeholder and in a policy's condition.
func attrName(s string) bool {
	if s == "" || len(s) > maxAttrName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// once gives the same string for the same text.
func (p *parser) once(s string) string {
	if t, ok := p.texts[s]; ok {
		return t
	}
	s = strings.Clone(s)
	if len(p.texts) < 1<<16 {
		p.texts[s] = s
	}
	return s
}

// clip shortens what is quoted in a message.
func clip(s string) string {
	if len(s) > 80 {
		return cut(s, 80) + "…"
	}
	return s
}
