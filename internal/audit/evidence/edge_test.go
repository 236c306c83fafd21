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
// neither to who makes a pack nor to who checks one, whoever has made it.
func TestTheEdgeIsNoCover(t *testing.T) {
	const start = "missing: the start of the impersonation"
	for name, tt := range map[string]struct {
		through uint64   // what retention lets go, and removes
		change  string   // what somebody does by SQL
		made    bool     // a pack is made of what is left
		forged  []uint64 // rows that another's pack is made without
		finds   string
	}{
		"the start":                        {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowStart), false, []uint64{rowStart}, start},
		"the start, the rows before it":    {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq <= ", rowStart), false, []uint64{rowStart}, start},
		"the start and all requests":       {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq BETWEEN ", rowStart, " AND ", rowThird), false, []uint64{rowStart, rowFirst, rowSecond, rowThird}, start},
		"start and end":                    {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq IN (", rowStart, ",", rowEnd, ")"), false, []uint64{rowStart, rowEnd}, start},
		"its first request":                {rowStart, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowFirst), true, []uint64{rowStart, rowFirst}, "missing: request 1 of"},
		"a request in its middle":          {rowStart, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowSecond), true, []uint64{rowStart, rowSecond}, "missing: request 2 of"},
		"its last":                         {rowStart, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowThird), true, []uint64{rowStart, rowThird}, "missing: request 3 of"},
		"its first request, now another's": {rowStart, fmt.Sprint("UPDATE TABLE SET impersonation_id = 'other' WHERE seq = ", rowFirst), true, []uint64{rowStart, rowFirst}, "missing: request 1 of"},
		"its end":                          {rowOther, fmt.Sprint("DELETE FROM TABLE WHERE seq = ", rowEnd), true, []uint64{rowEnd}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			s.letGo(tt.through)
			found := func(whose string, p *evidence.Pack) {
				t.Helper()
				for _, sign := range []func(string) (string, error){nil, s.recorder.SignNote} {
					switch r, out := s.verdicts(p, sign); {
					case tt.finds == "":
						if !r.Clean() || !r.NoEnd || !strings.Contains(out, "It has no end in log") {
							t.Errorf("%s: %+v; verify.py: %s", whose, r, out)
						}
					case r.Clean() || !strings.Contains(out, tt.finds) || !strings.Contains(r.Findings[0].What, strings.TrimPrefix(tt.finds, "missing: ")):
						t.Errorf("%s: %v; verify.py: %s", whose, r.Findings, out)
					}
				}
			}
			forged, err := evidence.Forge(t.Context(), s.readers["sqlite"], id, []string{s.key}, tt.forged...)
			if err != nil {
				t.Fatal(err)
			}
			found("a forged pack", forged)
			s.remove(tt.through)
			s.tampering()(tt.change)
			p, err := evidence.Collect(t.Context(), s.readers["sqlite"], id, []string{s.key})
			switch {
			case tt.made && err == nil:
				found("the pack of what is left", p)
			case tt.made || !errors.Is(err, evidence.ErrUnproven) || errors.Is(err, evidence.ErrRemoving):
				t.Errorf("of what is left: %v", err)
			}
		})
	}
}

// TestWhatNoRowHas: what is put into a line of a pack beside the columns that are hashed says nothing.
func TestWhatNoRowHas(t *testing.T) {
	s := newShelf(t)
	s.letGo(rowOther)
	p, err := evidence.Forge(t.Context(), s.readers["sqlite"], id, []string{s.key}, rowStart, rowEnd)
	if err != nil {
		t.Fatal(err)
	}
	z, files := s.zip(p)
	rows := strings.Replace(files["rows.jsonl"], `{"table":"requests"`, `{"type":"impersonation_ended","detail":"{\"start_seq\":1,\"requests\":3}","table":"requests"`, 1)
	if z, err = evidence.Relisted(z, "rows.jsonl", rows); err != nil {
		t.Fatal(err)
	}
	r, err := evidence.Verify(z, []string{s.key})
	code, out := python(t, write(t, "pack.zip", z), write(t, "signing_key.pub", []byte(s.key+"\n")))
	if err != nil || r.Clean() || code == 0 || !strings.Contains(out, "it has what no row has") {
		t.Errorf("%v, %v; verify.py: %d, %s", r.Findings, err, code, out)
	}
}

