package tamper_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/witness"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify/webhook"
	"github.com/seed-240d5494/caddy-impersonate/test/receivers"
	"github.com/seed-240d5494/caddy-impersonate/test/tamper"
)

// TestWitnessesFindWhatWasCutOff: the newest rows are removed together with their checkpoints. What is left proves itself;
// with what any of three real witnesses has kept, it does not.
func TestWitnessesFindWhatWasCutOff(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	dir := t.TempDir()
	hook, syslogd := receivers.Webhook(t, receivers.Config{Secret: secret}), receivers.Syslog(t)
	byHook, err := witness.NewWebhook(webhook.Options{URL: "http://" + hook.Addr(), Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	bySyslog, err := witness.NewSyslog(witness.SyslogOptions{Address: "tcp://" + syslogd.Addr})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "checkpoints")
	database := filepath.Join(dir, "audit.db")
	sink, err := sqlite.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	d := &tamper.DB{}
	if d.SQL, err = sql.Open("sqlite", "file:"+database+"?_pragma=busy_timeout(10000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.SQL.Close() })
	key := record(t, sink, d, witness.NewFile(file), byHook, bySyslog)
	rows, err := d.Rows(t.Context(), audit.TableCheckpoints, "1 = 1")
	if err != nil || len(rows) < 4 {
		t.Fatalf("%d checkpoints, %v", len(rows), err)
	}
	bodies := filepath.Join(dir, "bodies")
	var kept []byte
	for range rows {
		got := hook.Next()
		if !got.Verified {
			t.Error(got.Error)
		}
		kept = append(append(kept, got.Body...), '\n')
	}
	if err := os.WriteFile(bodies, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func(file string) *proof.Report {
		t.Helper()
		o := proof.Options{Keys: []string{key}, Now: time.Now().Add(time.Hour)}
		if file != "" {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			o.Witness = proof.ReadNotes(f)
		}
		r, err := proof.Verify(t.Context(), &proof.Store{DB: d.SQL}, o)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return r
	}
	// The daemon writes when it likes.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		text, err := os.ReadFile(syslogd.File)
		if bytes.Count(text, []byte("\n")) >= len(rows) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the daemon has not written the last: %v", err)
		}
	}
	copies := map[string]string{"file": file, "webhook": bodies, "syslog": syslogd.File}
	for name, file := range copies {
		if r := verify(file); !r.Clean() {
			t.Errorf("%s, before: %v", name, r.Findings)
		}
	}
	i := slices.IndexFunc(tamper.Kinds, func(k tamper.Kind) bool { return k.Name == "delete the newest rows with their checkpoints" })
	if err := tamper.Kinds[i].Do(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if r := verify(""); !r.Clean() {
		t.Errorf("without a witness: %v", r.Findings)
	}
	for name, file := range copies {
		r := verify(file)
		if !slices.ContainsFunc(r.Findings, func(f proof.Finding) bool { return f.Kind == proof.KindCutOff }) {
			t.Errorf("%s: %v", name, r.Findings)
		}
	}
}
