// Package test holds what looks at the whole: the layout, and the gateway between real parts.
package test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const module = "github.com/seed-240d5494/caddy-impersonate"

// layers are the packages from top to bottom. Imports point down, never up: a package may import those on lines below its
// own, and those inside its own directory. docs/architecture.md says what each is for; .golangci.yml says the same to
// the linter.
var layers = [][]string{
	{"cmd/caddy-impersonate"},
	{"caddymodule"},
	{"internal/demo"},
	{"config"}, // imports nothing of ours
	{"internal/gateway"},
	{"internal/portal"},
	{"internal/login"},
	{"internal/impersonation"},
	{"internal/session"},
	{"internal/policy", "internal/directory"},
	{"internal/identity"},
	{"internal/cookiejar"},
	{"internal/banner"},
	{"internal/audit"},
	{"internal/notify"},
	{"internal/state"},
	{"internal/problem"},
	{"internal/lang"},
	{"internal/clock"},
	{"internal/filelock"},
	{"docs"},
}

// only are imports kept to a few packages, however low in the list.
var only = []struct {
	path string // of the import, or the start of it
	by   []string
}{
	{"github.com/caddyserver/caddy/v2", []string{"cmd/caddy-impersonate", "caddymodule"}},
	{module + "/config", []string{"caddymodule", "internal/demo"}},
	{module + "/internal/demo", []string{"caddymodule"}},
	{module + "/caddymodule", []string{"cmd/caddy-impersonate"}},
	{"github.com/wneessen/go-mail", []string{"internal/notify/email"}},
	{"github.com/ClickHouse/", []string{"internal/audit/clickhouse"}},
	{"github.com/go-ldap/", []string{"internal/directory/ldap"}},
	{"github.com/go-sql-driver/", []string{"internal/directory/sql"}},
	{"github.com/jackc/", []string{"internal/directory/sql"}},
	{"modernc.org/sqlite", []string{"internal/directory/sql", "internal/audit/sqlite", "internal/state/sqlite"}},
}

// importers are the directories that may import path, beside those in it.
func importers(path string) []string {
	for _, o := range only {
		if o.path == path {
			return o.by
		}
	}
	var above []string
	for _, names := range layers {
		if slices.Contains(names, strings.TrimPrefix(path, module+"/")) {
			return above
		}
		for _, n := range names {
			if n != "config" {
				above = append(above, n)
			}
		}
	}
	return nil
}

// TestLinterSaysTheSame compares depguard's rules with the layers here.
func TestLinterSaysTheSame(t *testing.T) {
	b, err := os.ReadFile("../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var cfg struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]struct {
						Files []string
						Deny  []struct{ Pkg string }
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(b, &cfg); err != nil {
		t.Fatal(err)
	}
	got, want := make(map[string][]string), make(map[string][]string)
	for _, rule := range cfg.Linters.Settings.Depguard.Rules {
		for _, d := range rule.Deny {
			got[d.Pkg] = slices.Sorted(slices.Values(rule.Files))
		}
	}
	add := func(path string) {
		files := []string{"$all", "!**/test/**"}
		for _, dir := range importers(path) {
			files = append(files, "!**/"+dir+"/**")
		}
		if own, ok := strings.CutPrefix(path, module+"/"); ok {
			files = append(files, "!**/"+own+"/**")
		}
		want[path] = slices.Sorted(slices.Values(files))
	}
	for _, o := range only {
		add(o.path)
	}
	for _, names := range layers[1:] { // nobody can import a command
		for _, n := range names {
			add(module + "/" + n)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("depguard's rules in .golangci.yml (-want +got):\n%s", d)
	}
}

// TestImportsPointDown keeps the layout: what decides knows nothing of the server, and what stores knows nothing of what
// decides.
func TestImportsPointDown(t *testing.T) {
	packages := 0
	for dir, imports := range importsOf(t, "..") {
		own, ownLayer := layerOf(dir)
		if ownLayer < 0 {
			t.Errorf("%s is in no layer: add it to the list above, to .golangci.yml and to docs/architecture.md", dir)
			continue
		}
		packages++
		for _, imp := range imports {
			for _, o := range only {
				if strings.HasPrefix(imp.path, o.path) && !slices.Contains(o.by, dir) && !(o.path == module+"/"+dir) {
					t.Errorf("%s imports %s, which only %s may", imp.file, imp.path, strings.Join(o.by, " and "))
				}
			}
			ours, ok := strings.CutPrefix(imp.path, module+"/")
			if !ok {
				continue
			}
			if strings.HasPrefix(ours, "test/") && strings.HasSuffix(imp.file, "_test.go") {
				continue // tests may have real parts started for them
			}
			other, layer := layerOf(ours)
			switch {
			case layer < 0:
				t.Errorf("%s imports %s, which is in no layer", imp.file, ours)
			case own == other: // the package's own directory
			case own == "config":
				t.Errorf("%s imports %s: config imports nothing of ours", imp.file, ours)
			case layer <= ownLayer:
				t.Errorf("%s imports %s: upwards", imp.file, ours)
			}
		}
	}
	if packages < 15 {
		t.Errorf("found %d packages: looked in the wrong place", packages)
	}
}

// layerOf finds the entry a directory belongs to.
func layerOf(dir string) (entry string, layer int) {
	for i, names := range layers {
		for _, n := range names {
			if dir == n || strings.HasPrefix(dir, n+"/") {
				return n, i
			}
		}
	}
	return "", -1
}

type imported struct{ file, path string }

// importsOf reads the imports of the module's packages, by directory. Left out: test/, which may import anything, the
// tests of caddymodule, which run the whole server, and modules of their own.
func importsOf(t *testing.T, root string) map[string][]imported {
	t.Helper()
	byDir := make(map[string][]imported)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		if d.IsDir() {
			if rel == "test" || d.Name() == "testdata" || d.Name() == "node_modules" || (path != root && strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || (strings.HasPrefix(rel, "caddymodule/") && strings.HasSuffix(rel, "_test.go")) {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		byDir[dir] = append(byDir[dir], imported{}) // also without any import
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			byDir[dir] = append(byDir[dir], imported{rel, p})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return byDir
}
