package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
)

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
	waits := w.intended()
	answers := make(chan *answer, 1)
	go func() { answers <- b.fetch("POST", "/x", "a=b") }()
	w.until("the intent waits for the disk", waits)
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
