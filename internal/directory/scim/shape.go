package scim

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// shapes are what the attributes that are read here have to be. Others are kept as they come.
var shapes = map[string]map[string]func(any) bool{
	userKind: {
		"displayname": isText, "title": isText, "usertype": isText, "locale": isText, "externalid": isText,
		"name": isComplex, "emails": isMany, strings.ToLower(enterpriseSchema): isComplex,
	},
	groupKind: {"externalid": isText, "members": isMany},
}

func isText(v any) bool    { _, ok := v.(string); return ok }
func isComplex(v any) bool { _, ok := v.(object); return ok }

func isMany(v any) bool {
	list, ok := v.([]any)
	return ok && !slices.ContainsFunc(list, func(e any) bool { return !isComplex(e) })
}

// conforms tells what of a resource is not as its schema says.
func conforms(kind string, o object, schema string) error {
	names, _ := o[keyOf(o, "schemas")].([]any)
	if !slices.ContainsFunc(names, func(n any) bool { s, _ := n.(string); return strings.EqualFold(s, schema) }) {
		return bad("invalidSyntax", "schemas does not have %s", schema)
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if fits := shapes[kind][strings.ToLower(name)]; fits != nil && o[name] != nil && !fits(o[name]) {
			return bad("invalidValue", "%s is not what the schema says", name)
		}
	}
	if kind == groupKind {
		for _, m := range values(o, []string{"members", "value"}) {
			if !isText(m) {
				return bad("invalidValue", "the value of a member is not text")
			}
		}
	}
	return nil
}

func listed(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// selected is of a resource what a request asks for by attributes and excludedAttributes (RFC 7644, section 3.9). The
// resource's id and schemas are always there. It changes o, but nothing in it.
func selected(o object, q url.Values) object {
	only, without := paths(q.Get("attributes")), paths(q.Get("excludedAttributes"))
	for name, v := range o {
		if name == "id" || name == "schemas" {
			continue
		}
		if len(only) > 0 {
			whole, parts := asked(only, name)
			switch {
			case !whole && len(parts) == 0:
				delete(o, name)
				continue
			case !whole:
				v = trimmed(v, func(part string) bool { return listed(parts, part) })
			}
		}
		whole, parts := asked(without, name)
		switch {
		case whole:
			delete(o, name)
			continue
		case len(parts) > 0:
			v = trimmed(v, func(part string) bool { return !listed(parts, part) })
		}
		o[name] = v
	}
	return o
}

// paths are those of a list such as userName,name.familyName.
func paths(list string) [][]string {
	var all [][]string
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p != "" {
			all = append(all, split(p))
		}
	}
	return all
}

// asked is what of an attribute paths lead to: the whole, or parts.
func asked(paths [][]string, name string) (whole bool, parts []string) {
	for _, p := range paths {
		switch {
		case len(p) == 0 || !strings.EqualFold(p[0], name):
		case len(p) == 1:
			whole = true
		default:
			parts = append(parts, p[1])
		}
	}
	return whole, parts
}

// trimmed is a copy of a complex value, or of several, with the parts to keep.
func trimmed(v any, keep func(part string) bool) any {
	switch v := v.(type) {
	case object:
		left := make(object, len(v))
		for name, part := range v {
			if keep(name) {
				left[name] = part
			}
		}
		return left
	case []object:
		left := make([]any, len(v))
		for i := range v {
			left[i] = trimmed(v[i], keep)
		}
		return left
	case []any:
		left := make([]any, len(v))
		for i := range v {
			left[i] = trimmed(v[i], keep)
		}
		return left
	}
	return v
}
