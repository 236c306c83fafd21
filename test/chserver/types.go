package main

import (
	"fmt"
	"strconv"
	"strings"
)

// chType is a parsed ClickHouse type, as far as its serialization needs.
type chType struct {
	kind kind
	size int       // of one value, for kindFixed
	args []*chType // of Array, Tuple, Nullable, LowCardinality (a Map is an Array of Tuple)
}

type kind int

const (
	kindFixed kind = iota
	kindString
	kindNullable
	kindArray
	kindTuple
	kindLowCardinality
)

// maxTypeDepth bounds the nesting of a type.
const maxTypeDepth = 32

var fixedSizes = map[string]int{
	"Int8": 1, "UInt8": 1, "Bool": 1, "Enum8": 1, "Nothing": 1,
	"Int16": 2, "UInt16": 2, "Enum16": 2, "Date": 2, "BFloat16": 2,
	"Int32": 4, "UInt32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "IPv4": 4, "Decimal32": 4, "Time": 4,
	"Int64": 8, "UInt64": 8, "Float64": 8, "DateTime64": 8, "Decimal64": 8, "Time64": 8,
	"Int128": 16, "UInt128": 16, "UUID": 16, "IPv6": 16, "Decimal128": 16,
	"Int256": 32, "UInt256": 32, "Decimal256": 32,
}

func parseType(s string) (*chType, error) { return parseTypeDepth(s, 0) }

func parseTypeDepth(s string, depth int) (*chType, error) {
	if depth > maxTypeDepth {
		return nil, fmt.Errorf("type is nested too deep")
	}
	s = strings.TrimSpace(s)
	name, args := s, []string(nil)
	if i := strings.IndexByte(s, '('); i > 0 && strings.HasSuffix(s, ")") {
		name, args = s[:i], splitArgs(s[i+1:len(s)-1])
	}
	nested := func(kind kind, list []string) (*chType, error) {
		t := &chType{kind: kind}
		for _, a := range list {
			c, err := parseTypeDepth(a, depth+1)
			if err != nil {
				return nil, err
			}
			t.args = append(t.args, c)
		}
		return t, nil
	}
	if n, ok := fixedSizes[name]; ok {
		return &chType{kind: kindFixed, size: n}, nil
	}
	if strings.HasPrefix(name, "Interval") {
		return &chType{kind: kindFixed, size: 8}, nil
	}
	switch {
	case name == "String":
		return &chType{kind: kindString}, nil
	case name == "FixedString" && len(args) == 1:
		n, err := strconv.Atoi(args[0])
		if err != nil || n <= 0 || n > 1<<20 {
			return nil, fmt.Errorf("bad type %q", s)
		}
		return &chType{kind: kindFixed, size: n}, nil
	case name == "Decimal" && len(args) >= 1:
		p, err := strconv.Atoi(args[0])
		if err != nil {
			return nil, fmt.Errorf("bad type %q", s)
		}
		n := 32
		switch {
		case p <= 9:
			n = 4
		case p <= 18:
			n = 8
		case p <= 38:
			n = 16
		}
		return &chType{kind: kindFixed, size: n}, nil
	case name == "Nullable" && len(args) == 1:
		return nested(kindNullable, args)
	case name == "LowCardinality" && len(args) == 1:
		return nested(kindLowCardinality, args)
	case name == "Array" && len(args) == 1:
		return nested(kindArray, args)
	case name == "Tuple":
		return nested(kindTuple, dropNames(args))
	case name == "SimpleAggregateFunction" && len(args) == 2:
		return parseTypeDepth(args[1], depth+1)
	case name == "Map" && len(args) == 2, name == "Nested":
		t, err := nested(kindTuple, dropNames(args))
		if err != nil {
			return nil, err
		}
		return &chType{kind: kindArray, args: []*chType{t}}, nil
	}
	return nil, fmt.Errorf("type %q is not served", s)
}

// splitArgs splits at the commas that are in no parenthesis and in no quotes.
func splitArgs(s string) []string {
	var out []string
	depth, start := 0, 0
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '`' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	if last := strings.TrimSpace(s[start:]); last != "" {
		out = append(out, last)
	}
	return out
}

// dropNames turns the elements "name Type" of a named tuple into "Type".
func dropNames(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if strings.HasPrefix(a, "`") {
			if end := strings.IndexByte(a[1:], '`'); end >= 0 {
				out[i] = strings.TrimSpace(a[end+2:])
			}
			continue
		}
		sp, par := strings.IndexByte(a, ' '), strings.IndexByte(a, '(')
		if sp > 0 && (par < 0 || sp < par) {
			out[i] = a[sp+1:]
		}
	}
	return out
}
