package banner

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// corpora are the html5lib tree-construction cases as two versions of golang.org/x/net carry them. They are taken
// from the module cache, downloaded when they are not there.
var corpora = []struct{ version, dir string }{
	{"v0.55.0", "html/testdata/webkit"},
	{"v0.62.0", "html/testdata/html5lib-tests/tree-construction"},
}

func corpus(tb testing.TB) map[string][]byte {
	tb.Helper()
	docs := map[string][]byte{}
	for _, c := range corpora {
		cmd := exec.Command("go", "mod", "download", "-json", "golang.org/x/net@"+c.version)
		cmd.Dir = tb.TempDir() // outside the module: its go.sum is not touched
		out, err := cmd.Output()
		if err != nil {
			tb.Fatalf("go mod download: %v: %s", err, out)
		}
		var mod struct{ Dir string }
		if err := json.Unmarshal(out, &mod); err != nil {
			tb.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(mod.Dir, c.dir, "*.dat"))
		if err != nil || len(files) < 40 {
			tb.Fatalf("%s of %s has %d case files: %v", c.dir, c.version, len(files), err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				tb.Fatal(err)
			}
			for i, section := range bytes.Split(data, []byte("#data\n"))[1:] {
				doc, rest, ok := bytes.Cut(section, []byte("\n#errors\n"))
				if !ok {
					doc, rest, _ = bytes.Cut(section, []byte("#errors\n"))
				}
				if bytes.Contains(rest, []byte("#document-fragment\n")) {
					continue // parsed inside some element, not as a document
				}
				docs[c.version+"/"+strings.TrimSuffix(filepath.Base(f), ".dat")+"/"+itoa(i)] = doc
			}
		}
	}
	return docs
}

func itoa(i int) string { b, _ := json.Marshal(i); return string(b) }

// TestCorpus: the parsed tree equals the original plus our element, in every case; where there is no place, nothing
// is shown, or it is a frameset.
func TestCorpus(t *testing.T) {
	docs := corpus(t)
	marked := 0
	for name, doc := range docs {
		out, ok := insert(doc)
		err := error(nil)
		if ok {
			marked++
			err = checkTree(doc, out)
		} else {
			err = checkUnmarked(doc)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		bytewise := make([]int, len(doc))
		if out2, ok2 := insert(doc, bytewise...); ok2 != ok || !bytes.Equal(out, out2) {
			t.Errorf("%s: byte by byte: %q, not %q", name, out2, out)
		}
	}
	t.Logf("%d documents, %d marked", len(docs), marked)
}
