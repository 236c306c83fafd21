package evidence_test

import (
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
)

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
		p, err := evidence.Collect(t.Context(), s.readers["sqlite"], of, []string{s.key})
		if err != nil {
			t.Fatal(err)
		}
		if r, out := s.verdicts(p, nil); !r.Clean() {
			t.Errorf("%s: %v; verify.py: %s", of, r.Findings, out)
		}
	}
}
