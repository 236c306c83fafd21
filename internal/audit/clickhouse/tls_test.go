package clickhouse_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// authority is a CA of the test's own.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	var der []byte
	a.key, der = a.sign(template, template, nil)
	a.cert, _ = x509.ParseCertificate(der)
	a.file = writePEM(t, name+".pem", "CERTIFICATE", der)
	return a
}

// sign makes a key and a certificate for it; by is nil for one that signs itself.
func (a *authority) sign(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, der
}

// issue makes a certificate for name, valid until so long from now, and writes it and its key to files.
func (a *authority) issue(name string, left time.Duration) (certFile, keyFile string) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(left),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key, der := a.sign(template, a.cert, a.key)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return writePEM(a.t, name+".pem", "CERTIFICATE", der), writePEM(a.t, name+".key", "PRIVATE KEY", pkcs8)
}

func writePEM(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// terminate serves TLS in front of the engine, which speaks none itself, and returns the address. Who has no certificate
// of clients is refused, unless clients is nil.
func terminate(t *testing.T, to string, clients *authority, certFile, keyFile string) string {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if clients != nil {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AddCert(clients.cert)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer b.Close()
				go func() {
					defer b.Close()
					_, _ = io.Copy(b, c)
				}()
				_, _ = io.Copy(c, b)
			}()
		}
	}()
	return ln.Addr().String()
}

// TestTLS: rows go over TLS, with certificates on both sides, and to nobody who has the wrong ones.
func TestTLS(t *testing.T) {
	srv, plain := ready(t)
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	serverCert, serverKey := ours.issue("ch1.example.test", time.Hour)
	lateCert, lateKey := ours.issue("ch1.example.test", -time.Hour)
	clientCert, clientKey := ours.issue("writer", time.Hour)
	strangerCert, strangerKey := theirs.issue("writer", time.Hour)
	expiredCert, expiredKey := ours.issue("writer", -time.Hour)

	oneWay := terminate(t, srv.Addr, nil, serverCert, serverKey)
	mutual := terminate(t, srv.Addr, ours, serverCert, serverKey)
	late := terminate(t, srv.Addr, nil, lateCert, lateKey)
	const name = "tls_server_name=ch1.example.test"
	ca := "tls_ca=" + ours.file
	client := func(cert, key string) string { return "tls_cert=" + cert + "&tls_key=" + key }

	seq := uint64(0)
	for _, tt := range []struct {
		name, addr string
		params     []string
		says       string // empty: rows get there
	}{
		{"TLS", oneWay, []string{name, ca}, ""},
		{"mutual TLS", mutual, []string{name, ca, client(clientCert, clientKey)}, ""},
		{"a certificate nobody asks for", oneWay, []string{name, ca, client(clientCert, clientKey)}, ""},
		{"another CA", oneWay, []string{name, "tls_ca=" + theirs.file}, "name its CA with tls_ca=FILE"},
		{"the system's CAs", oneWay, []string{name}, "name its CA with tls_ca=FILE"},
		{"another name", oneWay, []string{ca}, "tls_server_name=NAME"},
		{"the server's certificate has expired", late, []string{name, ca}, "the server's certificate is not valid now"},
		{"no client certificate", mutual, []string{name, ca}, "give it with tls_cert=FILE and tls_key=FILE"},
		{"a stranger's client certificate", mutual, []string{name, ca, client(strangerCert, strangerKey)}, "does not trust the client certificate"},
		{"an expired client certificate", mutual, []string{name, ca, client(expiredCert, expiredKey)}, "client certificate (tls_cert) has expired"},
		{"no TLS there", srv.Addr, []string{name, ca}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dsn := fmt.Sprintf("clickhouse://default@%s/%s?secure=true&dial_timeout=1m&%s", tt.addr, chtest.Database, strings.Join(tt.params, "&"))
			s := open(t, dsn)
			reader, err := clickhouse.OpenReader(dsn, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			b := makeBatch("log", seq+1, seq+10, march)
			err = s.Write(t.Context(), b)
			_, readErr := reader.Checkpoints(t.Context(), audit.Filter{}, audit.Page{})
			if tt.addr == srv.Addr {
				// The engine of the tests takes the handshake for a packet and hangs up or says nothing.
				if err == nil || errors.Is(err, audit.ErrPermanent) || readErr == nil {
					t.Errorf("a server without TLS: %v, %v", err, readErr)
				}
				return
			}
			if tt.says == "" {
				seq += 10
				if err != nil || readErr != nil {
					t.Errorf("write: %v, read: %v", err, readErr)
				}
				return
			}
			for doing, err := range map[string]error{"write": err, "read": readErr, "check": s.Check(t.Context())} {
				if err == nil || errors.Is(err, audit.ErrPermanent) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: %v, want one that says %q", doing, err, tt.says)
				}
			}
		})
	}
	write(t, plain, makeBatch("log", seq+1, seq+10, march))
	holdsOnce(t, srv, "log", seq+10, seq/10+1)
}

// TestTLSRenewed: a client certificate that is replaced is taken up by the next connection.
func TestTLSRenewed(t *testing.T) {
	srv, _ := ready(t)
	ours := newAuthority(t, "ours")
	serverCert, serverKey := ours.issue("ch1.example.test", time.Hour)
	addr := terminate(t, srv.Addr, ours, serverCert, serverKey)
	cert, key := ours.issue("writer", -time.Hour)
	s := open(t, fmt.Sprintf("clickhouse://default@%s/%s?secure=true&tls_server_name=ch1.example.test&tls_ca=%s&tls_cert=%s&tls_key=%s",
		addr, chtest.Database, ours.file, cert, key))
	if err := s.Check(t.Context()); err == nil {
		t.Fatal("an expired certificate was taken")
	}
	newCert, newKey := ours.issue("writer", time.Hour)
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("with the renewed one: %v", err)
	}
}

// TestOpenTLS: what is wrong with the files shows when the configuration is checked.
func TestOpenTLS(t *testing.T) {
	ours := newAuthority(t, "ours")
	cert, key := ours.issue("writer", time.Hour)
	_, otherKey := ours.issue("writer", time.Hour)
	for params, says := range map[string]string{
		"tls_ca=" + ours.file:                                        "need secure=true",
		"secure=true&tls_ca=/nowhere/ca.pem":                         "tls_ca: open /nowhere/ca.pem",
		"secure=true&tls_ca=" + key:                                  "holds no certificate in PEM",
		"secure=true&tls_cert=" + cert:                               "go together",
		"secure=true&tls_key=" + key:                                 "go together",
		"secure=true&tls_cert=" + cert + "&tls_key=" + otherKey:      "private key does not match",
		"secure=true&tls_cert=" + cert + "&tls_key=/nowhere/key.pem": "open /nowhere/key.pem",
		"secure=perhaps":                                             "secure",
	} {
		dsn := "clickhouse://u:s3cret@ch1:9440/impersonate?" + params
		s, err := clickhouse.Open(dsn)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", params, err)
		}
		if _, err := clickhouse.OpenReader(dsn, nil); err == nil {
			t.Errorf("%s: the reader takes it", params)
		}
		if _, err := clickhouse.OpenReadOnly(dsn); err == nil {
			t.Errorf("%s: verify takes it", params)
		}
	}
}
