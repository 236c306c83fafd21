package gateway

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

// TestNodeKeepsItsKeys: what was signed or sealed before a restart is good after it.
func TestNodeKeepsItsKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open := func() *Node {
		t.Helper()
		store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := OpenNode(t.Context(), NodeOptions{Store: store, Clock: clock.System, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := open()
	key, jwks := first.LoginKey, first.Signer.JWKS()
	if len(key) != 32 || len(jwks) == 0 {
		t.Fatalf("a key of %d bytes, a key set of %d", len(key), len(jwks))
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := open()
	if !bytes.Equal(again.LoginKey, key) || !bytes.Equal(again.Signer.JWKS(), jwks) {
		t.Error("other keys after a restart")
	}

	// A key that was retired is not used any more.
	keys, err := again.Store.Keys(t.Context(), loginKeyUse)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if err := again.Store.RetireKey(t.Context(), loginKeyUse, keys[0].ID, clock.System.Now()); err != nil {
		t.Fatal(err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	renewed := open()
	if bytes.Equal(renewed.LoginKey, key) {
		t.Error("a retired key is in use")
	}
	if err := renewed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
