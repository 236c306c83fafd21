package state

import (
	"fmt"
	"time"
)

// SCIMResource is an account or a group that an identity provider keeps here by SCIM.
type SCIMResource struct {
	Kind string // "User" or "Group"
	ID   string
	// Name is the userName or displayName as it is compared; no two of a kind have the same.
	Name string
	// Body is the resource in JSON.
	Body []byte
	// Version counts from 1.
	Version    int64
	CreatedAt  time.Time
	ModifiedAt time.Time
}

// Check tells whether the resource can be stored.
func (r *SCIMResource) Check() error {
	if r.Kind == "" || r.ID == "" || r.Name == "" || r.Version < 1 || r.CreatedAt.IsZero() {
		return fmt.Errorf("SCIM resource: %w: no Kind, ID, Name, Version or CreatedAt", ErrInvalid)
	}
	return checks{{"kind", r.Kind}, {"id", r.ID}, {"name", r.Name}}.check("SCIM resource", nil, nil, r.Body)
}
