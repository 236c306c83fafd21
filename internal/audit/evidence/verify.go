package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
)

// Kinds of findings beside those of [proof].
const (
	KindPackChanged = "pack_changed" // a byte is not as it was written
	KindUnproven    = "unproven"     // the row's proof does not lead to a signed checkpoint
	KindUnshown     = "unshown"      // not there; whether retention removed it, a pack can't show
)

// Report is what was found of a pack.
type Report struct {
	Impersonation string          `json:"impersonation_id"`
	Rows          int             `json:"rows"`
	Checkpoints   int             `json:"checkpoints"`
	Signed        bool            `json:"manifest_signed"`
	Findings      []proof.Finding `json:"findings"`
	// Removed: retention let rows up to this of its log go, as a signed row of the pack says.
	Removed uint64 `json:"removed_through,omitempty"`
	// NoStart: the impersonation's start was one of them.
	NoStart bool `json:"start_removed,omitempty"`
	// NoEnd: it went on when the pack was made, or its end was removed before.
	NoEnd bool `json:"no_end,omitempty"`
}

// Clean tells whether nothing was found.
func (r *Report) Clean() bool { return len(r.Findings) == 0 }

func (r *Report) add(kind, logID, table string, seq uint64, what string, args ...any) {
	r.Findings = append(r.Findings, proof.Finding{Kind: kind, LogID: logID, Table: table, From: seq, To: seq, What: fmt.Sprintf(what, args...)})
}

func (r *Report) changed(what string, args ...any) { r.add(KindPackChanged, "", "", 0, what, args...) }

// Verify checks a pack with verifier keys from elsewhere. The error is for keys that are none; whatever is wrong with the
// pack is in the Report.
func Verify(zip []byte, keys []string) (*Report, error) {
	v := &verification{report: &Report{Findings: []proof.Finding{}}, known: map[string]note.Verifier{}}
	for _, k := range keys {
		if err := v.trust(k); err != nil {
			return nil, err
		}
	}
	if len(v.known) == 0 {
		return nil, errors.New("verifying the pack: no key; give signing_key.pub of the journal's directory")
	}
	files, err := unstored(zip)
	if err != nil {
		v.report.changed("%v", err)
	}
	p, manifest, err := read(files)
	if err != nil {
		v.report.changed("%v", err)
		return v.report, nil
	}
	v.report.Impersonation, v.report.Rows, v.report.Checkpoints = p.ID, len(p.rows), len(p.checkpoints)
	v.rows(p)
	v.whole(p)
	v.remade(p, files, manifest)
	return v.report, nil
}

type verification struct {
	report *Report
	known  map[string]note.Verifier
}

func (v *verification) trust(key string) error {
	n, err := note.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("the verifier key %.80q: %w", key, err)
	}
	v.known[key] = n
	return nil
}

// signed is the text of a note, if a trusted key has signed it, in the one way to write that.
func (v *verification) signed(text string) (string, bool) {
	var list []note.Verifier
	for _, n := range v.known {
		list = append(list, n)
	}
	n, err := note.Open([]byte(text), note.VerifierList(list...))
	if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) > 0 {
		return "", false
	}
	return n.Text, text == n.Text+"\n\u2014 "+n.Sigs[0].Name+" "+n.Sigs[0].Base64+"\n" && canonical(n.Sigs[0].Base64)
}

func canonical(s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	return err == nil && base64.StdEncoding.EncodeToString(b) == s
}

