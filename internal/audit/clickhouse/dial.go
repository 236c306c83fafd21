package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// dialer connects to the first host that answers. The driver's own way would spend the whole time on a first host
// that hangs, begin with it again the next time, and not heed the end of the context while it shakes hands.
type dialer struct {
	mu    sync.Mutex
	first int // index of the host to begin with
}

func (d *dialer) dial(ctx context.Context, _ int, opt *clickhouse.Options, dial clickhouse.Dial) (clickhouse.DialResult, error) {
	d.mu.Lock()
	first := d.first
	d.mu.Unlock()
	var errs []error
	for i := range opt.Addr {
		n := (first + i) % len(opt.Addr)
		left := time.Duration(len(opt.Addr) - i)
		timeout := opt.DialTimeout / left
		if deadline, ok := ctx.Deadline(); ok {
			timeout = time.Until(deadline) / left
		}
		r, err := dialHost(ctx, opt, opt.Addr[n], timeout, dial)
		if err == nil {
			d.mu.Lock()
			d.first = n
			d.mu.Unlock()
			return r, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return clickhouse.DialResult{}, clickhouse.ErrAcquireConnNoAddress
	}
	return clickhouse.DialResult{}, errors.Join(errs...)
}

// next makes the following connection begin with another host: the one at hand took a connection, then failed.
func (d *dialer) next() {
	d.mu.Lock()
	d.first++
	d.mu.Unlock()
}

// dialHost connects to one host and shakes hands, all within timeout and ctx.
func dialHost(ctx context.Context, opt *clickhouse.Options, addr string, timeout time.Duration, dial clickhouse.Dial) (clickhouse.DialResult, error) {
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
	r, err := dial(ctx, addr, &bounded)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil && conn != nil {
		_ = conn.Close() // the driver leaves it open when the handshake fails
	}
	return r, err
}
