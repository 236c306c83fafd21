package caddymodule

import (
	"archive/zip"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

type sinkToTrim interface {
	audit.Sink
	audit.Trimmer
}

// TestEvidenceAtTheEdge: of an impersonation whose start retention has removed, the pack says what is left and what is gone,
// and proves the rest; of one that is all gone there is none. By two verifiers, from both engines.
func TestEvidenceAtTheEdge(t *testing.T) {
	srv := chtest.Start(t)
	for _, engine := range []string{"sqlite", "clickhouse"} {
		t.Run(engine, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "audit.db")
			from := []string{"--sqlite", file}
			open := func() (sinkToTrim, error) { return sqlite.Open(t.Context(), file) }
			if engine == "clickhouse" {
				from = []string{"--clickhouse", srv.DSN}
				open = func() (sinkToTrim, error) {
					s, err := clickhouse.Open(srv.DSN)
					if err == nil {
						err = errors.Join(s.Apply(t.Context(), nil), s.Maintain(srv.DSN))
					}
					return s, err
				}
			}
			sink, err := open()
			if err != nil {
				t.Fatal(err)
			}
			log, key := aged(t, sink, 6)
			pack := func(id string) (file, errs string, code int) {
				file = filepath.Join(t.TempDir(), "pack.zip")
				_, errs, code = execute(t, auditCommand(), append([]string{"evidence", id, "--key", key, "--output", file}, from...)...)
				return file, errs, code
			}
			verify := func(file string) string {
				t.Helper()
				out, errs, code := execute(t, auditCommand(), "verify", "--evidence", file, "--key", key)
				if code != 0 {
					t.Errorf("code %d\n%s%s", code, out, errs)
				}
				python, err := exec.CommandContext(t.Context(), "python3", "../docs/verify.py", file, key).CombinedOutput()
				if err != nil || strings.Contains(out, "removed by retention") != strings.Contains(string(python), "removed by retention") {
					t.Errorf("%v\n%s\nbut\n%s", err, python, out)
				}
				return out
			}
			whole, errs, code := pack("half")
			if code != 0 {
				t.Fatal(errs)
			}
			if out := verify(whole); strings.Contains(out, "removed") {
				t.Errorf("while all is there:\n%s", out)
			}
			if sink, err = open(); err == nil { // what was recorded into is closed
				err = errors.Join(sink.Remove(t.Context(), audit.Prefix{LogID: log, Through: 6}), sink.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			left, errs, code := pack("half")
			if code != 0 {
				t.Fatal(errs)
			}
			if out := verify(left); !strings.Contains(out, "removed by retention: its start, in rows 1 to 6 of the log") {
				t.Errorf("of what is left:\n%s", out)
			}
			report := unzipped(t, left, "report.html")
			for _, want := range []string{"Alice Ng (alice) used the account of Sam Reed (sam)", "rows 1 to 6 of its log", "POST /bookings/17", "stopped"} {
				if !strings.Contains(report, want) {
					t.Errorf("no %q in\n%s", want, report)
				}
			}
			if strings.Contains(report, "no reason was given") || strings.Contains(report, "Nobody was asked") {
				t.Errorf("it says what it can't know:\n%s", report)
			}
			if _, errs, code := pack("gone"); code != 1 || !strings.Contains(errs, "not in the audit: either there was none, or it was older than the audit is kept (30d)") {
				t.Errorf("of one that is gone: code %d, %s", code, errs)
			}
		})
	}
}

// TestNoEvidenceWithoutAStart: what retention removed before is no cover for a start that somebody else has removed.
func TestNoEvidenceWithoutAStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	sink, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	_, key := aged(t, sink, 3)
	db, err := sql.Open("sqlite", "file:"+file)
	if err == nil {
		_, err = db.ExecContext(t.Context(), "DELETE FROM events WHERE seq <= 4")
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(t.TempDir(), "pack.zip")
	_, errs, code := execute(t, auditCommand(), "evidence", "half", "--key", key, "--output", output, "--sqlite", file)
	if code != 1 || !strings.Contains(errs, "no event says that retention removed it; audit verify says more") {
		t.Errorf("code %d, %s", code, errs)
	}
	if _, err := os.Stat(output); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pack is there: %v", err)
	}
	out, errs, code := execute(t, auditCommand(), "impersonations", "--sqlite", file)
	if code != 0 || !strings.Contains(out, "not by the retention: run audit verify") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
}

// TestEvidenceThatCannotShow: of requests that are not there no pack can show that retention removed them; the command tells
// what whoever checks its pack will be told.
func TestEvidenceThatCannotShow(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "audit.db")
	sink, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Open(audit.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r.SealEvery(1, time.Minute)
	r.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	event := func(kind, id, detail string) {
		t.Helper()
		if err := r.Event(t.Context(), audit.Event{Type: kind, ImpersonationID: id, ActorUsername: "alice", TargetUsername: "sam", Detail: detail}); err != nil {
			t.Fatal(err)
		}
	}
	event(audit.EventImpersonationStarted, "half", `{"policy":"support"}`)
	for through := range 2 {
		in, err := r.Intent(&audit.Request{ImpersonationID: "half", ActorUsername: "alice", TargetUsername: "sam", Method: "GET", Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		in.Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeCompleted})
		event(audit.EventLogin, "", "")
		if through == 0 {
			event(audit.EventRetentionApplied, "", audit.Detail("log", r.LogID(), "through", r.LastSeq()-1))
		}
	}
	event(audit.EventImpersonationEnded, "half", `{"cause":"stopped"}`)
	if err := errors.Join(r.UseSinks(t.Context(), audit.ShipOptions{}, sink), r.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if sink, err = sqlite.Open(t.Context(), file); err == nil {
		err = errors.Join(sink.Remove(t.Context(), audit.Prefix{LogID: r.LogID(), Through: 3}), sink.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	pack, key := filepath.Join(t.TempDir(), "pack.zip"), filepath.Join(dir, "signing_key.pub")
	_, errs, code := execute(t, auditCommand(), "evidence", "half", "--key", key, "--output", pack, "--sqlite", file)
	if code != 0 || !strings.Contains(errs, "1 of its requests are not there: maybe retention removed them") {
		t.Errorf("code %d, %s", code, errs)
	}
	out, errs, code := execute(t, auditCommand(), "verify", "--evidence", pack, "--key", key)
	if code != exitFound || !strings.Contains(out, "request 1 of the impersonation is not there: maybe retention removed them with the start") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
}

func unzipped(t *testing.T, file, name string) string {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	text, err := fs.ReadFile(z, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
