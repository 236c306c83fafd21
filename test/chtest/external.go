package chtest

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// startExternal uses the server that dsn names, by way of a proxy through which outages are played, and with a
// database of the test's own.
func startExternal(t testing.TB, dsn string) *Server {
	t.Helper()
	opt, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatalf("chtest: CLICKHOUSE_DSN: %v", err)
	}
	if opt.TLS != nil || len(opt.Addr) != 1 {
		t.Fatal("chtest: CLICKHOUSE_DSN must name one host, without TLS")
	}
	p := &proxy{backend: opt.Addr[0], addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	p.up(t)
	database := "impersonate_test_" + rand.Text()[:12]
	s := &Server{t: t, Addr: p.addr, proxy: p}
	user := opt.Auth.Username
	if opt.Auth.Password != "" {
		user += ":" + opt.Auth.Password
	}
	s.DSN = "clickhouse://" + user + "@" + p.addr + "/" + database
	t.Cleanup(func() {
		opt.Auth.Database = ""
		if c, err := clickhouse.Open(opt); err == nil {
			_ = c.Exec(context.Background(), "DROP DATABASE IF EXISTS "+database+" SYNC")
			_ = c.Close()
		}
		p.down()
	})
	return s
}

// proxy forwards connections, and can be cut or made to hang.
type proxy struct {
	backend, addr string

	mu    sync.Mutex
	ln    net.Listener
	conns map[net.Conn]bool
	shut  chan struct{} // not nil while hanging
}

func (p *proxy) up(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		return
	}
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatalf("chtest: %v", err)
	}
	p.ln, p.addr = ln, ln.Addr().String()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go p.forward(c)
		}
	}()
}

func (p *proxy) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		_ = p.ln.Close()
		p.ln = nil
	}
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) hang(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.shut == nil:
		p.shut = make(chan struct{})
	case !on && p.shut != nil:
		close(p.shut)
		p.shut = nil
	}
}

func (p *proxy) forward(c net.Conn) {
	b, err := net.Dial("tcp", p.backend)
	if err != nil {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	p.conns[c], p.conns[b] = true, true
	p.mu.Unlock()
	go p.copy(c, b)
	p.copy(b, c)
}

func (p *proxy) copy(dst, src net.Conn) {
	defer dst.Close()
	defer src.Close()
	_, _ = io.Copy(writerFunc(func(b []byte) (int, error) {
		p.mu.Lock()
		shut := p.shut
		p.mu.Unlock()
		if shut != nil {
			<-shut
		}
		return dst.Write(b)
	}), src)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
