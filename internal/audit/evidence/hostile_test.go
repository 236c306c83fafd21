package evidence

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// TestManyRowsOfRetention: what somebody made up to keep a verifier busy takes it seconds, not hours.
func TestManyRowsOfRetention(t *testing.T) {
	const many = 8000
	signer, err := audit.OwnSigner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &Pack{ID: "an", keys: []string{signer.Verifier()}}
	add := func(e *audit.Event) {
		e.Time = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
		e.Hash()
		r := ofEvent(e)
		r.size = 1
		p.rows = append(p.rows, r)
	}
	for n := range many {
		add(&audit.Event{LogID: "a", Seq: uint64(n) + 10, Type: audit.EventImpersonationEnded, ImpersonationID: "an", Detail: `{"requests":1}`})
	}
	for n := range many {
		add(&audit.Event{LogID: "b", Seq: uint64(n) + 1, Type: audit.EventRetentionApplied, Detail: `{"log":"a","through":5}`})
	}
	for n := range many {
		add(&audit.Event{LogID: fmt.Sprintf("log%d", n+many), Seq: 1, Type: audit.EventImpersonationEnded, ImpersonationID: "an", Detail: `{"requests":1000000}`})
	}
	begun := time.Now()
	z, err := p.Zip(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(z, p.keys); err != nil || r.Clean() {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	for name, data := range map[string]string{"pack.zip": string(z), "signing_key.pub": p.keys[0] + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-B", "../../../docs/verify.py", filepath.Join(dir, "pack.zip"), filepath.Join(dir, "signing_key.pub"))
	if _, err := cmd.Output(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("verify.py: %v", err)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}
