package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// SQLiteState keeps sessions and impersonations in an SQLite database.
type SQLiteState struct {
	// Path of the file; it and its directory are made when missing. One running server owns it.
	// Default: /var/lib/impersonate/state.db.
	Path string `json:"path,omitempty"`
}

// SetDefaults fills in what was left out.
func (s *SQLiteState) SetDefaults() { setDefault(&s.Path, DefaultStatePath) }

// Validate reports what is wrong.
func (s *SQLiteState) Validate() error { return validatePath("state sqlite", s.Path) }

// FileDirectory is a YAML file of accounts, read again whenever it changes.
type FileDirectory struct {
	// Path of the file. Required.
	Path string `json:"path"`
}

// Validate reports what is wrong.
func (f *FileDirectory) Validate() error { return validatePath("directory file", f.Path) }

// SQLiteSink keeps the record in an SQLite database.
type SQLiteSink struct {
	// Path of the file; it and its directory are made when missing. Default: /var/lib/impersonate/audit.db.
	Path string `json:"path,omitempty"`
}

// SetDefaults fills in what was left out.
func (s *SQLiteSink) SetDefaults() { setDefault(&s.Path, DefaultSQLitePath) }

// Validate reports what is wrong.
func (s *SQLiteSink) Validate() error { return validatePath("audit sqlite", s.Path) }

// ClickHouseSink keeps the record in ClickHouse.
type ClickHouseSink struct {
	// DSN is clickhouse://user:password@host:9000,host:9000/database?secure=true, of clickhouse-go's native
	// protocol. Required. Hosts are tried in turn. It is not dialled before the server runs; while no host answers,
	// the journal keeps the rows.
	DSN string `json:"dsn"`

	// Reader is the DSN of a user who may read: of an auditor, while that of DSN may only write. The gateway answers
	// auditors by it. Default: DSN.
	Reader string `json:"reader,omitempty"`

	// Maintainer is the DSN of a user who may delete, so that the gateway removes what is older than the retention. Without
	// one it deletes nothing, and the command `impersonate audit prune` does, run by somebody else.
	Maintainer string `json:"maintainer,omitempty"`
}

// Validate reports what is wrong. It never repeats the DSN, which holds a password.
func (c *ClickHouseSink) Validate() error {
	if err := validDSN("audit clickhouse", c.DSN); err != nil {
		return err
	}
	if c.Reader != "" {
		if err := validDSN("audit clickhouse reader", c.Reader); err != nil {
			return err
		}
	}
	if c.Maintainer != "" {
		return validDSN("audit clickhouse maintainer", c.Maintainer)
	}
	return nil
}

func validDSN(what, dsn string) error {
	const want = "write clickhouse://user:password@host:9000/impersonate"
	if dsn == "" {
		return errors.New(what + ": no address; " + want)
	}
	// url.Parse takes no list of hosts with ports: look at the rest with a single one.
	scheme, rest, ok := strings.Cut(dsn, "://")
	if !ok || !slices.Contains([]string{"clickhouse", "tcp"}, scheme) {
		return fmt.Errorf("%s: the address starts with neither clickhouse:// nor tcp://; %s", what, want)
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	for host := range strings.SplitSeq(hosts, ",") {
		// A bad password is in the error url.Parse makes: not passed on.
		u, err := url.Parse(scheme + "://" + user + host)
		if err != nil {
			return fmt.Errorf("%s: the address can't be read; percent-encode what is special in user and password (@ is %%40, : is %%3A, / is %%2F, %% is %%25), and %s", what, want)
		}
		if u.Hostname() == "" {
			return fmt.Errorf("%s: the address names no host; %s", what, want)
		}
	}
	return nil
}

// Place is the DSN without what is secret or changes nothing about where the rows are: hosts and database.
func (c *ClickHouseSink) Place() string {
	_, rest, _ := strings.Cut(c.DSN, "://")
	rest, _, _ = strings.Cut(rest, "?")
	authority, database, _ := strings.Cut(rest, "/")
	return authority[strings.LastIndexByte(authority, '@')+1:] + "/" + database
}

func setDefault(p *string, value string) {
	if *p == "" {
		*p = value
	}
}
