package idptest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/providers"
)

var (
	installOnce sync.Once
	installed   string // directory of the programs
	installErr  error
)

// install returns the directory of the providers' programs, their libraries installed beside them. It is done once
// per machine and lock file: a cache directory holds the libraries, and processes wait for each other.
func install(t testing.TB) string {
	t.Helper()
	installOnce.Do(func() { installed, installErr = installIn(cacheRoot()) })
	if installErr != nil {
		t.Fatalf("installing the identity providers (node 20 and npm are needed): %v", installErr)
	}
	return installed
}

func cacheRoot() string {
	root, err := os.UserCacheDir()
	if err != nil {
		root = os.TempDir()
	}
	return filepath.Join(root, "caddy-impersonate")
}

func installIn(root string) (string, error) {
	libraries, err := hashOf("package.json", "package-lock.json")
	if err != nil {
		return "", err
	}
	programs, err := hashOf("*")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "providers-"+libraries)
	if err := InstallNPM(dir, func() error { return write(dir, "package*.json") }); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	// Node looks for libraries upwards from where the program really lies.
	run := filepath.Join(dir, programs)
	if err := write(run, "*.mjs"); err != nil {
		return "", err
	}
	return run, write(run, "package.json")
}

func hashOf(pattern string, more ...string) (string, error) {
	h := sha256.New()
	for _, p := range append([]string{pattern}, more...) {
		names, err := fs.Glob(providers.Files, p)
		if err != nil {
			return "", err
		}
		for _, name := range names {
			b, err := providers.Files.ReadFile(name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// write puts the embedded files that match into dir. Another process may be running them: each is replaced whole.
func write(dir, pattern string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	names, err := fs.Glob(providers.Files, pattern)
	if err != nil {
		return err
	}
	for _, name := range names {
		b, err := providers.Files.ReadFile(name)
		if err != nil {
			return err
		}
		tmp := filepath.Join(dir, "."+name+".new")
		if err := os.WriteFile(tmp, b, 0o644); err != nil {
			return err
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
