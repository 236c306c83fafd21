package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// testCase is one kind of request.
type testCase struct {
	name          string
	path          string
	impersonating bool
	dest          string // Sec-Fetch-Dest
	accept        string
	target        float64 // the ratio it may cost
}

var cases = []*testCase{
	{"html-20k", "/html-20k", true, "document", "text/html", 1.15},
	{"html-200k", "/html-200k", true, "document", "text/html", 1.10},
	{"json", "/json", true, "empty", "application/json", 1.10},
	{"asset-1m", "/asset-1m", true, "script", "*/*", 1.05},
	{"own-html-20k", "/html-20k", false, "document", "text/html", 1.05},
	{"own-json", "/json", false, "empty", "application/json", 1.05},
}

// header is the same on both sides.
func (b *bench) header(c *testCase) http.Header {
	mode := "no-cors"
	switch c.dest {
	case "document":
		mode = "navigate"
	case "empty":
		mode = "cors"
	}
	return http.Header{
		"User-Agent":     {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"},
		"Accept":         {c.accept},
		"Cookie":         {b.cookies[c.impersonating]},
		"Sec-Fetch-Dest": {c.dest},
		"Sec-Fetch-Mode": {mode},
		"Sec-Fetch-Site": {"same-origin"},
	}
}

// sample is one round on one side.
type sample struct {
	cpu, rps, p99 float64 // µs a request, requests a second, µs
	requests      int
}

type result struct {
	*testCase
	ratio     float64
	low, high float64 // quartiles of the rounds' ratios
	bare, got sample  // medians
}

func (r *result) String() string {
	return fmt.Sprintf("BENCH %s cpu_ratio=%.2f cpu_us=%.0f rps=%.0f p99_us=%.0f", r.name, r.ratio, r.got.cpu, r.got.rps, r.got.p99)
}

func (r *result) table(with string) string {
	verdict := fmt.Sprintf("×%.2f met", r.target)
	switch {
	case with != gatewayName:
		verdict = "injection alone"
	case r.ratio > r.target+0.005:
		verdict = fmt.Sprintf("×%.2f missed", r.target)
	}
	return fmt.Sprintf("| %-12s | bare %4.0f µs | %s %4.0f µs | ×%.3f (%.3f–%.3f) | %s | p99 %5.0f → %5.0f µs | %6.0f → %6.0f/s |",
		r.name, r.bare.cpu, with, r.got.cpu, r.ratio, r.low, r.high, verdict, r.bare.p99, r.got.p99, r.bare.rps, r.got.rps)
}

// measure compares the bare proxy with another one.
func (b *bench) measure(ctx context.Context, c *testCase, with *proxy, rounds int, length time.Duration) (*result, error) {
	if err := b.check(ctx, c, with); err != nil {
		return nil, err
	}
	for _, p := range []*proxy{b.bare, with} { // connections, pools, caches
		if _, err := b.round(ctx, p, c, time.Second); err != nil {
			return nil, err
		}
	}
	var bare, got []sample
	var ratios []float64
	for i := range rounds {
		sides := []*proxy{b.bare, with}
		if i%2 == 1 { // what drifts favours neither
			slices.Reverse(sides)
		}
		var pair [2]sample
		for _, p := range sides {
			s, err := b.round(ctx, p, c, length)
			if err != nil {
				return nil, err
			}
			if p == b.bare {
				pair[0] = s
			} else {
				pair[1] = s
			}
		}
		bare, got, ratios = append(bare, pair[0]), append(got, pair[1]), append(ratios, pair[1].cpu/pair[0].cpu)
		fmt.Printf("%-12s round %d/%d: bare %.1f µs, with %s %.1f µs, ×%.3f\n", c.name, i+1, rounds, pair[0].cpu, b.name(with), pair[1].cpu, ratios[i])
	}
	if b.profile != "" {
		for name, p := range map[string]*proxy{"bare": b.bare, b.name(with): with} {
			if err := b.profileOf(ctx, p, c, name); err != nil {
				return nil, err
			}
		}
	}
	return &result{
		testCase: c, ratio: quantile(ratios, .5), low: quantile(ratios, .25), high: quantile(ratios, .75),
		bare: medians(bare), got: medians(got),
	}, nil
}

// Names of what is compared with the bare proxy.
const (
	gatewayName = "gateway"
	otherName   = "replace-response"
)

func (b *bench) name(p *proxy) string {
	if p == b.other {
		return otherName
	}
	return gatewayName
}

// round loads one side and counts its CPU time until it has come to rest: what it still has to do for these requests
// (ship their rows to the audit database) is part of what they cost.
func (b *bench) round(ctx context.Context, p *proxy, c *testCase, length time.Duration) (sample, error) {
	before, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		return sample{}, err
	}
	l, err := b.load.run(ctx, b.url(p, c), b.header(c), length)
	if err != nil {
		return sample{}, err
	}
	if l.Errors > 0 || l.Requests == 0 {
		return sample{}, fmt.Errorf("%d requests, %d errors", l.Requests, l.Errors)
	}
	if c.impersonating && p == b.gateway {
		b.recorded += l.Requests
	}
	after, err := rest(ctx, p, c.impersonating && p == b.gateway)
	if err != nil {
		return sample{}, err
	}
	return sample{
		cpu: float64((after - before).Microseconds()) / float64(l.Requests), rps: float64(l.Requests) / l.Seconds, p99: l.P99, requests: l.Requests,
	}, nil
}

