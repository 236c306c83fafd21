package matrix

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/idptest"
)

// npmModules returns the node_modules with the apps that come from npm, as testdata/npm pins them. They are installed
// once per machine and lock file; tests wait for each other.
func npmModules(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile("testdata/npm/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "caddy-impersonate", "apps-"+hex.EncodeToString(sum[:])[:16])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	waits, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close()
	if err := syscall.Flock(int(waits.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	modules, done := filepath.Join(dir, "node_modules"), filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return modules
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", "npm", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(b))
	}
	if err := idptest.NPM(dir, "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"); err != nil {
		t.Fatalf("installing the apps: %v", err)
	}
	write(t, done, "")
	return modules
}
