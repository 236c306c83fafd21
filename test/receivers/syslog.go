package receivers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// Syslogd is a running rsyslogd that takes messages over udp and tcp at Addr, and over tls at TLSAddr, and writes them to
// File as it would to /var/log/syslog.
type Syslogd struct {
	t             testing.TB
	Addr, TLSAddr string
	// CA is the file of the certificate that its own is signed with: itself.
	CA, File string
	dir      string
	cmd      *exec.Cmd
}

const rsyslogConf = `global(workDirectory="@DIR@" maxMessageSize="64k" defaultNetstreamDriverCAFile="@DIR@/cert.pem"
  defaultNetstreamDriverCertFile="@DIR@/cert.pem" defaultNetstreamDriverKeyFile="@DIR@/key.pem")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imudp" address="127.0.0.1" port="@PORT@")
input(type="imptcp" address="127.0.0.1" port="@PORT@")
input(type="imtcp" address="127.0.0.1" port="@TLSPORT@")
action(type="omfile" file="@DIR@/syslog" template="RSYSLOG_FileFormat")
`

// Syslog starts one.
func Syslog(t testing.TB) *Syslogd {
	t.Helper()
	dir := t.TempDir()
	s := &Syslogd{t: t, Addr: freeport.Addr(t), TLSAddr: freeport.Addr(t), dir: dir, CA: filepath.Join(dir, "cert.pem"), File: filepath.Join(dir, "syslog")}
	s.certify()
	port := func(addr string) string {
		_, p, _ := net.SplitHostPort(addr)
		return p
	}
	conf := strings.NewReplacer("@DIR@", dir, "@PORT@", port(s.Addr), "@TLSPORT@", port(s.TLSAddr)).Replace(rsyslogConf)
	s.write("rsyslog.conf", []byte(conf))
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Start starts it again after Kill.
func (s *Syslogd) Start() {
	s.t.Helper()
	const program = "/usr/sbin/rsyslogd"
	if _, err := os.Stat(program); err != nil {
		s.t.Fatalf("a real syslog daemon is needed; run test/setup.sh: %v", err)
	}
	if err := os.Remove(filepath.Join(s.dir, "pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(program, "-n", "-f", filepath.Join(s.dir, "rsyslog.conf"), "-i", filepath.Join(s.dir, "pid"))
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	until := time.Now().Add(3 * time.Minute)
	for _, addr := range []string{s.Addr, s.TLSAddr} {
		for {
			c, err := net.Dial("tcp", addr) //nolint:noctx // at once
			if err == nil {
				_ = c.Close()
				break
			}
			if time.Now().After(until) {
				s.t.Fatalf("rsyslogd does not listen: %v", err)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
}

// Kill kills it with SIGKILL.
func (s *Syslogd) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // killed: its exit status says nothing
		s.cmd = nil
	}
}

func (s *Syslogd) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// certify makes a certificate for 127.0.0.1.
func (s *Syslogd) certify() {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's syslog"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	s.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
