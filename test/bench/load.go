package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// load is what one round sent. Requests counts whole answers; what was under way at its end is not among them.
type load struct {
	Requests int
	Seconds  float64
	P99      float64 // µs
	Errors   int     // no answer, or a status over 399
}

// loader makes requests over the connections for a time, as fast as they are answered.
type loader interface {
	name() string
	run(ctx context.Context, url string, header http.Header, length time.Duration) (load, error)
}

// newLoader is wrk where it is installed: it takes least from the machine.
func newLoader(dir string) (loader, error) {
	path, err := exec.LookPath("wrk")
	if err != nil {
		return own{}, nil //nolint:nilerr // then without
	}
	script := filepath.Join(dir, "report.lua")
	return wrk{path, script}, os.WriteFile(script, []byte(report), 0o600)
}

const report = `done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\n{"Requests":%d,"Seconds":%f,"P99":%f,"Errors":%d}\n', summary.requests, summary.duration / 1e6,
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`

type wrk struct{ path, script string }

func (wrk) name() string { return "wrk" }

func (l wrk) run(ctx context.Context, url string, header http.Header, length time.Duration) (load, error) {
	args := []string{"-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", int(length.Seconds())), "-s", l.script}
	for name, values := range header {
		for _, v := range values {
			args = append(args, "-H", name+": "+v)
		}
	}
	out, err := exec.CommandContext(ctx, l.path, append(args, url)...).Output()
	if err != nil {
		return load{}, fmt.Errorf("running wrk: %w: %s", err, out)
	}
	var got load
	if at := slices.Index(out, '{'); at < 0 {
		return load{}, fmt.Errorf("wrk reported nothing: %s", out)
	} else if err := json.Unmarshal(out[at:], &got); err != nil {
		return load{}, fmt.Errorf("reading wrk's report: %w: %s", err, out)
	}
	return got, nil
}

// own is the loader where there is no wrk.
type own struct{}

func (own) name() string { return "a client of its own" }

func (own) run(ctx context.Context, url string, header http.Header, length time.Duration) (load, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	began := time.Now()
	until := began.Add(length)
	var (
		mu   sync.Mutex
		took []time.Duration
		all  load
		wg   sync.WaitGroup
	)
	for range connections {
		wg.Go(func() {
			var mine []time.Duration
			failed := 0
			for ctx.Err() == nil {
				start := time.Now()
				if start.After(until) {
					break
				}
				if err := get(ctx, transport, url, header); err != nil {
					failed++
					continue
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			all.Errors += failed
		})
	}
	wg.Wait()
	slices.Sort(took)
	all.Requests, all.Seconds = len(took), time.Since(began).Seconds()
	if len(took) > 0 {
		all.P99 = float64(took[len(took)*99/100].Microseconds())
	}
	return all, ctx.Err()
}

func get(ctx context.Context, t http.RoundTripper, url string, header http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header = header.Clone()
	res, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode > 399 {
		return fmt.Errorf("status %s", res.Status)
	}
	return nil
}
