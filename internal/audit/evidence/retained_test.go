package evidence_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

// shelf is an audit from which retention takes one row after the other: each has a checkpoint.
type shelf struct {
	t        *testing.T
	recorder *audit.Recorder
	events   audit.Events // the recorder, as the configuration in force uses it
	readers  map[string]audit.Reader
	file     string
	key      string
}

// What is in its rows, by their places.
const (
	rowKey      = iota + 1 // names the key
	rowOther               // of another impersonation
	rowConfig              // the policy's text
	rowAsked               // the request for approval
	rowAgreed              // that it was given
	rowStart               // the impersonation's
	rowFirst               // its three requests
	rowSecond              //
	rowThird               //
	rowEnd                 // its end
	rowAfterEnd            // what a reviewer said of it
)

func newShelf(t *testing.T, more ...audit.Sink) *shelf {
	t.Helper()
	dir := t.TempDir()
	s := &shelf{t: t, file: filepath.Join(dir, "audit.db"), readers: map[string]audit.Reader{}}
	sink, err := sqlite.Open(t.Context(), s.file)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := sqlite.OpenReader(s.file, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	s.readers["sqlite"] = reader
	if s.recorder, err = audit.Open(audit.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		if err := s.recorder.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	s.events = s.recorder
	s.recorder.SealEvery(1, time.Minute)
	if err := s.recorder.UseSinks(t.Context(), audit.ShipOptions{BatchTime: time.Millisecond}, append([]audit.Sink{sink}, more...)...); err != nil {
		t.Fatal(err)
	}
	s.recorder.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	s.shipped()
	s.event("other", audit.EventImpersonationStarted, "")
	s.loads(audit.Detail("sha256", "11", "policies", map[string]string{"support": "The group support may."}))
	s.event("", "approval_requested", audit.Detail("request", "req-77", "policy", "support"))
	s.event("", "approval_granted", audit.Detail("request", "req-77", "by", "bob"))
	s.event(id, audit.EventImpersonationStarted, audit.Detail("policy", "support", "site", "https://app.example.com", "request", "req-77", "approved_by", "bob"))
	for n := range 3 {
		in, err := s.recorder.Intent(&audit.Request{RequestID: fmt.Sprint("r-", n), ImpersonationID: id, ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng", TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full", Method: "GET", Path: fmt.Sprint("/page-", n+1)})
		if err != nil {
			t.Fatal(err)
		}
		in.Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeCompleted})
		s.shipped()
	}
	s.event(id, audit.EventImpersonationEnded, `{"cause":"stopped","by":"alice"}`)
	s.event(id, audit.EventReviewed, audit.Detail("reviewed_actor", "alice"))
	keys, err := s.recorder.PublicKeys()
	if err != nil || s.recorder.LastSeq() != rowAfterEnd {
		t.Fatalf("%d rows, %v", s.recorder.LastSeq(), err)
	}
	s.key = keys[0]
	return s
}

