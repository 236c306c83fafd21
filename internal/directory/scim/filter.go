package scim

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// object is a resource, or a part of one, as JSON has it.
type object = map[string]any

// filter is a condition on a resource (RFC 7644, section 3.4.2.2).
type filter func(object) bool

const (
	maxFilter = 4 << 10 // bytes
	maxDepth  = 20      // of parentheses and brackets
)

// parseFilter reads one. An error is for the client.
func parseFilter(text string) (filter, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	f, err := p.or(0)
	if err == nil && p.peek() != "" {
		err = fmt.Errorf("unexpected %q", p.peek())
	}
	return f, err
}

type parser struct {
	tokens []string
	at     int
}

// newParser cuts the text into words, quoted strings, and brackets.
func newParser(text string) (*parser, error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("longer than %d bytes", maxFilter)
	}
	p := &parser{}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		n := 1
		switch {
		case strings.ContainsRune("()[]", rune(rest[0])):
		case rest[0] == '"':
			for n < len(rest) && rest[n] != '"' {
				if rest[n] == '\\' {
					n++
				}
				n++
			}
			if n >= len(rest) {
				return nil, fmt.Errorf("a text without its closing quote")
			}
			n++
		default:
			if n = strings.IndexFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`()[]"`, r) }); n < 0 {
				n = len(rest)
			}
		}
		p.tokens = append(p.tokens, rest[:n])
		rest = rest[n:]
	}
	return p, nil
}

func (p *parser) peek() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

func (p *parser) next() string {
	t := p.peek()
	p.at++
	return t
}

func (p *parser) take(word string) bool {
	if strings.EqualFold(p.peek(), word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) or(depth int) (filter, error) {
	a, err := p.and(depth)
	for err == nil && p.take("or") {
		left := a
		var right filter
		if right, err = p.and(depth); err == nil {
			a = func(o object) bool { return left(o) || right(o) }
		}
	}
	return a, err
}

func (p *parser) and(depth int) (filter, error) {
	a, err := p.term(depth)
	for err == nil && p.take("and") {
		left := a
		var right filter
		if right, err = p.term(depth); err == nil {
			a = func(o object) bool { return left(o) && right(o) }
		}
	}
	return a, err
}

func (p *parser) term(depth int) (filter, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d brackets deep", maxDepth)
	}
	not := p.take("not")
	if p.take("(") {
		f, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, fmt.Errorf("a ) is missing")
		}
		if not {
			return func(o object) bool { return !f(o) }, nil
		}
		return f, nil
	}
	if not {
		return nil, fmt.Errorf("not is followed by (")
	}
	path := p.next()
	if path == "" || strings.ContainsAny(path[:1], `()[]"`) {
		return nil, fmt.Errorf("the name of an attribute is missing")
	}
	names := split(path)
	if p.take("[") {
		f, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take("]") {
			return nil, fmt.Errorf("a ] is missing")
		}
		return func(o object) bool {
			for _, v := range values(o, names) {
				if inner, ok := v.(object); ok && f(inner) {
					return true
				}
			}
			return false
		}, nil
	}
	op := strings.ToLower(p.next())
	if op == "pr" {
		return func(o object) bool {
			for _, v := range values(o, names) {
				if v != nil && v != "" {
					return true
				}
			}
			return false
		}, nil
	}
	compare, ok := operators[op]
	if !ok {
		return nil, fmt.Errorf("%.20q is not an operator; write eq, ne, co, sw, ew, gt, ge, lt, le or pr", op)
	}
	var want any
	if err := json.Unmarshal([]byte(p.next()), &want); err != nil {
		return nil, fmt.Errorf("the value after %s is not one of JSON", op)
	}
	switch _, isText := want.(string); op {
	case "co", "sw", "ew":
		if !isText {
			return nil, fmt.Errorf("%s compares text; write its value in quotes", op)
		}
	case "gt", "ge", "lt", "le":
		if _, isNumber := want.(float64); !isText && !isNumber {
			return nil, fmt.Errorf("%s compares text, times and numbers", op)
		}
	}
	exact := strings.EqualFold(names[0], "id") || strings.EqualFold(names[0], "externalId")
	if op == "ne" {
		eq := operators["eq"]
		return func(o object) bool {
			for _, v := range values(o, names) {
				if eq(v, want, exact) {
					return false
				}
			}
			return true
		}, nil
	}
	return func(o object) bool {
		for _, v := range values(o, names) {
			if compare(v, want, exact) {
				return true
			}
		}
		return false
	}, nil
}

