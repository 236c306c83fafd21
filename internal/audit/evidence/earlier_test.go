package evidence_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
)

// TestEarlierPack: one that a version before the column fields made is still what its rows make; with any byte of its
// verifier changed it is not.
func TestEarlierPack(t *testing.T) {
	const dir = "../testdata/before-fields/"
	z, err := os.ReadFile(dir + "pack.zip")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadFile(dir + "signing_key.pub")
	if err != nil {
		t.Fatal(err)
	}
	clean(t, z, strings.Fields(string(keys))[0])
	if code, said := python(t, dir+"pack.zip", dir+"signing_key.pub"); code != 0 {
		t.Errorf("verify.py: %d, %s", code, said)
	}
	if code, said := python(t, dir+"export.jsonl", dir+"signing_key.pub"); code != 0 {
		t.Errorf("verify.py of the export: %d, %s", code, said)
	}
	changed := slices.Clone(z)
	changed[strings.Index(string(z), "#!/usr/bin/env python3")+100] ^= 1
	report, err := evidence.Verify(changed, strings.Fields(string(keys)))
	if err != nil || report.Clean() {
		t.Errorf("a changed verifier: %+v, %v", report, err)
	}
}