// rows checks hashes, proofs and checkpoints. A key that a proven row names is trusted too.
func (v *verification) rows(p *Pack) {
	type place struct {
		log  string
		size uint64
	}
	roots := map[place][32]byte{}
	proven := map[*row]bool{}
	bad := map[string]bool{}
	for before := -1; before < len(v.known); {
		before = len(v.known)
		for _, n := range p.checkpoints {
			c, _, err := audit.ParseCheckpoint(n)
			if err != nil {
				bad[n] = true
				continue
			}
			_, ok := v.signed(n)
			if bad[n] = !ok; ok {
				roots[place{c.LogID, c.Size}] = c.RootHash
			}
		}
		for _, r := range p.rows {
			root, ok := roots[place{r.logID, r.size}]
			if !ok || !included(r.seq, r.size, r.leaf, r.proof, root) || proof.LeafHash(r.table, r.values) != r.leaf {
				continue
			}
			proven[r] = true
			if r.event != nil && r.event.Type == audit.EventSigningKeyChanged {
				if key, _ := detailOf(r.event)["key"].(string); key != "" && v.trust(key) != nil {
					v.report.add(proof.KindCheckpointForged, r.logID, r.table, r.seq, "it names a key that is none")
				}
			}
		}
	}
	for i, n := range p.checkpoints {
		if bad[n] {
			v.report.add(proof.KindCheckpointForged, "", "", uint64(i)+1, "checkpoint %d of the pack is signed by none of the keys you trust, or was changed", i+1)
		}
	}
	for _, r := range p.rows {
		switch {
		case proof.LeafHash(r.table, r.values) != r.leaf:
			v.report.add(proof.KindChanged, r.logID, r.table, r.seq, "it is not the row that was recorded")
		case !proven[r]:
			v.report.add(KindUnproven, r.logID, r.table, r.seq, "its proof does not lead to a checkpoint that is signed by a key you trust")
		}
	}
}

// whole tells what is missing. The end says how many requests there were; no row says which of them retention took with the
// start, so these can't be told from those that somebody else removed.
func (v *verification) whole(p *Pack) {
	gone := p.removal()
	if log, seq := p.noConfig(gone); seq > 0 {
		v.report.add(proof.KindMissing, log, audit.TableEvents, seq, "the configuration in force at the start is not there")
	}
	if gone == nil {
		gone = &removal{}
	}
	v.report.Removed, v.report.NoStart = gone.Through, gone.shown
	v.report.NoEnd = p.noEnd()
	switch {
	case gone.start && !gone.shown:
		v.report.add(proof.KindMissing, gone.Log, audit.TableEvents, p.places().start[gone.Log], "the start of the impersonation is not there, and nothing shows that it was among rows 1 to %d, which retention let go", gone.Through)
	case p.start() == nil && !gone.shown:
		v.report.add(proof.KindMissing, "", "", 0, "the start of the impersonation is not there")
	}
	start, request := p.start(), p.request()
	for _, r := range p.rows {
		if !p.has(r, start, request) {
			v.report.add(KindPackChanged, r.logID, r.table, r.seq, "it is not of this impersonation")
		}
	}
	missing := p.missing()
	for len(missing) > 0 {
		run := 1
		first := missing[0]
		for run < len(missing) && missing[run] == (numbered{first.log, first.n + uint64(run)}) {
			run++
		}
		f := proof.Finding{Kind: proof.KindMissing, LogID: first.log, Table: audit.TableRequests, From: first.n, To: missing[run-1].n}
		f.What = fmt.Sprintf("request %d of the impersonation is not there", f.From)
		if run > 1 {
			f.What = fmt.Sprintf("requests %d to %d of the impersonation are not there", f.From, f.To)
		}
		if gone.shown {
			f.Kind = KindUnshown
			f.What += ": maybe retention removed them with the start, which only audit verify of the whole log can show"
		}
		v.report.Findings = append(v.report.Findings, f)
		missing = missing[run:]
	}
}

// remade makes the pack again of its rows, and compares.
func (v *verification) remade(p *Pack, files []file, manifest string) {
	again, err := p.files()
	if err != nil {
		v.report.changed("it can't be made again: %v", err)
		return
	}
	var others []file
	for _, f := range files {
		if f.name != manifestName {
			others = append(others, f)
		}
	}
	for i, f := range again {
		if i < len(others) && others[i].name == f.name && !bytes.Equal(others[i].data, f.data) && p.earlier(others[i]) {
			again[i] = others[i]
		}
	}
	if name, ok := same(others, again); !ok {
		v.report.changed("%s is not what the rows make", name)
	}
	want := p.manifest(others)
	switch text, ok := v.signed(manifest); {
	case ok && text == want:
		v.report.Signed = true
	case manifest != want:
		v.report.changed("the manifest does not list the files as they are, or is signed by none of the keys you trust")
	}
	if len(files) > 0 && files[0].name != manifestName {
		v.report.changed("the manifest is not the first file")
	}
}

