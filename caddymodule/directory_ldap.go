package caddymodule

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/seed-240d5494/caddy-impersonate/config"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory/ldap"
)

func init() {
	caddy.RegisterModule(LDAPDirectory{})
}

// LDAPDirectory is an LDAP directory: OpenLDAP, 389 Directory Server, Active Directory and their like. All accounts are
// read again and again; while it is down, its last facts count for a while.
type LDAPDirectory struct {
	config.LDAPDirectory
}

// CaddyModule implements [caddy.Module].
func (LDAPDirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "impersonate.directories.ldap", New: func() caddy.Module { return new(LDAPDirectory) }}
}

// Provision implements [caddy.Provisioner].
func (l *LDAPDirectory) Provision(caddy.Context) error {
	const what = "directory ldap"
	l.SetDefaults()
	for i := range l.URLs {
		if err := resolve(what, &l.URLs[i]); err != nil {
			return err
		}
	}
	for option, value := range map[string]*string{" bind": &l.Bind, " password": &l.Password, " base": &l.Base} {
		if err := resolve(what+option, value); err != nil {
			return err
		}
	}
	return resolvePath(what+" ca", &l.CA)
}

// Validate checks the settings. It dials nothing.
func (l *LDAPDirectory) Validate() error {
	if err := l.LDAPDirectory.Validate(); err != nil {
		return err
	}
	if err := l.options(clock.System).Check(); err != nil {
		return fmt.Errorf("directory ldap: %w", err)
	}
	return nil
}

func (l *LDAPDirectory) options(c Clock) ldap.Options {
	return ldap.Options{
		URLs: l.URLs, StartTLS: l.StartTLS, CA: l.CA, BindDN: l.Bind, Password: l.Password, Base: l.Base, Filter: l.Filter, Attributes: l.Attributes,
		MemberOf: l.Groups.MemberOf, GroupBase: l.Groups.Base, GroupFilter: l.Groups.Filter,
		Timeout: l.Timeout.Std(), Every: l.Every.Std(), Keep: l.Keep.Std(), Limit: l.Limit, Clock: c,
	}
}

// OpenSource implements [SourceOpener].
func (l *LDAPDirectory) OpenSource(_ context.Context, env Env) (Source, error) {
	return ldap.New(l.options(env.Clock)), nil
}

// UnmarshalCaddyfile reads what follows directory. Syntax:
//
//	directory ldap <url…> {
//	    base      <dn>
//	    bind      <dn>
//	    password  <password>
//	    filter    <filter>
//	    attribute <fact> <attribute>
//	    groups    member_of [<attribute>]
//	    groups    search <dn> [<filter>]
//	    start_tls
//	    ca        <file>
//	    every     <duration>
//	    keep      <duration>
//	    timeout   <duration>
//	    limit     <number>
//	}
func (l *LDAPDirectory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	const what = "directory ldap"
	if l.URLs = d.RemainingArgs(); len(l.URLs) == 0 {
		return d.Errf("%s: a value is missing; write such as: %s ldaps://ldap.example.com { … }", what, what)
	}
	options := append([]string{"base", "bind", "password", "filter", "attribute", "groups", "start_tls", "ca"}, pollingOptions...)
	err := readBlock(d, what, options, func(b *block, option string) error {
		switch option {
		case "base":
			return b.value(option, &l.Base, "ou=people,dc=example,dc=com")
		case "bind":
			return b.value(option, &l.Bind, "cn=reader,dc=example,dc=com")
		case "password":
			return b.value(option, &l.Password, "{file./run/secrets/ldap}")
		case "filter":
			return b.value(option, &l.Filter, "(objectClass=inetOrgPerson)")
		case "ca":
			return b.value(option, &l.CA, "/etc/ssl/ldap-ca.pem")
		case "start_tls":
			if err := b.once(option); err != nil {
				return err
			}
			l.StartTLS = true
			_, err := b.values(option, 0, 0, option)
			return err
		case "attribute":
			v, err := b.values(option, 2, 2, "attribute department departmentNumber")
			if err != nil {
				return err
			}
			if err := b.once(option, v[0]); err != nil {
				return err
			}
			if l.Attributes == nil {
				l.Attributes = make(map[string]string)
			}
			l.Attributes[v[0]] = v[1]
			return nil
		case "groups":
			return l.parseGroups(b)
		}
		return parsePolling(b, option, &l.Polling)
	})
	if err != nil {
		return err
	}
	if l.Base == "" {
		return d.Errf("%s: base is missing; write such as base ou=people,dc=example,dc=com", what)
	}
	return nil
}

func (l *LDAPDirectory) parseGroups(b *block) error {
	const member, search = "groups member_of memberOf", "groups search ou=groups,dc=example,dc=com"
	v, err := b.values("groups", 1, 3, member)
	if err != nil {
		return err
	}
	if err := b.once("groups", v[0]); err != nil {
		return err
	}
	switch {
	case v[0] == "member_of" && len(v) < 3:
		l.Groups.MemberOf = "memberOf"
		if len(v) == 2 {
			l.Groups.MemberOf = v[1]
		}
	case v[0] == "search" && len(v) > 1:
		l.Groups.Base = v[1]
		if len(v) == 3 {
			l.Groups.Filter = v[2]
		}
	default:
		return b.Errf("%s: groups: write such as: %s, or %s", b.name, member, search)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*LDAPDirectory)(nil)
	_ caddy.Validator       = (*LDAPDirectory)(nil)
	_ caddyfile.Unmarshaler = (*LDAPDirectory)(nil)
	_ SourceOpener          = (*LDAPDirectory)(nil)
)
