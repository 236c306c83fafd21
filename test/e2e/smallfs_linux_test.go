package e2e

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// smallFS is a real file system of a few MiB that can be filled.
type smallFS struct {
	t   *testing.T
	dir string
}

// newSmallFS mounts a tmpfs, as root or by sudo, for as long as the test.
func newSmallFS(t *testing.T, mib int) *smallFS {
	t.Helper()
	s := &smallFS{t: t, dir: t.TempDir()}
	s.root("mount", "-t", "tmpfs", "-o", "size="+strconv.Itoa(mib)+"m,mode=0777", "tmpfs", s.dir)
	t.Cleanup(func() { s.root("umount", "--lazy", s.dir) })
	return s
}

// root runs a command as root.
func (s *smallFS) root(args ...string) {
	s.t.Helper()
	if os.Getuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:noctx // at the end, too
		s.t.Fatalf("%v: %v\n%s(mounting needs root, or sudo without a password)", args, err, out)
	}
}

// fill takes the space that is left, and what becomes free while it runs: call free.
func (s *smallFS) fill() (free func()) {
	s.t.Helper()
	path := filepath.Join(s.dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		block := make([]byte, 4096)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			var err error
			for err == nil {
				_, err = f.Write(block)
			}
			if !errors.Is(err, syscall.ENOSPC) {
				s.t.Errorf("filling the disk: %v", err)
				return
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		f.Close()
		if err := os.Remove(path); err != nil {
			s.t.Error(err)
		}
	}
}

// drain reads an answer to its end.
func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, body)
	body.Close()
}
