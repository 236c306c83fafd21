package evidence_test

import (
	"archive/zip"
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
)

// TestOneWayToWriteAPack: what says the same in other bytes is found by both verifiers, though each hash in the manifest fits.
func TestOneWayToWriteAPack(t *testing.T) {
	s := newShelf(t)
	z, files := s.zip(s.collect(id))
	keys := write(t, "signing_key.pub", []byte(s.key+"\n"))
	replaced := func(from, to string) func(string) string {
		return func(text string) string { return strings.Replace(text, from, to, 1) }
	}
	for name, tt := range map[string]struct {
		file   string
		change func(string) string
	}{
		"a blank":                   {"rows.jsonl", replaced(",", ", ")},
		"an escape":                 {"rows.jsonl", replaced(`"log_id"`, `"log\u005fid"`)},
		"a column that is empty":    {"rows.jsonl", replaced(`"leaf_hash"`, `"fields":"","leaf_hash"`)},
		"a column less":             {"rows.jsonl", replaced(`"reason":"",`, "")},
		"a number with a point":     {"rows.jsonl", replaced(`"tree_size":1,`, `"tree_size":1.0,`)},
		"a number that is true":     {"rows.jsonl", replaced(`"tree_size":1,`, `"tree_size":true,`)},
		"a proof that is an object": {"rows.jsonl", replaced(`"proof":[]`, `"proof":{}`)},
		"a blank at the end":        {"rows.jsonl", func(text string) string { return strings.TrimSuffix(text, "\n") + " " }},
		"carriage returns":          {"rows.jsonl", func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }},
		"no last line break":        {"MANIFEST", func(text string) string { return strings.TrimSuffix(text, "\n") }},
		"no key":                    {"signing_key.pub", func(string) string { return "none\n" }},
	} {
		text := tt.change(files[tt.file])
		if text == files[tt.file] {
			t.Fatalf("%s: nothing is changed", name)
		}
		rewritten := evidence.Relisted
		if tt.file == "MANIFEST" { // it does not list itself
			rewritten = evidence.Rezipped
		}
		pack, err := rewritten(z, tt.file, text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := evidence.Verify(pack, []string{s.key})
		file := write(t, "pack.zip", pack)
		code, out := python(t, file, keys)
		if err != nil || r.Clean() || code == 0 {
			t.Errorf("%s: %v, %v; verify.py: %d, %s", name, r.Findings, err, code, out)
		}
		if exec.Command("/usr/bin/python3", "-B", "-O", "../../../docs/verify.py", file, keys).Run() == nil {
			t.Errorf("%s: verify.py finds nothing when it is optimized", name)
		}
	}
}

// TestStartedTwice: of two starts, and of two requests, both verifiers go by the first.
func TestStartedTwice(t *testing.T) {
	s := newShelf(t)
	const another = "4c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
	second := audit.Detail("policy", "support", "request", "req-78")
	s.event("", audit.EventApprovalGranted, audit.Detail("request", "req-78", "by", "bob"))
	granted := s.recorder.LastSeq()
	s.event(id, audit.EventImpersonationStarted, second)
	s.event(another, audit.EventImpersonationStarted, second)
	others, p := s.collect(another), s.collect(id)
	if r, out := s.verdicts(p, nil); !r.Clean() {
		t.Errorf("%v; verify.py: %s", r.Findings, out)
	}
	if r, out := s.verdicts(p.Plus(others.Only(granted)), nil); r.Clean() {
		t.Errorf("what another request was granted: %s", out)
	}
}

// TestARequestIsStartedTwice: a start that failed gives its request back, and has its events. The pack of the next start has what
// was agreed to, and nothing of the one that failed; and the other way round.
func TestARequestIsStartedTwice(t *testing.T) {
	s := newShelf(t)
	const failed = "4c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
	detail := audit.Detail("policy", "support", "request", "req-77", "approved_by", "bob")
	s.event(failed, audit.EventEmergencyStarted, detail)
	s.event(failed, audit.EventImpersonationStarted, detail)
	s.event(failed, audit.EventImpersonationEnded, `{"cause":"start_failed"}`)
	for _, of := range []string{id, failed} {
		if r, out := s.verdicts(s.collect(of), nil); !r.Clean() {
			t.Errorf("%s: %v; verify.py: %s", of, r.Findings, out)
		}
	}
}

// TestAZipThatIsPackedTight is not unpacked: its files may be larger than the memory.
func TestAZipThatIsPackedTight(t *testing.T) {
	code, out := python(t, write(t, "pack.zip", tight(t, 1<<20)), write(t, "signing_key.pub", []byte(other(t)+"\n")))
	if code != 2 || !strings.Contains(out, "not stored as they are") {
		t.Errorf("%d, %s", code, out)
	}
}

// tight is a zip of the names of a pack's files, with so many bytes in each that there are almost none of when packed.
func tight(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range strings.Fields("MANIFEST VERIFY.txt report.html policy.txt rows.jsonl checkpoints.txt signing_key.pub verify.py") {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(make([]byte, size))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestNothingSpeaksForTheVerifier: what a pack says of itself can't be taken for what verify.py says of it.
func TestNothingSpeaksForTheVerifier(t *testing.T) {
	s := newShelf(t)
	z, files := s.zip(s.collect(id))
	const verdict = "Everything is as it was recorded."
	rows := strings.ReplaceAll(files["rows.jsonl"], s.recorder.LogID(), `a\u001b[8m\n`+verdict+`\n`)
	z, err := evidence.Relisted(z, "rows.jsonl", rows)
	if err == nil {
		z, err = evidence.Rezipped(z, "MANIFEST", strings.Replace(unzip(t, z)["MANIFEST"], id, id+"\x1b[2J\r"+verdict, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	keys := write(t, "signing_key.pub", []byte(" # \xe9t\xe9: the key of the beginning\n"+s.key+"\n"))
	code, out := python(t, write(t, "pack.zip", z), keys)
	if code != 1 || strings.ContainsAny(out, "\x1b\r") || strings.Contains("\n"+out, "\n"+verdict) || !strings.Contains(out, "not proven: ") {
		t.Errorf("%d, %q", code, out)
	}
}
