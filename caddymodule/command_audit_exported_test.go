package caddymodule

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// exports are the details of the events of exports in a gateway's record, the newest first.
func (w *world) exports() (details []map[string]any) {
	w.t.Helper()
	out, errs, code := execute(w.t, auditCommand(), "events", "--type", audit.EventAuditExported, "--json", "--sqlite", filepath.Join(w.dir, "audit.db"))
	if code != 0 {
		w.t.Fatal(errs)
	}
	for line := range strings.Lines(out) {
		var row struct {
			Actor  string `json:"actor_username"`
			ID     string `json:"impersonation_id"`
			Detail string `json:"detail"`
		}
		var detail map[string]any
		if err := errors.Join(json.Unmarshal([]byte(line), &row), json.Unmarshal([]byte(row.Detail), &detail)); err != nil {
			w.t.Fatal(err, line)
		}
		if row.Actor != "" || row.ID != "" {
			w.t.Errorf("an account of the machine is taken for one of the gateway's, or the pack grows by being made: %s", line)
		}
		details = append(details, detail)
	}
	return details
}

// TestExportsByCommandAreRecorded: what a command takes out of the audit is an event of the running gateway, as by the portal,
// with who ran the command; where no gateway records it, the command says so, and why.
func TestExportsByCommandAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.admin = freeport.Addr(t)
	w.mustLoad()
	w.write("Caddyfile", w.caddyfile())
	config := filepath.Join(w.dir, "Caddyfile")
	alice := w.login("alice")
	w.impersonate(alice, "sam")
	if res := api(t, alice, http.MethodDelete, w.url("/.impersonate/api/v1/impersonations/current"), nil); res.StatusCode >= 300 {
		t.Fatal(res.Status)
	}
	id := ""
	w.eventually("the end in the record", func() bool {
		out, _, _ := execute(t, auditCommand(), "impersonations", "--outcome", "stopped", "--json", "--config", config)
		var i audit.Impersonation
		_ = json.Unmarshal([]byte(out), &i) // nothing yet is no JSON
		id = i.ID
		return id != ""
	})
	recorded := "Recorded by the gateway at " + w.admin
	told := func(want string, args ...string) {
		t.Helper()
		_, errs, code := execute(t, auditCommand(), args...)
		if code != 0 || !strings.Contains(errs, want) || strings.Contains(errs, recorded) == strings.Contains(errs, "No event was recorded") {
			t.Errorf("%q: code %d, want %q in\n%s", args, code, want, errs)
		}
	}
	events := 0
	last := func(more int) (done, begun map[string]any) {
		t.Helper()
		events += more
		var list []map[string]any
		w.eventually("the events", func() bool { list = w.exports(); return len(list) >= events })
		if len(list) != events || more == 0 {
			t.Fatalf("%d events, want %d: %v", len(list), events, list)
		}
		return list[0], list[1]
	}
	pack := func() string { return filepath.Join(t.TempDir(), "pack.zip") }

	w.eventually("a checkpoint", func() bool {
		_, errs, code := execute(t, auditCommand(), "evidence", id, "--config", config, "--output", pack())
		return code == 0 && strings.Contains(errs, recorded)
	})
	done, begun := last(2)
	for _, e := range []map[string]any{done, begun} {
		if e["what"] != "evidence" || e["impersonation"] != id || e["format"] != "zip" || e["by"] != "command line" || e["os_user"] != osUser() || e["source"] != nil {
			t.Errorf("%v", e)
		}
	}
	if begun["state"] != "begun" || done["state"] != "done" || done["bytes"].(float64) < 1000 || begun["bytes"] != nil {
		t.Errorf("%v, %v", begun, done)
	}

	told(recorded, "export", "--config", config, "--actor", "alice")
	done, begun = last(2)
	if begun["state"] != "begun" || done["state"] != "done" || done["what"] != "all" || done["actor"] != "alice" || done["events"].(float64) < 3 || done["export"] != begun["export"] || done["export"] == "" {
		t.Errorf("%v, %v", begun, done)
	}
	file := filepath.Join(w.dir, "audit.db")
	told(recorded, "export", "--config", config, "--format", "csv", "--sqlite", file)
	if done, _ = last(2); done["source"] != "sqlite "+file || done["what"] != "requests" || done["format"] != "csv" {
		t.Errorf("%v", done)
	}

	// Nothing is recorded where it does not belong, and never silently.
	told("name its configuration with --config", "export", "--sqlite", file)
	key := filepath.Join(w.dir, w.journal, "signing_key.pub")
	told("name its configuration with --config", "evidence", id, "--sqlite", file, "--key", key, "--output", pack())
	elsewhere := *w
	elsewhere.journal = "another"
	w.write("elsewhere", elsewhere.caddyfile())
	told("the gateway at "+w.admin+" did not take it: HTTP 409: its journal is ", "evidence", id, "--config", filepath.Join(w.dir, "elsewhere"), "--adapter", "caddyfile", "--key", key, "--output", pack())
	elsewhere.journal, elsewhere.admin = w.journal, ""
	w.write("off", elsewhere.caddyfile())
	told("admin off", "evidence", id, "--config", filepath.Join(w.dir, "off"), "--adapter", "caddyfile", "--output", pack())
	elsewhere.admin = freeport.Addr(t)
	w.write("stopped", elsewhere.caddyfile())
	for _, args := range [][]string{{"export"}, {"evidence", id, "--output", pack()}} {
		told("no gateway was reached at "+elsewhere.admin+": dial tcp ", append(args, "--config", filepath.Join(w.dir, "stopped"), "--adapter", "caddyfile")...)
	}
	told(recorded, "export", "--config", config)
	last(2) // and none of those between
}

