package sqlite

import (
	"compress/gzip"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
)

// earlierKeys are those that the logs in testdata/before-fields are signed by.
func earlierKeys(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../testdata/before-fields/signing_key.pub")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// earlier is a copy of a database with the schema's first version and rows in it.
func earlier(t *testing.T) string {
	t.Helper()
	f, err := os.Open("../testdata/before-fields/audit.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "audit.db")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// verified counts the rows that are as they were recorded; there must be no others.
func verified(t *testing.T, db *sql.DB, keys []string) uint64 {
	t.Helper()
	report, err := proof.Verify(t.Context(), &proof.Store{DB: db}, proof.Options{Keys: keys, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("%+v", f)
	}
	n, err := (&proof.Store{DB: db}).Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEarlierDatabase: one that the first version made is read and verifies, as it is and brought up to date; and takes new rows.
func TestEarlierDatabase(t *testing.T) {
	file, keys := earlier(t), earlierKeys(t)
	db, err := OpenReadOnly(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	read := func() (n int, names string) {
		t.Helper()
		r, err := OpenReader(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		found, err := r.Requests(t.Context(), audit.Filter{}, audit.Page{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range found.Rows {
			names += q.Fields
		}
		if found, err = r.Requests(t.Context(), audit.Filter{Q: "c30"}, audit.Page{}); err != nil || names == "" && len(found.Rows) > 0 {
			t.Fatalf("searched for fields: %d rows, %v", len(found.Rows), err)
		}
		return len(found.Rows), names
	}
	before := verified(t, db, keys)
	if _, names := read(); before < 40 || names != "" {
		t.Fatalf("%d rows, fields %q", before, names)
	}

	s, err := Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if n := verified(t, db, keys); n != before {
		t.Errorf("%d rows after the migration, %d before", n, before)
	}

	// Another log goes on in it.
	dir := t.TempDir()
	rec, err := audit.Open(audit.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rec.UseSigner(func() (*audit.Signer, error) { return audit.OwnSigner(dir) })
	if err := rec.UseSinks(t.Context(), audit.ShipOptions{}, s); err != nil {
		t.Fatal(err)
	}
	for _, names := range []string{"c30, …", ""} {
		in, err := rec.Intent(&audit.Request{ImpersonationID: "imp", ActorUsername: "alice", Method: "POST", Path: "/bookings/17"})
		if err != nil {
			t.Fatal(err)
		}
		in.Done(audit.Outcome{Status: 200, Outcome: audit.OutcomeCompleted, Fields: names})
	}
	own, err := rec.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := verified(t, db, append(keys, own...)); n < before+2 {
		t.Errorf("%d rows in the end", n)
	}
	if n, names := read(); n != 1 || names != "c30, …" {
		t.Errorf("found %d rows, fields %q", n, names)
	}
	changed, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer changed.Close()
	if _, err := changed.ExecContext(t.Context(), "UPDATE requests SET fields = 'c31' WHERE fields != ''"); err != nil {
		t.Fatal(err)
	}
	report, err := proof.Verify(t.Context(), &proof.Store{DB: db}, proof.Options{Keys: append(keys, own...), Now: time.Now()})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != proof.KindChanged {
		t.Errorf("a changed name: %+v, %v", report, err)
	}
}

// TestEarlierExport: one without the columns of later versions is whole.
func TestEarlierExport(t *testing.T) {
	f, err := os.Open("../testdata/before-fields/export.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	db, done, err := ImportExport(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := done(); err != nil {
			t.Error(err)
		}
	}()
	defer db.Close()
	if n := verified(t, db, earlierKeys(t)); n < 40 {
		t.Errorf("%d rows", n)
	}
}
