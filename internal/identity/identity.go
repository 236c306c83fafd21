// Package identity is who a request is made as: the [Identity], how it is put on a request's headers without
// leaving anything a client sent ([Headers]), and the signed assertion of it ([Signer]).
package identity

import (
	"slices"
	"strings"
)

// Identity is one account's facts, as the app is told them. All identity headers of a request come from one
// Identity value: it is immutable once built, and shared.
type Identity struct {
	// ID is stable for the life of the account: the directory's id, else the issuer's subject.
	ID string
	// Username is what the app knows the account by, and what sources and login are joined on ([Key]).
	Username string
	Name     string
	Email    string
	Groups   []string
	// Attributes are further facts by name, such as department; for placeholders and policy conditions.
	Attributes map[string]string
}

// Key is the form of a username under which accounts are joined: two spellings with the same key are one account.
func Key(username string) string { return strings.ToLower(strings.TrimSpace(username)) }

// InGroup tells whether the account is in any of the groups.
func (i *Identity) InGroup(groups ...string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(i.Groups, g) })
}

// DisplayName is the name, or the username where there is none.
func (i *Identity) DisplayName() string {
	if i.Name != "" {
		return i.Name
	}
	return i.Username
}

// Get is the value of the placeholder {impersonate.user.FIELD}: id, username, name, email, groups (joined by
// commas), else the attribute of that name. The second result is false for a field the account does not have.
func (i *Identity) Get(field string) (string, bool) {
	switch field {
	case "id":
		return i.ID, true
	case "username":
		return i.Username, true
	case "name":
		return i.Name, true
	case "email":
		return i.Email, true
	case "groups":
		return strings.Join(i.Groups, ","), true
	}
	v, ok := i.Attributes[field]
	return v, ok
}