// TestExportBrokenOff: what could not be read to its end is no success, also where it goes to the standard output, and
// the gateway's event says so.
func TestExportBrokenOff(t *testing.T) {
	w := newWorld(t)
	w.admin = freeport.Addr(t)
	w.mustLoad()
	w.write("Caddyfile", w.caddyfile())
	copied := filepath.Join(t.TempDir(), "copy.db")
	sink, err := sqlite.Open(t.Context(), copied)
	if err == nil {
		err = sink.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", copied)
	if err == nil {
		_, err = db.ExecContext(t.Context(), "DROP TABLE checkpoints")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, errs, code := execute(t, auditCommand(), "export", "--config", filepath.Join(w.dir, "Caddyfile"), "--sqlite", copied); code != 1 || !strings.Contains(errs, "exporting checkpoints") {
		t.Errorf("code %d: %s", code, errs)
	}
	var list []map[string]any
	w.eventually("two events", func() bool { list = w.exports(); return len(list) == 2 })
	if list[0]["state"] != "broken_off" || list[1]["state"] != "begun" {
		t.Errorf("%v", list)
	}
}

// TestExportedEndpoint takes what commands send, as the other endpoints take theirs, and nothing else.
func TestExportedEndpoint(t *testing.T) {
	w := newWorld(t)
	w.admin = freeport.Addr(t)
	w.mustLoad()
	journal := filepath.Join(w.dir, w.journal)
	good := `{"journal":"` + journal + `","os_user":"root","what":"all","filter":{},"format":"jsonl","state":"begun"}`
	ask := func(method, origin, body string) (status int, said string) {
		t.Helper()
		return w.askAdmin(method, exportedPath, origin, body)
	}
	edit := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %q", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	for name, tt := range map[string]struct {
		method, origin, body string
		status               int
	}{
		"another method":       {http.MethodGet, "", good, http.StatusMethodNotAllowed},
		"another origin":       {http.MethodPost, "https://elsewhere.example", good, http.StatusForbidden},
		"nothing":              {http.MethodPost, "", "", http.StatusBadRequest},
		"an unknown name":      {http.MethodPost, "", edit(`"what"`, `"actor":"alice","what"`), http.StatusBadRequest},
		"what is none":         {http.MethodPost, "", edit(`"all"`, `"passwords"`), http.StatusBadRequest},
		"a format that is not": {http.MethodPost, "", edit(`"jsonl"`, `"exe"`), http.StatusBadRequest},
		"a state that is not":  {http.MethodPost, "", edit(`"begun"`, `"undone"`), http.StatusBadRequest},
		"nobody":               {http.MethodPost, "", edit(`"root"`, `""`), http.StatusBadRequest},
		"two lines":            {http.MethodPost, "", edit(`"root"`, `"a\nb"`), http.StatusBadRequest},
		"a long name":          {http.MethodPost, "", edit(`"root"`, `"`+strings.Repeat("x", 257)+`"`), http.StatusBadRequest},
		"a filter that is not": {http.MethodPost, "", edit(`{}`, `{"Outcome":"a b"}`), http.StatusBadRequest},
		"rows of no table":     {http.MethodPost, "", edit(`"what"`, `"rows":{"state":1},"what"`), http.StatusBadRequest},
		"too much":             {http.MethodPost, "", strings.Repeat(" ", maxExported) + good, http.StatusBadRequest},
		"another journal":      {http.MethodPost, "", edit(journal, "/elsewhere"), http.StatusConflict},
	} {
		if status, said := ask(tt.method, tt.origin, tt.body); status != tt.status {
			t.Errorf("%s: %d %s, want %d", name, status, said, tt.status)
		}
	}
	if status, said := ask(http.MethodPost, "", good); status != http.StatusNoContent {
		t.Errorf("%d %s", status, said)
	}
	var list []map[string]any
	w.eventually("one event", func() bool { list = w.exports(); return len(list) > 0 })
	if len(list) != 1 || list[0]["by"] != "command line" || list[0]["os_user"] != "root" {
		t.Errorf("%v", list)
	}
}
