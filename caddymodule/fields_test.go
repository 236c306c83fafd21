package caddymodule

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestFieldsInCaddy: a JSON document goes through the whole of Caddy to the app; `audit requests` names its fields when the
// operator wants them, from a reload on, and never what is in them.
func TestFieldsInCaddy(t *testing.T) {
	w := newWorld(t)
	w.mustLoad()
	alice := w.login("alice")
	w.impersonate(alice, "sam")
	send := func(path string) {
		t.Helper()
		body := map[string]any{"note": "hunter2", "items": []any{map[string]any{"sku": "hunter2"}}}
		if res := api(t, alice, http.MethodPost, w.url(path), body); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d", path, res.StatusCode)
		}
	}
	send("/before")
	w.audit = "fields on"
	w.mustLoad()
	send("/wanted")
	w.audit = "fields off"
	w.mustLoad()
	send("/after")

	var out string
	w.eventually("three rows", func() bool {
		out, _, _ = execute(t, auditCommand(), "requests", "--sqlite", filepath.Join(w.dir, "audit.db"))
		return strings.Contains(out, "/before") && strings.Contains(out, "/wanted") && strings.Contains(out, "/after")
	})
	if strings.Count(out, "fields: ") != 1 || !strings.Contains(out, "POST /wanted; fields: items[].sku, note\n") || strings.Contains(out, "hunter2") {
		t.Error(out)
	}
}
