// Package clickhouse is the audit sink for ClickHouse (24.8 or later), over the native protocol.
//
// Rows arrive exactly once. A batch carries an insert_deduplication_token, which the server remembers for its last
// 10,000 inserts; but on plain MergeTree the server's memory and its data are not one transaction. It writes the token
// down before it puts the data in place, so a crash between the two makes it skip the second try of a batch that it
// does not have; and it never fsyncs the tokens, so a power failure can leave the data without their token, and the
// second try is there twice. So whenever this sink can't be certain that a batch is new (the first of a process, and
// every one after an error), it also asks which of the rows are there, before and after it inserts, and sends what is
// missing. In steady state it asks nothing.
//
// Tables are partitioned by month. A batch that crosses the end of a month is inserted in two parts, so that each
// insert is one block in one partition: all of it is there, or nothing.
package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// DefaultDatabase is used when the DSN names none.
const DefaultDatabase = "impersonate"

const (
	defaultDialTimeout = 10 * time.Second
	defaultReadTimeout = time.Minute
	// settleTime is how long rows that the server says it has may take to show.
	settleTime = 3 * time.Second
)

// Sink is an [audit.Sink] on ClickHouse. Safe for concurrent use.
type Sink struct {
	conn     driver.Conn
	dialer   *dialer
	database string
	user     string
	cluster  string // of Plan and Apply; empty: a single server
	settle   time.Duration

	maintainer *Sink // deletes; nil: nobody here does

	mu sync.Mutex
	// taken says up to where each log is known to be in the tables. A log is not in it when that is not certain.
	taken map[string]position
}

// position is how far a log has come: the last row, and the size of the last checkpoint.
type position struct{ rows, checkpoints uint64 }

var _ audit.Sink = (*Sink)(nil)

// Open returns the sink that dsn names. It only reads the DSN: nothing is dialled before the first call of another
// method.
//
//	clickhouse://user:password@host1:9000,host2:9000/database?dial_timeout=5s&read_timeout=1m
//	clickhouse://user@host1:9440/database?secure=true&tls_ca=ca.pem&tls_cert=client.pem&tls_key=client.key&tls_server_name=ch
//
// Hosts are replicas of each other; they are tried in turn, beginning with the one that answered last. dial_timeout
// (default 10 s) is for all hosts together. With secure=true the connection is TLS; tls_ca replaces the system's
// authorities, tls_cert and tls_key are the client's, tls_server_name is the name in the server's certificate if it is
// not the host's. The files are read for each connection. Data are compressed with LZ4 unless compress says otherwise. Parameters
// it does not know are sent to the server as settings.
func Open(dsn string) (*Sink, error) {
	opt, d, err := options(dsn)
	if err != nil {
		return nil, err
	}
	s := &Sink{dialer: d, database: opt.Auth.Database, user: opt.Auth.Username, settle: settleTime, taken: map[string]position{}}
	if s.database == "" {
		s.database = DefaultDatabase
	}
	if !identifier.MatchString(s.database) {
		return nil, fmt.Errorf("reading the ClickHouse DSN: %q can't be a database: use letters, digits and _", s.database)
	}
	// The server refuses a connection to a database that is not there, and then it could never be created. So none is
	// named, and statements name it themselves.
	opt.Auth.Database = ""
	if opt.Compression == nil {
		opt.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	if opt.DialTimeout == 0 {
		opt.DialTimeout = defaultDialTimeout
	}
	if opt.ReadTimeout == 0 {
		opt.ReadTimeout = defaultReadTimeout
	}
	if opt.MaxOpenConns == 0 {
		opt.MaxOpenConns = 4
	}
	if opt.MaxIdleConns == 0 {
		opt.MaxIdleConns = 2
	}
	opt.ClientInfo.Products = append(opt.ClientInfo.Products, struct{ Name, Version string }{"caddy-impersonate", "1"})
	if s.conn, err = clickhouse.Open(opt); err != nil {
		return nil, fmt.Errorf("reading the ClickHouse DSN: %w", err)
	}
	return s, nil
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// Name is "clickhouse".
func (s *Sink) Name() string { return "clickhouse" }

// Database is the name of the database that the DSN names.
func (s *Sink) Database() string { return s.database }

// Close closes the connections. A call under way fails.
func (s *Sink) Close() error {
	if s.maintainer != nil {
		return errors.Join(s.conn.Close(), s.maintainer.Close())
	}
	return s.conn.Close()
}

// Ping tells whether a server answers and takes the user and password.
func (s *Sink) Ping(ctx context.Context) error {
	if err := s.conn.Ping(ctx); err != nil {
		return s.failed("reaching ClickHouse", err)
	}
	return nil
}

// in is the qualified name of a table or view.
func (s *Sink) in(name string) string { return "`" + s.database + "`." + name }