// TestWhatIsNotOfThePack: rows of others, rows that come twice, a second manifest and requests after the end that are left out
// are found by both verifiers.
func TestWhatIsNotOfThePack(t *testing.T) {
	s := newShelf(t)
	for range 2 { // numbers 4 and 5, after the end
		in, err := s.recorder.Intent(&audit.Request{ImpersonationID: id, ActorID: "u-1", ActorUsername: "alice", TargetID: "u-2", TargetUsername: "sam", Mode: "full", Method: "GET", Path: "/late"})
		if err != nil {
			t.Fatal(err)
		}
		in.Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeSevered})
		s.shipped()
	}
	s.letGo(rowKey)
	forge := func(id string, without ...uint64) *evidence.Pack {
		t.Helper()
		p, err := evidence.Forge(t.Context(), s.readers["sqlite"], id, []string{s.key}, without...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if r, out := s.verdicts(forge(id), nil); !r.Clean() {
		t.Fatalf("all of it: %v, %s", r.Findings, out)
	}
	if r, _ := s.verdicts(forge(id).Plus(forge("other")), s.recorder.SignNote); r.Clean() {
		t.Error("rows of another impersonation are taken for its own")
	}
	if r, _ := s.verdicts(forge(id, rowAfterEnd+1), nil); r.Clean() {
		t.Error("a request after the end is left out")
	}
	z, files := s.zip(forge(id))
	line, _, _ := strings.Cut(files["rows.jsonl"], "\n")
	doubled, err := evidence.Relisted(z, "rows.jsonl", line+"\n"+files["rows.jsonl"])
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := evidence.Prefixed(z, "MANIFEST", strings.Replace(files["MANIFEST"], "impersonation "+id, "impersonation other", 1))
	if err != nil {
		t.Fatal(err)
	}
	for name, pack := range map[string][]byte{"a row twice": doubled, "two manifests": manifests} {
		r, err := evidence.Verify(pack, []string{s.key})
		code, out := python(t, write(t, "pack.zip", pack), write(t, "signing_key.pub", []byte(s.key+"\n")))
		if err != nil || r.Clean() || code == 0 {
			t.Errorf("%s: %v, %v; verify.py: %d, %s", name, r.Findings, err, code, out)
		}
	}
}

// TestTheConfigurationInForce: the start names it; no older one, with another text of the policy, is shown in its place.
func TestTheConfigurationInForce(t *testing.T) {
	s := newShelf(t)
	s.loads(audit.Detail("sha256", "22", "policies", map[string]string{"support": "The group support may, with a ticket."}))
	const later = "4c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
	config := s.recorder.LastSeq()
	s.event(later, audit.EventImpersonationStarted, audit.Detail("policy", "support"))
	s.event(later, audit.EventImpersonationEnded, "")
	text := func(p *evidence.Pack) string {
		t.Helper()
		_, files := s.zip(p)
		return files["policy.txt"]
	}
	honest := s.collect(later)
	if r, out := s.verdicts(honest, nil); !r.Clean() || !strings.Contains(text(honest), "with a ticket") {
		t.Errorf("%v, %s, %s", r.Findings, out, text(honest))
	}
	if r, _ := s.verdicts(s.collect(later).Plus(s.collect(id).Only(rowConfig)), nil); r.Clean() {
		t.Error("an older configuration is taken for that in force")
	}
	s.letGo(rowStart)
	s.tampering()("DELETE FROM TABLE WHERE seq = ?", config)
	p := s.collect(later)
	if r, out := s.verdicts(p, nil); len(r.Findings) != 1 || r.Findings[0].From != config || !strings.Contains(out, fmt.Sprintf("seq %d, the configuration", config)) {
		t.Errorf("of one that is gone: %v, %s", r.Findings, out)
	}
	if got := text(p); !strings.Contains(got, fmt.Sprintf("row %d of the log, is not there", config)) {
		t.Errorf("of one that is gone: %s", got)
	}
	s.letGo(config)
	p = s.collect(later)
	if r, out := s.verdicts(p, nil); !r.Clean() || !strings.Contains(text(p), "are removed") {
		t.Errorf("of one that retention let go: %v, %s, %s", r.Findings, out, text(p))
	}
	s.letGo(s.recorder.LastSeq())
	s.loads(audit.Detail("sha256", "33"))
	const last = "5c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
	s.event(last, audit.EventImpersonationStarted, audit.Detail("policy", "support"))
	p = s.collect(last)
	if r, out := s.verdicts(p, nil); !r.Clean() || !strings.Contains(text(p), "there were too many") {
		t.Errorf("of one that has no text: %v, %s, %s", r.Findings, out, text(p))
	}
}

// TestNoConfiguration: a start that names the place of another row, though that is in its pack, has no configuration.
func TestNoConfiguration(t *testing.T) {
	s := newShelf(t)
	s.events = s.recorder // writes down what it is told
	const wrong = "6c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
	s.event(wrong, audit.EventImpersonationStarted, audit.Detail("config_seq", rowKey))
	if r, out := s.verdicts(s.collect(wrong), nil); len(r.Findings) != 1 || !strings.Contains(out, "the configuration in force") {
		t.Errorf("%v, %s", r.Findings, out)
	}
}

// TestHonestAtTheEdge: what retention may have done is told from what it can't have done.
func TestHonestAtTheEdge(t *testing.T) {
	t.Run("less is removed than may be", func(t *testing.T) {
		s := newShelf(t)
		s.letGo(rowThird)
		s.remove(rowStart)
		p := s.collect(id)
		if r, out := s.verdicts(p, nil); !r.Clean() || !r.NoStart || r.Removed != rowStart || p.Unshown() != 0 {
			t.Errorf("%+v, %s", r, out)
		}
	})
	t.Run("rows of others in between", func(t *testing.T) {
		s := newShelf(t)
		const later = "4c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
		s.event(later, audit.EventImpersonationStarted, "")
		through := s.recorder.LastSeq()
		s.event("", audit.EventLogin, "")
		s.event(later, audit.EventImpersonationEnded, `{"cause":"stopped"}`)
		s.letGo(through)
		s.remove(through)
		if r, out := s.verdicts(s.collect(later), nil); !r.Clean() || !r.NoStart || r.Removed != through {
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
		p := s.collect(long)
		r, out := s.verdicts(p, nil)
		if len(r.Findings) != 1 || r.Findings[0].Kind != evidence.KindUnshown || r.Findings[0].From != 2 || r.Findings[0].To != 3 || p.Unshown() != 2 {
			t.Errorf("%+v, %s", r, out)
		}
	})
	t.Run("its start is in another log", func(t *testing.T) {
		s := newShelf(t)
		const elsewhere = "4c2e1f7b9d8a4e6f8b7c6d5e4f3a2b1c"
		s.event("", audit.EventLogin, "")
		through := s.recorder.LastSeq()
		s.event(elsewhere, audit.EventImpersonationEnded, `{"cause":"stopped"}`)
		s.letGo(through)
		s.remove(through)
		if _, err := evidence.Collect(t.Context(), s.readers["sqlite"], elsewhere, []string{s.key}); !errors.Is(err, evidence.ErrUnplaced) {
			t.Error(err)
		}
	})
}
