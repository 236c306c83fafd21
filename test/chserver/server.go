package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
)

// revision is the newest revision of the protocol that clickhouse-go speaks.
const revision = 54460

// helloTimeout bounds how long a client may take to introduce itself.
const helloTimeout = time.Minute

// Exception codes of ClickHouse that the server itself raises.
const (
	codeUnknownPacket  = 99
	codeNoCluster      = 701
	codeNotImplemented = 48
	codeAuthFailed     = 516
	codeUnknown        = 1001
)

type server struct {
	data, config   string
	onCluster      bool
	user, password string
	version        string
	gate           gate
	dieAfterCommit atomic.Bool
	sessions       atomic.Uint64

	// admin is a connection of the server's own, which keeps the engine up while no client is there and kills
	// queries. mu lets one statement at a time run on it.
	mu    sync.Mutex
	admin *engineConn
}

// start boots the engine.
func (s *server) start() error {
	c, err := connect(s.data, s.config)
	if err != nil {
		return fmt.Errorf("starting the engine on %s: %w", s.data, err)
	}
	s.admin = c
	v, err := c.query("SELECT version()", "TSVRaw", nil)
	if err != nil {
		return fmt.Errorf("asking the engine its version: %w", err)
	}
	s.version = strings.TrimSpace(string(v))
	return nil
}

// kill stops the statement that runs on the session with this mark.
func (s *server) kill(mark string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.admin.query("KILL QUERY WHERE Settings['log_comment'] = "+quote(mark)+" ASYNC", "Null", nil); err != nil {
		log.Printf("killing a query: %v", err)
	}
}

func (s *server) serve(c net.Conn) {
	// The engine keeps state per thread while a result is being fetched.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer c.Close()
	// At least as large as chproto's own buffer, so that chproto.NewReader takes it as it is and both read one stream.
	br := bufio.NewReaderSize(c, 256<<10)
	ss := &session{server: s, conn: c, br: br, r: chproto.NewReader(br), mark: fmt.Sprintf("chserver-session-%d", s.sessions.Add(1))}
	err := ss.run()
	if ss.engine != nil {
		ss.engine.close()
	}
	var ne net.Error
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.As(err, &ne) {
		log.Printf("session: %v", err)
	}
}

// gate is open, or makes everyone who comes wait: a server that hangs.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil while open; closed when it opens
}

// toggle tells whether it is shut from now on.
func (g *gate) toggle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
		return true
	}
	close(g.shut)
	g.shut = nil
	return false
}

func (g *gate) wait() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
}
