package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Parameters of a DSN that are files. The driver does not know them.
const (
	paramCA   = "tls_ca"
	paramCert = "tls_cert"
	paramKey  = "tls_key"
)

// options reads a DSN: what the driver reads, and the files of TLS. All of this package reads DSNs by it.
func options(dsn string) (*clickhouse.Options, *dialer, error) {
	opt, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the ClickHouse DSN: %w", err)
	}
	if opt.Protocol != clickhouse.Native {
		return nil, nil, errors.New("reading the ClickHouse DSN: the scheme must be clickhouse or tcp; HTTP is not supported")
	}
	files := tlsFiles{ca: takeSetting(opt, paramCA), cert: takeSetting(opt, paramCert), key: takeSetting(opt, paramKey)}
	switch {
	case files != tlsFiles{} && opt.TLS == nil:
		return nil, nil, fmt.Errorf("reading the ClickHouse DSN: %s, %s and %s need secure=true", paramCA, paramCert, paramKey)
	case (files.cert == "") != (files.key == ""):
		return nil, nil, fmt.Errorf("reading the ClickHouse DSN: %s and %s go together", paramCert, paramKey)
	}
	if opt.TLS != nil {
		// What can't be read is to be told where the configuration is checked.
		if _, err := files.config(opt.TLS); err != nil {
			return nil, nil, fmt.Errorf("reading the ClickHouse DSN: %w", err)
		}
	}
	d := &dialer{files: files}
	opt.DialStrategy = d.dial
	return opt, d, nil
}

// takeSetting takes a parameter out of those that the driver would send to the server.
func takeSetting(opt *clickhouse.Options, name string) string {
	v, ok := opt.Settings[name]
	delete(opt.Settings, name)
	if !ok {
		return ""
	}
	return fmt.Sprint(v)
}

// tlsFiles are read for each connection, so that renewed certificates are taken up without a restart.
type tlsFiles struct {
	ca        string // instead of the system's authorities
	cert, key string // of the client; both or neither
}

// config is base with what the files hold.
func (f tlsFiles) config(base *tls.Config) (*tls.Config, error) {
	c := base.Clone()
	c.MinVersion = tls.VersionTLS12
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", paramCA, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s holds no certificate in PEM", paramCA, f.ca)
		}
	}
	if f.cert != "" {
		cert, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", paramCert, paramKey, err)
		}
		// Not Certificates, of which none is sent when the server names other authorities, and nobody learns why.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return c, nil
}

// tlsAdvice says what an operator has to do about a handshake that failed; empty when it is another failure.
func tlsAdvice(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's certificate is signed by no authority that is trusted here; name its CA with " + paramCA + "=FILE in the DSN"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the server's certificate is for another name; connect by that one, or give it with tls_server_name=NAME in the DSN"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the server's certificate is not valid now; renew it"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not speak TLS on this port; use its secure port (9440), or leave out secure=true"
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return alertAdvice(alert.Error())
	}
	// What the server sends after its own half of the handshake comes as text.
	if _, text, ok := strings.Cut(err.Error(), "remote error: tls: "); ok {
		return alertAdvice(text)
	}
	return ""
}

func alertAdvice(alert string) string {
	switch {
	case strings.Contains(alert, "certificate required"):
		return "the server wants a client certificate; give it with " + paramCert + "=FILE and " + paramKey + "=FILE in the DSN"
	case strings.Contains(alert, "expired certificate"):
		return "the client certificate (" + paramCert + ") has expired; renew it"
	case strings.Contains(alert, "bad certificate"), strings.Contains(alert, "unknown certificate"):
		return "the server does not trust the client certificate (" + paramCert + "); have it signed by an authority that the server knows"
	}
	return ""
}
