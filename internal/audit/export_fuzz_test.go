package audit_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// anExport is one with a row of each table that is hashed.
func anExport(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	w := audit.NewJSONLWriter(&b)
	q, e := full(), fullEvent()
	q.Hash()
	e.Hash()
	if err := w.Begin(&audit.Export{Tables: []string{audit.TableRequests, audit.TableEvents}}, time.Unix(1_780_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	hashed := func(columns []audit.Column) []audit.Column {
		return append(columns, audit.Column{Name: "leaf_hash", Kind: audit.KindHash})
	}
	leaf := strings.Repeat("ab", 32)
	if err := w.Row(audit.TableRequests, hashed(audit.RequestColumns()), append(q.Values(), leaf)); err != nil {
		t.Fatal(err)
	}
	if err := w.Row(audit.TableEvents, hashed(audit.EventColumns()), append(e.Values(), leaf)); err != nil {
		t.Fatal(err)
	}
	if err := w.End(map[string]int{audit.TableRequests: 1, audit.TableEvents: 1}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// FuzzReadJSONL: an export is whatever somebody hands over; what is read of it has as many columns as its table.
func FuzzReadJSONL(f *testing.F) {
	good := anExport(f)
	f.Add(good)
	f.Add(strings.Replace(good, "requests", "events", 2))
	f.Add(strings.Split(good, "\n")[0] + "\n{\"end\":true,\"rows\":{}}\n")
	f.Add(strings.Replace(good, `"seq":`, `"seq":-`, 1))
	f.Fuzz(func(t *testing.T, export string) {
		want := map[string]int{
			audit.TableRequests: len(audit.RequestColumns()) + 1, audit.TableEvents: len(audit.EventColumns()) + 1,
			audit.TableCheckpoints: len(audit.CheckpointColumns()), audit.TableImpersonations: len(audit.ImpersonationColumns()),
		}
		_ = audit.ReadJSONL(strings.NewReader(export), func(table string, values []string) error {
			if len(values) != want[table] {
				t.Errorf("a row of %q with %d values", table, len(values))
			}
			return nil
		})
	})
}

// TestExportIsReadStrictly: what was cut off or changed is refused, and said where.
func TestExportIsReadStrictly(t *testing.T) {
	t.Parallel()
	good := anExport(t)
	lines := strings.SplitAfter(good, "\n")
	read := func(s string) (rows int, err error) {
		err = audit.ReadJSONL(strings.NewReader(s), func(string, []string) error { rows++; return nil })
		return rows, err
	}
	if n, err := read(good); n != 2 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":            {"", "cut off"},
		"another file":       {"{}\n", "no export"},
		"another version":    {strings.Replace(good, "export/1", "export/2", 1), "no export"},
		"no end":             {strings.Join(lines[:3], ""), "cut off"},
		"a row less":         {lines[0] + lines[2] + lines[3], "says that it has 1 rows of requests, and has 0"},
		"a row more":         {lines[0] + lines[1] + lines[1] + lines[2] + lines[3], "has 2"},
		"behind the end":     {good + "{}\n", "follows the end"},
		"no JSON":            {lines[0] + "x\n" + lines[3], "line 2"},
		"another table":      {strings.Replace(good, `"table":"events"`, `"table":"secrets"`, 1), "no table"},
		"an unknown column":  {strings.Replace(good, `"mode":`, `"mood":`, 1), "mood"},
		"a number as text":   {strings.Replace(good, `"seq":`, `"seq":"1","seq":"`, 1), "line 2"},
		"text as a number":   {strings.Replace(good, `"mode":"`, `"mode":5,"mode":[],"x":"`, 1), "line"},
		"an endless line":    {lines[0] + strings.Repeat("x", 2<<20), "long"},
		"a count that is no": {strings.Replace(good, `"rows":{`, `"rows":{"requests":"x",`, 1), "rows"},
	} {
		if _, err := read(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestRandomRecords: very many damaged encodings are decoded or refused; never more, and without a panic.
func TestRandomRecords(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	good := [][]byte{full().AppendCanonical(nil), fullEvent().AppendCanonical(nil)}
	for round := range 200_000 {
		b := bytes.Clone(good[round%2])
		for range 1 + random.IntN(4) {
			switch random.IntN(3) {
			case 0:
				b[random.IntN(len(b))] = byte(random.Uint32())
			case 1:
				b = b[:1+random.IntN(len(b))]
			default:
				i := random.IntN(len(b))
				b = append(b[:i:i], b[min(i+random.IntN(9), len(b)):]...)
				if len(b) == 0 {
					b = []byte{0}
				}
			}
		}
		if q, err := audit.DecodeRequest(b); err == nil && !bytes.Equal(q.AppendCanonical(nil), b) {
			t.Fatalf("round %d: %q", round, b)
		}
		if e, err := audit.DecodeEvent(b); err == nil && !bytes.Equal(e.AppendCanonical(nil), b) {
			t.Fatalf("round %d: %q", round, b)
		}
	}
}
