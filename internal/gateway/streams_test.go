package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// streamApp is an app with everything that stays open. Each request carries its name in the query.
type streamApp struct {
	mu      sync.Mutex
	streams map[string]*appStream
}

// appStream is the app's side of one.
type appStream struct {
	begun   chan struct{}
	over    chan struct{} // it was cut, or is done
	release chan struct{} // a long poll gets its answer
	at      time.Time     // of over
	got     atomic.Int64  // bytes of the body
}

func newStreamApp() *streamApp { return &streamApp{streams: make(map[string]*appStream)} }

func (a *streamApp) stream(name string) *appStream {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.streams[name]
	if s == nil {
		s = &appStream{begun: make(chan struct{}), over: make(chan struct{}), release: make(chan struct{})}
		a.streams[name] = s
	}
	return s
}

func (a *streamApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("stream")
	if name == "" {
		_ = page(w, r)
		return
	}
	s := a.stream(name)
	defer func() {
		s.at = time.Now()
		close(s.over)
	}()
	rc := http.NewResponseController(w)
	send := func(block []byte) {
		for {
			if _, err := w.Write(block); err != nil || rc.Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	switch r.URL.Path {
	case "/ws":
		conn, rw, err := rc.Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		close(s.begun)
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, rw) // an echo
	case "/sse":
		w.Header().Set("Content-Type", "text/event-stream")
		close(s.begun)
		send([]byte("data: tick\n\n"))
	case "/download":
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", fmt.Sprint(1<<40))
		close(s.begun)
		send(make([]byte, 16<<10))
	case "/stalled":
		w.Header().Set("Content-Type", "application/octet-stream")
		close(s.begun)
		for block := make([]byte, 64<<10); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	case "/poll":
		close(s.begun)
		select {
		case <-r.Context().Done():
		case <-s.release:
			_, _ = io.WriteString(w, "news")
		}
	case "/upload":
		close(s.begun)
		buf := make([]byte, 4<<10)
		for {
			n, err := r.Body.Read(buf)
			s.got.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// stream is the browser's side of one. Everything is read as it comes, but of /stalled.
type stream struct {
	b    *browser
	app  *appStream
	name string
	path string

	got  atomic.Int64
	up   io.Writer // of a WebSocket, an upload
	read func()    // of what is stalled
	over chan struct{}
	at   time.Time // of over
	err  error     // how it ended; nil: whole
}

// stream opens one, and returns once both sides are at it.
func (b *browser) stream(a *streamApp, path, name string) *stream {
	b.t.Helper()
	s := &stream{b: b, app: a.stream(name), name: name, path: path, over: make(chan struct{})}
	done := func(err error) {
		s.at, s.err = time.Now(), err
		close(s.over)
	}
	path += "?stream=" + url.QueryEscape(name)
	if s.path == "/ws" {
		conn, err := net.Dial("tcp", b.url().Host)
		b.must(err)
		b.t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Fetch-Dest: websocket\r\nCookie: impersonate=%s\r\n\r\n", path, b.url().Host, b.raw)
		b.must(err)
		rd := bufio.NewReader(conn)
		res, err := http.ReadResponse(rd, nil)
		b.must(err)
		if res.StatusCode != http.StatusSwitchingProtocols {
			b.t.Fatalf("status %d", res.StatusCode)
		}
		s.up = conn
		go func() {
			err := s.count(rd)
			if err == nil {
				err = io.EOF // a WebSocket does not end by itself
			}
			done(err)
		}()
		s.alive()
		return s
	}
	method, body := "GET", io.Reader(nil)
	if s.path == "/upload" {
		rd, wr := io.Pipe()
		method, body, s.up = "POST", rd, wr
		b.t.Cleanup(func() { _ = wr.Close() })
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, b.server.URL+path, body)
	b.must(err)
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Cookie", "impersonate="+b.raw)
	if body != nil {
		r.ContentLength = 1 << 40
	}
	answered, begin := make(chan struct{}), make(chan struct{})
	if s.path == "/stalled" {
		s.read = func() { close(begin) }
	} else {
		close(begin)
	}
	go func() {
		res, err := b.transport().RoundTrip(r)
		close(answered)
		if err != nil {
			done(err)
			return
		}
		<-begin
		if err = s.count(res.Body); res.StatusCode == http.StatusConflict {
			err = errConflict
		}
		_ = res.Body.Close()
		done(err)
	}()
	if s.up != nil {
		go func() { _, _ = s.up.Write(make([]byte, 1000)) }()
	}
	b.happens(s.app.begun, s.name+" begins")
	if s.path == "/sse" || s.path == "/download" || s.path == "/stalled" {
		b.happens(answered, s.name+" is answered")
	}
	s.alive()
	return s
}

// errConflict is the gateway's answer in the app's place.
var errConflict = errors.New("409")

func (s *stream) count(r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		s.got.Add(int64(n))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// alive sees that data still goes through.
func (s *stream) alive() {
	s.b.t.Helper()
	select {
	case <-s.over:
		s.b.t.Fatalf("%s is over: %v", s.name, s.err)
	case <-s.app.over:
		s.b.t.Fatalf("%s is over at the app", s.name)
	default:
	}
	count := &s.got
	switch s.path {
	case "/poll", "/stalled":
		return
	case "/upload":
		count = &s.app.got
	}
	before := count.Load()
	if s.up != nil && (s.path == "/ws" || before > 0) {
		go func() { _, _ = s.up.Write([]byte("hello\n")) }()
	}
	s.b.until(s.name+" goes on", func() bool { return count.Load() > before })
}

func (b *browser) transport() http.RoundTripper { return b.c.Transport }

// happens waits for what must come.
func (w *world) happens(c <-chan struct{}, what string) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		w.t.Fatalf("it never happened: %s; log:\n%s", what, w.log)
	}
}
