package evidence_test

import (
	"crypto/sha256"
	"fmt"
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

// TestEarlierReport: it says that nobody was asked, also where only the rows of that are not there. So it is what the rows make
// only where they are.
func TestEarlierReport(t *testing.T) {
	s := newShelf(t)
	for what, without := range map[string][]uint64{"all of it": nil, "not what was agreed": {rowAsked, rowAgreed}} {
		whole, err := evidence.Collect(t.Context(), s.readers["sqlite"], id, []string{s.key})
		if err != nil {
			t.Fatal(err)
		}
		p := whole.Without(without...)
		z, err := p.Zip(nil)
		if err != nil {
			t.Fatal(err)
		}
		report, err := p.EarlierReport()
		if err != nil {
			t.Fatal(err)
		}
		files := unzip(t, z)
		hash := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
		if z, err = evidence.Rezipped(z, "report.html", string(report)); err == nil {
			z, err = evidence.Rezipped(z, "MANIFEST", strings.Replace(files["MANIFEST"], hash(files["report.html"]), hash(string(report)), 1))
		}
		if err != nil {
			t.Fatal(err)
		}
		if r, err := evidence.Verify(z, []string{s.key}); err != nil || r.Clean() != (without == nil) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
}
