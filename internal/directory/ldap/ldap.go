// Package ldap reads accounts from an LDAP directory: OpenLDAP, 389 Directory Server, Active Directory and their like.
//
// Each reading is a connection of its own, so nothing has to be mended after one broke; and it is whole or counts for
// nothing, so that an answer that was cut off does not look like accounts that were removed.
package ldap

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

// Options are where the accounts are and what is read of them. All but those said to be optional are required.
type Options struct {
	// URLs are ldap://host[:389] or ldaps://host[:636], tried in turn.
	URLs []string
	// StartTLS encrypts ldap:// before anything else is said.
	StartTLS bool
	// CA is a file of PEM certificates to trust instead of the system's; optional.
	CA string
	// BindDN and Password are who reads; both empty: nobody in particular.
	BindDN, Password string
	// Base is below which accounts are, Filter which entries are accounts.
	Base, Filter string
	// Attributes name the LDAP attribute of a fact: username, and optionally id, name, email; any other is an attribute
	// of the account. Without an id it is entryUUID, objectGUID or the username, whichever there is.
	Attributes map[string]string
	// MemberOf is the attribute that has an account's groups, as DNs or as names; optional.
	MemberOf string
	// GroupBase is below which groups are that name their members, GroupFilter which entries are groups; optional.
	GroupBase, GroupFilter string
	// Timeout bounds each answer, Every is how often accounts are read, Keep how long the last reading counts.
	Timeout, Every, Keep time.Duration
	// Limit is how many accounts, and how many groups, are read; more is an error.
	Limit int
	Clock clock.Clock
}

const pageSize = 500

// Source is an LDAP directory of accounts.
type Source struct{ Options }

// New is the source with these options. Nothing is dialled before Users.
func New(o Options) *Source { return &Source{o} }

// Name implements [directory.Source].
func (s *Source) Name() string { return "ldap " + s.URLs[0] + " " + s.Base }

// Every implements [directory.PacedSource].
func (s *Source) Every() time.Duration { return s.Options.Every }

// Keep implements [directory.PacedSource].
func (s *Source) Keep() time.Duration { return s.Options.Keep }

// Key implements [directory.PacedSource].
func (s *Source) Key() string {
	o := s.Options
	o.Password, o.Clock, o.Timeout, o.Every, o.Keep = "", nil, 0, 0, 0
	settings, _ := json.Marshal(o) // nothing in it can't be
	sum := sha256.Sum256(settings)
	return "ldap " + hex.EncodeToString(sum[:16])
}

// Users implements [directory.Source].
func (s *Source) Users(ctx context.Context) ([]directory.User, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Searches know no context: closing the connection ends them.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	users, err := s.read(conn)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("reading accounts: %w", ctx.Err())
	}
	return users, err
}

// dial connects to the first server that lets us in.
func (s *Source) dial(ctx context.Context) (*ldap.Conn, error) {
	var errs []error
	for _, u := range s.URLs {
		conn, err := s.dialOne(ctx, u)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", u, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (s *Source) dialOne(ctx context.Context, address string) (_ *ldap.Conn, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	secure, port := u.Scheme == "ldaps", u.Port()
	if port == "" {
		port = "389"
		if secure {
			port = "636"
		}
	}
	cfg, err := s.tlsConfig(u.Hostname())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	if secure {
		t := tls.Client(raw, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("encrypting the connection: %w", err)
		}
		raw = t
	}
	conn := ldap.NewConn(raw, secure)
	conn.SetTimeout(s.Timeout)
	conn.Start()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = conn.Close()
		}
	}()
	if s.StartTLS && !secure {
		if err := conn.StartTLS(cfg); err != nil {
			return nil, fmt.Errorf("encrypting the connection (start_tls): %w", err)
		}
	}
	if s.BindDN != "" {
		if err := conn.Bind(s.BindDN, s.Password); err != nil {
			return nil, fmt.Errorf("logging in as %s: %w", s.BindDN, err)
		}
	}
	return conn, nil
}

func (s *Source) tlsConfig(host string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.CA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, fmt.Errorf("reading ca: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading ca: %s has no certificate in PEM", s.CA)
	}
	return cfg, nil
}

// Check tells what is wrong with base, bind and filters, which need no server to be told.
func (o Options) Check() error {
	var errs []error
	for _, dn := range []struct{ option, value string }{{"base", o.Base}, {"bind", o.BindDN}, {"groups search", o.GroupBase}} {
		if _, err := ldap.ParseDN(dn.value); err != nil && !(dn.option == "bind" && strings.ContainsAny(dn.value, `@\`)) {
			errs = append(errs, fmt.Errorf("%s %.200q: not a DN: %w", dn.option, dn.value, err))
		}
	}
	for _, filter := range []string{o.Filter, o.GroupFilter} {
		if filter == "" {
			continue
		}
		if _, err := ldap.CompileFilter(filter); err != nil {
			errs = append(errs, fmt.Errorf("filter %.200q: %w", filter, err))
		}
	}
	return errors.Join(errs...)
}

// each calls f for every entry below base, a page at a time.
func (s *Source) each(conn *ldap.Conn, what, base, filter string, attributes []string, f func(*ldap.Entry) error) error {
	paging := ldap.NewControlPaging(pageSize)
	n := 0
	for {
		res, err := conn.Search(&ldap.SearchRequest{
			BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases, Filter: filter, Attributes: attributes,
			TimeLimit: int(s.Timeout.Seconds()), Controls: []ldap.Control{paging},
		})
		if err != nil {
			return fmt.Errorf("searching for %s below %s: %w", what, base, err)
		}
		for _, e := range res.Entries {
			if n++; n > s.Limit {
				return fmt.Errorf("searching for %s below %s: more than %d; narrow the filter, or raise limit", what, base, s.Limit)
			}
			if err := f(e); err != nil {
				return err
			}
		}
		next, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(next.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(next.Cookie)
	}
}

// nameOf is the value of a DN's first component: cn=support,ou=groups → support.
func nameOf(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) == 0 {
		return dn
	}
	return parsed.RDNs[0].Attributes[0].Value
}

// foldDN is a DN in the form in which two of the same entry are equal.
func foldDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return strings.ToLower(parsed.String())
}

// Interface guard
var _ directory.PacedSource = (*Source)(nil)
