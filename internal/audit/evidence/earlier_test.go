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

// TestEarlierReport: it says that nobody was asked, also where only the rows of that are not there. So it is what the rows make
// only where they are.
func TestEarlierReport(t *testing.T) {
	s := newShelf(t)
	for what, without := range map[string][]uint64{"all of it": nil, "not what was agreed": {rowAsked, rowAgreed}} {
		p := s.collect(id).Without(without...)
		z, _ := s.zip(p)
		report, err := p.EarlierReport()
		if err != nil {
			t.Fatal(err)
		}
		if z, err = evidence.Relisted(z, "report.html", string(report)); err != nil {
			t.Fatal(err)
		}
		if r, err := evidence.Verify(z, []string{s.key}); err != nil || r.Clean() != (without == nil) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
}
