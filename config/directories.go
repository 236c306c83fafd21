package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Polling is how a directory elsewhere is asked.
type Polling struct {
	// Every is how often all accounts are read: what changes there is in force this much later at most. From 1s to 1d.
	// Default: 1m.
	Every Duration `json:"every,omitempty"`
	// Keep is how long the last good answer counts while there is none. After that its accounts are unknown, and nobody
	// can be, or go on being, one of them. At least Every, at most 30d. Default: 1h.
	Keep Duration `json:"keep,omitempty"`
	// Timeout bounds each answer, from 1s to 1m. Default: 20s.
	Timeout Duration `json:"timeout,omitempty"`
	// Limit is how many accounts are read at most; more is an error. Default: 1000000, which is also the most.
	Limit int `json:"limit,omitempty"`
}

const maxAccounts = 1_000_000

func (p *Polling) setDefaults() {
	set := func(d *Duration, to time.Duration) {
		if *d == 0 {
			*d = Duration(to)
		}
	}
	set(&p.Every, time.Minute)
	set(&p.Keep, max(time.Hour, p.Every.Std()))
	set(&p.Timeout, 20*time.Second)
	if p.Limit == 0 {
		p.Limit = maxAccounts
	}
}

func (p *Polling) validate(what string) error {
	between := func(option string, d Duration, low, high time.Duration) error {
		if d.Std() < low || d.Std() > high {
			return fmt.Errorf("%s: %s %s: not between %s and %s", what, option, d, Duration(low), Duration(high))
		}
		return nil
	}
	errs := []error{
		between("every", p.Every, time.Second, day),
		between("keep", p.Keep, p.Every.Std(), 30*day),
		between("timeout", p.Timeout, time.Second, time.Minute),
	}
	if p.Limit < 1 || p.Limit > maxAccounts {
		errs = append(errs, fmt.Errorf("%s: limit %d: not between 1 and %d", what, p.Limit, maxAccounts))
	}
	return errors.Join(errs...)
}

// LDAPDirectory is an LDAP directory: OpenLDAP, 389 Directory Server, Active Directory and their like.
type LDAPDirectory struct {
	// URLs are ldaps://host[:636] or ldap://host[:389], tried in turn. Required.
	URLs []string `json:"urls"`
	// StartTLS encrypts the connection to ldap:// addresses before anything else is said. Default: false. A password is
	// not sent without either.
	StartTLS bool `json:"start_tls,omitempty"`
	// CA is a file of PEM certificates to trust instead of the system's.
	CA string `json:"ca,omitempty"`
	// Bind is the DN to log in as; default: nobody (anonymous).
	Bind string `json:"bind,omitempty"`
	// Password of Bind.
	Password string `json:"password,omitempty"`
	// Base is the DN below which the accounts are. Required.
	Base string `json:"base"`
	// Filter tells which entries are accounts. Default: (|(objectClass=inetOrgPerson)(&(objectClass=user)(objectCategory=person))).
	Filter string `json:"filter,omitempty"`
	// Attributes name the LDAP attribute of each fact. Default: username uid, name cn, email mail; id is entryUUID,
	// objectGUID or the username, whichever there is first. Further names become attributes of the account.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Groups are where the accounts' groups are. Default: not here; then they are those of later sources, or of the login.
	Groups LDAPGroups `json:"groups,omitzero"`
	Polling
}

// LDAPGroups are where the groups of an account are. Both together add up.
type LDAPGroups struct {
	// MemberOf is the attribute of the account that lists them, as DNs or as names.
	MemberOf string `json:"member_of,omitempty"`
	// Base is the DN below which entries are that name their members (member, uniqueMember, memberUid); groups in groups
	// count. An account's group is called by the cn.
	Base string `json:"base,omitempty"`
	// Filter tells which entries are groups. Default:
	// (|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=group)).
	Filter string `json:"filter,omitempty"`
}

// SetDefaults fills in what was left out.
func (l *LDAPDirectory) SetDefaults() {
	setDefault(&l.Filter, "(|(objectClass=inetOrgPerson)(&(objectClass=user)(objectCategory=person)))")
	attributes := map[string]string{"username": "uid", "name": "cn", "email": "mail"}
	for fact, name := range l.Attributes {
		attributes[fact] = name
	}
	l.Attributes = attributes
	if l.Groups.Base != "" {
		setDefault(&l.Groups.Filter, "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=group))")
	}
	l.setDefaults()
}

