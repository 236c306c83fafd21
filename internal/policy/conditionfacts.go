package policy

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// facts are what a condition's variables stand for.
type facts struct{ in *Input }

// ResolveName implements [cel.Activation].
func (f *facts) ResolveName(name string) (any, bool) {
	switch name {
	case "actor":
		return object{personType, f.in.Actor.Identity}, true
	case "target":
		return object{personType, f.in.Target.Identity}, true
	case "request":
		return object{requestType, f.in}, true
	case "now":
		return types.Timestamp{Time: f.in.Now}, true
	}
	return nil, false
}

// Parent implements [cel.Activation].
func (*facts) Parent() cel.Activation { return nil }

var (
	personType  = types.NewObjectType("person")
	requestType = types.NewObjectType("request")
	attributes  = types.NewMapType(types.StringType, types.StringType)
	groupsType  = types.NewListType(types.StringType)
)

// objects are the types of the variables: the facts everybody has are typed, and any other name is an attribute, which
// is text. So a comparison that can't be is found when the configuration is loaded. Reading an attribute that somebody
// does not have is an error; has() asks first.
type objects struct{ *types.Registry }

// FindStructType implements [types.Provider].
func (o objects) FindStructType(name string) (*types.Type, bool) {
	switch name {
	case personType.TypeName():
		return types.NewTypeTypeWithParam(personType), true
	case requestType.TypeName():
		return types.NewTypeTypeWithParam(requestType), true
	}
	return o.Registry.FindStructType(name)
}

// FindStructFieldType implements [types.Provider].
func (o objects) FindStructFieldType(typ, field string) (*types.FieldType, bool) {
	switch typ {
	case personType.TypeName():
		return personField(field), true
	case requestType.TypeName():
		f, ok := requestFields[field]
		return f, ok
	}
	return o.Registry.FindStructFieldType(typ, field)
}

// FindStructFieldNames implements [types.Provider].
func (o objects) FindStructFieldNames(typ string) ([]string, bool) {
	switch typ {
	case personType.TypeName():
		return []string{"id", "username", "name", "email", "groups", "attributes"}, true
	case requestType.TypeName():
		return []string{"ip", "host"}, true
	}
	return o.Registry.FindStructFieldNames(typ)
}

// NewValue implements [types.Provider]: conditions ask about people, they don't make them.
func (o objects) NewValue(typ string, fields map[string]ref.Val) ref.Val {
	if typ == personType.TypeName() || typ == requestType.TypeName() {
		return types.NewErr("a %s can't be made", typ)
	}
	return o.Registry.NewValue(typ, fields)
}

func personField(name string) *types.FieldType {
	fact := func(t *types.Type, get func(*identity.Identity) (any, bool)) *types.FieldType {
		return &types.FieldType{
			Type: t,
			IsSet: func(v any) bool {
				_, ok := get(v.(*identity.Identity))
				return ok
			},
			GetFrom: func(v any) (any, error) {
				got, _ := get(v.(*identity.Identity))
				return got, nil
			},
		}
	}
	text := func(get func(*identity.Identity) string) *types.FieldType {
		return fact(types.StringType, func(i *identity.Identity) (any, bool) {
			s := get(i)
			return types.String(s), s != ""
		})
	}
	switch name {
	case "id":
		return text(func(i *identity.Identity) string { return i.ID })
	case "username":
		return text(func(i *identity.Identity) string { return i.Username })
	case "name":
		return text(func(i *identity.Identity) string { return i.Name })
	case "email":
		return text(func(i *identity.Identity) string { return i.Email })
	case "groups":
		return fact(groupsType, func(i *identity.Identity) (any, bool) {
			return types.NewStringList(types.DefaultTypeAdapter, i.Groups), len(i.Groups) > 0
		})
	case "attributes":
		return fact(attributes, func(i *identity.Identity) (any, bool) {
			return types.NewStringStringMap(types.DefaultTypeAdapter, i.Attributes), len(i.Attributes) > 0
		})
	}
	return &types.FieldType{
		Type: types.StringType,
		IsSet: func(v any) bool {
			_, ok := v.(*identity.Identity).Attributes[name]
			return ok
		},
		GetFrom: func(v any) (any, error) {
			s, ok := v.(*identity.Identity).Attributes[name]
			if !ok {
				return nil, fmt.Errorf("somebody has no attribute %s; ask has(….%s) first", name, name)
			}
			return types.String(s), nil
		},
	}
}

var requestFields = map[string]*types.FieldType{
	"ip": {
		Type:  types.StringType,
		IsSet: func(v any) bool { return v.(*Input).ClientIP.IsValid() },
		GetFrom: func(v any) (any, error) {
			if ip := v.(*Input).ClientIP; ip.IsValid() {
				return types.String(plainAddress(ip).String()), nil
			}
			return nil, fmt.Errorf("the request's address is not known")
		},
	},
	"host": {
		Type:    types.StringType,
		IsSet:   func(v any) bool { return v.(*Input).Host != "" },
		GetFrom: func(v any) (any, error) { return types.String(plainHost(v.(*Input).Host)), nil },
	},
}

// plainAddress is an address in the one form that networks are compared in.
func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// plainHost is a host without its port, in lower case.
func plainHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		host = host[:i]
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// object is a variable's value as CEL wants it: opaque but for its fields.
type object struct {
	typ *types.Type
	v   any
}

// ConvertToNative implements [ref.Val].
func (o object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s can't be made a %s", o.typ, t)
}

// ConvertToType implements [ref.Val].
func (o object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.typ
	}
	return types.NewErr("a %s can't be made a %s", o.typ, t)
}

// Equal implements [ref.Val]: people are the same when every fact of them is.
func (o object) Equal(other ref.Val) ref.Val {
	p, ok := other.(object)
	if !ok || p.typ != o.typ {
		return types.False
	}
	a, isPerson := o.v.(*identity.Identity)
	if !isPerson {
		return types.Bool(o.v == p.v)
	}
	b := p.v.(*identity.Identity)
	return types.Bool(a.ID == b.ID && identity.Key(a.Username) == identity.Key(b.Username) && slices.Equal(a.Groups, b.Groups))
}

// Type implements [ref.Val].
func (o object) Type() ref.Type { return o.typ }

// Value implements [ref.Val].
func (o object) Value() any { return o.v }
