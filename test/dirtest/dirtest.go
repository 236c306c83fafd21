// Package dirtest starts the servers that accounts are kept in, for tests: real ones, on loopback, on free ports, gone
// with the test.
package dirtest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is one that runs.
type Server struct {
	// Addr is its host and port.
	Addr string
	// Dir is its own directory.
	Dir string

	t     *testing.T
	over  syscall.Signal // what ends it
	start func() *exec.Cmd
	ready func() bool
	stop  func()
}

// Stop ends it. Start brings it back with what it had.
func (s *Server) Stop() { s.stop() }

// Start starts it again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	cmd := s.start()
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("starting %s (test/setup.sh installs it): %v", filepath.Base(cmd.Path), err)
	}
	gone := make(chan struct{})
	var exit error
	go func() { exit = cmd.Wait(); close(gone) }()
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(s.over)
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
		}
	})
	s.t.Cleanup(func() { s.stop() })
	deadline := time.After(3 * time.Minute)
	for !s.ready() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-gone:
			s.t.Fatalf("%s ended: %v\n%s", filepath.Base(cmd.Path), exit, out.String())
		case <-deadline:
			s.t.Fatalf("%s does not answer\n%s", filepath.Base(cmd.Path), out.String())
		}
	}
}

// output keeps what a server says, for when it fails.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.b.Len() < 1<<20 {
		o.b.Write(p)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// program finds one where Debian has it.
func program(t *testing.T, patterns ...string) string {
	t.Helper()
	for _, p := range patterns {
		if found, err := filepath.Glob(p); err == nil && len(found) > 0 {
			return slices.Max(found)
		}
	}
	t.Fatalf("there is no %s (test/setup.sh installs it)", patterns[0])
	return ""
}

func accepts(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// Run runs a program to its end.
func Run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(cmd.Path), err, out)
	}
}

// demoted is how to run a program that refuses to run as root: as the account its package made, in a directory of its
// own. Who is not root runs it as himself.
func demoted(t *testing.T, account string) (as *syscall.SysProcAttr, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "impersonate-"+account+"-") // one's own may not be entered by others
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
	if err := errors.Join(uidErr, gidErr, os.Chown(dir, uid, gid)); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, dir
}

// give makes the files in dir theirs who run it: servers refuse keys that others could read.
func give(t *testing.T, as *syscall.SysProcAttr, dir string) {
	t.Helper()
	if as.Credential == nil {
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Chown(f, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}
