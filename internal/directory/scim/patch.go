package scim

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// operation is one of a PATCH (RFC 7644, section 3.5.2).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// path is where an operation works: members[value eq "x"].display has all three parts.
type path struct {
	names []string // of the attribute
	where filter   // nil: all
	equal object   // what where asks to be equal: an entry made for it has these
	sub   string   // "": the entry itself
}

// apply carries out the operations in order; the resource is to be thrown away when one fails.
func apply(resource string, o object, ops []operation) error {
	for i, op := range ops {
		if err := op.apply(resource, o); err != nil {
			return fmt.Errorf("operation %d (%.20s %.200s): %w", i+1, op.Op, op.Path, err)
		}
	}
	return nil
}

func (op operation) apply(resource string, o object) error {
	kind := strings.ToLower(op.Op) // Entra writes Add, Replace, Remove
	switch kind {
	case "add", "replace", "remove":
	default:
		return bad("invalidSyntax", "op is none of add, replace, remove")
	}
	if op.Path == "" {
		fields, ok := op.Value.(object)
		if kind == "remove" {
			return bad("noTarget", "a remove needs a path")
		}
		if !ok {
			return bad("invalidValue", "without a path, value is an object")
		}
		for name, v := range fields {
			// Okta and Entra put paths here too: {"name.givenName": …, "urn:…:User:department": …}.
			p, err := parsePath(name)
			if err != nil {
				return err
			}
			if inner, ok := v.(object); ok && len(p.names) == 1 && p.where == nil && p.sub == "" {
				for sub, v := range inner {
					if err := (&path{names: append(p.names[:1:1], sub)}).set(o, kind, v); err != nil {
						return err
					}
				}
				continue
			}
			if err := p.set(o, kind, v); err != nil {
				return err
			}
		}
		return nil
	}
	p, err := parsePath(op.Path)
	if err != nil {
		return err
	}
	if len(p.names) == 1 && p.fixed(resource, kind) {
		return bad("mutability", "%s can't be changed so", p.names[0])
	}
	return p.set(o, kind, op.Value)
}

// fixed tells whether the attribute is the server's to say, or would be missing (sections 3.5.2.1 to 3).
func (p *path) fixed(resource, kind string) bool {
	name := strings.ToLower(p.names[0])
	switch name {
	case "id", "meta", "groups":
		return true
	}
	required := map[string]string{userKind: "username", groupKind: "displayname"}[resource]
	return kind == "remove" && p.where == nil && name == required
}

func parsePath(text string) (*path, error) {
	p := &path{}
	before, rest, bracket := strings.Cut(text, "[")
	p.names = split(before)
	if len(p.names) == 0 || len(p.names) > 3 || p.names[0] == "" {
		return nil, bad("invalidPath", "%.100q is not the path of an attribute", text)
	}
	if !bracket {
		return p, nil
	}
	end := strings.LastIndexByte(rest, ']')
	if end < 0 {
		return nil, bad("invalidPath", "a ] is missing")
	}
	var err error
	if p.where, err = parseFilter(rest[:end]); err != nil {
		return nil, bad("invalidPath", "the filter in []: %v", err)
	}
	if words, err := newParser(rest[:end]); err == nil && len(words.tokens) == 3 && strings.EqualFold(words.tokens[1], "eq") {
		p.equal = object{words.tokens[0]: unquote(words.tokens[2])}
	}
	if after := rest[end+1:]; after != "" {
		if p.sub = strings.TrimPrefix(after, "."); p.sub == after || p.sub == "" {
			return nil, bad("invalidPath", "%.100q after ]", after)
		}
	}
	return p, nil
}

func (p *path) set(o object, kind string, v any) error {
	// Down to the object that has the attribute.
	for _, name := range p.names[:len(p.names)-1] {
		key := keyOf(o, name)
		inner, ok := o[key].(object)
		if !ok {
			if kind == "remove" {
				return nil
			}
			if list, isList := o[key].([]any); isList && len(list) > 0 {
				return bad("invalidPath", "%s has several values; say which in []", key)
			}
			inner = object{}
			o[key] = inner
		}
		o = inner
	}
	name := keyOf(o, p.names[len(p.names)-1])
	if p.where != nil {
		return p.setEntries(o, name, kind, v)
	}
	list, isList := o[name].([]any)
	switch {
	case kind == "remove" && v != nil && isList: // Entra: remove members, with those to remove as value
		for _, gone := range asList(v) {
			list = without(list, gone)
		}
		o[name] = list
	case kind == "remove":
		delete(o, name)
	case kind == "add" && (isList || o[name] == nil && multiple(name)):
		for _, one := range asList(v) {
			if !contains(list, one) {
				list = append(list, one)
				if isPrimary(one) {
					demote(list, len(list)-1)
				}
			}
		}
		o[name] = list
	case multiple(name):
		o[name] = asList(v)
	default:
		o[name] = merged(o[name], v)
	}
	return nil
}