var operators = map[string]func(have, want any, exact bool) bool{
	"eq": func(have, want any, exact bool) bool {
		if texts(&have, &want, exact) {
			return have == want
		}
		return comparable(have) && comparable(want) && fmt.Sprint(have) == fmt.Sprint(want)
	},
	"ne": nil,
	"co": onText(strings.Contains),
	"sw": onText(strings.HasPrefix),
	"ew": onText(strings.HasSuffix),
	"gt": inOrder(func(c int) bool { return c > 0 }),
	"ge": inOrder(func(c int) bool { return c >= 0 }),
	"lt": inOrder(func(c int) bool { return c < 0 }),
	"le": inOrder(func(c int) bool { return c <= 0 }),
}

func comparable(v any) bool {
	switch v.(type) {
	case object, []any:
		return false
	}
	return true
}

// texts tells whether both are text, and takes away the case where it does not count.
func texts(a, b *any, exact bool) bool {
	x, ok := (*a).(string)
	y, ok2 := (*b).(string)
	if !ok || !ok2 {
		return false
	}
	if !exact {
		*a, *b = strings.ToLower(x), strings.ToLower(y)
	}
	return true
}

func onText(f func(have, want string) bool) func(have, want any, exact bool) bool {
	return func(have, want any, exact bool) bool {
		return texts(&have, &want, exact) && f(have.(string), want.(string)) // they are
	}
}

func inOrder(f func(c int) bool) func(have, want any, exact bool) bool {
	return func(have, want any, exact bool) bool {
		if x, ok := have.(float64); ok {
			y, ok := want.(float64)
			switch {
			case !ok:
				return false
			case x < y:
				return f(-1)
			case x > y:
				return f(1)
			}
			return f(0)
		}
		return texts(&have, &want, exact) && f(strings.Compare(have.(string), want.(string))) // they are
	}
}

// split makes names of a path. The name of a schema has dots of its own: urn:…:2.0:User:department.
func split(path string) []string {
	var names []string
	if strings.HasPrefix(strings.ToLower(path), "urn:") {
		for _, schema := range []string{enterpriseSchema, userSchema, groupSchema} {
			if len(path) >= len(schema) && strings.EqualFold(path[:len(schema)], schema) {
				rest := strings.TrimPrefix(path[len(schema):], ":")
				if schema == enterpriseSchema {
					names = append(names, schema)
				}
				if rest == "" {
					return names
				}
				return append(names, strings.Split(rest, ".")...)
			}
		}
		return []string{path}
	}
	return strings.Split(path, ".")
}

// values are what a path leads to; of a list, all. A name of an object in a list stands for its value.
func values(v any, names []string) []any {
	switch v := v.(type) {
	case []any:
		var all []any
		for _, e := range v {
			all = append(all, values(e, names)...)
		}
		return all
	case object:
		if len(names) == 0 {
			if inner, ok := v["value"]; ok {
				return []any{inner, v}
			}
			return []any{v}
		}
		return values(v[keyOf(v, names[0])], names[1:])
	case nil:
		return nil
	}
	if len(names) > 0 {
		return nil
	}
	return []any{v}
}

// keyOf is a name as the object spells it: case does not count.
func keyOf(o object, name string) string {
	if _, ok := o[name]; ok {
		return name
	}
	for k := range o {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return name
}
