// Package directory is who exists and who is active, merged from sources in order of trust. It answers from
// memory: a lookup on every request, a search on every keystroke.
package directory

import (
	"context"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// User is an account and what the directory knows of it. Immutable.
type User struct {
	identity.Identity
	Active bool
	// Source names the most trusted source that has it.
	Source string
}

// Source is one place that knows accounts: a file, the logins seen, SCIM, LDAP, a table.
type Source interface {
	// Name is for people: `file /etc/impersonate/users.yaml`.
	Name() string
	// Users returns all accounts, or nil and no error when nothing changed since the last call. On an error the
	// directory keeps what it had and reports it.
	Users(ctx context.Context) ([]User, error)
}

// Page is a piece of a search's answer, ordered by name.
type Page struct {
	Users []*User
	// Next is where the next page starts; empty: there is none.
	Next string
	// Total counts all accounts the query matches.
	Total int
}