// Validate reports what is wrong, but for what only an LDAP library can tell. It never repeats the password.
func (l *LDAPDirectory) Validate() error {
	const what = "directory ldap"
	errs := []error{l.validate(what)}
	if len(l.URLs) == 0 {
		errs = append(errs, errors.New(what+": no address; write such as ldaps://ldap.example.com"))
	}
	encrypted := true
	for _, address := range l.URLs {
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || hasControl(address):
			// It may have a password in it that does not belong there.
			errs = append(errs, errors.New(what+": an address is not a URL; write such as ldaps://ldap.example.com"))
			continue
		case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
			errs = append(errs, errors.New(what+": an address is more than scheme, host and port; the rest goes into the block: base, bind, password, filter"))
			continue
		}
		encrypted = encrypted && (u.Scheme == "ldaps" || l.StartTLS)
	}
	if l.Bind == "" && l.Password != "" {
		errs = append(errs, errors.New(what+": a password without bind; write whom it belongs to: bind cn=reader,dc=example,dc=com"))
	}
	if l.Bind != "" && l.Password == "" {
		errs = append(errs, errors.New(what+": bind without a password would be taken for anonymous; write password {file./run/secrets/ldap}"))
	}
	if l.Password != "" && !encrypted && !all(l.URLs, isLoopback) {
		errs = append(errs, errors.New(what+": the password would go over the network unencrypted; write ldaps:// or start_tls"))
	}
	if l.Base == "" {
		errs = append(errs, errors.New(what+": base is missing; write such as base ou=people,dc=example,dc=com"))
	}
	if l.Attributes["username"] == "" {
		errs = append(errs, errors.New(what+": attribute username: missing; write such as attribute username uid"))
	}
	if len(l.Attributes) > 100 {
		errs = append(errs, fmt.Errorf("%s: %d attributes; at most 100", what, len(l.Attributes)))
	}
	for _, fact := range sortedKeys(l.Attributes) {
		name := l.Attributes[fact]
		switch {
		case fact == "groups" || fact == "active":
			errs = append(errs, fmt.Errorf("%s: attribute %s: is not read from one attribute; see groups, and filter", what, fact))
		case !isName(fact):
			errs = append(errs, fmt.Errorf("%s: attribute %.80q: use up to 64 letters, digits and _ . -", what, fact))
		case name == "" || strings.ContainsFunc(name, notDescr):
			errs = append(errs, fmt.Errorf("%s: attribute %s: %.80q is not the name of an LDAP attribute; write such as mail", what, fact, name))
		case strings.EqualFold(name, "userPassword") || strings.EqualFold(name, "unicodePwd"):
			errs = append(errs, fmt.Errorf("%s: attribute %s: passwords are not read; remove it", what, fact))
		}
	}
	return errors.Join(errs...)
}

// isLoopback tells whether what is sent there stays on the machine.
func isLoopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}

// notDescr finds what RFC 4512, section 2.5, does not allow in the name of an attribute with options.
func notDescr(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != ';' && r != '.' && r != '_'
}

func all(values []string, f func(string) bool) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return !f(v) })
}

// SQLDirectory is the app's own table of accounts.
type SQLDirectory struct {
	// URL is postgres://user:password@host:5432/database, mysql:// or mariadb:// likewise, or sqlite:///path. Required.
	URL string `json:"url"`
	// CA is a file of PEM certificates to trust instead of the system's; with it, the connection is encrypted.
	CA string `json:"ca,omitempty"`
	// ClientCert and ClientKey are files of the PEM certificate to show the server, and of its key; with them, the
	// connection is encrypted. They are read again for each connection.
	ClientCert string `json:"client_cert,omitempty"`
	ClientKey  string `json:"client_key,omitempty"`
	// Query gives a row for each account. Its columns are known by name: username is required; id, name, email, active
	// and groups are optional; others become attributes. Required.
	Query string `json:"query"`
	// GroupsQuery gives a row for each membership: an account's id (its username, if Query has no id), and a group.
	GroupsQuery string `json:"groups_query,omitempty"`
	// Separator stands between groups in the column groups, unless that is an array or a list in JSON. Default: a comma.
	Separator string `json:"separator,omitempty"`
	Polling
}

// SetDefaults fills in what was left out.
func (s *SQLDirectory) SetDefaults() {
	setDefault(&s.Separator, ",")
	s.setDefaults()
}

// Validate reports what is wrong. It never repeats the URL, which may hold a password.
func (s *SQLDirectory) Validate() error {
	const what = "directory sql"
	errs := []error{s.validate(what)}
	if s.URL == "" {
		errs = append(errs, errors.New(what+": no address; write such as postgres://reader@db/app"))
	}
	if (s.ClientCert == "") != (s.ClientKey == "") {
		errs = append(errs, errors.New(what+": client_cert: a certificate and its key go together; write client_cert /etc/ssl/reader.pem /etc/ssl/reader-key.pem"))
	}
	if strings.TrimSpace(s.Query) == "" {
		errs = append(errs, errors.New(what+`: query: missing; write such as "SELECT id, login AS username, active FROM users"`))
	}
	if len(s.Query)+len(s.GroupsQuery) > 64<<10 {
		errs = append(errs, errors.New(what+": the queries are longer than 64 KiB"))
	}
	return errors.Join(errs...)
}

// SCIMDirectory is accounts and groups that an identity provider writes here, by SCIM 2.0.
type SCIMDirectory struct {
	// Bearer is the token the provider sends, of 16 to 1024 characters. Required.
	Bearer string `json:"bearer"`
}

// Validate reports what is wrong. It never repeats the token.
func (s *SCIMDirectory) Validate() error {
	switch n := len(s.Bearer); {
	case n == 0:
		return errors.New("directory scim: bearer: missing; write bearer {env.SCIM_TOKEN}")
	case n < 16 || n > 1024:
		return fmt.Errorf("directory scim: bearer: %d characters; write 16 to 1024, such as of: openssl rand -hex 32", n)
	case strings.ContainsFunc(s.Bearer, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("directory scim: bearer: has a space or a character that is not ASCII, which no provider can send")
	}
	return nil
}
