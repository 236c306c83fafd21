// Command bench measures what a request through the gateway costs over the same request through the same binary with
// nothing but reverse_proxy: CPU time of the proxy's process. docs/cost.md says how to read what it prints.
//
//	bench -binary bin/caddy-impersonate
//
// All parts run on this machine, each in a process of its own, on loopback addresses only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const connections = 16

// bench is one run's parts.
type bench struct {
	dir     string // temporary
	seconds int    // of load for each case, on each side
	profile string // directory for CPU profiles; empty: none
	load    loader

	app      string // host:port of the app
	bare     *proxy
	gateway  *proxy
	other    *proxy          // nil: not at hand
	cookies  map[bool]string // impersonating → the browser's Cookie header
	recorded int             // requests that must be in the audit
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "app" {
		serveApp()
		return
	}
	var b bench
	binary := flag.String("binary", "bin/caddy-impersonate", "the program to measure")
	flag.IntVar(&b.seconds, "seconds", seconds(), "seconds of load for each case, on each side")
	other := flag.String("other", "", "a Caddy with replace-response, to measure beside it")
	flag.StringVar(&b.profile, "profile", os.Getenv("BENCH_PROFILE"), "directory to write CPU profiles to")
	only := flag.String("only", os.Getenv("BENCH_ONLY"), "one case alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, *binary, *other, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// seconds is BENCH_SECONDS, or 16.
func seconds() int {
	if n, err := strconv.Atoi(os.Getenv("BENCH_SECONDS")); err == nil && n > 0 {
		return n
	}
	return 16
}

func (b *bench) run(ctx context.Context, binary, other, only string) (err error) {
	// However slow the machine is, it comes to an end.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute+time.Duration(b.seconds)*time.Minute)
	defer cancel()
	if b.dir, err = os.MkdirTemp("", "impersonate-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.profile != "" {
		if err := os.MkdirAll(b.profile, 0o755); err != nil {
			return err
		}
	}
	if b.load, err = newLoader(b.dir); err != nil {
		return err
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}

	app, err := startApp()
	if err != nil {
		return fmt.Errorf("starting the app: %w", err)
	}
	defer app.stop()
	b.app = app.addr
	if b.bare, err = b.startBare(ctx, binary); err != nil {
		return fmt.Errorf("starting the bare proxy: %w", err)
	}
	defer b.bare.stop()
	if other != "" {
		if b.other, err = b.startOther(ctx, other); err != nil {
			return fmt.Errorf("starting the proxy with replace-response: %w", err)
		}
		defer b.other.stop()
	}
	idp, err := b.startGateway(ctx, binary)
	if err != nil {
		return fmt.Errorf("starting the gateway: %w", err)
	}
	defer idp.Close()
	defer b.gateway.stop()
	if err := b.login(ctx); err != nil {
		return fmt.Errorf("logging in: %w", err)
	}

	rounds, length := split(b.seconds)
	fmt.Printf("%s, %d CPUs, %s; %d connections by %s; %d rounds of %s on each side, by turns\n",
		runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), runtime.Version(), connections, b.load.name(), rounds, length)
	var results, others []*result
	for _, c := range cases {
		if only != "" && c.name != only {
			continue
		}
		r, err := b.measure(ctx, c, b.gateway, rounds, length)
		if err != nil {
			return fmt.Errorf("case %s: %w", c.name, err)
		}
		results = append(results, r)
		if b.other == nil || !c.impersonating || c.dest != "document" {
			continue
		}
		if r, err = b.measure(ctx, c, b.other, rounds, length); err != nil {
			return fmt.Errorf("case %s, replace-response: %w", c.name, err)
		}
		others = append(others, r)
	}
	if err := b.gateway.stop(); err != nil {
		return fmt.Errorf("stopping the gateway: %w", err)
	}
	if err := b.audited(ctx); err != nil {
		return err
	}
	fmt.Println()
	for _, r := range results {
		fmt.Println(r.table(gatewayName))
	}
	for _, r := range others {
		fmt.Println(r.table(otherName))
	}
	fmt.Println()
	for _, r := range results {
		fmt.Println(r)
	}
	return nil
}

// split makes rounds of the seconds: short ones, because what else the machine does changes from minute to minute.
func split(seconds int) (rounds int, length time.Duration) {
	if seconds >= 6 {
		return seconds / 2, 2 * time.Second
	}
	return seconds, time.Second
}

func (b *bench) url(p *proxy, c *testCase) string {
	return (&url.URL{Scheme: "http", Host: p.addr, Path: c.path}).String()
}

var errSmall = errors.New("the answer is not what it should be")
