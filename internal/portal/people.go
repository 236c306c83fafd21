package portal

import (
	"hash/fnv"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

const (
	faceColours = 8
	// What a page shows of a name or a group, in characters, and how many groups: the rest is cut off. A directory
	// may hold anything, and a page stays below 60 kB.
	maxShown  = 80
	maxChip   = 24
	maxGroups = 5
)

// face is an account as a page draws it.
type face struct {
	Key                   string // tells accounts of one page apart in element ids
	Name, Username, Email string
	Groups                []string
	Initials, Colour      string
	Active                bool
}

func (t *texts) face(i *identity.Identity, active bool) *face {
	h := fnv.New64a()
	_, _ = h.Write([]byte(identity.Key(i.Username)))
	sum := h.Sum64()
	f := &face{
		Key:  strconv.FormatUint(sum, 36),
		Name: shown(i.DisplayName(), maxShown), Username: shown(i.Username, maxShown), Email: shown(i.Email, maxShown),
		Colour: "c" + strconv.FormatUint(sum%faceColours, 10),
		Active: active,
	}
	if f.Name == "" {
		f.Name = f.Username
	}
	f.Initials = initials(f.Name)
	for n, g := range i.Groups {
		if n == maxGroups {
			f.Groups = append(f.Groups, t.MoreGroups(len(i.Groups)-n))
			break
		}
		f.Groups = append(f.Groups, shown(g, maxChip))
	}
	return f
}

// shown is what may be drawn of a name: no controls, none of the invisible characters that turn the direction of a
// line around (so that "Log in as …" names somebody else), at most n characters.
func shown(s string, n int) string {
	if s == "" {
		return ""
	}
	var b strings.Builder
	left := n
	for _, r := range s {
		if left == 0 {
			b.WriteRune('…')
			break
		}
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), r == '\u2028', r == '\u2029':
			r = ' '
		case unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d':
			continue
		}
		b.WriteRune(r)
		left--
	}
	return strings.TrimSpace(b.String())
}

// initials are the first letters of the first and the last word; of a single word, its first.
func initials(name string) string {
	var first, last rune
	for _, word := range strings.Fields(name) {
		i := strings.IndexFunc(word, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
		if i < 0 {
			continue
		}
		r, _ := utf8.DecodeRuneInString(word[i:])
		if first == 0 {
			first = r
		} else {
			last = r
		}
	}
	switch {
	case first == 0:
		return "?"
	case last == 0:
		return string(unicode.ToUpper(first))
	}
	return string(unicode.ToUpper(first)) + string(unicode.ToUpper(last))
}