// rest waits until the process does nothing more, and returns its CPU time. Rows wait up to a second to be sent
// together.
func rest(ctx context.Context, p *proxy, ships bool) (time.Duration, error) {
	step := 100 * time.Millisecond
	if ships {
		step = 1300 * time.Millisecond
	}
	last := time.Duration(-1)
	for range 20 {
		select {
		case <-p.done:
			return 0, fmt.Errorf("the proxy ended: %w\n%s", p.err, p.out.String())
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(step):
		}
		now, err := cpuTime(p.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		if last >= 0 && now-last <= 10*time.Millisecond { // the unit it is told in
			return now, nil
		}
		last, step = now, 200*time.Millisecond
	}
	return last, nil
}

// check makes one request and looks at the answer: what is measured must be what it is called.
func (b *bench) check(ctx context.Context, c *testCase, with *proxy) error {
	want := bodies()[c.path].bytes
	for _, p := range []*proxy{b.bare, with} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url(p, c), nil)
		if err != nil {
			return err
		}
		req.Header = b.header(c)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
		res.Body.Close()
		if err != nil {
			return err
		}
		seen, wantSeen, banner := res.Header.Get("X-Seen"), "", p == b.other
		if p == b.gateway {
			wantSeen = "bob"
			if c.impersonating {
				wantSeen, banner = "sam", c.dest == "document"
				b.recorded++
			}
		}
		marked := len(got) > len(want) && bytes.Contains(got, []byte("/.impersonate/"))
		if res.StatusCode != http.StatusOK || seen != wantSeen || marked != banner || !banner && !bytes.Equal(got, want) {
			return fmt.Errorf("%w: %s, the app saw %q, %d bytes for its %d, banner %t", errSmall, res.Status, seen, len(got), len(want), marked)
		}
	}
	return nil
}

// audited compares what the audit database has with what was answered. Requests that the loader broke off at the end
// of a round are in it too.
func (b *bench) audited(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.dir, "audit.db")+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	var rows, completed int
	query := "SELECT count(*), coalesce(sum(outcome = 'completed'), 0) FROM requests WHERE impersonation_id != ''"
	if err := db.QueryRowContext(ctx, query).Scan(&rows, &completed); err != nil {
		return fmt.Errorf("reading the audit: %w", err)
	}
	fmt.Printf("audit: %d rows, %d of them completed, for %d answers\n", rows, completed, b.recorded)
	if completed < b.recorded {
		return fmt.Errorf("the audit has %d completed requests; %d were answered", completed, b.recorded)
	}
	return nil
}

// profileOf writes a CPU profile of a process under load.
func (b *bench) profileOf(ctx context.Context, p *proxy, c *testCase, name string) error {
	length := 5 * time.Second
	done := make(chan error, 1)
	go func() {
		l, err := b.load.run(ctx, b.url(p, c), b.header(c), length)
		if c.impersonating && p == b.gateway {
			b.recorded += l.Requests
		}
		done <- err
	}()
	err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.admin, int(length.Seconds())), filepath.Join(b.profile, strings.Join([]string{c.name, name, "pprof"}, ".")))
	if lerr := <-done; err == nil {
		err = lerr
	}
	return err
}

func fetch(ctx context.Context, from, to string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

func medians(all []sample) sample {
	pick := func(f func(sample) float64) float64 {
		var v []float64
		for _, s := range all {
			v = append(v, f(s))
		}
		return quantile(v, .5)
	}
	return sample{
		cpu: pick(func(s sample) float64 { return s.cpu }),
		rps: pick(func(s sample) float64 { return s.rps }),
		p99: pick(func(s sample) float64 { return s.p99 }),
	}
}

// quantile interpolates between the values.
func quantile(values []float64, q float64) float64 {
	v := slices.Sorted(slices.Values(values))
	at := q * float64(len(v)-1)
	low, part := math.Modf(at)
	i := int(low)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + part*(v[i+1]-v[i])
}
