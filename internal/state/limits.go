package state

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrInvalid is returned when a record breaks a limit: too large, not UTF-8, a NUL inside, or a field missing that
// nothing can do without. The limits are far above what a well-behaved provider or app sends; they keep one that
// is not from filling the disk.
var ErrInvalid = errors.New("not storable")

// Limits of what is stored.
const (
	MaxText   = 16 << 10 // bytes of any one string
	MaxGroups = 10_000   // groups of one account, and attributes
	MaxSealed = 1 << 20  // bytes of a sealed blob, a key or a setting
	MaxList   = 1_000    // rows a listing gives at once

	MaxFavourites = 20 // of one actor
)

// Check tells whether the session can be stored.
func (s *Session) Check() error {
	if s.CreatedAt.IsZero() {
		return fmt.Errorf("session: %w: no CreatedAt", ErrInvalid)
	}
	return checks{
		{"issuer", s.Issuer},
		{"subject", s.Subject},
		{"user id", s.UserID},
		{"username", s.Username},
		{"name", s.Name},
		{"email", s.Email},
		{"sid", s.SID},
		{"acr", s.ACR},
		{"notice", s.Notice},
	}.check("session", s.Groups, s.Attributes, s.Sealed)
}

// Check tells whether the impersonation can be stored.
func (i *Impersonation) Check() error {
	if i.ID == "" || i.StartedAt.IsZero() {
		return fmt.Errorf("impersonation: %w: no ID or no StartedAt", ErrInvalid)
	}
	return checks{
		{"id", i.ID},
		{"site", i.Site},
		{"actor id", i.ActorID},
		{"actor username", i.ActorUsername},
		{"actor name", i.ActorName},
		{"target id", i.TargetID},
		{"target username", i.TargetUsername},
		{"target name", i.TargetName},
		{"mode", i.Mode},
		{"policy", i.Policy},
		{"reason", i.Reason},
		{"ticket", i.Ticket},
		{"return to", i.ReturnTo},
		{"request", i.Request},
		{"approved by", i.ApprovedBy},
		{"end cause", i.EndCause},
		{"ended by", i.EndedBy},
		{"reviewed by", i.ReviewedBy},
		{"review note", i.ReviewNote},
	}.check("impersonation", nil, nil, nil)
}

// Check tells whether the account can be stored.
func (u *SeenUser) Check() error {
	if u.Username == "" {
		return fmt.Errorf("seen user: %w: no username", ErrInvalid)
	}
	return checks{
		{"issuer", u.Issuer},
		{"subject", u.Subject},
		{"id", u.ID},
		{"username", u.Username},
		{"name", u.Name},
		{"email", u.Email},
	}.check("seen user", u.Groups, u.Attributes, nil)
}

// Check tells whether the jar can be stored.
func (j *Jar) Check() error {
	if j.Owner == "" {
		return fmt.Errorf("jar: %w: no owner", ErrInvalid)
	}
	return checks{{"owner", j.Owner}, {"host", j.Host}}.check("jar", nil, nil, j.Sealed)
}

// Check tells whether the key can be stored.
func (k *Key) Check() error {
	if k.Use == "" || k.ID == "" {
		return fmt.Errorf("key: %w: no use or no id", ErrInvalid)
	}
	return checks{{"use", k.Use}, {"id", k.ID}}.check("key", nil, nil, k.PKCS8)
}

// Check tells whether the notice can be stored.
func (n *Notice) Check() error {
	if n.ID == "" || n.Via == "" || n.CreatedAt.IsZero() || n.DueAt.IsZero() {
		return fmt.Errorf("notice: %w: no id, no notifier or no time", ErrInvalid)
	}
	return checks{{"id", n.ID}, {"via", n.Via}, {"error", n.Error}}.check("notice", nil, nil, n.Body)
}

// Check tells whether the word can be stored.
func (b *Bell) Check() error {
	if b.Username == "" || b.ImpersonationID == "" || b.CreatedAt.IsZero() {
		return fmt.Errorf("bell: %w: no username, no impersonation or no time", ErrInvalid)
	}
	return checks{{"username", b.Username}, {"impersonation", b.ImpersonationID}}.check("bell", nil, nil, nil)
}

// Check tells whether the lock can be stored.
func (l *Lock) Check() error {
	if l.ActorUsername == "" || l.TargetUsername == "" || l.CreatedAt.IsZero() {
		return fmt.Errorf("lock: %w: no actor, no target or no time", ErrInvalid)
	}
	return checks{{"actor", l.ActorUsername}, {"target", l.TargetUsername}, {"impersonation", l.ImpersonationID}}.check("lock", nil, nil, nil)
}

// Check tells whether the mark can be stored.
func (f *Favourite) Check() error {
	if f.ActorUsername == "" || f.TargetUsername == "" || f.CreatedAt.IsZero() {
		return fmt.Errorf("favourite: %w: no actor, no target or no time", ErrInvalid)
	}
	return checks{{"actor", f.ActorUsername}, {"target", f.TargetUsername}, {"target id", f.TargetID}}.check("favourite", nil, nil, nil)
}

// CheckLanguage tells whether a person's language can be stored.
func CheckLanguage(username, language string) error {
	if username == "" || language == "" {
		return fmt.Errorf("language: %w: no username or no language", ErrInvalid)
	}
	return checks{{"username", username}, {"language", language}}.check("language", nil, nil, nil)
}

// CheckSetting tells whether the setting can be stored.
func CheckSetting(name, value string) error {
	if err := (checks{{"name", name}}).check("setting", nil, nil, []byte(value)); err != nil {
		return err
	}
	if !storable(value) {
		return fmt.Errorf("setting %s: %w: not UTF-8, or a NUL inside", name, ErrInvalid)
	}
	return nil
}

type checks []struct{ field, value string }

func (c checks) check(what string, groups []string, attributes map[string]string, blob []byte) error {
	bad := func(field, why string) error { return fmt.Errorf("%s: %w: %s: %s", what, ErrInvalid, field, why) }
	for _, f := range c {
		if why := badText(f.value); why != "" {
			return bad(f.field, why)
		}
	}
	if len(groups) > MaxGroups {
		return bad("groups", "too many")
	}
	total := 0
	for _, g := range groups {
		if why := badText(g); why != "" {
			return bad("groups", why)
		}
		total += len(g)
	}
	if len(attributes) > MaxGroups {
		return bad("attributes", "too many")
	}
	for k, v := range attributes {
		if why := badText(k) + badText(v); why != "" {
			return bad("attributes", why)
		}
		total += len(k) + len(v)
	}
	if total > MaxSealed {
		return bad("groups and attributes", "too large")
	}
	if len(blob) > MaxSealed {
		return bad("data", "too large")
	}
	return nil
}

func badText(s string) string {
	switch {
	case len(s) > MaxText:
		return "too long"
	case !storable(s):
		return "not UTF-8, or a NUL inside"
	}
	return ""
}

// storable: PostgreSQL takes neither in text, and no backend may differ from the others.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
