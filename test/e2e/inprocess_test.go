package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/seed-240d5494/caddy-impersonate/caddymodule"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// testClock is a guest of impersonate.clocks: it goes as the machine's clock does, and can be put forward.
type testClock struct{}

func init() { caddy.RegisterModule(testClock{}) }

// CaddyModule implements [caddy.Module].
func (testClock) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.clocks.e2e", New: func() caddy.Module { return new(testClock) }}
}

// Clock implements [caddymodule.ClockSource].
func (testClock) Clock() caddymodule.Clock { return running.manual }

var _ caddymodule.ClockSource = testClock{}

// running is the gateway that runs in this process; one at a time.
var running *inProcess

type inProcess struct {
	manual *clock.Manual
	mu     sync.Mutex // one advance at a time
}

// startInProcess runs the same Caddy in this process, with a clock that the test can put forward.
func startInProcess(t *testing.T, p *parts) *inProcess {
	t.Helper()
	p.Log = "output file " + filepath.Join(p.Dir, "caddy.log")
	config := p.configWithClock(t, "e2e")

	begin := p.Begin
	if begin.IsZero() {
		begin = time.Now()
	}
	g := &inProcess{manual: clock.NewManual(begin)}
	running = g
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				g.advance(now.Sub(last))
				last = now
			}
		}
	}()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		close(stop)
		<-stopped
		if log, err := os.ReadFile(filepath.Join(p.Dir, "caddy.log")); t.Failed() && err == nil {
			t.Logf("the gateway's log:\n%.10000s", log)
		}
	})
	client := insecureClient()
	waitFor(t, 3*time.Minute, "the gateway serves", func() bool {
		res, err := client.Get(p.origin() + "/.impersonate/readyz") //nolint:noctx // polled
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return g
}

// configWithClock is the Caddyfile as JSON, with a clock: the Caddyfile knows no word for that.
func (p *parts) configWithClock(t *testing.T, source string) []byte {
	t.Helper()
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(p.caddyfile()), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Logf("adapting: %s", w.String())
	}
	var tree map[string]any
	if err := json.Unmarshal(config, &tree); err != nil {
		t.Fatal(err)
	}
	tree["apps"].(map[string]any)["impersonate"].(map[string]any)["clock"] = map[string]string{"source": source}
	if config, err = json.Marshal(tree); err != nil {
		t.Fatal(err)
	}
	return config
}

// advance puts the clock forward; what comes due has run when it returns.
func (g *inProcess) advance(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.manual.Advance(d)
}