func (s *shelf) event(id, kind, detail string) {
	s.t.Helper()
	e := audit.Event{Type: kind, ImpersonationID: id, Detail: detail, ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng"}
	if id != "" {
		e.TargetID, e.TargetUsername, e.TargetName, e.Mode = "u-2", "sam", "Sam Reed", "full"
	}
	if kind == audit.EventImpersonationStarted {
		e.Reason = "the booking won't complete"
	}
	if kind == audit.EventReviewed {
		e.ActorUsername, e.ActorName, e.Reason = "rita", "Rita", "Seen, with the customer."
	}
	if err := s.events.Event(s.t.Context(), e); err != nil {
		s.t.Fatal(err)
	}
	s.shipped()
}

// loads puts a configuration in force.
func (s *shelf) loads(detail string) {
	s.t.Helper()
	in := s.recorder.Configured(audit.Event{Detail: detail})
	if err := in.InForce(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.events = in
	s.shipped()
}

// collect is the pack of what is in SQLite.
func (s *shelf) collect(id string) *evidence.Pack {
	s.t.Helper()
	p, err := evidence.Collect(s.t.Context(), s.readers["sqlite"], id, []string{s.key})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// zip is a pack and what is in it.
func (s *shelf) zip(p *evidence.Pack) (pack []byte, files map[string]string) {
	s.t.Helper()
	pack, err := p.Zip(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return pack, unzip(s.t, pack)
}

// shipped waits until all rows and the checkpoint of the last can be read.
func (s *shelf) shipped() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	for engine, r := range s.readers {
		for {
			found, err := r.Checkpoints(ctx, audit.Filter{}, audit.Page{Limit: 1})
			if err != nil {
				s.t.Fatalf("%s: waiting for a checkpoint of %d rows: %v", engine, s.recorder.LastSeq(), err)
			}
			if len(found.Rows) > 0 && found.Rows[0].Size >= s.recorder.LastSeq() {
				break
			}
			<-time.After(time.Millisecond)
		}
	}
}

// letGo records what may go.
func (s *shelf) letGo(through uint64) {
	s.t.Helper()
	s.event("", audit.EventRetentionApplied, audit.Detail("log", s.recorder.LogID(), "through", through, "before", "2026-03-01T00:00:00Z", "retention", "400d"))
}

func (s *shelf) remove(through uint64) {
	s.t.Helper()
	err := s.recorder.EachTrimmer(s.t.Context(), func(ctx context.Context, _ string, _ uint64, t audit.Trimmer) error {
		return t.Remove(ctx, audit.Prefix{LogID: s.recorder.LogID(), Through: through})
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestPackAtTheEdge: whatever part of the beginning retention has removed, the pack says in report and manifest what is missing,
// says nothing that it can't know, and proves the rest, to two verifiers and from both engines alike. Of an impersonation that is
// all gone there is none, and the refusal names retention.
func TestPackAtTheEdge(t *testing.T) {
	srv := chtest.StartOwn(t)
	columnar, err := clickhouse.Open(srv.DSN)
	if err == nil {
		err = errors.Join(columnar.Apply(t.Context(), nil), columnar.Maintain(srv.DSN))
	}
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf(t, columnar)
	if s.readers["clickhouse"], err = clickhouse.OpenReader(srv.DSN, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.readers["clickhouse"].Close() })
	s.shipped()
	keys := write(t, "signing_key.pub", []byte(s.key+"\n"))
	const (
		asked, text, agreed, reason, policyGone = "approval_requested", "The group support may.", "approval_granted", "the booking won", "The log does not have its text any more."
	)
	for _, tt := range []struct {
		through uint64
		start   bool // is there
		has     []string
		hasNot  []string
	}{
		{0, true, []string{asked, agreed, text, reason, "3; could change"}, []string{"removed"}},
		{rowKey, true, []string{asked, agreed, text}, []string{"removed"}},
		{rowOther, true, []string{asked, agreed, text}, []string{"removed"}},
		{rowConfig, true, []string{"rows 1 to 3 of its log go. The text of the policy went with them.", policyGone, asked, agreed, reason}, []string{text, "Nobody was asked"}},
		{rowAsked, true, []string{"How it was asked for went with them.", "request req-77 was agreed to, by bob. How it was asked for is not in the log any more.", agreed}, []string{asked, "Nobody was asked"}},
		{rowAgreed, true, []string{"request req-77 was agreed to, by bob. What was recorded of that is not in the log any more.", reason, "3; could change"}, []string{asked, agreed, "Nobody was asked"}},
		{rowStart, false, []string{"Alice Ng (alice) used the account of Sam Reed (sam)", "rows 1 to 6 of its log", "3 of 3 are left", "That went with the start.", "/page-1", "<span>reviewed</span><br>Rita (rita)</td><td>Seen, with the customer. · reviewed_actor: alice</td>"}, []string{reason, "Nobody was asked", "are removed.", "Allowed by policy", "no reason"}},
		{rowFirst, false, []string{"2 of 3 are left", "Requests 1 to 1 are not there.", "/page-2"}, []string{"/page-1"}},
		{rowSecond, false, []string{"1 of 3 are left", "Requests 1 to 2 are not there.", "/page-3"}, []string{"/page-2"}},
		{rowThird, false, []string{"0 of 3 are left", "No request is left of the 3 that the end counts.", "stopped, by alice"}, []string{"/page-3", "No request was made"}},
	} {
		if tt.through > 0 {
			s.letGo(tt.through)
			s.remove(tt.through)
		}
		var packs [][]byte
		for engine, r := range s.readers {
			p, err := evidence.Collect(t.Context(), r, id, []string{s.key})
			if err != nil {
				t.Fatalf("through %d, %s: %v", tt.through, engine, err)
			}
			z, err := p.Zip(s.recorder.SignNote)
			if err != nil {
				t.Fatal(err)
			}
			packs = append(packs, z)
		}
		if !bytes.Equal(packs[0], packs[1]) {
			t.Errorf("through %d: another pack by the other engine", tt.through)
		}
		said := len(tt.hasNot) > 0 && tt.hasNot[0] != "removed"
		r, err := evidence.Verify(packs[0], []string{s.key})
		if err != nil || r.NoStart == tt.start || (r.Removed == tt.through) != (said || tt.through == 0) || !r.Signed || r.NoEnd {
			t.Errorf("through %d: %+v, %v", tt.through, r, err)
		}
		// That requests went with the start no row says.
		gone := 0
		if tt.through > rowStart {
			gone = 1
		}
		if len(r.Findings) != gone || gone > 0 && (r.Findings[0].Kind != evidence.KindUnshown || r.Findings[0].From != 1 || r.Findings[0].To != tt.through-rowStart) {
			t.Errorf("through %d: found %v", tt.through, r.Findings)
		}
		code, out := python(t, write(t, "pack.zip", packs[0]), keys)
		if code != gone || strings.Contains(out, "removed by retention") != said || strings.Contains(out, "its start is one of them") == tt.start || strings.Count(out, "maybe by retention") != int(tt.through)*gone-rowStart*gone {
			t.Errorf("through %d: verify.py: %d, %s", tt.through, code, out)
		}
		files := unzip(t, packs[0])
		if line := fmt.Sprintf("\nremoved %s 1-%d\n", s.recorder.LogID(), tt.through); strings.Contains(files["MANIFEST"], line) != said {
			t.Errorf("through %d: the manifest\n%s", tt.through, files["MANIFEST"])
		}
		if !strings.Contains(files["policy.txt"], text) != (tt.through >= rowConfig) || strings.Contains(files["policy.txt"], "a version that did not record it") {
			t.Errorf("through %d: policy.txt: %s", tt.through, files["policy.txt"])
		}
		for _, want := range tt.has {
			if !strings.Contains(files["report.html"], want) {
				t.Errorf("through %d: the report does not say %q\n%s", tt.through, want, files["report.html"])
			}
		}
		for _, no := range tt.hasNot {
			if strings.Contains(files["report.html"], no) {
				t.Errorf("through %d: the report says %q", tt.through, no)
			}
		}
		if said {
			s.forged(packs[0], files, keys)
		}
	}
	s.letGo(rowEnd)
	s.remove(rowEnd)
	for engine, r := range s.readers {
		var gone *evidence.GoneError
		_, err := evidence.Collect(t.Context(), r, id, nil)
		if !errors.Is(err, audit.ErrNotThere) || !errors.As(err, &gone) || gone.Before != "2026-03-01T00:00:00Z" || gone.Kept != "400d" {
			t.Errorf("%s: of what is all gone: %v", engine, err)
		}
	}
}

// forged: what a pack says of retention can't be changed, nor left out.
func (s *shelf) forged(pack []byte, files map[string]string, keys string) {
	s.t.Helper()
	from := "removed " + s.recorder.LogID() + " 1-"
	manifest := strings.Replace(files["MANIFEST"], from, from+"1", 1)
	manifest, _, _ = strings.Cut(manifest, "\n\n\u2014 ") // and not signed any more
	z, err := evidence.Rezipped(pack, "MANIFEST", manifest+"\n")
	if err != nil {
		s.t.Fatal(err)
	}
	if r, err := evidence.Verify(z, []string{s.key}); err != nil || r.Clean() {
		s.t.Errorf("the manifest says that more is gone: %+v, %v", r, err)
	}
	if code, out := python(s.t, write(s.t, "pack.zip", z), keys); code != 1 || !strings.Contains(out, "what it says of retention") {
		s.t.Errorf("the manifest says that more is gone: verify.py: %d, %s", code, out)
	}
}

// tampering is direct SQL.
func (s *shelf) tampering() func(statement string, args ...any) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	return func(statement string, args ...any) {
		s.t.Helper()
		for _, table := range []string{"requests", "events"} {
			if _, err := db.ExecContext(s.t.Context(), strings.ReplaceAll(statement, "TABLE", table), args...); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// TestNoPackWhileRowsGo: while retention is removing rows that the proof needs there is no pack, and it is not taken for
// tampering; where no event lets them go, it is.
func TestNoPackWhileRowsGo(t *testing.T) {
	collect := func(s *shelf) error {
		_, err := evidence.Collect(t.Context(), s.readers["sqlite"], id, nil)
		return err
	}
	s := newShelf(t)
	if err := collect(s); err != nil {
		t.Fatal(err)
	}
	s.tampering()("DELETE FROM TABLE WHERE seq <= ?", rowStart)
	if err := collect(s); !errors.Is(err, evidence.ErrUnproven) || errors.Is(err, evidence.ErrRemoving) || !strings.Contains(err.Error(), "no event says that retention removed it") {
		t.Errorf("removed by hand: %v", err)
	}
	s.letGo(rowThird)
	if err := collect(s); err != nil {
		t.Errorf("no further than the start, for now: %v", err)
	}
	s = newShelf(t)
	s.letGo(rowThird)
	s.tampering()("DELETE FROM TABLE WHERE seq = ?", rowSecond)
	if err := collect(s); !errors.Is(err, evidence.ErrRemoving) {
		t.Errorf("in between: %v", err)
	}
	s.remove(rowThird)
	if err := collect(s); err != nil {
		t.Errorf("done: %v", err)
	}
}
