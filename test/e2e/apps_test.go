package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// startDjango runs a stock Django admin with RemoteUserMiddleware (deploy/app): a session cookie of its own, a CSRF
// cookie, gzip. It returns host:port.
func startDjango(t *testing.T) string {
	t.Helper()
	addr := freeport.Addr(t)
	dir, err := filepath.Abs("../../deploy/app")
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	cmd := exec.Command("/usr/bin/python3", "-u", "run.py", addr)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "APP_DATA="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Django (python3-django is needed; see test/setup.sh): %v", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			t.Logf("Django's log:\n%.4000s", log.String())
		}
	})
	waitFor(t, 3*time.Minute, "Django serves", func() bool {
		select {
		case <-done:
			t.Fatalf("Django ended:\n%s", log.String())
		default:
		}
		res, err := http.Get("http://" + addr + "/healthz") //nolint:noctx // polled
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return addr
}

// seen is what an app was told of one request.
type seen struct {
	Method, Path string
	Header       http.Header
	Trailer      http.Header
}

// startMirror runs an app that answers with what it was told: the only kind that can show a header byte for byte.
func startMirror(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = http.MaxBytesReader(w, r.Body, 1<<20).Read(make([]byte, 1<<20))
		if strings.HasPrefix(r.URL.Path, "/page") {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<!DOCTYPE html><title>p</title><p id=who>" + r.Header.Get("Remote-User") + "</p>"))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.URL.RequestURI(), r.Header, r.Trailer})
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func parseSeen(t *testing.T, body string) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return s
}
