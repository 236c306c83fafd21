// Package sql reads accounts from a table of the app's own: PostgreSQL, MySQL, MariaDB or SQLite, by a query that the
// operator writes. Columns are known by their names.
//
// It only reads: in a transaction the database itself keeps from writing, with a limit on time and on rows.
package sql

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

// Options are where the accounts are and how they are asked for. CA, ClientCert with ClientKey, GroupsQuery and Separator are optional.
type Options struct {
	// URL is postgres://user:password@host:5432/database, mysql:// or mariadb:// likewise, or sqlite:///path.
	URL string
	// CA is a file of PEM certificates to trust instead of the system's; with it, the connection is encrypted.
	CA string
	// ClientCert and ClientKey are files of the PEM certificate to show the server, and of its key; with them, the connection is
	// encrypted. They are read again for each connection.
	ClientCert, ClientKey string
	// Query gives a row for each account: a column username, and optionally id, name, email, active and groups; others
	// are attributes.
	Query string
	// GroupsQuery gives a row for each membership: an account's id (or username, without one), and the group's name.
	GroupsQuery string
	// Separator stands between the groups in the column groups, unless that is an array; default: a comma.
	Separator string
	// Timeout bounds a reading, Every is how often accounts are read, Keep how long the last reading counts.
	Timeout, Every, Keep time.Duration
	// Limit is how many accounts are read; more is an error.
	Limit int
}

// Source is a database of accounts.
type Source struct {
	Options
	kind string
	db   *sql.DB
}

const (
	postgresKind = "postgres"
	mysqlKind    = "mysql"
	sqliteKind   = "sqlite"
)

// New is the source with these options. Nothing is dialled or opened before Users; only CA, ClientCert and ClientKey are read. Errors don't
// repeat the URL, which may hold a password.
func New(o Options) (*Source, error) {
	if o.Separator == "" {
		o.Separator = ","
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("the address can't be read; percent-encode what is special in user and password (@ is %40, : is %3A, / is %2F, % is %25)")
	}
	s := &Source{Options: o}
	var pool driver.Connector
	switch u.Scheme {
	case "postgres", "postgresql":
		s.kind = postgresKind
		pool, err = s.postgres()
	case "mysql", "mariadb":
		s.kind = mysqlKind
		pool, err = s.mysql(u)
	case "sqlite":
		s.kind = sqliteKind
		s.db, err = openSQLite(u)
	default:
		err = errors.New("the address starts with none of postgres://, mysql://, mariadb:// and sqlite://")
	}
	if err != nil {
		return nil, err
	}
	if pool != nil {
		s.db = sql.OpenDB(pool)
	}
	s.db.SetMaxOpenConns(1)
	s.db.SetMaxIdleConns(1)
	s.db.SetConnMaxIdleTime(2 * o.Every)
	s.db.SetConnMaxLifetime(time.Hour) // addresses and passwords change
	return s, nil
}

func (s *Source) postgres() (driver.Connector, error) {
	cfg, err := pgx.ParseConfig(s.URL)
	if err != nil {
		return nil, errors.New("the address is none that PostgreSQL knows; write such as postgres://reader:password@host:5432/database?sslmode=verify-full")
	}
	if s.encrypts() {
		if cfg.TLSConfig, err = s.tlsConfig(cfg.Host); err != nil {
			return nil, err
		}
		for _, f := range cfg.Fallbacks { // sslmode=prefer would go on without
			if f.TLSConfig, err = s.tlsConfig(f.Host); err != nil {
				return nil, err
			}
		}
	}
	cfg.ConnectTimeout = s.Timeout
	cfg.RuntimeParams["default_transaction_read_only"] = "on"
	cfg.RuntimeParams["statement_timeout"] = strconv.FormatInt(s.Timeout.Milliseconds(), 10)
	cfg.RuntimeParams["application_name"] = "caddy-impersonate"
	return stdlib.GetConnector(*cfg), nil
}

func (s *Source) mysql(u *url.URL) (driver.Connector, error) {
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "3306"
	}
	// The driver reads the options in its own form of an address.
	cfg, err := mysql.ParseDSN("/?" + u.RawQuery)
	if err != nil || host == "" {
		return nil, errors.New("the address is none that MySQL knows; write such as mysql://reader:password@host:3306/database?tls=true")
	}
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", net.JoinHostPort(host, port), strings.TrimPrefix(u.Path, "/")
	cfg.MultiStatements, cfg.AllowAllFiles, cfg.ParseTime = false, false, false
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = s.Timeout, s.Timeout, s.Timeout
	cfg.Logger = &mysql.NopLogger{}
	if s.encrypts() {
		if cfg.TLS, err = s.tlsConfig(host); err != nil {
			return nil, err
		}
		cfg.TLSConfig = ""
	}
	return mysql.NewConnector(cfg)
}

