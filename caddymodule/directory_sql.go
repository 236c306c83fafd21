package caddymodule

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory/sql"
)

func init() {
	caddy.RegisterModule(SQLDirectory{})
}

// SQLDirectory is the app's own table of accounts: in PostgreSQL, MySQL, MariaDB or SQLite, asked by a query. While the
// database is down, its last facts count for a while.
type SQLDirectory struct {
	config.SQLDirectory
}

// CaddyModule implements [caddy.Module].
func (SQLDirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.directories.sql", New: func() caddy.Module { return new(SQLDirectory) }}
}

// Provision implements [caddy.Provisioner].
func (s *SQLDirectory) Provision(caddy.Context) error {
	s.SetDefaults()
	if err := resolve("directory sql", &s.URL); err != nil {
		return err
	}
	for option, path := range map[string]*string{" ca": &s.CA, " client_cert": &s.ClientCert, " client_cert's key": &s.ClientKey} {
		if err := resolvePath("directory sql"+option, path); err != nil {
			return err
		}
	}
	return nil
}

// Validate checks the settings. It dials nothing.
func (s *SQLDirectory) Validate() error {
	if err := s.SQLDirectory.Validate(); err != nil {
		return err
	}
	source, err := sql.New(s.options())
	if err != nil {
		return fmt.Errorf("directory sql: %w", err)
	}
	return source.Close()
}

func (s *SQLDirectory) options() sql.Options {
	return sql.Options{
		URL: s.URL, CA: s.CA, ClientCert: s.ClientCert, ClientKey: s.ClientKey, Query: s.Query, GroupsQuery: s.GroupsQuery, Separator: s.Separator,
		Timeout: s.Timeout.Std(), Every: s.Every.Std(), Keep: s.Keep.Std(), Limit: s.Limit,
	}
}

// OpenSource implements [SourceOpener].
func (s *SQLDirectory) OpenSource(context.Context, Env) (Source, error) {
	source, err := sql.New(s.options())
	if err != nil {
		return nil, fmt.Errorf("directory sql: %w", err)
	}
	return source, nil
}

// UnmarshalCaddyfile reads what follows directory. Syntax:
//
//	directory sql <url> {
//	    query        <query>
//	    groups_query <query>
//	    separator    <text>
//	    ca           <file>
//	    client_cert  <file> <key-file>
//	    every        <duration>
//	    keep         <duration>
//	    timeout      <duration>
//	    limit        <number>
//	}
func (s *SQLDirectory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	const what = "directory sql"
	args := d.RemainingArgs()
	switch {
	case len(args) == 0 || args[0] == "":
		return d.Errf("%s: a value is missing; write such as: %s postgres://reader@db/app { … }", what, what)
	case len(args) > 1:
		return d.Errf("%s: unexpected %q; its options go into a block: %s { … }", what, args[1], what)
	}
	s.URL = args[0]
	options := append([]string{"query", "groups_query", "separator", "ca", "client_cert"}, pollingOptions...)
	err := readBlock(d, what, options, func(b *block, option string) error {
		switch option {
		case "query":
			return b.value(option, &s.Query, `"SELECT id, login AS username, active FROM users"`)
		case "groups_query":
			return b.value(option, &s.GroupsQuery, `"SELECT user_id, group_name FROM memberships"`)
		case "separator":
			return b.value(option, &s.Separator, `";"`)
		case "ca":
			return b.value(option, &s.CA, "/etc/ssl/db-ca.pem")
		case "client_cert":
			if err := b.once(option); err != nil {
				return err
			}
			files, err := b.values(option, 2, 2, option+" /etc/ssl/reader.pem /etc/ssl/reader-key.pem")
			if err != nil {
				return err
			}
			s.ClientCert, s.ClientKey = files[0], files[1]
			return nil
		}
		return parsePolling(b, option, &s.Polling)
	})
	if err != nil {
		return err
	}
	if s.Query == "" {
		return d.Errf(`%s: query is missing; write such as query "SELECT id, login AS username, active FROM users"`, what)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SQLDirectory)(nil)
	_ caddy.Validator       = (*SQLDirectory)(nil)
	_ caddyfile.Unmarshaler = (*SQLDirectory)(nil)
	_ SourceOpener          = (*SQLDirectory)(nil)
)
