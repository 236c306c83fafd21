package proof_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
)

// aNote is a signed checkpoint of so many rows.
func aNote(t testing.TB, s *audit.Signer, size uint64) string {
	t.Helper()
	tree := new(audit.Tree)
	tree.Skip(size)
	c, err := audit.SignCheckpoint("kxp3vbq2mwu7zdnc", time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC), tree, 0, s)
	if err != nil {
		t.Fatal(err)
	}
	return c.Note
}

func readNotes(text string) (list []string, err error) {
	for n, err := range proof.ReadNotes(strings.NewReader(text)) {
		if err != nil {
			return list, err
		}
		list = append(list, n)
	}
	return list, nil
}

// TestReadNotes: notes are found in what each kind of witness keeps, and between what else is there.
func TestReadNotes(t *testing.T) {
	s, err := audit.OwnSigner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, b := aNote(t, s, 5), aNote(t, s, 9)
	object := func(note string) string {
		text, err := json.Marshal(map[string]any{"type": "audit_checkpoint", "note": note, "size": 5})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	both := []string{a, b}
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"nothing":             {"", nil},
		"empty lines":         {"\n\n", nil},
		"one behind another":  {a + b, both},
		"apart":               {"# of 2026\n\n" + a + "\n\nmore\n" + b, both},
		"without a last line": {a + strings.TrimSuffix(b, "\n"), both},
		"of Windows":          {strings.ReplaceAll(a+b, "\n", "\r\n"), both},
		"torn before another": {a[:60] + "\n" + a + b, both},
		"torn at the end":     {a + b + a[:60], both},
		"objects":             {object(a) + "\n" + object(b) + "\n", both},
		"objects, indented":   {"[\n  {\n    \"note\" : " + strings.SplitAfterN(object(a), `"note":`, 2)[1] + "\n]\n" + object(b), both},
		"syslog":              {"2026-03-01T09:30:00Z host caddy-impersonate[7]: " + object(a) + "\nMar  1 09:30:01 host sshd[8]: no note\n<109>1 - - - - - - " + object(b), both},
		"mixed":               {a + object(b) + "\n", both},
		"another note":        {`{"note": "hello"}` + "\n" + a + `{"note": 5}` + "\n", []string{a}},
		"two signatures":      {strings.TrimSuffix(a, "\n") + "\n\u2014 witness " + strings.Repeat("A", 91) + "=\n" + b, []string{a + "\u2014 witness " + strings.Repeat("A", 91) + "=\n", b}},
	} {
		got, err := readNotes(tt.text)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.want)
		}
	}
	for _, bad := range []string{"hello\n", a[:len(a)/2], strings.Repeat("x", 2<<20)} {
		if got, err := readNotes(bad); err == nil {
			t.Errorf("%.40q: %q", bad, got)
		}
	}
}

func FuzzReadNotes(f *testing.F) {
	s, err := audit.OwnSigner(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	a := aNote(f, s, 5)
	f.Add(a + a)
	f.Add(a[:60] + "\n" + a)
	f.Add(`{"note":"caddy-impersonate/x\n1\n\n\u2014 x y\n"}`)
	f.Fuzz(func(t *testing.T, text string) {
		list, _ := readNotes(text)
		for _, n := range list {
			if !strings.HasPrefix(n, "caddy-impersonate/") || !strings.Contains(n, "\n\u2014 ") {
				t.Fatalf("%q is none", n)
			}
			if again, _ := readNotes(n); len(again) > 1 {
				t.Fatalf("%q is more than one: %q", n, again)
			}
		}
	})
}
