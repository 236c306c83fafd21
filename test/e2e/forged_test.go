package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A client forges the identity headers in every spelling an app might fold, names them in Connection, sends them
// twice or as trailers: whatever it does, the app sees the gateway's alone (invariants 1 and 2).
func TestForgedHeadersNeverReachTheApp(t *testing.T) {
	p := newParts(t)
	p.Scheme = "https"
	p.Addr = strings.Replace(p.Addr, "127.0.0.1", "localhost", 1)
	p.Issuer = startProvider(t, p.origin()).Issuer
	p.App = startMirror(t)
	p.Site = "assertion X-Impersonate-Assertion"
	startGateway(t, p)
	alice := logIn(t, p.origin(), "alice")

	forgeries := [][2]string{
		{"Remote-User", "mallory"},
		{"remote-user", "mallory"},
		{"REMOTE-USER", "mallory"},
		{"remote_user", "mallory"},
		{"Remote_User", "mallory"},
		{"Remote.User", "mallory"},
		{"remote.email", "mallory@evil.test"},
		{"REMOTE_GROUPS", "account-owners"},
		{"Remote-Name", "Mallory"},
		{"X-Impersonated-By", "nobody"},
		{"x_impersonated_by", "nobody"},
		{"X-Impersonate-Assertion", "e30.e30."},
		{"x.impersonate.assertion", "e30.e30."},
	}
	check := func(t *testing.T, user, by string, s seen) {
		t.Helper()
		want := map[string]string{"remote-user": user, "x-impersonated-by": by}
		for name, values := range s.Header {
			folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
			for _, v := range values {
				if strings.Contains(strings.ToLower(v), "mallory") || v == "nobody" || v == "e30.e30." || folded == "remote-groups" && v == "account-owners" {
					t.Errorf("the app got %s: %s", name, v)
				}
			}
			if w, ok := want[folded]; ok {
				if len(values) != 1 || values[0] != w || name != http.CanonicalHeaderKey(folded) {
					t.Errorf("the app got %s: %q, want %q", name, values, w)
				}
				delete(want, folded)
			}
		}
		for name, v := range want {
			if v != "" {
				t.Errorf("the app did not get %s", name)
			}
		}
		if s.Header.Get("X-Impersonate-Assertion") == "" {
			t.Error("the app got no assertion")
		}
	}
	raw := map[string]func(*testing.T, [][2]string) seen{
		"HTTP/1.1": func(t *testing.T, h [][2]string) seen { return rawHTTP1(t, p.Addr, alice.cookie, h) },
		"HTTP/2":   func(t *testing.T, h [][2]string) seen { return rawHTTP2(t, p.Addr, alice.cookie, h) },
	}
	for _, as := range []string{"alice", "sam"} {
		by := ""
		if as == "sam" {
			alice.become("sam")
			by = "alice"
		}
		for proto, send := range raw {
			t.Run(proto+" as "+as, func(t *testing.T) {
				for _, f := range forgeries {
					t.Run(f[0], func(t *testing.T) { check(t, as, by, send(t, [][2]string{f})) })
				}
				t.Run("all at once, twice", func(t *testing.T) {
					check(t, as, by, send(t, append(append([][2]string{}, forgeries...), forgeries...)))
				})
				if proto == "HTTP/1.1" {
					for _, c := range []string{"Remote-User", "close, Remote-User", "remote_user, REMOTE.USER, Remote-Email", "X-Impersonated-By, X-Impersonate-Assertion"} {
						t.Run("Connection: "+c, func(t *testing.T) { check(t, as, by, send(t, [][2]string{{"Connection", c}})) })
					}
				}
			})
		}
	}
}

// rawHTTP1 sends the header lines exactly as they are.
func rawHTTP1(t *testing.T, addr, cookie string, headers [][2]string) seen {
	t.Helper()
	conn := dialTLS(t, addr, "http/1.1")
	var b strings.Builder
	fmt.Fprintf(&b, "GET /echo HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n", addr, cookie)
	for _, h := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	if _, err := conn.Write([]byte(b.String())); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", res.StatusCode, read(t, res.Body))
	}
	return parseSeen(t, read(t, res.Body))
}

// rawHTTP2 sends the header fields as they are, in lower case as the protocol has it.
func rawHTTP2(t *testing.T, addr, cookie string, headers [][2]string) seen {
	t.Helper()
	conn := dialTLS(t, addr, "h2")
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	field := func(name, value string) { _ = enc.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	field(":method", "GET")
	field(":scheme", "https")
	field(":authority", addr)
	field(":path", "/echo")
	field("cookie", cookie)
	for _, h := range headers {
		field(strings.ToLower(h[0]), h[1])
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if s := f.PseudoValue("status"); s != "200" {
				t.Fatalf("status %s", s)
			}
		case *http2.DataFrame:
			body.Write(f.Data())
			if f.StreamEnded() {
				return parseSeen(t, body.String())
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatalf("the server ended the stream: %v", f)
		}
	}
}

func dialTLS(t *testing.T, addr, proto string) net.Conn {
	t.Helper()
	host, _, _ := net.SplitHostPort(addr)
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{proto}}) //nolint:gosec // Caddy's own CA, on loopback
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	return conn
}
