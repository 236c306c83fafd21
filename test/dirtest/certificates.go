package dirtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Certificates are files in PEM: of the authority that a server's certificate, for 127.0.0.1 and no name, is of; of another,
// that it is not of; and of a client.
type Certificates struct {
	CA, OtherCA, ClientCert, ClientKey string
}

// ClientName is who the client's certificate is for.
const ClientName = "certified"

// certify makes them in dir, and the server's as cert.pem and key.pem.
func certify(t *testing.T, dir string) Certificates {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	c := Certificates{CA: in("ca.pem"), OtherCA: in("other-ca.pem"), ClientCert: in("client.pem"), ClientKey: in("client-key.pem")}
	ours := newAuthority(t, c.CA)
	newAuthority(t, c.OtherCA)
	ours.issue(t, in("cert.pem"), in("key.pem"), &x509.Certificate{
		Subject: pkix.Name{CommonName: "a test's server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	ours.issue(t, c.ClientCert, c.ClientKey, &x509.Certificate{Subject: pkix.Name{CommonName: ClientName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return c
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, file string) *authority {
	t.Helper()
	a := &authority{cert: &x509.Certificate{
		Subject: pkix.Name{CommonName: filepath.Base(file)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.key = newKey(t)
	a.cert.Raw = a.sign(t, a.cert, a.cert, a.key)
	writePEM(t, file, "CERTIFICATE", a.cert.Raw)
	parsed, err := x509.ParseCertificate(a.cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = parsed
	return a
}

// issue writes a certificate and its key.
func (a *authority) issue(t *testing.T, certFile, keyFile string, template *x509.Certificate) {
	t.Helper()
	key := newKey(t)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	writePEM(t, certFile, "CERTIFICATE", a.sign(t, template, a.cert, key))
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, "PRIVATE KEY", pkcs8)
}

func (a *authority) sign(t *testing.T, template, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(24*time.Hour)
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}
