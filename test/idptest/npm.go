package idptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// InstallNPM runs npm ci in a directory that fill puts package.json and its lock file into, once per machine: tests of several
// processes wait for each other.
func InstallNPM(dir string, fill func() error, args ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := fill(); err != nil {
		return err
	}
	if err := NPM(dir, append([]string{"ci", "--ignore-scripts", "--no-audit", "--no-fund"}, args...)...); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o644)
}

// NPM runs npm in a directory; again if need be, for the network has its moments.
func NPM(dir string, args ...string) (err error) {
	for range 3 {
		cmd := exec.Command("npm", args...)
		cmd.Dir = dir
		var out []byte
		if out, err = cmd.CombinedOutput(); err == nil {
			return nil
		}
		err = fmt.Errorf("npm %s: %w\n%s", args[0], err, out)
	}
	return err
}

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}
