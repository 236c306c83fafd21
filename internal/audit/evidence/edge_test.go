package evidence_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
)

// verdicts are what both verifiers find of a pack.
func (s *shelf) verdicts(p *evidence.Pack, sign func(string) (string, error)) (*evidence.Report, string) {
	s.t.Helper()
	z, err := p.Zip(sign)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := evidence.Verify(z, []string{s.key})
	if err != nil {
		s.t.Fatal(err)
	}
	code, out := python(s.t, write(s.t, "pack.zip", z), write(s.t, "signing_key.pub", []byte(s.key+"\n")))
	if (code == 0) != r.Clean() {
		s.t.Errorf("the verifiers disagree: %v; verify.py: %d, %s", r.Findings, code, out)
	}
	return r, out
}

// TestTheEdgeIsNoCover: retention that removed an earlier part of the log explains nothing that is missing of a later one,
// neither to who makes a pack nor to who checks one that somebody else has made.
func TestTheEdgeIsNoCover(t *testing.T) {
	for name, tt := range map[string]struct {
		through uint64 // what retention lets go, and removes
		change  string
		forged  []uint64 // rows that a pack is made without
		finds   string   // in the forged pack
	}{
		"the start":                          {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowStart), []uint64{rowStart}, "the start of the impersonation"},
		"the start, the rows before it":      {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq <= ", rowStart), []uint64{rowStart}, "the start of the impersonation"},
		"the start and all requests":         {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq BETWEEN ", rowStart, " AND ", rowThird), []uint64{rowStart, rowFirst, rowSecond, rowThird}, "the start of the impersonation"},
		"start and end":                      {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq IN (", rowStart, ",", rowEnd, ")"), []uint64{rowStart, rowEnd}, "the start of the impersonation"},
		"its first request":                  {rowStart, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowFirst), []uint64{rowStart, rowFirst}, "request 1 of the impersonation"},
		"a request in its middle":            {rowStart, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowSecond), []uint64{rowStart, rowSecond}, "request 2 of the impersonation"},
		"its last":                           {rowStart, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowThird), []uint64{rowStart, rowThird}, "request 3 of the impersonation"},
		"its first request, now another's":   {rowStart, fmt.Sprint("UPDATE TABLE SET impersonation_id = 'other' WHERE seq = ", rowFirst), nil, ""},
		"its last request, now another's":    {rowStart, fmt.Sprint("UPDATE TABLE SET impersonation_id = 'other' WHERE seq = ", rowThird), nil, ""},
		"what another's row of that time is": {rowStart, fmt.Sprint("UPDATE TABLE SET impersonation_id = 'other', client_ip = '' WHERE seq = ", rowFirst), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			s.letGo(tt.through)
			if tt.forged != nil {
				p, err := evidence.Forge(t.Context(), s.readers["sqlite"], id, []string{s.key}, tt.forged...)
				if err != nil {
					t.Fatal(err)
				}
				r, out := s.verdicts(p, nil)
				if r.Clean() || !strings.Contains(r.Findings[0].What, tt.finds) || !strings.Contains(out, "missing: "+tt.finds) {
					t.Errorf("a forged pack: %v; verify.py: %s", r.Findings, out)
				}
			}
			s.remove(tt.through)
			s.tampering()(tt.change)
			if _, err := evidence.Collect(t.Context(), s.readers["sqlite"], id, []string{s.key}); !errors.Is(err, evidence.ErrUnproven) || errors.Is(err, evidence.ErrRemoving) {
				t.Errorf("it is evidence: %v", err)
			}
		})
	}
}

// TestHonestAtTheEdge: what retention may have done is not taken for tampering.
func TestHonestAtTheEdge(t *testing.T) {
	collect := func(s *shelf) *evidence.Pack {
		s.t.Helper()
		p, err := evidence.Collect(s.t.Context(), s.readers["sqlite"], id, []string{s.key})
		if err != nil {
			s.t.Fatal(err)
		}
		return p
	}
	t.Run("less is removed than may be", func(t *testing.T) {
		s := newShelf(t)
		s.letGo(rowThird)
		s.remove(rowFirst)
		r, out := s.verdicts(collect(s), nil) // every row before those that are there may go: no signature is needed
		if !r.Clean() || !r.NoStart || r.Gone != 1 || r.Removed != rowFirst || !strings.Contains(out, "and 1 of its requests") {
			t.Errorf("%+v, %s", r, out)
		}
	})
	t.Run("only the gateway knows which requests went", func(t *testing.T) {
		s := newShelf(t)
		s.letGo(rowStart)
		s.remove(rowStart)
		if r, out := s.verdicts(collect(s), nil); !r.Clean() || !r.NoStart || r.Gone != 0 {
			t.Errorf("all are there: %+v, %s", r, out)
		}
		s = newShelf(t)
		s.letGo(rowFirst)
		s.remove(rowFirst)
		if r, out := s.verdicts(collect(s), s.recorder.SignNote); !r.Clean() || r.Gone != 1 {
			t.Errorf("%+v, %s", r, out)
		}
	})
	t.Run("a request that lasted is not the first to go", func(t *testing.T) {
		s := newShelf(t)
		const long = "4c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
		s.event(long, audit.EventImpersonationStarted, "")
		intent := func() *audit.Intent {
			in, err := s.recorder.Intent(&audit.Request{ImpersonationID: long, ActorID: "u-1", ActorUsername: "alice", TargetID: "u-2", TargetUsername: "sam", Mode: "full", Method: "GET", Path: "/"})
			if err != nil {
				t.Fatal(err)
			}
			return in
		}
		stream := intent()
		for range 2 {
			intent().Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeCompleted})
			s.shipped()
		}
		through := s.recorder.LastSeq()
		s.event("", audit.EventLogin, "")
		stream.Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeSevered})
		s.shipped()
		s.event(long, audit.EventImpersonationEnded, `{"cause":"stopped"}`)
		s.letGo(through)
		s.remove(through)
		p, err := evidence.Collect(t.Context(), s.readers["sqlite"], long, []string{s.key})
		if err != nil {
			t.Fatal(err)
		}
		if r, out := s.verdicts(p, s.recorder.SignNote); !r.Clean() || r.Gone != 2 {
			t.Errorf("%+v, %s", r, out)
		}
		if r, out := s.verdicts(p, nil); r.Clean() || p.Unshown() != 2 {
			t.Errorf("nobody vouches for it: %+v, %s", r, out)
		}
	})
}
