package matrix

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
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
	err = idptest.InstallNPM(dir, func() error {
		for _, name := range []string{"package.json", "package-lock.json"} {
			b, err := os.ReadFile(filepath.Join("testdata", "npm", name))
			if err != nil {
				return err
			}
			write(t, filepath.Join(dir, name), string(b))
		}
		return nil
	}, "--omit=optional")
	if err != nil {
		t.Fatalf("installing the apps: %v", err)
	}
	return filepath.Join(dir, "node_modules")
}
