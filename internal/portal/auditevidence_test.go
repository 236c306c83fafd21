package portal_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
	auditsqlite "github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

// TestEvidence: whoever may read the audit gets a pack that proves itself, from a button on the impersonation's page; it is
// recorded, and not given when that can't be.
func TestEvidence(t *testing.T) {
	const id = "3ebaf0d3c4749639ed839b144b80b91e"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.db")
	sink, err := auditsqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := audit.Open(audit.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		_ = recorder.Close(ctx)
	})
	if err := recorder.UseSinks(ctx, audit.ShipOptions{BatchTime: time.Millisecond}, sink); err != nil {
		t.Fatal(err)
	}
	recorder.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	for _, e := range []audit.Event{
		{Type: audit.EventImpersonationStarted, Detail: audit.Detail("policy", "support")},
		{Type: audit.EventImpersonationEnded, Detail: `{"cause":"stopped"}`},
	} {
		e.ImpersonationID, e.ActorID, e.ActorUsername, e.TargetID, e.TargetUsername = id, "id-admin", "admin", "id-sam", "sam"
		if err := recorder.Event(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	for recorder.Stats().Sinks[0].Backlog > 0 {
		if ctx.Err() != nil {
			t.Fatal("not shipped")
		}
	}
	reader, err := auditsqlite.OpenReader(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	g := newRigOn(t, reader)
	g.events.recorder = recorder
	keys, err := recorder.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	auditor := g.login("auditor")
	page := auditor.get("/.impersonate/audit/impersonations/" + id)
	address := auditAPI + "impersonations/" + id + "/evidence"
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, `href="`+address+`"`) {
		t.Errorf("the page has no button: %d", page.StatusCode)
	}
	got := auditor.get(address)
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/zip" || got.Header.Get("Content-Disposition") != `attachment; filename="evidence-`+id+`.zip"` {
		t.Fatalf("%d %v %.300s", got.StatusCode, got.Header, got.body)
	}
	r, err := evidence.Verify([]byte(got.body), keys)
	if err != nil || !r.Clean() || !r.Signed || r.Impersonation != id {
		t.Errorf("%+v, %v", r, err)
	}
	want := `{"what":"evidence","impersonation":"` + id + `","format":"zip","state":"%s"%s}`
	told := g.events.of(audit.EventAuditExported)
	for len(told) < 2 && ctx.Err() == nil { // the second comes behind the last byte
		told = g.events.of(audit.EventAuditExported)
	}
	if len(told) != 2 || told[0].ActorUsername != "auditor" || told[0].ImpersonationID != "" ||
		told[0].Detail != fmt.Sprintf(want, "begun", "") || told[1].Detail != fmt.Sprintf(want, "done", fmt.Sprint(`,"bytes":`, len(got.body))) {
		t.Errorf("told %+v", told)
	}
	for path, status := range map[string]int{
		address: http.StatusForbidden, auditAPI + "impersonations/none/evidence": http.StatusForbidden,
	} {
		if got := g.login("admin").get(path); got.StatusCode != status {
			t.Errorf("an admin, %s: %d", path, got.StatusCode)
		}
	}
	if got := auditor.get(auditAPI + "impersonations/ffffffffffffffffffffffffffffffff/evidence"); got.StatusCode != http.StatusNotFound {
		t.Errorf("of nothing: %d", got.StatusCode)
	}
	if err := recorder.Event(ctx, audit.Event{Type: audit.EventRetentionApplied, Detail: audit.Detail("log", recorder.LogID(), "through", 3, "before", "2026-03-01T00:00:00Z", "retention", "400d")}); err != nil {
		t.Fatal(err)
	}
	for recorder.Stats().Sinks[0].Backlog > 0 && ctx.Err() == nil {
	}
	if got := auditor.get(auditAPI + "impersonations/ffffffffffffffffffffffffffffffff/evidence"); got.StatusCode != http.StatusNotFound || !strings.Contains(got.body, "older than the audit is kept (400d): what was before 2026-03-01T00:00:00Z is removed") {
		t.Errorf("of what retention may have removed: %d %s", got.StatusCode, got.body)
	}
	g.events.mu.Lock()
	g.events.fail = io.ErrShortWrite
	g.events.mu.Unlock()
	if got := auditor.get(address); got.StatusCode != http.StatusServiceUnavailable || strings.HasPrefix(got.body, "PK") {
		t.Errorf("not recorded: %d", got.StatusCode)
	}
	if err := execSQLite(path, "DELETE FROM events WHERE seq = 1"); err != nil {
		t.Fatal(err)
	}
	if got := auditor.get(address); got.StatusCode != http.StatusConflict || !strings.Contains(got.body, "being removed") {
		t.Errorf("while rows go: %d %s", got.StatusCode, got.body)
	}
}
