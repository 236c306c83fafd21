//go:build unix

package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-240d5494/caddy-impersonate/internal/filelock"
)

func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestLock: one at a time, and free again at once, also while a child between its fork and its exec has a copy.
func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, second := openFile(t, path), openFile(t, path)
	if err := filelock.Try(first); err != nil {
		t.Fatal(err)
	}
	if err := filelock.Try(second); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("a second time: %v", err)
	}
	copied, err := unix.Dup(int(first.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(copied) })
	if err := filelock.Release(first); err != nil {
		t.Fatal(err)
	}
	if err := filelock.Try(second); err != nil {
		t.Errorf("after its release: %v", err)
	}
	if err := filelock.Release(first); err == nil {
		t.Error("released twice without an error")
	}
	if err := filelock.Try(openFile(t, path)); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("the second has it: %v", err)
	}
}
