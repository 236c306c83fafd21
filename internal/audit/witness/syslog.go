package witness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const (
	// priority is facility 13 (log audit), severity 5 (notice).
	priority = 13*8 + 5
	// syslogTime bounds what is done for one checkpoint, and confirmTime of it the wait for the daemon's good-bye.
	syslogTime  = 15 * time.Second
	confirmTime = 5 * time.Second
	maxHostname = 255
)

// SyslogOptions are where a syslog is. Address is required.
type SyslogOptions struct {
	// Address is udp://host[:514], tcp://host[:601], tls://host[:6514] or unix:///dev/log.
	Address string
	// CA is a file of PEM certificates to trust instead of the system's; Certificate and Key are files of the client's own.
	// For tls alone.
	CA, Certificate, Key string
}

// Syslog sends each checkpoint as a message of RFC 5424. Syslog confirms nothing. Over tcp and tls each has a connection of
// its own, and counts as taken when the daemon has closed it after reading to its end; over udp when it is sent.
type Syslog struct {
	address  *url.URL
	tls      *tls.Config
	hostname string
}

// NewSyslog checks the options and reads their files. It reaches for nobody.
func NewSyslog(o SyslogOptions) (*Syslog, error) {
	u, err := CheckSyslog(o)
	if err != nil {
		return nil, err
	}
	s := &Syslog{address: u, hostname: hostname()}
	if u.Scheme == "tls" {
		s.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
		if o.CA != "" {
			pem, err := os.ReadFile(o.CA)
			if err != nil {
				return nil, fmt.Errorf("reading ca: %w", err)
			}
			s.tls.RootCAs = x509.NewCertPool()
			if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("reading ca %s: no certificate in it; give PEM", o.CA)
			}
		}
		if o.Certificate != "" {
			own, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
			if err != nil {
				return nil, fmt.Errorf("reading certificate: %w", err)
			}
			s.tls.Certificates = []tls.Certificate{own}
		}
	}
	return s, nil
}

var syslogPorts = map[string]string{"udp": "514", "tcp": "601", "tls": "6514"}

// CheckSyslog tells whether the options make sense, without reading a file.
func CheckSyslog(o SyslogOptions) (*url.URL, error) {
	const how = "write udp://logs.example.com, tcp://logs.example.com:601, tls://logs.example.com or unix:///dev/log"
	u, err := url.Parse(o.Address)
	switch {
	case err != nil:
		return nil, errors.New("the address can't be read; " + how)
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/") && u.RawQuery == "":
	case syslogPorts[u.Scheme] == "" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the address %.200q is none; %s", o.Address, how)
	case u.Port() == "":
		u.Host = net.JoinHostPort(u.Hostname(), syslogPorts[u.Scheme])
	}
	if u.Scheme != "tls" && (o.CA != "" || o.Certificate != "" || o.Key != "") {
		return nil, errors.New("ca and certificate are for tls://")
	}
	if (o.Certificate == "") != (o.Key == "") {
		return nil, errors.New("certificate: its file and its key's go together; write both or none")
	}
	return u, nil
}

// hostname is this machine's, as a message can have it.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || len(name) > maxHostname || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "-"
	}
	return name
}

// Name implements [audit.Witness].
func (s *Syslog) Name() string { return "syslog " + s.address.String() }

// message is the checkpoint as RFC 5424 has it.
func (s *Syslog) message(c *audit.Checkpoint) ([]byte, error) {
	b, err := line(c)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("<%d>1 %s %s caddy-impersonate %d checkpoint - ", priority, c.Time.UTC().Format(audit.TimeLayout), s.hostname, os.Getpid())
	return append([]byte(head), b...), nil
}

// Publish implements [audit.Witness].
func (s *Syslog) Publish(ctx context.Context, c *audit.Checkpoint) error {
	m, err := s.message(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, syslogTime)
	defer cancel()
	conn, framed, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if framed {
		m = append([]byte(strconv.Itoa(len(m))+" "), m...) // octet counting: RFC 6587, section 3.4.1; RFC 5425
	}
	if _, err := conn.Write(m); err != nil {
		return fmt.Errorf("sending to %s: %w", s.address, err)
	}
	if framed {
		return s.confirm(ctx, conn)
	}
	return nil
}

func (s *Syslog) dial(ctx context.Context) (conn net.Conn, framed bool, err error) {
	var d net.Dialer
	switch s.address.Scheme {
	case "unix":
		if conn, err = d.DialContext(ctx, "unixgram", s.address.Path); err != nil {
			// One that takes streams: the messages end in a line break there.
			if conn, err = d.DialContext(ctx, "unix", s.address.Path); err == nil {
				conn = lines{conn}
			}
		}
		return conn, false, err
	case "tls":
		conn, err = (&tls.Dialer{NetDialer: &d, Config: s.tls}).DialContext(ctx, "tcp", s.address.Host)
		return conn, true, err
	}
	conn, err = d.DialContext(ctx, s.address.Scheme, s.address.Host)
	return conn, s.address.Scheme == "tcp", err
}

// lines ends what is written with a line break.
type lines struct{ net.Conn }

func (l lines) Write(b []byte) (int, error) { return l.Conn.Write(append(slices.Clone(b), '\n')) }

// confirm waits until the daemon has read all: it closes the connection then. One that was reset has not. One that says
// nothing may keep its connections open for others to come.
func (s *Syslog) confirm(ctx context.Context, conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	err := half.CloseWrite()
	if err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(confirmTime))
		_, err = io.Copy(io.Discard, io.LimitReader(conn, 64<<10))
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("sending to %s: %w", s.address, err)
	}
	return nil
}

// Close implements [audit.Witness].
func (s *Syslog) Close() error { return nil }

var _ audit.Witness = (*Syslog)(nil)
