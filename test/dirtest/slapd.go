package dirtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// Slapd is a running OpenLDAP for dc=example,dc=com: by ldap:// at Addr, with StartTLS, and by ldaps:// at TLSAddr.
type Slapd struct {
	*Server
	Certificates
	TLSAddr string
}

const (
	// SlapdAdmin may change everything, with SlapdPassword.
	SlapdAdmin    = "cn=admin,dc=example,dc=com"
	SlapdPassword = "adm&in secret" //nolint:gosec // of the test's own server
)

const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.99999.1 NAME 'windowsAccount' SUP top AUXILIARY MAY ( userAccountControl $ accountExpires $ objectGUID ) )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile @DIR@/pid
TLSCertificateFile @DIR@/cert.pem
TLSCertificateKeyFile @DIR@/key.pem
sizelimit size.soft=400 size.hard=400 size.prtotal=unlimited
database mdb
maxsize 1073741824
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw "adm&in secret"
directory @DIR@/db
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous none
overlay memberof
overlay ppolicy
`

const slapdBase = `dn: dc=example,dc=com
objectClass: domain
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: cn=reader,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: read&er

`

// StartSlapd starts one with the entries, in LDIF, below its base.
func StartSlapd(t *testing.T, ldif string) *Slapd {
	t.Helper()
	slapd := program(t, "/usr/sbin/slapd")
	dir := t.TempDir()
	s := &Slapd{Server: &Server{t: t, over: syscall.SIGINT, Addr: freeport.Addr(t), Dir: dir}, TLSAddr: freeport.Addr(t)}
	s.Certificates = certify(t, dir)
	write(t, filepath.Join(dir, "slapd.conf"), strings.ReplaceAll(slapdConf, "@DIR@", dir))
	write(t, filepath.Join(dir, "init.ldif"), slapdBase+ldif)
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	Run(t, exec.Command(program(t, "/usr/sbin/slapadd"), "-q", "-f", filepath.Join(dir, "slapd.conf"), "-l", filepath.Join(dir, "init.ldif")))
	s.start = func() *exec.Cmd {
		return exec.Command(slapd, "-f", filepath.Join(dir, "slapd.conf"), "-h", "ldap://"+s.Addr+" ldaps://"+s.TLSAddr, "-d", "0")
	}
	s.ready = func() bool { return accepts(s.Addr) && accepts(s.TLSAddr) }
	s.Server.Start()
	return s
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Modify gives an entry's attribute that value.
func (s *Slapd) Modify(dn, attribute, value string) {
	s.t.Helper()
	cmd := exec.Command(program(s.t, "/usr/bin/ldapmodify"), "-x", "-H", "ldap://"+s.Addr, "-D", SlapdAdmin, "-w", SlapdPassword)
	cmd.Stdin = strings.NewReader("dn: " + dn + "\nchangetype: modify\nreplace: " + attribute + "\n" + attribute + ": " + value + "\n")
	Run(s.t, cmd)
}
