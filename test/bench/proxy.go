package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/demo/provider"
)

// proxy is a running binary.
type proxy struct {
	cmd   *exec.Cmd
	addr  string // host:port of its site
	admin string // host:port, for profiles; empty: off
	out   bytes.Buffer
	done  chan struct{}
	err   error
}

// common is what both have, so that they differ in the gateway alone.
const common = `	persist_config off
	skip_install_trust
	log {
		level WARN
	}
`

func (b *bench) startBare(ctx context.Context, binary string) (*proxy, error) {
	return b.start(ctx, binary, "bare", func(p *proxy) string {
		return fmt.Sprintf("{\n%s\tadmin %s\n}\nhttp://%s {\n\tbind 127.0.0.1\n\treverse_proxy %s\n}\n", common, p.adminOption(), p.addr, b.app)
	})
}

// startOther starts a Caddy that puts as much into each page as the banner is, by caddyserver/replace-response, and does
// nothing else.
func (b *bench) startOther(ctx context.Context, binary string) (*proxy, error) {
	fragment := "<div class=/.impersonate/>" + strings.Repeat("x", 1500) + "</div>"
	return b.start(ctx, binary, "other", func(p *proxy) string {
		return fmt.Sprintf("{\n%s\tadmin %s\n\torder replace after encode\n}\nhttp://%s {\n\tbind 127.0.0.1\n\treplace `<body class=\"page\">` `<body class=\"page\">%s`\n\treverse_proxy %s\n}\n",
			common, p.adminOption(), p.addr, fragment, b.app)
	})
}

const usersYAML = `users:
  - {id: u-1041, username: alice, name: Alice Ng, email: alice@example.test, groups: [support, staff]}
  - {id: u-2207, username: sam, name: Sam Reed, email: sam@example.test, groups: [fieldworkers, staff]}
  - {id: u-1042, username: bob, name: Bob Stone, email: bob@example.test, groups: [support, staff]}
`

// startGateway starts an identity provider, in this process, and the gateway with everything on.
func (b *bench) startGateway(ctx context.Context, binary string) (*http.Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	const secret = "bench-bench-bench-bench-bench-00"
	o := provider.Options{Issuer: "http://" + l.Addr().String(), ClientID: "gateway", ClientSecret: secret}
	for _, name := range []string{"alice", "bob"} {
		o.Accounts = append(o.Accounts, provider.Account{Subject: "s-" + name, Username: name, Password: "bench", Name: name, Groups: []string{"support"}})
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second}
	b.gateway, err = b.start(ctx, binary, "gateway", func(p *proxy) string {
		o.RedirectURIs = []string{"http://" + p.addr + "/.impersonate/callback"}
		idp, err := provider.New(o)
		if err != nil {
			panic(err) // its key can always be made
		}
		server.Handler = idp
		go func() { _ = server.Serve(l) }()
		return fmt.Sprintf(`{
%[1]s	admin %[2]s
	impersonate {
		state sqlite %[3]s/state.db
		oidc {
			issuer        %[4]s
			client_id     gateway
			client_secret %[5]s
			scopes        openid profile email groups
		}
		directory file %[3]s/users.yaml
		policy support {
			actor    group support
			target   group fieldworkers
			mode     full
			duration 4h
			idle     30m
			require  reason
		}
		audit {
			journal %[3]s/journal
			sqlite  %[3]s/audit.db
		}
	}
}
http://%[6]s {
	bind 127.0.0.1
	impersonate {
		identity Remote-User   {impersonate.user.username}
		identity Remote-Email  {impersonate.user.email}
		identity Remote-Name   {impersonate.user.name}
		identity Remote-Groups {impersonate.user.groups}
		action "Completed booking"   POST /bookings/*/complete
		action "Looked at a booking" GET  /bookings/*
		deny   /account/password* /billing*
		safe   POST /search*
		public /healthz /static/*
	}
	reverse_proxy %[7]s
}
`, common, p.adminOption(), b.dir, o.Issuer, secret, p.addr, b.app)
	})
	if err != nil {
		_ = server.Close()
	}
	return server, err
}

func (p *proxy) adminOption() string {
	if p.admin == "" {
		return "off"
	}
	return p.admin
}

func (b *bench) start(ctx context.Context, binary, name string, caddyfile func(*proxy) string) (*proxy, error) {
	p := &proxy{done: make(chan struct{})}
	var err error
	if p.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	if b.profile != "" {
		if p.admin, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(b.dir, "users.yaml"), []byte(usersYAML), 0o600); err != nil {
		return nil, err
	}
	config := filepath.Join(b.dir, name+".caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile(p)), 0o600); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	p.cmd.Env = append(os.Environ(), "HOME="+b.dir, "XDG_DATA_HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := p.ready(ctx); err != nil {
		_ = p.stop()
		return nil, fmt.Errorf("%w\n%s", err, p.out.String())
	}
	return p, nil
}

// ready waits until the site answers anything.
func (p *proxy) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode < 500 {
				return nil
			}
		}
		select {
		case <-p.done:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not serve: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop ends it, the second time without effect.
func (p *proxy) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
	select {
	case <-p.done:
		return p.err
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("it did not stop\n%s", p.out.String())
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
