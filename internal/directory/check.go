package directory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of an account's fields, in bytes. They are far above what directories hold, and keep headers, pages and the
// index small.
const (
	maxUsers     = 1_000_000 // in one file
	maxUsername  = 256
	maxID        = 256
	maxName      = 1024
	maxEmail     = 320
	maxGroups    = 1000
	maxGroup     = 256
	maxAttrs     = 100
	maxAttrName  = 64
	maxAttrValue = 4096
)

// CheckUsername tells why a string can't be a username: it must not be one a person can't tell from another, nor one
// that breaks a header or a line of the log.
func CheckUsername(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case strings.TrimSpace(s) != s:
		return errors.New("begins or ends with a space")
	}
	for _, r := range s {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || unicode.Is(unicode.Zs, r) && r != ' ' {
			return errors.New("has an invisible character")
		}
	}
	return checkText(s, maxUsername)
}

// check tells why an account can't be used. A name, an email, a group or an attribute that can't be is left out instead:
// no decision is made on a name, no rule can name such a group, and a condition on an attribute that is not there refuses.
func (u *User) check() error {
	if err := CheckUsername(u.Username); err != nil {
		return fmt.Errorf("the username %.80q %w", u.Username, err)
	}
	if u.ID == "" {
		u.ID = u.Username
	}
	if err := checkText(u.ID, maxID); err != nil {
		return fmt.Errorf("%s: the id %w", u.Username, err)
	}
	if len(u.Groups) > maxGroups {
		return fmt.Errorf("%s: %d groups; at most %d", u.Username, len(u.Groups), maxGroups)
	}
	if unusable := func(g string) bool { return g == "" || checkText(g, maxGroup) != nil }; slices.ContainsFunc(u.Groups, unusable) {
		u.Groups = slices.DeleteFunc(slices.Clone(u.Groups), unusable) // an empty list stays one: known to be empty
	}
	if checkText(u.Name, maxName) != nil {
		u.Name = ""
	}
	if checkText(u.Email, maxEmail) != nil {
		u.Email = ""
	}
	if len(u.Attributes) > maxAttrs {
		return fmt.Errorf("%s: %d attributes; at most %d", u.Username, len(u.Attributes), maxAttrs)
	}
	for name, value := range u.Attributes {
		if !attrName(name) || checkText(value, maxAttrValue) != nil {
			u.Attributes = maps.Clone(u.Attributes)
			maps.DeleteFunc(u.Attributes, func(name, value string) bool { return !attrName(name) || checkText(value, maxAttrValue) != nil })
			break
		}
	}
	return nil
}

// checkText tells why a string can't be any field.
func checkText(s string, limit int) error {
	switch {
	case len(s) > limit:
		return errors.New("is too long")
	case !utf8.ValidString(s):
		return errors.New("is not UTF-8")
	}
	for _, r := range s {
		switch {
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return errors.New("has a control character")
		case r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069':
			// They turn the text around them: a banner could read as another's name.
			return errors.New("has a character that changes the direction of text")
		}
	}
	return nil
}
