package evidence_test

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/docs"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/clickhouse"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/evidence"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
	"github.com/seed-240d5494/caddy-impersonate/test/chtest"
)

const (
	nasty = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	id    = "3ebaf0d3c4749639ed839b144b80b91e"
)

// desk is a small help desk's audit: several impersonations side by side, one of them with all that a pack has, and a key
// that was replaced in its middle.
type desk struct {
	readers  map[string]audit.Reader
	first    string   // the verifier key of the beginning
	keys     []string // all
	recorder *audit.Recorder
	file     string
}

func newDesk(t *testing.T, more ...audit.Sink) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	file := filepath.Join(dir, "audit.db")
	sink, err := sqlite.Open(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Open(audit.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r.SealEvery(7, time.Minute)
	if err := r.UseSinks(ctx, audit.ShipOptions{BatchTime: time.Millisecond}, append([]audit.Sink{sink}, more...)...); err != nil {
		t.Fatal(err)
	}
	own := func() (*audit.Signer, error) { return audit.OwnSigner(dir) }
	r.UseSigner(own)
	var events audit.Events
	event := func(e audit.Event) {
		t.Helper()
		if err := events.Event(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	request := func(imp, method, path, action, outcome, refusal string) {
		t.Helper()
		in, err := r.Intent(&audit.Request{ImpersonationID: imp, ActorID: "u-1", ActorUsername: "alice", ActorName: nasty, TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed", Method: method, Path: path, Query: "q=" + nasty, Action: action})
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		o := audit.Outcome{Status: 200, Outcome: outcome, Refusal: refusal, Duration: time.Millisecond}
		if method == "POST" {
			o.Fields = "note, " + nasty + ", …"
		}
		in.Done(o)
	}
	about := audit.Event{ActorID: "u-1", ActorUsername: "alice", ActorName: nasty, TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full", ClientIP: "192.0.2.7"}
	with := func(kind, imp, detail string) audit.Event {
		e := about
		e.Type, e.ImpersonationID, e.Detail = kind, imp, detail
		return e
	}
	load := func(detail string) {
		in := r.Configured(audit.Event{Detail: detail})
		if err := in.InForce(t.Context()); err != nil {
			t.Fatal(err)
		}
		events = in
	}
	load(audit.Detail("sha256", "00", "policies", map[string]string{"support": "Old."}))
	load(audit.Detail("sha256", "11", "policies", map[string]string{"support": "The group support may log in as fieldworkers. " + nasty}))
	for range 20 {
		request("other", "GET", "/", "", audit.OutcomeCompleted, "")
	}
	event(with(audit.EventApprovalRequested, "", audit.Detail("request", "req-77", "policy", "support")))
	event(with(audit.EventApprovalGranted, "", audit.Detail("request", "req-77", "by", "bob")))
	event(with(audit.EventApprovalGranted, "", audit.Detail("request", "req-78", "by", "mallory")))
	start := with(audit.EventImpersonationStarted, id, audit.Detail("policy", "support", "site", "https://app.example.com", "request", "req-77", "approved_by", "bob"))
	start.Reason, start.Ticket = "the booking won't complete "+nasty, "T-17"
	event(start)
	event(with(audit.EventNoticeSent, id, audit.Detail("kind", "impersonation_started", "via", "email", "to", "sam")))
	for n := range 12 {
		request(id, "GET", fmt.Sprintf("/bookings/%d", n), "", audit.OutcomeCompleted, "")
		request("other", "GET", "/", "", audit.OutcomeCompleted, "")
	}
	if _, err := audit.RotateOwnSigner(dir); err != nil {
		t.Fatal(err)
	}
	keys, err := r.PublicKeys()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	r.UseSigner(own)
	request(id, "POST", "/bookings/17/complete", "Completed booking", audit.OutcomeCompleted, "")
	request(id, "GET", "/account/password", "", audit.OutcomeRefused, "denied_path")
	event(with(audit.EventImpersonationEnded, id, `{"cause":"stopped","by":"alice"}`))
	request("other", "GET", "/", "", audit.OutcomeCompleted, "")
	event(with(audit.EventImpersonationEnded, "other", `{"cause":"stopped"}`))
	for r.Stats().Sinks[0].Backlog > 0 || len(more) > 0 && r.Stats().Sinks[1].Backlog > 0 {
		if ctx.Err() != nil {
			t.Fatalf("%+v", r.Stats().Sinks)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	reader, err := sqlite.OpenReader(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	return &desk{readers: map[string]audit.Reader{"sqlite": reader}, first: keys[0], keys: keys, recorder: r, file: file}
}

func (d *desk) pack(t *testing.T, engine string, sign func(string) (string, error)) []byte {
	t.Helper()
	p, err := evidence.Collect(t.Context(), d.readers[engine], id, d.keys)
	if err != nil {
		t.Fatalf("%s: %v", engine, err)
	}
	z, err := p.Zip(sign)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func clean(t *testing.T, z []byte, keys ...string) *evidence.Report {
	t.Helper()
	r, err := evidence.Verify(z, keys)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Clean() {
		t.Fatalf("found %v", r.Findings)
	}
	return r
}

// unzip takes it apart by the standard library.
func unzip(t *testing.T, z []byte) map[string]string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(z), int64(len(z)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(b)
	}
	return files
}

// TestPack: it has all of the impersonation and nothing of others; it is proven with the key of the beginning alone; the
// same audit makes the same pack, whichever engine has it.
func TestPack(t *testing.T) {
	srv := chtest.Start(t)
	columnar, err := clickhouse.Open(srv.DSN)
	if err != nil {
		t.Fatal(err)
	}
	if err := columnar.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, columnar)
	if d.readers["clickhouse"], err = clickhouse.OpenReader(srv.DSN, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.readers["clickhouse"].Close() })
	z := d.pack(t, "sqlite", nil)
	if !bytes.Equal(z, d.pack(t, "sqlite", nil)) || !bytes.Equal(z, d.pack(t, "clickhouse", nil)) {
		t.Error("the same audit makes another pack")
	}
	r := clean(t, z, d.first)
	// 14 requests, start, end, notice, 2 of the approval, 2 keys, 1 configuration
	if r.Impersonation != id || r.Rows != 22 || r.Checkpoints < 3 || r.Signed {
		t.Errorf("%+v", r)
	}
	files := unzip(t, z)
	for _, want := range []string{"bob", "T-17", "denied_path", "Completed booking", "The group support may", "<span>notice_sent</span><br>to sam<", "<span>approval_granted</span><br>bob<", "could change something: 1; refused: 1", "stopped, by alice"} {
		if !strings.Contains(files["report.html"], want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for name, text := range files {
		if strings.Contains(text, "mallory") || strings.Contains(text, `"other"`) || strings.Contains(text, "Old.") {
			t.Errorf("%s has what is of others", name)
		}
	}
	if html := files["report.html"]; strings.Contains(html, "<script") || strings.Contains(html, "<img") || strings.Contains(html, "http://") {
		t.Error("the report has what it must not")
	}
	if !strings.HasPrefix(files["policy.txt"], "Policy support, as it was in force at the start:\n\nThe group support may") {
		t.Errorf("policy.txt: %q", files["policy.txt"])
	}
	if dir := os.Getenv("EVIDENCE_OUT"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "report.html"), []byte(files["report.html"]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	signed := d.pack(t, "sqlite", d.recorder.SignNote)
	if r := clean(t, signed, d.first); !r.Signed {
		t.Error("not signed")
	}
	if r, err := evidence.Verify(z, []string{other(t)}); err != nil || r.Clean() {
		t.Errorf("with another key: %+v, %v", r, err)
	}
	if _, err := evidence.Verify(z, nil); err == nil {
		t.Error("verified without a key")
	}
	for _, bad := range [][]byte{nil, []byte("PK"), z[:100], z[:len(z)-1], append(slices.Clone(z), 0)} {
		if r, err := evidence.Verify(bad, []string{d.first}); err != nil || r.Clean() {
			t.Errorf("%d bytes: %+v, %v", len(bad), r, err)
		}
	}
	if _, err := evidence.Collect(t.Context(), d.readers["sqlite"], "none", d.keys); err == nil {
		t.Error("evidence of nothing")
	}
}

func other(t *testing.T) string {
	t.Helper()
	s, err := audit.OwnSigner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s.Verifier()
}

// TestNoEvidenceOfWhatWasTamperedWith: a pack is not made of rows that are not those recorded, nor before they are sealed.
func TestNoEvidenceOfWhatWasTamperedWith(t *testing.T) {
	d := newDesk(t)
	db, err := sql.Open("sqlite", "file:"+d.file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // the temporary table is its connection's
	t.Cleanup(func() { _ = db.Close() })
	for _, change := range []string{
		"UPDATE requests SET path = '/' WHERE impersonation_id = '" + id + "' AND impersonation_seq = 3",
		"UPDATE requests SET leaf_hash = zeroblob(32) WHERE impersonation_id = '" + id + "' AND impersonation_seq = 3",
		"DELETE FROM requests WHERE impersonation_id = 'other' AND impersonation_seq = 24",
	} {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("CREATE TEMP TABLE kept AS SELECT * FROM requests"); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(change); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.Collect(t.Context(), d.readers["sqlite"], id, d.keys); !errors.Is(err, evidence.ErrUnproven) {
			t.Errorf("%s: %v", change, err)
		}
		for _, s := range []string{"DELETE FROM requests", "INSERT INTO requests SELECT * FROM kept", "DROP TABLE kept"} {
			if _, err := db.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
		d.pack(t, "sqlite", nil)
	}
	if _, err := db.Exec("DELETE FROM checkpoints WHERE size > 40"); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Collect(t.Context(), d.readers["sqlite"], id, d.keys); !errors.Is(err, audit.ErrUnsealed) {
		t.Errorf("without the last checkpoints: %v", err)
	}
}

// TestAnyChangedByteIsFound, in every file and in the zip around them, in packs with and without a signed manifest.
func TestAnyChangedByteIsFound(t *testing.T) {
	d := newDesk(t)
	for name, sign := range map[string]func(string) (string, error){"signed": d.recorder.SignNote, "not signed": nil} {
		z := d.pack(t, "sqlite", sign)
		var places []int
		// The zip's own bytes, all of them; of the files' every 41st.
		at := 0
		for name, text := range unzip(t, z) {
			i := bytes.Index(z, []byte(text))
			for n := i; n < i+len(text); n += 41 {
				places = append(places, n)
			}
			places = append(places, i, i+len(text)-1)
			_ = name
		}
		files := unzip(t, z)
		inside := make([]bool, len(z))
		for _, text := range files {
			i := bytes.Index(z, []byte(text))
			for n := i; n < i+len(text); n++ {
				inside[n] = true
			}
		}
		for n := range z {
			if !inside[n] {
				places = append(places, n)
			}
		}
		for _, n := range places {
			bit := byte(1) << (n % 8)
			z[n] ^= bit
			r, err := evidence.Verify(z, []string{d.first})
			if err != nil || r.Clean() {
				t.Fatalf("%s: byte %d of %d, bit %d: nothing is found; %v", name, n, len(z), n%8, err)
			}
			z[n] ^= bit
			at++
		}
		clean(t, z, d.first)
		t.Logf("%s: %d of %d bytes changed in turn", name, at, len(z))
	}
}

// python runs the verifier of docs/, which is that of the pack.
func python(t *testing.T, file, keys string) (code int, said string) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-B", "../../../docs/verify.py", file, keys)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("python3 is needed; run test/setup.sh: %v", err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestVerifierInPython: a program in another language, that has nothing of ours, comes to the same of packs and exports.
func TestVerifierInPython(t *testing.T) {
	for table, columns := range map[string][]audit.Column{"requests": audit.RequestColumns(), "events": audit.EventColumns()} {
		var names []string
		for _, c := range columns {
			names = append(names, c.Name)
		}
		text := strings.NewReplacer("\"\n", "", "                ", "", "              \"", "").Replace(string(docs.Verifier))
		if !strings.Contains(strings.ReplaceAll(text, `"`, ""), strings.Join(names, " ")) {
			t.Errorf("verify.py does not know the columns of %s", table)
		}
	}
	d := newDesk(t)
	keys := write(t, "signing_key.pub", []byte(d.first+"\n"))
	var export bytes.Buffer
	e := audit.Export{Tables: []string{audit.TableRequests, audit.TableEvents, audit.TableCheckpoints}}
	if _, err := e.Write(t.Context(), d.readers["sqlite"], audit.NewJSONLWriter(&export), time.Now()); err != nil {
		t.Fatal(err)
	}
	signed := d.pack(t, "sqlite", d.recorder.SignNote)
	for name, data := range map[string][]byte{"export.jsonl": export.Bytes(), "signed.zip": signed, "unsigned.zip": d.pack(t, "sqlite", nil)} {
		if code, said := python(t, write(t, name, data), keys); code != 0 || !strings.Contains(said, "Everything is as it was recorded.") {
			t.Errorf("%s: %d, %s", name, code, said)
		}
		if code, said := python(t, write(t, name, data), write(t, "k", []byte(other(t)))); code != 1 {
			t.Errorf("%s with another key: %d, %s", name, code, said)
		}
	}
	lines := strings.SplitAfter(export.String(), "\n")
	find := func(s string) int {
		return slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, s) })
	}
	row := find(`"path":"/bookings/7"`)
	edit := func(f func(lines []string) []string) string { return strings.Join(f(slices.Clone(lines)), "") }
	var rehashed map[string]any
	if err := json.Unmarshal([]byte(lines[row]), &rehashed); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"changed":        {strings.Replace(export.String(), "/bookings/7", "/bookings/8", 1), "changed"},
		"hash changed":   {strings.Replace(export.String(), `"leaf_hash":"`, `"leaf_hash":"00`, 1), "changed"},
		"missing":        {edit(func(l []string) []string { return slices.Delete(l, row, row+1) }), "missing"},
		"twice":          {edit(func(l []string) []string { return slices.Insert(l, row, l[row]) }), "duplicate"},
		"cut off":        {edit(func(l []string) []string { return l[:len(l)-2] }), "cut off"},
		"reordered":      {strings.NewReplacer(`"seq":9,`, `"seq":10,`, `"seq":10,`, `"seq":9,`).Replace(export.String()), "changed"},
		"no checkpoints": {edit(func(l []string) []string { return slices.Delete(l, find(`"size":7,`), find(`"size":7,`)+1) }), "cut off"},
		"forged":         {strings.Replace(export.String(), `caddy-impersonate `, `caddy-impersonate A`, 1), "checkpoint"},
		"other root":     {strings.Replace(export.String(), `"root_hash":"`, `"root_hash":"f`, 1), "checkpoint"},
		"rewritten":      {rewrite(t, lines, row), "rewritten"},
	} {
		code, said := python(t, write(t, "export.jsonl", []byte(tt.text)), keys)
		if code != 1 || !strings.Contains(said, tt.want) {
			t.Errorf("%s: %d, %s", name, code, said)
		}
	}
	if code, said := python(t, write(t, "x", []byte("hello")), keys); code != 2 {
		t.Errorf("nonsense: %d, %s", code, said)
	}
	// One byte in each file of a pack, and of the zip around.
	for name, text := range unzip(t, signed) {
		i := bytes.Index(signed, []byte(text))
		for _, n := range []int{i, i + len(text)/2, i + len(text) - 2, i - 3} {
			z := slices.Clone(signed)
			z[n] ^= 1
			if code, said := python(t, write(t, "x.zip", z), keys); code == 0 {
				t.Errorf("%s, byte %d: %s", name, n-i, said)
			}
		}
	}
}

// rewrite changes a row and makes its leaf hash anew, as whoever knows the format can.
func rewrite(t *testing.T, lines []string, n int) string {
	t.Helper()
	var out []string
	err := audit.ReadJSONL(strings.NewReader(strings.Join(lines, "")), func(table string, values []string) error {
		out = append(out, table+"\x00"+strings.Join(values, "\x00"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	values := strings.Split(out[n-1], "\x00")[1:]
	values[18] = "/bookings/8"
	leaf := leafOf(audit.TableRequests, values[:len(values)-1])
	columns := append(audit.RequestColumns(), audit.Column{Name: "leaf_hash", Kind: audit.KindHash})
	values[len(values)-1] = fmt.Sprintf("%x", leaf)
	lines = slices.Clone(lines)
	lines[n] = string(audit.RowJSON(nil, `{"table":"requests"`, columns, values)) + "\n"
	return strings.Join(lines, "")
}
