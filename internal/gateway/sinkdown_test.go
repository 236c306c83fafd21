package gateway_test

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal/faultfs"
	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// hanging is a sink that takes nothing and answers nothing.
type hanging struct {
	nowhere
	once sync.Once
	hung chan struct{} // closed when it has the first batch
	over chan struct{} // closed when it is to take all after all
}

func (h *hanging) Write(ctx context.Context, _ *audit.Batch) error {
	h.once.Do(func() { close(h.hung) })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-h.over:
		return nil
	}
}

// TestOwnAccountsNeedNoSink: with a sink that hangs in the middle of a write, and then also a disk that answers nothing,
// people go on in their own accounts. If a request of theirs waited for either, it would wait for ever here.
func TestOwnAccountsNeedNoSink(t *testing.T) {
	for _, all := range []bool{false, true} { // with requests all their requests are recorded too
		sink := &hanging{hung: make(chan struct{}), over: make(chan struct{})}
		w := newWorld(t, func(w *world) { w.sink, w.all = sink, all })
		own := w.login("boss")
		w.must(w.recorder.Event(t.Context(), audit.Event{Type: audit.EventLogin}))
		<-sink.hung
		before := w.fs.Count(faultfs.Sync)
		for range 50 {
			own.asActor("boss")
			own.fetch("POST", "/x", "a=b").want(http.StatusOK, "user=boss")
		}
		if synced := w.fs.Count(faultfs.Sync) - before; !all && synced > 1 { // one may have been under way
			t.Errorf("100 requests of one's own, which nobody records, were synced %d times", synced)
		}
		release := w.fs.Block(faultfs.Sync)
		for range 50 {
			own.asActor("boss")
			own.fetch("POST", "/x", "a=b").want(http.StatusOK, "user=boss")
		}
		release()
		close(sink.over)
	}
}

// BenchmarkOwnAccountWhileClickHouseHangs is how long requests of one's own take, from first to last byte and without a network,
// while others impersonate, and ClickHouse takes their rows, or hangs. By turns, so that what else the machine does falls on both.
func BenchmarkOwnAccountWhileClickHouseHangs(b *testing.B) {
	srv := chtest.StartOwn(b)
	sink, err := clickhouse.Open(srv.DSN)
	if err == nil {
		err = sink.Apply(b.Context(), nil)
	}
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld(b, func(w *world) { w.sink = sink })
	w.serve(func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Set("Content-Type", "application/json")
		_, err := rw.Write([]byte(`{"a":1}`))
		return err
	})
	site, app := w.site.Load(), *w.app.Load()
	request := func(p *browser) func() error {
		r := p.request("GET", "/", "", append([]string{"Cookie", "impersonate=" + p.raw + "; app=1", "User-Agent", "Mozilla/5.0"}, navigation...)...)
		r.RequestURI = "/"
		return func() error {
			one := *r
			one.Header = r.Header.Clone()
			return site.ServeHTTP(&discard{make(http.Header, 8)}, &one, gateway.Next(app))
		}
	}
	own, other := request(w.login("boss")), request(w.login("admin").begin("sam"))

	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { // about 200 impersonated requests a second
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if err := other(); err != nil {
					b.Error(err)
					return
				}
			}
		}
	})
	took := map[bool][]time.Duration{}
	hangs := false
	b.ResetTimer()
	for b.Loop() {
		for range 500 {
			began := time.Now()
			if err := own(); err != nil {
				b.Fatal(err)
			}
			took[hangs] = append(took[hangs], time.Since(began))
			runtime.Gosched()
		}
		if hangs = !hangs; hangs {
			srv.Hang()
		} else {
			srv.Resume()
		}
	}
	if hangs {
		srv.Resume()
	}
	for hangs, name := range map[bool]string{false: "up", true: "hanging"} {
		slices.Sort(took[hangs])
		if n := len(took[hangs]); n > 0 {
			b.ReportMetric(float64(took[hangs][n/2].Nanoseconds())/1e3, name+"-p50-µs")
			b.ReportMetric(float64(took[hangs][n*99/100].Nanoseconds())/1e3, name+"-p99-µs")
		}
	}
}
