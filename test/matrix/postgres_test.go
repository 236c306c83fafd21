package matrix

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// startPostgres starts an empty PostgreSQL with one database and returns its URL.
func startPostgres(t *testing.T, database string) string {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(programs) == 0 {
		t.Fatalf("there is no PostgreSQL (test/setup.sh installs it): %v", err)
	}
	bin := slices.Max(programs)
	as, dir := demoted(t, "postgres")
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "--auth=trust", "--username=test", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr = as
	initdb.Dir = dir
	finish(t, "PostgreSQL's initdb", initdb)
	addr := freeport.Addr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	url := "postgresql://test@" + addr
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-h", host, "-p", port, "-k", "", "-c", "fsync=off")
	server.SysProcAttr = as
	server.Dir = dir
	run(t, "PostgreSQL", server, syscall.SIGINT, func() bool {
		return exec.Command(filepath.Join(bin, "psql"), url+"/postgres", "-c", "SELECT 1").Run() == nil
	})
	query(t, url+"/postgres", "CREATE DATABASE "+database)
	return url + "/" + database
}

// query runs SQL.
func query(t *testing.T, database string, statements ...string) {
	t.Helper()
	args := []string{database, "-q", "-v", "ON_ERROR_STOP=1"}
	for _, s := range statements {
		args = append(args, "-c", s)
	}
	finish(t, "psql", exec.Command("psql", args...))
}

// demoted is how to run a program that refuses to run as root: as the account its package made, in a directory of its
// own. Who is not root runs it as himself.
func demoted(t *testing.T, account string) (as *syscall.SysProcAttr, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "impersonate-matrix-"+account+"-") // one's own may not be entered by others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, dir
	}
	u, err := user.Lookup(account)
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("the account %s is %+v", account, u)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, dir
}
