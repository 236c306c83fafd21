package clickhouse

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// dialer connects to the first host that answers. The driver's own way would spend the whole time on a first host
// that hangs, begin with it again the next time, and not heed the end of the context while it shakes hands.
type dialer struct {
	files tlsFiles

	mu    sync.Mutex
	first int // index of the host to begin with
}

// dial is the strategy of the driver's pool.
func (d *dialer) dial(ctx context.Context, _ int, opt *clickhouse.Options, dial clickhouse.Dial) (r clickhouse.DialResult, err error) {
	err = d.each(ctx, opt, func(ctx context.Context, addr string, bounded *clickhouse.Options) (err error) {
		r, err = dial(ctx, addr, bounded)
		return err
	})
	return r, err
}

// openDB is the pool of database/sql.
func (d *dialer) openDB(opt *clickhouse.Options) *sql.DB { return sql.OpenDB(&connector{d, opt}) }

type connector struct {
	dialer *dialer
	opt    *clickhouse.Options
}

// Connect implements [driver.Connector].
func (c *connector) Connect(ctx context.Context) (conn driver.Conn, err error) {
	err = c.dialer.each(ctx, c.opt, func(ctx context.Context, addr string, bounded *clickhouse.Options) (err error) {
		bounded.Addr = []string{addr}
		conn, err = clickhouse.Connector(bounded).Connect(ctx)
		return err
	})
	return conn, err
}

// Driver implements [driver.Connector].
func (c *connector) Driver() driver.Driver { return clickhouse.Connector(c.opt).Driver() }

// each tries the hosts in turn, beginning with the one that answered last.
func (d *dialer) each(ctx context.Context, opt *clickhouse.Options, dial func(context.Context, string, *clickhouse.Options) error) error {
	if opt.TLS != nil {
		config, err := d.files.config(opt.TLS)
		if err != nil {
			return err
		}
		secured := *opt
		secured.TLS = config
		opt = &secured
	}
	until := time.Now().Add(opt.DialTimeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	d.mu.Lock()
	first := d.first
	d.mu.Unlock()
	var errs []error
	for i := range opt.Addr {
		n := (first + i) % len(opt.Addr)
		timeout := time.Until(until) / time.Duration(len(opt.Addr)-i)
		err := dialHost(ctx, opt, opt.Addr[n], timeout, dial)
		if err == nil {
			d.mu.Lock()
			d.first = n
			d.mu.Unlock()
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return clickhouse.ErrAcquireConnNoAddress
	}
	return errors.Join(errs...)
}

// next makes the following connection begin with another host: the one at hand took a connection, then failed.
func (d *dialer) next() {
	d.mu.Lock()
	d.first++
	d.mu.Unlock()
}

// dialHost connects to one host and shakes hands, all within timeout and ctx.
func dialHost(ctx context.Context, opt *clickhouse.Options, addr string, timeout time.Duration, dial func(context.Context, string, *clickhouse.Options) error) error {
	ctx, cancel := context.WithTimeout(ctx, max(timeout, time.Millisecond))
	defer cancel()
	var conn net.Conn
	stop := func() bool { return true }
	bounded := *opt
	bounded.DialTimeout = max(timeout, time.Millisecond) // also the deadline of the handshake
	bounded.DialContext = func(_ context.Context, addr string) (net.Conn, error) {
		var err error
		if opt.TLS != nil {
			conn, err = (&tls.Dialer{Config: opt.TLS}).DialContext(ctx, "tcp", addr)
		} else {
			conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
		if err == nil {
			// The handshake heeds its deadline but not that the caller gives up.
			stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	err := dial(ctx, addr, &bounded)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil && conn != nil {
		_ = conn.Close() // the driver leaves it open when the handshake fails
	}
	return err
}
