package chtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
)

var (
	buildOnce         sync.Once
	serverBin, engine string
	buildErr          error
)

// build returns the paths of chserver and of the engine's library.
func build(t testing.TB) (bin, lib string) {
	t.Helper()
	buildOnce.Do(func() { serverBin, engine, buildErr = buildServer() })
	if buildErr != nil {
		t.Fatalf("chtest: %v", buildErr)
	}
	return serverBin, engine
}

func buildServer() (bin, lib string, err error) {
	// Of the main module, also when a module below test/ asks.
	root, err := output(exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/seed-240d5494/caddy-impersonate"))
	if err != nil {
		return "", "", err
	}
	dir := filepath.Join(root, "test", "chserver")
	fetch := exec.Command(filepath.Join(dir, "fetch.sh"))
	if lib, err = output(fetch); err != nil {
		return "", "", fmt.Errorf("fetching the engine: %w", err)
	}
	// Named by what it is made of, so that packages tested side by side share it and none replaces it under another.
	sum, err := sourceHash(dir)
	if err != nil {
		return "", "", err
	}
	bin = filepath.Join(filepath.Dir(filepath.Dir(lib)), "chserver-"+sum)
	if _, err := os.Stat(bin); err == nil {
		return bin, lib, nil
	}
	tmp := fmt.Sprintf("%s.%d", bin, os.Getpid())
	defer os.Remove(tmp)
	cmd := exec.Command("go", "build", "-o", tmp, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if _, err := output(cmd); err != nil {
		return "", "", fmt.Errorf("building chserver: %w", err)
	}
	if err := os.Rename(tmp, bin); err != nil {
		return "", "", err
	}
	return bin, lib, nil
}

func sourceHash(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	files = append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
	sort.Strings(files)
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, filepath.Base(f), len(b))
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
