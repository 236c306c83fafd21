package caddymodule

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// TestRotationRemoved: retention takes the event that names a newer key. The old key follows no more then, and the command
// says what does; with all that is removed named by an event, and with the day alone.
func TestRotationRemoved(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	file, old, current := filepath.Join(dir, "audit.db"), filepath.Join(dir, "old.pub"), filepath.Join(dir, "signing_key.pub")
	sink, err := sqlite.Open(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Open(audit.Options{Dir: dir, Clock: past{clock.System}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().AddDate(0, 0, -60)
	event := func(kind, detail string) {
		t.Helper()
		if err := r.Event(ctx, audit.Event{Time: at, Type: kind, ImpersonationID: map[bool]string{true: "i-1"}[strings.HasPrefix(kind, "impersonation")], Detail: detail}); err != nil {
			t.Fatal(err)
		}
	}
	own := func() (*audit.Signer, error) { return audit.OwnSigner(dir) }
	r.UseSigner(own)
	first, err := os.ReadFile(current)
	if err == nil {
		err = os.WriteFile(old, first, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	event(audit.EventLogin, "")
	if _, err := audit.RotateOwnSigner(dir); err != nil {
		t.Fatal(err)
	}
	r.UseSigner(own) // row 3 names the new key, which checkpoint 3 by the old one covers
	for range 3 {    // checkpoints by the new key
		event(audit.EventImpersonationStarted, `{"policy":"support"}`)
		event(audit.EventImpersonationEnded, `{"cause":"stopped"}`)
	}
	at = time.Now()
	event(audit.EventRetentionApplied, audit.Detail("log", r.LogID(), "through", 3, "before", at.AddDate(0, 0, -30).Format(time.RFC3339), "retention", "30d", "sink", sink.Name()))
	if err := errors.Join(r.UseSinks(ctx, audit.ShipOptions{}, sink), r.Close(ctx)); err != nil {
		t.Fatal(err)
	}

	verify := func(want int, args ...string) string {
		t.Helper()
		out, errs, code := execute(t, auditCommand(), append([]string{"verify", "--sqlite", file}, args...)...)
		if code != want {
			t.Errorf("%q: code %d\n%s%s", args, code, out, errs)
		}
		return out
	}
	verify(0, "--key", old)
	if sink, err = sqlite.Open(ctx, file); err == nil {
		err = errors.Join(sink.Remove(ctx, audit.Prefix{LogID: r.LogID(), Through: 3}), sink.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	const fix = "give the newer public key with --key"
	for _, args := range [][]string{{"--key", old}, {"--key", old, "--retained-since", at.AddDate(0, 0, -30).Format(time.DateOnly)}} {
		out := strings.Join(strings.Fields(verify(exitFound, args...)), " ")
		if strings.Count(out, fix) != 1 || strings.Count(out, "checkpoint_forged: ") < 3 {
			t.Errorf("%q does not say, once, to %s:\n%s", args, fix, out)
		}
	}
	for _, args := range [][]string{{"--key", current}, {"--key", old, "--key", current}} {
		if out := verify(0, args...); !strings.Contains(out, "3 removed by retention") {
			t.Errorf("%q:\n%s", args, out)
		}
	}
}
