// Package chtest starts a real ClickHouse engine for tests: test/chserver, or, where CLICKHOUSE_DSN names a server,
// that one, in a database of the test's own. A test that cannot have it fails; it is never skipped.
//
//	srv := chtest.Start(t)
//	sink, err := clickhouse.Open(srv.DSN)
//
// Outages can be played on both: [Server.Kill], [Server.Restart], [Server.Hang], [Server.Resume].
package chtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// Database is the name of the database in [Server.DSN] when the engine is the test's own.
const Database = "impersonate"

// startTimeout bounds how long the engine may take to come up, or to do as it is told; it takes about 0.1 s, more on a
// busy machine.
const startTimeout = 3 * time.Minute

// Server is a running ClickHouse.
type Server struct {
	// Addr is host:port of the native protocol. It stays the same over Restart.
	Addr string
	// DSN names user, address and database. The database is not created.
	DSN string
	// Dir is the data directory; empty for a server named by CLICKHOUSE_DSN.
	Dir string

	t     testing.TB
	proxy *proxy // of a server named by CLICKHOUSE_DSN
	args  []string

	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader // what it has done, a line each
	log lockedBuffer
}

// Start returns a server that lives as long as the test.
func Start(t testing.TB) *Server {
	t.Helper()
	if dsn := os.Getenv("CLICKHOUSE_DSN"); dsn != "" {
		return startExternal(t, dsn)
	}
	return StartOwn(t)
}

// StartOwn returns an engine of the test's own, whatever CLICKHOUSE_DSN says: for tests that kill it or reach into its
// files. args are further arguments of chserver.
func StartOwn(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, Dir: filepath.Join(t.TempDir(), "clickhouse"), Addr: freeport.Addr(t), args: args}
	s.start()
	s.DSN = "clickhouse://default@" + s.Addr + "/" + Database
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("chserver said:\n%s", s.log.String())
		}
	})
	return s
}

func (s *Server) start() {
	s.t.Helper()
	bin, lib := build(s.t)
	//nolint:gosec // our own binary
	cmd := exec.Command(bin, append([]string{"-lib", lib, "-data", s.Dir, "-listen", s.Addr, "-until-eof"}, s.args...)...)
	cmd.Stderr = &s.log
	// The engine lives until this end of the pipe is closed, be it by the death of the test.
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatalf("chtest: %v", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatalf("chtest: %v", err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("chtest: starting chserver: %v", err)
	}
	lines := bufio.NewReader(out)
	s.mu.Lock()
	s.cmd, s.in, s.out = cmd, in, lines
	s.mu.Unlock()
	watchdog := time.AfterFunc(startTimeout, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	line, err := lines.ReadString('\n')
	var version string
	if _, scanErr := fmt.Sscanf(line, "ready %s %s", &s.Addr, &version); err != nil || scanErr != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s.t.Fatalf("chtest: chserver did not come up: %q %v\n%s", line, err, s.log.String())
	}
}

// Kill ends the server as a crash would, with SIGKILL. Of a server named by CLICKHOUSE_DSN it cuts the connections
// and refuses new ones.
func (s *Server) Kill() {
	if s.proxy != nil {
		s.proxy.down()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = s.in.Close()
	s.cmd = nil
}

// PID is the server's process. Only with [StartOwn].
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.t.Fatal("chtest: the server does not run")
	}
	return s.cmd.Process.Pid
}

// Wait waits until the server has died by itself, see [Server.DieAfterCommit].
func (s *Server) Wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	watchdog := time.AfterFunc(startTimeout, func() { _ = s.cmd.Process.Kill() })
	defer watchdog.Stop()
	_ = s.cmd.Wait()
	_ = s.in.Close()
	s.cmd = nil
}

// Restart starts the server again on the same data and address, after Kill or after killing it.
func (s *Server) Restart() {
	s.t.Helper()
	if s.proxy != nil {
		s.proxy.up(s.t)
		return
	}
	s.Kill()
	s.start()
}

// Hang makes the server take connections and requests but answer nothing, until Resume.
func (s *Server) Hang() { s.hang(true) }

// Resume ends Hang: what came meanwhile is answered.
func (s *Server) Resume() { s.hang(false) }

func (s *Server) hang(on bool) {
	if s.proxy != nil {
		s.proxy.hang(on)
		return
	}
	s.signal(syscall.SIGUSR1, map[bool]string{true: "hanging", false: "answering"}[on])
}

// DieAfterCommit makes the server commit the next insert and die before it is acknowledged. Only with [StartOwn].
func (s *Server) DieAfterCommit() { s.signal(syscall.SIGUSR2, "dying") }

// signal sends one, and returns once the server says that it has done what it is for.
func (s *Server) signal(sig os.Signal, done string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.t.Fatal("chtest: the server does not run")
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("chtest: %v", err)
	}
	watchdog := time.AfterFunc(startTimeout, func() { _ = s.cmd.Process.Kill() })
	defer watchdog.Stop()
	for {
		line, err := s.out.ReadString('\n')
		if strings.TrimSpace(line) == done {
			return
		}
		if err != nil {
			s.t.Fatalf("chtest: the server does not say that it is %s: %v", done, err)
		}
	}
}

// Conn returns a connection without a current database, closed at the end of the test.
func (s *Server) Conn() driver.Conn {
	s.t.Helper()
	opt, err := clickhouse.ParseDSN(s.DSN)
	if err != nil {
		s.t.Fatalf("chtest: %v", err)
	}
	opt.Auth.Database = ""
	c, err := clickhouse.Open(opt)
	if err != nil {
		s.t.Fatalf("chtest: %v", err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Exec runs statements, or fails the test.
func (s *Server) Exec(statements ...string) {
	s.t.Helper()
	c := s.Conn()
	for _, q := range statements {
		if err := c.Exec(context.Background(), q); err != nil {
			s.t.Fatalf("chtest: %s: %v", q, err)
		}
	}
}

// Count returns the single number that a query selects.
func (s *Server) Count(query string, args ...any) uint64 {
	s.t.Helper()
	var n uint64
	if err := s.Conn().QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		s.t.Fatalf("chtest: %s: %v", query, err)
	}
	return n
}

// lockedBuffer keeps the last of what a server says.
type lockedBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if excess := len(l.b) - 64<<10; excess > 0 {
		l.b = l.b[excess:]
	}
	return len(p), nil
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ToValidUTF8(string(l.b), "?")
}
