package evidence

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/docs"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

//go:embed VERIFY.txt
var howTo []byte

// Format is the first line of a manifest.
const Format = "caddy-impersonate-evidence/1"

const manifestName = "MANIFEST"

// Zip is the pack as a file. sign signs the manifest, and with it the report and what else is not in the log; nil: nobody does.
func (p *Pack) Zip(sign func(text string) (note string, err error)) ([]byte, error) {
	files, err := p.files()
	if err != nil {
		return nil, err
	}
	manifest := p.manifest(files)
	if sign != nil {
		if manifest, err = sign(manifest); err != nil {
			return nil, fmt.Errorf("signing the manifest: %w", err)
		}
	}
	return stored(append([]file{{manifestName, []byte(manifest)}}, files...))
}

// files are all but the manifest.
func (p *Pack) files() ([]file, error) {
	s := p.story()
	report, err := s.report(reportTemplate)
	if err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	return []file{
		{"VERIFY.txt", howTo},
		{"report.html", report},
		{"policy.txt", []byte(s.policyText())},
		{"rows.jsonl", p.jsonl()},
		{"checkpoints.txt", []byte(strings.Join(p.checkpoints, ""))},
		{"signing_key.pub", []byte(strings.Join(p.keys, "\n") + "\n")},
		{"verify.py", docs.Verifier},
	}, nil
}

func (p *Pack) manifest(files []file) string {
	b := fmt.Appendf(nil, "%s\nimpersonation %s\n", Format, p.ID)
	if gone := p.removal(); gone != nil {
		b = fmt.Appendf(b, "removed %s 1-%d\n", gone.Log, gone.Through)
	}
	for _, f := range files {
		b = fmt.Appendf(b, "%x  %s\n", sha256.Sum256(f.data), f.name)
	}
	return string(b)
}

// jsonl is the rows, one a line, each with its proof.
func (p *Pack) jsonl() []byte {
	var b []byte
	for _, r := range p.rows {
		columns, values := saying(r)
		b = audit.RowJSON(b, `{"table":"`+r.table+`"`, columns, append(values, hex.EncodeToString(r.leaf[:])))
		b = fmt.Appendf(b[:len(b)-1], `,"tree_size":%d,"proof":[`, r.size)
		for i, h := range r.proof {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '"')
			b = base64.StdEncoding.AppendEncode(b, h)
			b = append(b, '"')
		}
		b = append(b, "]}\n"...)
	}
	return b
}

// saying leaves out of a row the columns that a later version added and that say nothing: a pack made before them is still
// the one that its rows make.
func saying(r *row) (columns []audit.Column, values []string) {
	for i, c := range columnsOf(r.table) {
		switch {
		case i == len(r.values): // leaf_hash
			columns = append(columns, c)
		case !c.Later() || r.values[i] != "":
			columns, values = append(columns, c), append(values, r.values[i])
		}
	}
	return columns, values
}

// earlierFiles are the SHA-256 of what was the same in every pack of an earlier version.
var earlierFiles = map[string]string{
	"bd0ee01bebd685cb62fdf463ce6c7351c15ff607b5ab34cd1bb1fa57ec4ecbdd": "verify.py", // before the column fields
	"dafcc9e4a79bc5ebbd3475bdce04fcaaeb296d8289902cc8311990352b4bcebf": "verify.py", // before ends said where starts are
	"e1200aa35db1c2b1f2c13923c08a25daf7e0ef971bcb16b1aa1046c195842d39": "VERIFY.txt",
}

// earlier tells whether a file is what an earlier version made of the same rows.
func (p *Pack) earlier(f file) bool {
	if f.name == "report.html" {
		if !p.asked() || p.removal() != nil {
			return false // that report says nothing of what is not there, or that nobody was asked
		}
		report, err := p.story().report(earlierReportTemplate)
		return err == nil && bytes.Equal(report, f.data)
	}
	return earlierFiles[fmt.Sprintf("%x", sha256.Sum256(f.data))] == f.name
}

func columnsOf(table string) []audit.Column {
	columns := audit.EventColumns()
	if table == audit.TableRequests {
		columns = audit.RequestColumns()
	}
	return append(columns, audit.Column{Name: "leaf_hash", Kind: audit.KindHash})
}

func same(a, b []file) (name string, ok bool) {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return b[i].name, false
		case i >= len(b) || a[i].name != b[i].name || !bytes.Equal(a[i].data, b[i].data):
			return a[i].name, false
		}
	}
	return "", true
}
