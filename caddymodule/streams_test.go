//lint:file-ignore SA1019 net/http offers no extended CONNECT (RFC 8441) to clients

package caddymodule

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// streamKinds are what may be under way. "connect" is a WebSocket by HTTP/2's extended CONNECT (RFC 8441), "ws" one by
// HTTP/1.1; the others share the HTTP/2 connection with it.
var streamKinds = []string{"ws", "connect", "sse", "poll", "upload", "download"}

// streamApp keeps everything open until it is cut, and says when. The query names the stream.
type streamApp struct {
	mu   sync.Mutex
	side map[string]*appSide
}

type appSide struct {
	begun, over, release chan struct{}
	at                   time.Time
	got                  atomic.Int64
}

func (a *streamApp) of(name string) *appSide {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.side == nil {
		a.side = make(map[string]*appSide)
	}
	if a.side[name] == nil {
		a.side[name] = &appSide{begun: make(chan struct{}), over: make(chan struct{}), release: make(chan struct{})}
	}
	return a.side[name]
}

func (a *streamApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := a.of(r.URL.Query().Get("stream"))
	defer func() {
		s.at = time.Now()
		close(s.over)
	}()
	rc := http.NewResponseController(w)
	switch r.URL.Path {
	case "/ws", "/connect":
		conn, rw, err := rc.Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		close(s.begun)
		io.Copy(conn, io.TeeReader(rw, counter{&s.got}))
	case "/sse", "/download":
		w.Header().Set("Content-Type", map[string]string{"/sse": "text/event-stream", "/download": "application/zip"}[r.URL.Path])
		close(s.begun)
		for {
			if _, err := io.WriteString(w, "data: tick\n\n"); err != nil || rc.Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	case "/poll":
		close(s.begun)
		select {
		case <-r.Context().Done():
		case <-s.release:
		}
	case "/upload":
		close(s.begun)
		io.Copy(counter{&s.got}, r.Body)
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// tabs are one browser's connections: one of HTTP/2 for all streams, and one of HTTP/1.1 for each WebSocket.
type tabs struct {
	w   *world
	who *idptest.LoginClient
	app *streamApp
	h2  *http2.Transport
	// dials counts the HTTP/2 connections: there is to be one.
	dials atomic.Int64
}

func (w *world) tabs(who *idptest.LoginClient, app *streamApp) *tabs {
	t := &tabs{w: w, who: who, app: app}
	t.h2 = &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		t.dials.Add(1)
		return dial(ctx, network, addr)
	}}
	w.t.Cleanup(t.h2.CloseIdleConnections)
	return t
}

// dial tries again where a reload was quicker: connections that the old server's listener has not accepted are reset.
func dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	for range 10 {
		if conn, err = new(net.Dialer).DialContext(ctx, network, addr); !errors.Is(err, syscall.ECONNRESET) {
			break
		}
	}
	return conn, err
}

// tab is the browser's side of a stream.
type tab struct {
	w          *world
	kind, name string
	app        *appSide
	up         io.Writer
	got        atomic.Int64
	over       chan struct{}
	at         time.Time
	err        error
	close      func()
}

// open opens one, and returns once both sides are at it.
func (t *tabs) open(kind, name string) *tab {
	t.w.t.Helper()
	s := &tab{w: t.w, kind: kind, name: name, app: t.app.of(name), over: make(chan struct{})}
	done := func(err error) {
		s.at, s.err = time.Now(), err
		close(s.over)
	}
	u, err := url.Parse(t.w.url("/" + kind + "?" + url.Values{"stream": {name}}.Encode()))
	if err != nil {
		t.w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.w.t.Cleanup(cancel)
	s.close = cancel
	method, body := http.MethodGet, io.Reader(nil)
	if kind == "connect" || kind == "upload" {
		rd, wr := io.Pipe()
		// The transport looks at the context only between pieces of the body.
		s.close = func() { cancel(); wr.CloseWithError(context.Canceled) }
		t.w.t.Cleanup(s.close)
		s.up, body = wr, rd
		method = map[string]string{"connect": http.MethodConnect, "upload": http.MethodPost}[kind]
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		t.w.t.Fatal(err)
	}
	for _, c := range t.who.Jar.Cookies(u) {
		r.AddCookie(c)
	}
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	answered := make(chan struct{})
	switch kind {
	case "ws":
		conn, err := dial(ctx, "tcp", t.w.addr)
		if err != nil {
			t.w.t.Fatal(err)
		}
		t.w.t.Cleanup(func() { conn.Close() })
		s.close = func() { conn.Close() }
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		if err := r.Write(conn); err != nil {
			t.w.t.Fatal(err)
		}
		rd := bufio.NewReader(conn)
		res, err := http.ReadResponse(rd, r)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.w.t.Fatalf("%s: %v, %+v", name, err, res)
		}
		close(answered)
		s.up = conn
		go func() { done(s.read(rd)) }()
	default:
		if kind == "connect" {
			r.Header[":protocol"] = []string{"websocket"}
		}
		go func() {
			res, err := t.h2.RoundTrip(r)
			close(answered)
			if err != nil {
				done(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				done(fmt.Errorf("status %d", res.StatusCode))
				return
			}
			done(s.read(res.Body))
		}()
	}
	if kind == "upload" {
		go s.up.Write(make([]byte, 1000))
	}
	t.w.happens(s.app.begun, name+" begins")
	if kind != "poll" && kind != "upload" {
		t.w.happens(answered, name+" is answered")
	}
	s.alive()
	return s
}

// read reads until it is over; nil: whole.
func (s *tab) read(r io.Reader) error {
	_, err := io.Copy(counter{&s.got}, r)
	return err
}

// alive sees that data still goes through.
func (s *tab) alive() {
	s.w.t.Helper()
	select {
	case <-s.over:
		s.w.t.Fatalf("%s is over: %v", s.name, s.err)
	case <-s.app.over:
		s.w.t.Fatalf("%s is over at the app", s.name)
	default:
	}
	count := &s.got
	switch s.kind {
	case "poll":
		return
	case "upload":
		count = &s.app.got
	}
	before := count.Load()
	if s.up != nil {
		go s.up.Write([]byte("hello\n"))
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for count.Load() == before {
		select {
		case <-tick.C:
		case <-limit:
			s.w.t.Fatalf("nothing goes through %s any more", s.name)
		}
	}
}

// finish ends one that goes on.
func (s *tab) finish() {
	s.w.t.Helper()
	if s.kind != "poll" {
		s.close()
		s.w.happens(s.over, s.name+" is closed")
		return
	}
	close(s.app.release)
	s.w.happens(s.over, s.name+" is answered")
	if s.err != nil {
		s.w.t.Errorf("%s: %v", s.name, s.err)
	}
}

// happens waits for what must come.
func (w *world) happens(c <-chan struct{}, what string) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		w.t.Fatalf("it never happened: %s", what)
	}
}
