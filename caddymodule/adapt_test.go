package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	divider  = "\n----------\n" // between a Caddyfile and what becomes of it
	nextCase = "\n==========\n" // between cases
)

// TestAdapt adapts the Caddyfiles in testdata. Each case is a Caddyfile, a divider, and the JSON it becomes or the error it
// is refused with.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var anew []string
			for c := range strings.SplitSeq(strings.TrimSuffix(string(golden), "\n"), nextCase) {
				caddyfile, want, _ := strings.Cut(c, divider)
				got := adapt(t, caddyfile)
				if d := cmp.Diff(want, got); d != "" && !*update {
					t.Errorf("%s\n(-want +got):\n%s", caddyfile, d)
				}
				anew = append(anew, caddyfile+divider+got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(strings.Join(anew, nextCase)+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// adapt returns the JSON of a Caddyfile, or the error.
func adapt(t *testing.T, caddyfile string) string {
	t.Helper()
	cfg, warnings, err := caddyfileAdapter().Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error()
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			t.Errorf("warning: %s", w)
		}
	}
	var b bytes.Buffer
	if err := json.Indent(&b, cfg, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func caddyfileAdapter() caddyconfig.Adapter { return caddyconfig.GetAdapter("caddyfile") }

// TestExampleCaddyfile: the Caddyfile at the root of the repository, which docker compose mounts, is one that loads.
func TestExampleCaddyfile(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	// Its secrets are in files of the container.
	caddyfile := regexp.MustCompile(`\{file\.[^}]*\}`).ReplaceAllString(string(example), "a-secret")
	if err := validate(t, caddyfile); err != nil {
		t.Fatal(err)
	}
}
