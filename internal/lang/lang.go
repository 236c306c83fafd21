// Package lang chooses the language of what a person reads. The gateway speaks five; a page asks for one by the
// browser's Accept-Language, an email by what its reader's browser last asked for.
package lang

import (
	"strconv"
	"strings"
)

// Default is what those get who ask for none of the languages there are.
const Default = "en"

// All are the languages there are, the default first.
var All = [...]string{Default, "de", "fr", "es", "ja"}

// Of chooses by an Accept-Language header (RFC 9110, section 12.5.4): of ours the one with the highest weight, the
// first of equals.
func Of(accept string) string {
	best, weight := Default, 0.0
	for range 16 { // a longer list is nobody's preference
		if accept == "" {
			break
		}
		var one string
		one, accept, _ = strings.Cut(accept, ",")
		name, params, weighted := strings.Cut(one, ";")
		name, _, _ = strings.Cut(strings.TrimSpace(name), "-")
		q := 1.0
		if weighted {
			v, ok := strings.CutPrefix(strings.TrimSpace(params), "q=")
			f, err := strconv.ParseFloat(v, 64)
			if !ok || err != nil {
				continue
			}
			q = f
		}
		if q <= weight {
			continue
		}
		for _, l := range All {
			if strings.EqualFold(l, name) {
				best, weight = l, q
			}
		}
	}
	return best
}

// Texts are the words of one part of the gateway, by language. Every language of [All] has to be there.
type Texts[T any] map[string]T

// In are the words in a language, or in the default.
func (t Texts[T]) In(language string) T {
	if words, ok := t[language]; ok {
		return words
	}
	return t[Default]
}