func openSQLite(u *url.URL) (*sql.DB, error) {
	if u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
		return nil, errors.New("a file of SQLite is given by its absolute path alone; write such as sqlite:///var/lib/app/app.db")
	}
	file := url.URL{Scheme: "file", Path: u.Path, RawQuery: "mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(2000)"}
	return sql.Open("sqlite", file.String())
}

// encrypts tells whether the options ask for it; else the address says.
func (s *Source) encrypts() bool { return s.CA != "" || s.ClientCert != "" }

func (s *Source) tlsConfig(host string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("reading ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading ca: %s has no certificate in PEM", s.CA)
		}
	}
	if s.ClientCert != "" {
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(s.ClientCert, s.ClientKey)
			if err != nil {
				return nil, fmt.Errorf("reading client_cert: %w", err)
			}
			return &cert, nil
		}
		if _, err := load(nil); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = load
	}
	return cfg, nil
}

// Close closes its connection.
func (s *Source) Close() error { return s.db.Close() }

// Name implements [directory.Source].
func (s *Source) Name() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "sql"
	}
	return "sql " + (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Every implements [directory.PacedSource].
func (s *Source) Every() time.Duration { return s.Options.Every }

// Keep implements [directory.PacedSource].
func (s *Source) Keep() time.Duration { return s.Options.Keep }

// Key implements [directory.PacedSource].
func (s *Source) Key() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.Name(), s.Query, s.GroupsQuery, s.Separator, strconv.Itoa(s.Limit)}, "\x00")))
	return "sql " + hex.EncodeToString(sum[:16])
}

// Users implements [directory.Source].
func (s *Source) Users(ctx context.Context) ([]directory.User, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	users, err := s.read(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no answer within %s: %w", s.Timeout, ctx.Err())
		}
		return nil, s.withoutSecrets(err)
	}
	return users, nil
}

// withoutSecrets is the error's text without the password, which no driver is known to repeat.
func (s *Source) withoutSecrets(err error) error {
	u, perr := url.Parse(s.URL)
	if perr != nil {
		return errors.New("reading accounts failed")
	}
	text := err.Error()
	if password, ok := u.User.Password(); ok && password != "" && strings.Contains(text, password) {
		return errors.New(strings.ReplaceAll(text, password, "xxxxx"))
	}
	return err
}

func (s *Source) read(ctx context.Context) ([]directory.User, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close()
	if s.kind == mysqlKind {
		if err := s.limitMySQL(ctx, conn); err != nil {
			return nil, err
		}
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: s.kind != sqliteKind, Isolation: s.isolation()})
	if err != nil {
		return nil, fmt.Errorf("beginning to read: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	users, err := s.accounts(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	if s.GroupsQuery != "" {
		if err := s.memberships(ctx, tx, users); err != nil {
			return nil, fmt.Errorf("groups_query: %w", err)
		}
	}
	return users, nil
}

// isolation has both queries see one state.
func (s *Source) isolation() sql.IsolationLevel {
	if s.kind == sqliteKind {
		return sql.LevelDefault
	}
	return sql.LevelRepeatableRead
}

// limitMySQL bounds statements on the server too: MariaDB and MySQL have different words for it.
func (s *Source) limitMySQL(ctx context.Context, conn *sql.Conn) error {
	var version string
	if err := conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	limit := fmt.Sprintf("SET SESSION max_execution_time = %d", s.Timeout.Milliseconds())
	if strings.Contains(version, "MariaDB") {
		limit = fmt.Sprintf("SET SESSION max_statement_time = %.3f", s.Timeout.Seconds())
	}
	if _, err := conn.ExecContext(ctx, limit); err != nil {
		return fmt.Errorf("limiting the time of statements: %w", err)
	}
	return nil
}

// columns finds what each column is for.
func columns(rows *sql.Rows, required ...string) (names, types []string, err error) {
	all, err := rows.ColumnTypes()
	if err != nil {
		return nil, nil, err
	}
	for _, c := range all {
		name := c.Name()
		if known := strings.ToLower(name); slices.Contains(facts, known) {
			name = known
		}
		if slices.Contains(names, name) {
			return nil, nil, fmt.Errorf("two columns are called %s", name)
		}
		names, types = append(names, name), append(types, c.DatabaseTypeName())
	}
	for _, name := range required {
		if !slices.Contains(names, name) {
			return nil, nil, fmt.Errorf("no column is called %s; the columns are %s: write … AS %s", name, strings.Join(names, ", "), name)
		}
	}
	return names, types, nil
}

// Interface guard
var _ directory.PacedSource = (*Source)(nil)
