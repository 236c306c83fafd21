package gateway_test

import (
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"weak"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
)

// TestReplacedIsForgotten: once a configuration is replaced nothing keeps it in memory, whether impersonations of its
// time are over or go on. Each has a directory of all accounts.
func TestReplacedIsForgotten(t *testing.T) {
	w := newWorld(t)
	over, on := w.login("admin"), w.login("boss")
	over.begin("sam")
	on.begin("kim")
	for _, b := range []*browser{over, on} {
		if got := b.do(http.MethodGet, "/page", ""); got.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	over.stop()
	over.do(http.MethodGet, "/page", "")
	replaced, directoryOf := weak.Make(w.site.Load().Gateway), weak.Make(w.directory)
	for _, b := range []*browser{over, on} {
		b.c.CloseIdleConnections()
	}
	w.directory = directory.New(directory.Options{Clock: w.clock, Log: w.logger(), Sources: []directory.Source{directory.NewFileSource(filepath.Join(w.dir, "users.yaml"))}})
	w.must(w.directory.Refresh(t.Context()))
	w.configure()
	w.until("the configuration is forgotten", func() bool {
		runtime.GC()
		return replaced.Value() == (*gateway.Gateway)(nil) && directoryOf.Value() == (*directory.Directory)(nil)
	})
	if got := on.do(http.MethodGet, "/page", ""); got.StatusCode != http.StatusOK {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}
