package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
)

// within is how long what is under way may outlive an impersonation.
const within = 250 * time.Millisecond

// connections is an app with everything that stays open.
func connections(begun *atomic.Int64, done chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		switch r.URL.Path {
		case "/ws":
			conn, rw, err := rc.Hijack()
			if err != nil {
				done <- err
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, err = io.Copy(conn, rw) // an echo
			done <- err
		case "/sse":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil || rc.Flush() != nil || r.Context().Err() != nil {
					done <- r.Context().Err()
					return
				}
				select {
				case <-r.Context().Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		case "/poll":
			_ = rc.EnableFullDuplex()
			begun.Add(1)
			<-r.Context().Done()
			done <- r.Context().Err()
		case "/download":
			block := make([]byte, 64<<10)
			for {
				if _, err := w.Write(block); err != nil {
					done <- err
					return
				}
			}
		case "/upload":
			_, _ = io.ReadFull(r.Body, make([]byte, 1000))
			begun.Add(1)
			_, err := io.Copy(io.Discard, r.Body)
			done <- err
		default:
			_ = page(w, r)
		}
	}
}

// open begins one of them, and gives back what blocks until it is cut.
func (b *browser) open(path string) (cut func() error) {
	b.t.Helper()
	switch path {
	case "/ws":
		conn, rd := b.websocket()
		return func() error {
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err := rd.ReadByte()
			return timeoutIsNil(err)
		}
	case "/poll":
		errs := make(chan error, 1)
		go func() {
			res, err := b.c.Do(b.request("GET", path, "", "Accept", "application/json", "Sec-Fetch-Dest", "empty"))
			if err == nil {
				_ = res.Body.Close()
				if res.StatusCode == http.StatusConflict {
					err = errors.New("409")
				}
			}
			errs <- err
		}()
		b.until("the app is at it", func() bool { return b.begun.Load() == 1 })
		return func() error { return <-errs }
	case "/upload":
		rd, wr := io.Pipe()
		r := b.request("POST", path, "", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "same-origin")
		r.Body = rd
		errs := make(chan error, 1)
		go func() {
			res, err := b.c.Do(r)
			if err == nil {
				_ = res.Body.Close()
				if res.StatusCode == http.StatusConflict {
					err = errors.New("409")
				}
			}
			errs <- err
		}()
		_, err := wr.Write(make([]byte, 100_000))
		b.must(err)
		b.until("the app is at it", func() bool { return b.begun.Load() == 1 })
		b.t.Cleanup(func() { _ = wr.Close() })
		return func() error { return <-errs }
	}
	res, err := b.c.Do(b.request("GET", path, "", "Sec-Fetch-Dest", "empty"))
	b.must(err)
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		b.t.Fatal(err)
	}
	return func() error {
		defer func() { _ = res.Body.Close() }()
		_, err := io.Copy(io.Discard, res.Body)
		return err
	}
}

func timeoutIsNil(err error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return nil
	}
	return err
}

// websocket opens one and sees that it echoes.
func (b *browser) websocket() (net.Conn, *bufio.Reader) {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.url().Host)
	b.must(err)
	b.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Fetch-Dest: websocket\r\nCookie: impersonate=%s\r\n\r\n", b.url().Host, b.raw)
	b.must(err)
	rd := bufio.NewReader(conn)
	res, err := http.ReadResponse(rd, nil)
	b.must(err)
	if res.StatusCode != http.StatusSwitchingProtocols {
		b.t.Fatalf("status %d", res.StatusCode)
	}
	b.echo(conn, rd)
	return conn, rd
}

func (b *browser) echo(conn net.Conn, rd *bufio.Reader) {
	b.t.Helper()
	_, err := io.WriteString(conn, "hello\n")
	b.must(err)
	if line, err := rd.ReadString('\n'); err != nil || line != "hello\n" {
		b.t.Fatalf("%q, %v", line, err)
	}
}

// TestEndBetweenRequests: the connection an impersonated request came by carries the actor's next one unharmed,
// whenever the end came.
func TestEndBetweenRequests(t *testing.T) {
	w := newWorld(t)
	w.proxy(func(w http.ResponseWriter, r *http.Request) { _ = page(w, r) })
	b := w.login("admin")
	for range 50 {
		b.begin("sam")
		id := b.live().ID
		ended := make(chan error, 1)
		go func() {
			ended <- w.node.Impersonations.End(context.Background(), id, impersonation.CauseStopped, "admin")
		}()
		res, err := b.c.Do(b.request("GET", "/", "", navigation...))
		if err == nil { // it may have been cut
			body, rerr := io.ReadAll(res.Body)
			_ = res.Body.Close()
			s := string(body)
			if rerr == nil && res.StatusCode == http.StatusOK && strings.Contains(s, "user=sam") != strings.Contains(s, bannerMark) {
				t.Fatalf("%s", s)
			}
		}
		w.must(<-ended)
		b.asActor("admin").without("user=sam")
	}
}

// TestEndWhileTheIntentIsWritten: what has not reached the app by the end does not reach it after.
func TestEndWhileTheIntentIsWritten(t *testing.T) {
	w := newWorld(t)
	b := w.login("admin").begin("sam")
	b.asTarget("sam")
	served := w.served.Load()
	release := w.fs.Block("sync")
	syncs := w.fs.Count("sync")
	answers := make(chan *answer, 1)
	go func() { answers <- b.fetch("POST", "/x", "a=b") }()
	w.until("the journal syncs the intent", func() bool { return w.fs.Count("sync") > syncs })
	w.clock.Advance(31 * time.Minute)
	release()
	(<-answers).want(http.StatusConflict, "impersonation-ended")
	if w.served.Load() != served {
		t.Error("the app was asked after the end")
	}
	if r := w.rows(2)[1]; r.Outcome != "severed" {
		t.Errorf("recorded as %+v", r)
	}
}
