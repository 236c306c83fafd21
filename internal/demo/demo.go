// Package demo shows the gateway at work with nothing else installed: an OpenID Connect provider with a login page, a
// field-service app with header login, and the gateway between them, in one process and on this machine only.
//
// It knows neither Caddy nor the configuration's types: it writes a Caddyfile, as an operator would, and has it run.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/demo/fieldbook"
	"github.com/seed-240d5494/caddy-impersonate/internal/demo/provider"
)

// DefaultAddr is where the demo is served.
const DefaultAddr = "localhost:8080"

// Options configure a demo. Run is required.
type Options struct {
	// Addr is host:port of the protected app; default DefaultAddr.
	Addr string
	// Data keeps state and audit; empty: a temporary directory, removed at the end.
	Data string
	// ClickHouse is the address (host:port) or DSN of a server to write the audit to; empty: SQLite below Data.
	ClickHouse string
	// Out gets what to try, and then each action as it is recorded.
	Out io.Writer
	// Run serves the Caddyfile until ctx ends; it calls ready once it does.
	Run func(ctx context.Context, caddyfile []byte, ready func()) error
	// Migrate makes the audit tables at a ClickHouse DSN; required with ClickHouse.
	Migrate func(ctx context.Context, dsn string) error
}

// Run serves the demo until ctx ends.
func Run(ctx context.Context, o Options) error {
	if o.Addr == "" {
		o.Addr = DefaultAddr
	}
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return fmt.Errorf("reading the address %q (it must be host:port, such as localhost:8080): %w", o.Addr, err)
	}
	if err := free(o.Addr); err != nil {
		return err
	}
	data, cleanup, err := dataDir(o.Data)
	if err != nil {
		return err
	}
	defer cleanup()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var local serving
	defer local.close()

	secret := make([]byte, 24)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("making the client secret: %w", err)
	}
	origins := origins(host, port)
	idpListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("starting the provider: %w", err)
	}
	po := provider.Options{
		Issuer: "http://" + idpListener.Addr().String(), ClientID: "gateway",
		ClientSecret: base64.RawURLEncoding.EncodeToString(secret), Accounts: providerAccounts(),
	}
	for _, origin := range origins {
		po.RedirectURIs = append(po.RedirectURIs, origin+"/.impersonate/callback")
		po.PostLogoutURIs = append(po.PostLogoutURIs, origin+"/", origin+"/.impersonate/", origin+"/.impersonate/logged-out")
	}
	idp, err := provider.New(po)
	if err != nil {
		return err
	}
	local.serve(idpListener, idp, cancel)
	app, err := local.listen(fieldbook.New(appUsers(), time.Now), cancel)
	if err != nil {
		return fmt.Errorf("starting the app: %w", err)
	}

	dsn := ""
	if o.ClickHouse != "" {
		dsn = clickhouseDSN(o.ClickHouse)
		if err := o.Migrate(ctx, dsn); err != nil {
			return fmt.Errorf("making the audit tables in ClickHouse: %w", err)
		}
	}
	caddyfile, err := write(data, files{Origins: origins, Issuer: po.Issuer, Secret: po.ClientSecret, App: app, Host: host, ClickHouse: dsn})
	if err != nil {
		return err
	}
	ready := func() {
		fmt.Fprint(o.Out, welcome(origins[0], data, dsn))
		go follow(ctx, data, dsn, o.Out)
	}
	err = o.Run(ctx, caddyfile, ready)
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// free tells early, and plainly, when another program has the address.
func free(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s is taken; set DEMO_ADDR=127.0.0.1:9000 (or another free address): %w", addr, err)
	}
	return l.Close()
}

func dataDir(dir string) (string, func(), error) {
	if dir != "" {
		abs, err := filepath.Abs(dir)
		if err == nil {
			err = os.MkdirAll(abs, 0o700)
		}
		if err != nil {
			return "", nil, fmt.Errorf("making the data directory: %w", err)
		}
		return abs, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "impersonate-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("making the data directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// origins are the ways a browser on this machine may write the address; the first is shown.
func origins(host, port string) []string {
	switch host {
	case "localhost", "127.0.0.1", "":
		first, second := "localhost", "127.0.0.1"
		if host == "127.0.0.1" {
			first, second = second, first
		}
		return []string{"http://" + net.JoinHostPort(first, port), "http://" + net.JoinHostPort(second, port)}
	}
	return []string{"http://" + net.JoinHostPort(host, port)}
}

func clickhouseDSN(addr string) string {
	if strings.Contains(addr, "://") {
		return addr
	}
	return "clickhouse://default@" + addr + "/impersonate"
}

// serving are the demo's own servers.
type serving struct{ servers []*http.Server }

func (s *serving) listen(h http.Handler, fail context.CancelCauseFunc) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.serve(l, h, fail)
	return l.Addr().String(), nil
}

func (s *serving) serve(l net.Listener, h http.Handler, fail context.CancelCauseFunc) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.servers = append(s.servers, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fail(err)
		}
	}()
}

func (s *serving) close() {
	for _, server := range s.servers {
		_ = server.Close()
	}
}
