package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
)

// block reads the options of one block and refuses what a block of Caddy's would let pass: an option given twice, a
// missing or left-over value, a block where none belongs.
type block struct {
	*caddyfile.Dispenser
	// name of the block as the operator knows it: "oidc", "policy support".
	name string
	// options it has, in the order its messages list them.
	options []string
	seen    map[string]int // line of what was given, by option and what tells it from others
}

// readBlock calls f for each option in the block that must follow, with the option as the current token.
func readBlock(d *caddyfile.Dispenser, name string, options []string, f func(b *block, option string) error) error {
	b := &block{Dispenser: d, name: name, options: options, seen: make(map[string]int)}
	if d.NextArg() {
		return d.Errf("%s: unexpected %q; its options go into a block: %s { … }", name, d.Val(), name)
	}
	lead, _, _ := strings.Cut(name, " ")
	opened := false
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		opened = true
		option := d.Val()
		if err := refuseUnbuilt(d, lead, option); err != nil {
			return err
		}
		if err := f(b, option); err != nil {
			return err
		}
	}
	if !opened {
		return d.Errf("%s: no options; write them in a block: %s { … }, among them %s", name, name, strings.Join(options, ", "))
	}
	return nil
}

// unknown refuses an option that the block does not have.
func (b *block) unknown(option string) error {
	return b.Errf("%s: unrecognized option %q; the options are %s", b.name, option, strings.Join(b.options, ", "))
}

// once refuses what was given before in this block. The words say what it is, such as "actor", "group".
func (b *block) once(words ...string) error {
	key := strings.Join(words, " ")
	if line, ok := b.seen[key]; ok {
		return b.Errf("%s: %s is already specified on line %d; remove one", b.name, key, line)
	}
	b.seen[key] = b.Line()
	return nil
}

// value reads the one value of an option that can be given once.
func (b *block) value(option string, into *string, example string) error {
	if err := b.once(option); err != nil {
		return err
	}
	vs, err := b.values(option, 1, 1, option+" "+example)
	if err != nil {
		return err
	}
	*into = vs[0]
	return nil
}

// duration reads an option whose value is a length of time.
func (b *block) duration(option string, into *config.Duration, example string) error {
	var s string
	if err := b.value(option, &s, example); err != nil {
		return err
	}
	d, err := config.ParseDuration(s)
	if err != nil {
		return b.Errf("%s: %s: %w", b.name, option, err)
	}
	*into = d
	return nil
}

// values reads the rest of the option's line: at least low values and, unless high is negative, at most high.
func (b *block) values(option string, low, high int, example string) ([]string, error) {
	vs := b.RemainingArgs()
	if len(vs) < low {
		return nil, b.Errf("%s: %s: a value is missing; write such as: %s", b.name, option, example)
	}
	if high >= 0 && len(vs) > high {
		return nil, b.Errf("%s: %s: unexpected %q; write such as: %s", b.name, option, vs[high], example)
	}
	for _, v := range vs {
		if v == "" {
			return nil, b.Errf("%s: %s: a value is empty; write such as: %s", b.name, option, example)
		}
	}
	return vs, b.noBlock(option)
}

// words reads the rest of the option's line: words of a closed set, some of which may not be built yet.
func (b *block) words(option string, example string, known []string) ([]string, error) {
	vs, err := b.values(option, 1, -1, example)
	if err != nil {
		return nil, err
	}
	for i, v := range vs {
		if err := refuseUnbuilt(b.Dispenser, option, v); err != nil {
			return nil, err
		}
		if !slices.Contains(known, v) {
			return nil, b.Errf("%s: %s: %q is not known; write %s", b.name, option, v, strings.Join(known, " or "))
		}
		if slices.Contains(vs[:i], v) {
			return nil, b.Errf("%s: %s: %s is already specified; remove one", b.name, option, v)
		}
	}
	return vs, nil
}

// noBlock refuses a block after an option that has none.
func (b *block) noBlock(option string) error {
	if hasBlock(b.Dispenser) {
		return b.Errf("%s: %s takes no block; remove { … }", b.name, option)
	}
	return nil
}

// match reads `KIND NAME…` into m, where KIND is group, user, attribute or one of more. What tells whose it is in messages.
func (b *block) match(what string, m *config.Match, more ...string) error {
	example := what + " group support"
	if !b.NextArg() {
		return b.Errf("%s: %s: a value is missing; write such as: %s", b.name, what, example)
	}
	kind := b.Val()
	known := append([]string{"group", "user", "attribute"}, more...)
	if !slices.Contains(known, kind) {
		last := len(known) - 1
		return b.Errf("%s: %s: %q is not known; write %s or %s, then names: %s", b.name, what, kind, strings.Join(known[:last], ", "), known[last], example)
	}
	if kind == "attribute" {
		return b.attribute(what, m)
	}
	if err := b.once(what, kind); err != nil {
		return err
	}
	var into *[]string
	switch kind {
	case "group":
		into = &m.Groups
	case "user":
		into = &m.Users
	case "role":
		into = &m.Roles
	case "own_groups":
		into = &m.OwnGroups
	case "groups_in":
		v, err := b.values(what+" "+kind, 1, 1, what+" groups_in supervises")
		if err != nil {
			return err
		}
		m.GroupsIn = v[0]
		return nil
	}
	names, err := b.values(what+" "+kind, 1, -1, example)
	if err != nil {
		return err
	}
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return b.Errf("%s: %s %s: %s is already specified; remove one", b.name, what, kind, n)
		}
	}
	*into = names
	return nil
}

// attribute reads `attribute NAME VALUE…` into m, the current token being its first word.
func (b *block) attribute(what string, m *config.Match) error {
	v, err := b.values(what+" attribute", 2, -1, what+" attribute department support")
	if err != nil {
		return err
	}
	if err := b.once(what, "attribute", v[0]); err != nil {
		return err
	}
	for i, one := range v[1:] {
		if slices.Contains(v[1:][:i], one) {
			return b.Errf("%s: %s attribute %s: %s is already specified; remove one", b.name, what, v[0], one)
		}
	}
	if m.Attributes == nil {
		m.Attributes = make(map[string][]string)
	}
	m.Attributes[v[0]] = v[1:]
	return nil
}

// refuseUnbuilt says so when the word, after those that lead to it, belongs to the grammar but not to this version.
func refuseUnbuilt(d *caddyfile.Dispenser, lead, word string) error {
	for _, key := range []string{lead + " " + word, lead + " *"} {
		if slices.Contains(unbuilt, key) {
			return d.WrapErr(fmt.Errorf("%s %s is not available in this version; remove it", lead, word))
		}
	}
	return nil
}

// hasBlock tells whether the current line ends in a block.
func hasBlock(d *caddyfile.Dispenser) bool {
	look := *d
	// An empty block is passed over, and no block is an iteration of it.
	return look.NextBlock(look.Nesting()) || look.Line() != d.Line() || look.Val() != d.Val()
}

// one reads what follows a guest module's name: a single value, required or not.
func one(d *caddyfile.Dispenser, what string, into *string, example string, required bool) error {
	args := d.RemainingArgs()
	switch {
	case len(args) > 1:
		return d.Errf("%s: unexpected %q; write such as: %s %s", what, args[1], what, example)
	case required && len(args) == 0, len(args) == 1 && args[0] == "":
		return d.Errf("%s: a value is missing; write such as: %s %s", what, what, example)
	case len(args) == 1:
		*into = args[0]
	}
	if hasBlock(d) {
		return d.Errf("%s takes no block; remove { … }", what)
	}
	return nil
}