var notes = regexp.MustCompile(`(?s)caddy-impersonate/.*?\n\n\x{2014} [^\n]*\n`)

// names are the files of a pack, in their order.
var names = []string{manifestName, "VERIFY.txt", "report.html", "policy.txt", "rows.jsonl", "checkpoints.txt", "signing_key.pub", "verify.py"}

// read takes the files apart. It checks no more than that they can be read as what Zip writes.
func read(files []file) (p *Pack, manifest string, err error) {
	by := map[string][]byte{}
	for i, f := range files {
		if i >= len(names) || f.name != names[i] {
			return nil, "", fmt.Errorf("its file %d, %.80q, is not what a pack has there", i+1, f.name)
		}
		by[f.name] = f.data
	}
	if len(files) < len(names) {
		return nil, "", fmt.Errorf("there is no %s in it", names[len(files)])
	}
	p = &Pack{}
	manifest = string(by[manifestName])
	lines := strings.SplitN(manifest, "\n", 3)
	id, ok := "", len(lines) == 3 && lines[0] == Format
	if ok {
		id, ok = strings.CutPrefix(lines[1], "impersonation ")
	}
	if !ok {
		return nil, "", errors.New("its manifest is none")
	}
	p.ID = id
	p.checkpoints = notes.FindAllString(string(by["checkpoints.txt"]), -1)
	p.keys = strings.Split(strings.TrimSuffix(string(by["signing_key.pub"]), "\n"), "\n")
	for _, k := range p.keys {
		if _, err := note.NewVerifier(k); err != nil {
			return nil, "", errors.New("signing_key.pub holds what is no key")
		}
	}
	for n, line := range bytes.Split(bytes.TrimSuffix(by["rows.jsonl"], []byte("\n")), []byte("\n")) {
		r, err := readRow(line)
		if err != nil {
			return nil, "", fmt.Errorf("rows.jsonl, line %d: %w", n+1, err)
		}
		if len(p.rows) > 0 && inOrder(p.rows[len(p.rows)-1], r) >= 0 {
			return nil, "", fmt.Errorf("rows.jsonl, line %d: it is there twice, or not in its place", n+1)
		}
		p.rows = append(p.rows, r)
	}
	return p, manifest, nil
}

func readRow(line []byte) (*row, error) {
	var of struct {
		Table string   `json:"table"`
		Size  uint64   `json:"tree_size"`
		Proof [][]byte `json:"proof"`
		Leaf  string   `json:"leaf_hash"`
	}
	var fields map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(line, &of), json.Unmarshal(line, &fields)); err != nil {
		return nil, errors.New("it is no row")
	}
	leaf, err := hex.DecodeString(of.Leaf)
	if err != nil || len(leaf) != sha256.Size || of.Table != audit.TableRequests && of.Table != audit.TableEvents {
		return nil, errors.New("it is no row")
	}
	r := &row{table: of.Table, leaf: [32]byte(leaf), size: of.Size, proof: of.Proof}
	for _, c := range columnsOf(of.Table) {
		if c.Name == "leaf_hash" {
			continue
		}
		v := ""
		if raw := fields[c.Name]; c.Kind == audit.KindNumber {
			v = string(raw)
		} else if (raw != nil || !c.Later()) && json.Unmarshal(raw, &v) != nil {
			return nil, fmt.Errorf("it has no %s", c.Name)
		}
		r.values = append(r.values, v)
	}
	if r.table == audit.TableRequests {
		r.request, err = audit.DecodeRequest(proof.Encoding(r.table, r.values))
	} else {
		r.event, err = audit.DecodeEvent(proof.Encoding(r.table, r.values))
	}
	if err != nil {
		return nil, err
	}
	if r.request != nil {
		r.logID, r.seq = r.request.LogID, r.request.Seq
	} else {
		r.logID, r.seq = r.event.LogID, r.event.Seq
	}
	return r, nil
}