// merged is a complex value with what is given for parts of it, and its other parts as they were (sections 3.5.2.1 and 3);
// any other is what is given.
func merged(old, v any) any {
	parts, ok := old.(object)
	given, ok2 := v.(object)
	if !ok || !ok2 {
		return v
	}
	for name, part := range given {
		parts[keyOf(parts, name)] = part
	}
	return parts
}

func isPrimary(entry any) bool {
	inner, _ := entry.(object)
	primary, _ := inner[keyOf(inner, "primary")].(bool)
	return primary
}

// demote has no other entry be the primary one (section 3.5.2).
func demote(list []any, but int) {
	for i, e := range list {
		if inner, _ := e.(object); i != but && isPrimary(e) {
			inner[keyOf(inner, "primary")] = false
		}
	}
}

// setEntries works on the entries of a list that the filter finds.
func (p *path) setEntries(o object, name, kind string, v any) error {
	list, _ := o[name].([]any)
	found := false
	kept := list[:0:0]
	primary := -1
	for _, e := range list {
		inner, ok := e.(object)
		if !ok || !p.where(inner) {
			kept = append(kept, e)
			continue
		}
		found = true
		switch {
		case kind == "remove" && p.sub == "":
			continue
		case kind == "remove":
			delete(inner, keyOf(inner, p.sub))
		case p.sub != "":
			inner[keyOf(inner, p.sub)] = v
		default:
			fields, ok := v.(object)
			switch {
			case !ok:
				return bad("invalidValue", "value is not an object")
			case kind == "replace": // the entry, not parts of it (section 3.5.2.3)
				inner = maps.Clone(fields)
			default:
				merged(inner, fields)
			}
		}
		if isPrimary(inner) && setsPrimary(p.sub, v) {
			primary = len(kept)
		}
		kept = append(kept, inner)
	}
	if primary >= 0 {
		demote(kept, primary)
	}
	if !found && kind != "remove" {
		// RFC 7644 has a replace fail; Entra and Okta count on the entry being made.
		if p.equal == nil {
			return bad("noTarget", "nothing in %s is found", name)
		}
		made := object{}
		for k, v := range p.equal {
			made[k] = v
		}
		if p.sub != "" {
			made[p.sub] = v
		} else if fields, ok := v.(object); ok {
			for k, v := range fields {
				made[k] = v
			}
		}
		kept = append(kept, made)
	}
	o[name] = kept
	return nil
}

// setsPrimary tells whether what is written to entries, or to that part of them, says which is the primary one.
func setsPrimary(sub string, v any) bool {
	if sub != "" {
		return strings.EqualFold(sub, "primary")
	}
	fields, _ := v.(object)
	_, says := fields[keyOf(fields, "primary")]
	return says
}

func multiple(name string) bool {
	switch strings.ToLower(name) {
	case "emails", "members", "phonenumbers", "addresses", "roles", "entitlements", "ims", "photos", "x509certificates", "groups":
		return true
	}
	return false
}

func asList(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

// same tells whether two entries are the same one: by their value, where they have one.
func same(a, b any) bool {
	x, ok := a.(object)
	y, ok2 := b.(object)
	if ok && ok2 && x["value"] != nil {
		return reflect.DeepEqual(x["value"], y["value"]) && reflect.DeepEqual(x["type"], y["type"])
	}
	return reflect.DeepEqual(a, b)
}

func contains(list []any, v any) bool {
	for _, e := range list {
		if same(e, v) {
			return true
		}
	}
	return false
}

func without(list []any, v any) []any {
	var kept []any
	for _, e := range list {
		x, ok := e.(object)
		y, ok2 := v.(object)
		if ok && ok2 && x["value"] != nil && x["value"] == y["value"] || same(e, v) {
			continue
		}
		kept = append(kept, e)
	}
	return kept
}
