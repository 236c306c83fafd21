package sql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

// facts are the columns with a meaning of their own.
var facts = []string{"id", "username", "name", "email", "active", "groups"}

const (
	maxColumns     = 106
	maxValue       = 64 << 10   // of one column, in bytes
	maxMemberships = 10_000_000 // rows of the second query
)

func (s *Source) accounts(ctx context.Context, tx *sql.Tx) ([]directory.User, error) {
	rows, err := tx.QueryContext(ctx, s.Query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, types, err := columns(rows, "username")
	if err != nil {
		return nil, err
	}
	if len(names) > maxColumns {
		return nil, fmt.Errorf("%d columns; at most %d", len(names), maxColumns)
	}
	users := []directory.User{}
	for rows.Next() {
		if len(users) == s.Limit {
			return nil, fmt.Errorf("more than %d accounts; narrow the query, or raise limit", s.Limit)
		}
		values, err := scan(rows, len(names))
		if err != nil {
			return nil, err
		}
		u := directory.User{Active: true}
		for i, name := range names {
			if err := s.set(&u, name, types[i], values[i]); err != nil {
				return nil, fmt.Errorf("row %d: column %s: %w", len(users)+1, name, err)
			}
		}
		users = append(users, u)
	}
	return users, rows.Err()
}

// scan reads a row as what the driver gives.
func scan(rows *sql.Rows, n int) ([]any, error) {
	values, into := make([]any, n), make([]any, n)
	for i := range values {
		into[i] = &values[i]
	}
	return values, rows.Scan(into...)
}

func (s *Source) set(u *directory.User, name, kind string, v any) (err error) {
	text := func(into *string) error {
		*into, err = textOf(v)
		return err
	}
	switch name {
	case "id":
		return text(&u.ID)
	case "username":
		return text(&u.Username)
	case "name":
		return text(&u.Name)
	case "email":
		return text(&u.Email)
	case "active":
		u.Active, err = boolOf(v)
		return err
	case "groups":
		u.Groups, err = s.groupsOf(kind, v)
		return err
	}
	if u.Attributes == nil {
		u.Attributes = map[string]string{}
	}
	if v == nil {
		return nil
	}
	var value string
	if err := text(&value); err != nil {
		return err
	}
	u.Attributes[name] = value
	return nil
}

// textOf writes a value as a person would; NULL is empty.
func textOf(v any) (string, error) {
	var s string
	switch v := v.(type) {
	case nil:
	case string:
		s = v
	case []byte:
		s = string(v)
	case int64:
		s = strconv.FormatInt(v, 10)
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		s = strconv.FormatBool(v)
	case time.Time:
		s = v.UTC().Format(time.RFC3339)
	default:
		s = fmt.Sprint(v)
	}
	if len(s) > maxValue {
		return "", fmt.Errorf("%d bytes; at most %d", len(s), maxValue)
	}
	return s, nil
}

// boolOf reads whether an account is active. NULL is not; what is neither yes nor no is an error, since a wrong guess
// would let someone in.
func boolOf(v any) (bool, error) {
	if b, ok := v.([]byte); ok && len(b) == 1 && b[0] <= 1 { // MySQL's BIT(1)
		return b[0] == 1, nil
	}
	s, err := textOf(v)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "t", "true", "y", "yes", "on", "active", "enabled":
		return true, nil
	case "", "0", "f", "false", "n", "no", "off", "inactive", "disabled":
		return false, nil
	}
	return false, fmt.Errorf("%.40q is neither true nor false; write it so in the query, such as (status = 'ok') AS active", s)
}

// groupsOf reads groups: an array of PostgreSQL, a list in JSON, or names with a separator. NULL is unknown.
func (s *Source) groupsOf(kind string, v any) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	text, err := textOf(v)
	if err != nil {
		return nil, err
	}
	var all []string
	switch {
	case s.kind == postgresKind && strings.HasPrefix(kind, "_"):
		if err := pgtype.NewMap().SQLScanner(&all).Scan(text); err != nil {
			return nil, errors.New("not an array of text")
		}
	case strings.HasPrefix(text, "["):
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, errors.New("not a list of text in JSON")
		}
	default:
		all = strings.Split(text, s.Separator)
	}
	groups := []string{}
	for _, g := range all {
		if g = strings.TrimSpace(g); g != "" && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// memberships adds the groups of the second query: its first column is the account's id, or username where the first
// query has no id; its second the group.
func (s *Source) memberships(ctx context.Context, tx *sql.Tx, users []directory.User) error {
	rows, err := tx.QueryContext(ctx, s.GroupsQuery)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	if len(names) != 2 {
		return fmt.Errorf("%d columns; write two: the account's id (username, if query has no id), and the group", len(names))
	}
	byID := make(map[string]*directory.User, len(users))
	for i := range users {
		u := &users[i]
		if u.Groups == nil {
			u.Groups = []string{}
		}
		if id := u.ID; id != "" {
			byID[id] = u
		} else {
			byID[u.Username] = u
		}
	}
	texts := map[string]string{}
	for n := 0; rows.Next(); n++ {
		if n == maxMemberships {
			return fmt.Errorf("more than %d rows", maxMemberships)
		}
		values, err := scan(rows, 2)
		if err != nil {
			return err
		}
		id, idErr := textOf(values[0])
		group, groupErr := textOf(values[1])
		if err := errors.Join(idErr, groupErr); err != nil {
			return err
		}
		u := byID[id]
		if u == nil || group == "" || slices.Contains(u.Groups, group) {
			continue
		}
		if known, ok := texts[group]; ok {
			group = known // a name that thousands have is kept once
		} else {
			texts[group] = group
		}
		u.Groups = append(u.Groups, group)
	}
	return rows.Err()
}
