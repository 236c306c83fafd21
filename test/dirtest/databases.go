package dirtest

import (
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// Database is a running PostgreSQL or MariaDB, which encrypts connections that ask for it. The account named [ClientName]
// gets in by an encrypted connection with the client's certificate alone.
type Database struct {
	*Server
	Certificates
	// URL names its database app, for its owner.
	URL string
	// Exec runs statements as its owner.
	Exec func(statements ...string)
}

// StartPostgres starts one with an empty database. The role reader, with the password "re@der", may read what it is
// granted.
func StartPostgres(t *testing.T) *Database {
	t.Helper()
	bin := filepath.Dir(program(t, "/usr/lib/postgresql/*/bin/initdb"))
	as, dir := demoted(t, "postgres")
	data := filepath.Join(dir, "data")
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.SysProcAttr, cmd.Dir = as, dir
		return cmd
	}
	Run(t, command("initdb", "-D", data, "--auth=trust", "--username=test", "--encoding=UTF8", "--locale=C", "--no-sync"))
	d := &Database{Server: &Server{t: t, over: syscall.SIGINT, Addr: freeport.Addr(t), Dir: dir}}
	host, port, err := net.SplitHostPort(d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	d.Certificates = certify(t, dir)
	write(t, filepath.Join(data, "pg_hba.conf"), "hostssl all "+ClientName+" all cert\nhost all "+ClientName+" all reject\nhost all all 127.0.0.1/32 trust\n")
	give(t, as, dir)
	d.start = func() *exec.Cmd {
		return command("postgres", "-D", data, "-h", host, "-p", port, "-k", "", "-c", "fsync=off", "-c", "log_statement=none", "-c", "ssl=on",
			"-c", "ssl_ca_file="+d.CA, "-c", "ssl_cert_file="+filepath.Join(dir, "cert.pem"), "-c", "ssl_key_file="+filepath.Join(dir, "key.pem"))
	}
	d.ready = func() bool {
		return command("psql", "postgresql://test@"+d.Addr+"/postgres", "-c", "SELECT 1").Run() == nil
	}
	d.Server.Start()
	d.URL = "postgres://test@" + d.Addr + "/postgres?sslmode=disable"
	d.Exec = func(statements ...string) {
		t.Helper()
		args := []string{"postgresql://test@" + d.Addr + "/postgres", "-q", "-v", "ON_ERROR_STOP=1"}
		for _, s := range statements {
			args = append(args, "-c", s)
		}
		Run(t, command("psql", args...))
	}
	d.Exec("CREATE ROLE reader LOGIN PASSWORD 're@der'", "CREATE ROLE "+ClientName+" LOGIN")
	return d
}

// StartMariaDB starts one with an empty database app. The account reader, with the password "re@der", may do anything
// in it.
func StartMariaDB(t *testing.T) *Database {
	t.Helper()
	server, install := program(t, "/usr/sbin/mariadbd"), program(t, "/usr/bin/mariadb-install-db")
	as, dir := demoted(t, "mysql")
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "socket")
	command := func(path string, args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Credential: as.Credential}, dir
		return cmd
	}
	Run(t, command(install, "--no-defaults", "--auth-root-authentication-method=normal", "--datadir="+data, "--skip-test-db"))
	d := &Database{Server: &Server{t: t, over: syscall.SIGTERM, Addr: freeport.Addr(t), Dir: dir}}
	host, port, err := net.SplitHostPort(d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	d.Certificates = certify(t, dir)
	give(t, as, dir)
	d.start = func() *exec.Cmd {
		return command(server, "--no-defaults", "--ssl-ca="+d.CA, "--ssl-cert="+filepath.Join(dir, "cert.pem"), "--ssl-key="+filepath.Join(dir, "key.pem"),
			"--datadir="+data, "--socket="+socket, "--bind-address="+host, "--port="+port, "--pid-file="+filepath.Join(dir, "pid"),
			"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--character-set-server=utf8mb4")
	}
	client := func(args ...string) *exec.Cmd {
		return command(program(t, "/usr/bin/mariadb"), append([]string{"--no-defaults", "--default-character-set=utf8mb4", "--socket=" + socket, "--user=root"}, args...)...)
	}
	d.ready = func() bool { return client("-e", "SELECT 1").Run() == nil }
	d.Server.Start()
	d.Exec = func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			Run(t, client("app", "-e", s))
		}
	}
	Run(t, client("-e", "CREATE DATABASE app; CREATE USER reader@'%' IDENTIFIED BY 're@der'; GRANT ALL ON app.* TO reader@'%'; "+
		"CREATE USER "+ClientName+"@'%' REQUIRE X509; GRANT SELECT ON app.* TO "+ClientName+"@'%'"))
	d.URL = "mariadb://reader:re%40der@" + d.Addr + "/app"
	return d
}
