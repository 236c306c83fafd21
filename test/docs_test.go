package test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"

	_ "github.com/seed-240d5494/caddy-impersonate/caddymodule"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// documents are the pages people read, by path from the repository's root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	pages := make(map[string]string)
	for _, file := range append(files, "../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md") {
		pages[strings.TrimPrefix(filepath.ToSlash(file), "../")] = read(t, file)
	}
	return pages
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var fence = regexp.MustCompile("(?ms)^( *)```([^\n]*)\n(.*?)^ *```$")

// wrappers make a whole Caddyfile of a part of one, which the word after "caddyfile" tells.
var wrappers = map[string][2]string{
	"caddyfile":         {"", ""},
	"caddyfile global":  {"{\n\timpersonate {\n", "\n\t}\n}\n"},
	"caddyfile options": {"{\n", "\n}\n"},
	"caddyfile site":    {"app.example.com {\n\timpersonate {\n", "\n\t}\n\treverse_proxy app:8080\n}\n"},
	"caddyfile server":  {"app.example.com {\n", "\n}\n"},
}

// TestDocumentedCaddyfilesAdapt: what a page shows to be copied is in the grammar.
func TestDocumentedCaddyfilesAdapt(t *testing.T) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	blocks := 0
	for page, text := range documents(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[2], "caddyfile") {
				continue
			}
			blocks++
			around, ok := wrappers[m[2]]
			if !ok {
				t.Errorf("%s: a block of kind %q", page, m[2])
				continue
			}
			_, warnings, err := adapter.Adapt([]byte(around[0]+m[3]+around[1]), map[string]any{"filename": page})
			if err != nil {
				t.Errorf("%s: %v\n%s", page, err, m[3])
			}
			for _, w := range warnings {
				if !strings.Contains(w.Message, "not formatted") {
					t.Errorf("%s: %s\n%s", page, w, m[3])
				}
			}
		}
	}
	if blocks < 5 {
		t.Errorf("only %d Caddyfiles found", blocks)
	}
}

var (
	inlineCode = regexp.MustCompile("`[^`\n]+`")
	link       = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocumentedLinksResolve: relative links, their anchors, and images lead somewhere.
func TestDocumentedLinksResolve(t *testing.T) {
	for page, text := range documents(t) {
		prose := inlineCode.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file := filepath.Join("..", page)
			if target != "" {
				file = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link %s: %v", page, m[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s: the link %s: no such heading", page, m[1])
			}
		}
	}
}

// anchors are a page's headings as links name them.
func anchors(text string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

// TestDocumentedNames: what outsiders build on is on a page: whatever the code names, the page names too.
func TestDocumentedNames(t *testing.T) {
	pages := documents(t)
	for _, tt := range []struct{ page, sources, name string }{
		{"docs/operating.md", "../caddymodule/metrics.go", `describe\("([a-z_]+)"`},
		{"docs/auditing.md", "../internal/audit/audit.go", `(?:Event|Outcome|Banner)[A-Z]\w+ += "([a-z_]+)"`},
		{"docs/auditing.md", "../internal/impersonation/impersonation.go", `Cause[A-Z]\w+ += "([a-z_]+)"`},
		{"docs/auditing.md", "../internal/audit/columns.go", `\{\d+, "([a-z_]+)", Kind`},
		{"docs/auditing.md", "../internal/login/*.go", `failure\{\s*reason: "([a-z_]+)"`},
		{"docs/configuration.md", "../internal/policy/refusal.go", `Refused[A-Z]\w+ += "([a-z_]+)"`},
		{"docs/configuration.md", "../internal/*/*.go", `\bCode: +"([a-z-]+)"`},
		{"docs/configuration.md", "../internal/portal/refusals.go", `\bcode[A-Z]\w+ += "([a-z-]+)"`},
		{"docs/configuration.md", "../internal/login/failure.go", `&kind\{"([a-z-]+)"`},
		{"docs/configuration.md", "../caddymodule/unbuilt.go", `(?m)^\t"(?:\w+) ([a-z_]+)",$`},
	} {
		files, err := filepath.Glob(tt.sources)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range regexp.MustCompile(tt.name).FindAllStringSubmatch(read(t, file), -1) {
				found++
				if !regexp.MustCompile(`(?:^|[^a-z_-])(?:caddy_impersonate_)?` + m[1] + `(?:[^a-z_-]|$)`).MatchString(pages[tt.page]) {
					t.Errorf("%s does not say what %s is (%s)", tt.page, m[1], file)
				}
			}
		}
		if found < 3 && !strings.HasSuffix(tt.sources, "unbuilt.go") { // whose words grow fewer
			t.Errorf("found only %d names in %s", found, tt.sources)
		}
	}
}

// TestArchitectureIsAsDocumented: the packages are listed in the order that imports follow, and each invariant names
// tests that are there.
func TestArchitectureIsAsDocumented(t *testing.T) {
	text := documents(t)["docs/architecture.md"]
	var want, got []string
	for _, names := range layers {
		want = append(want, names...)
	}
	for _, m := range regexp.MustCompile(`(?m)^((?:cmd|internal)/[a-z-]+|caddymodule|config|docs)/ `).FindAllStringSubmatch(text, -1) {
		got = append(got, m[1])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("packages, top to bottom (-imports_test.go +docs/architecture.md):\n%s", d)
	}

	tests := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, glob := range []string{"*_test.go", "*/*_test.go", "../*/*_test.go", "../internal/*/*_test.go", "../internal/*/*/*_test.go"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, m := range declared.FindAllStringSubmatch(read(t, file), -1) {
				tests[m[1]] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z0-9]\\w+)`").FindAllStringSubmatch(text, -1)
	if len(named) < 12 {
		t.Errorf("docs/architecture.md names %d tests", len(named))
	}
	for _, m := range named {
		if !tests[m[1]] {
			t.Errorf("docs/architecture.md names the test %s, which is nowhere", m[1])
		}
	}
}

// TestDocumentedQueriesRun: each query of docs/auditing.md runs on the tables as they are, in the database it is for.
func TestDocumentedQueriesRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	sink, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	lite, err := sqlite.OpenReadOnly(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lite.Close() })

	srv := chtest.Start(t)
	columnar, err := clickhouse.Open(srv.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = columnar.Close() })
	if err := columnar.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	house, err := clickhouse.OpenReadOnly(srv.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = house.Close() })

	queries := 0
	for _, m := range fence.FindAllStringSubmatch(documents(t)["docs/auditing.md"], -1) {
		if m[2] != "sql" {
			continue
		}
		queries++
		first, _, _ := strings.Cut(m[3], "\n")
		for name, db := range map[string]*sql.DB{"SQLite": lite, "ClickHouse": house} {
			if strings.HasPrefix(first, "--") && first != "-- "+name {
				continue
			}
			query := strings.TrimSuffix(strings.TrimSpace(m[3]), ";")
			query = strings.ReplaceAll(query, "impersonate.", columnar.Database()+".")
			rows, err := db.QueryContext(t.Context(), query)
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, query)
				continue
			}
			for rows.Next() { // there are none, but a query may fail on the way to them
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				t.Errorf("%s: %v\n%s", name, err, query)
			}
		}
	}
	if queries < 8 {
		t.Errorf("only %d queries found", queries)
	}
}
