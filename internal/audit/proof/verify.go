package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Options say what an audit is held against.
type Options struct {
	// Keys are verifier keys, as signing_key.pub has them. A key that the log itself names in an event covered by a
	// checkpoint of one of them is trusted too.
	Keys []string
	// Witness are notes of checkpoints kept elsewhere, such as [ReadNotes] of a file; the audit must have each. May be nil.
	Witness iter.Seq2[string, error]
	// Now is the time; rows younger than two minutes may wait for their checkpoint.
	Now time.Time
	// RetainedSince is when rows must be there from, if older ones were removed and no event retention_applied says so.
	RetainedSince time.Time
	// Progress is called now and then with the number of rows read; may be nil.
	Progress func(rows uint64)
}

const (
	pending = 2 * time.Minute
	// slack is how long before its end a request may have come: retention goes by when it came.
	slack = 24 * time.Hour
)

// Verify checks all logs in the store. The error is for what could not be read; what is not as it was recorded is in the
// Report.
func Verify(ctx context.Context, s *Store, o Options) (*Report, error) {
	v := &verifier{Options: o, store: s, report: &Report{Findings: []Finding{}}, known: map[string]note.Verifier{}, vouched: map[string]uint64{}}
	for _, k := range o.Keys {
		if err := v.trust(k); err != nil {
			return nil, err
		}
	}
	if len(v.known) == 0 {
		return nil, errors.New("verifying the audit: no key; give signing_key.pub of the journal's directory")
	}
	logs, err := s.Logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("verifying the audit: %w", err)
	}
	witness, err := v.witnesses()
	if err != nil {
		return nil, fmt.Errorf("verifying the audit: %w", err)
	}
	for id := range witness {
		if !slices.Contains(logs, id) {
			logs = append(logs, id)
		}
	}
	if v.removed, err = s.removed(ctx); err != nil {
		return nil, fmt.Errorf("verifying the audit: %w", err)
	}
	slices.Sort(logs)
	for _, id := range logs {
		if err := v.log(ctx, id, witness[id]); err != nil {
			return nil, fmt.Errorf("verifying log %s: %w", id, err)
		}
	}
	v.unvouched()
	for k := range v.known {
		v.report.Keys = append(v.report.Keys, k)
	}
	slices.Sort(v.report.Keys)
	return v.report, nil
}

type verifier struct {
	Options
	store  *Store
	report *Report
	known  map[string]note.Verifier
	read   uint64
	// removed is how far each log may have been removed, as events say; vouched, as events say that a checkpoint covers.
	removed, vouched map[string]uint64
}

// unvouched finds rows that were removed as far as an event says that nobody signed.
func (v *verifier) unvouched() {
	for i := range v.report.Logs {
		if l := &v.report.Logs[i]; l.Removed > 0 && v.removed[l.LogID] > v.vouched[l.LogID] && v.RetainedSince.IsZero() {
			v.report.add(Finding{
				Kind: KindMissing, LogID: l.LogID, From: v.vouched[l.LogID] + 1, To: v.removed[l.LogID],
				What: "an event says that retention removed the rows, but no checkpoint covers the event",
			})
		}
	}
}

// logState is one log under way.
type logState struct {
	*verifier
	log      Log
	anchor   *audit.Tree // of the last good checkpoint; nil: rows before it are not there
	last     *audit.Checkpoint
	broken   map[uint64]bool   // sizes of checkpoints that were found wrong
	strange  map[uint32]uint64 // the first checkpoint by each key that is not trusted, by its hash
	witness  []witnessed
	rows     *stream
	keys     []string        // named by events of the segment
	removals []audit.Removal // likewise
	removed  uint64          // up to this row, as events say, retention has removed the log
}

func (l *logState) found(kind string, r *Row, from, to uint64, what string) {
	f := Finding{Kind: kind, LogID: l.log.LogID, From: from, To: to, What: what}
	if r != nil {
		f.Table = r.Table
	}
	l.report.add(f)
}

func (v *verifier) log(ctx context.Context, id string, witness []witnessed) (err error) {
	l := &logState{verifier: v, log: Log{LogID: id}, anchor: new(audit.Tree), broken: map[uint64]bool{}, strange: map[uint32]uint64{}, witness: witness, removed: v.removed[id]}
	if l.rows, err = v.store.stream(ctx, id); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.rows.Close()) }()
	list, err := v.store.checkpoints(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, list.rows.Close()) }()
	for {
		values, err := list.scan()
		if err != nil {
			return fmt.Errorf("reading checkpoints: %w", err)
		}
		if values == nil {
			break
		}
		if err := l.checkpoint(values); err != nil {
			return err
		}
	}
	if err := l.tail(); err != nil {
		return err
	}
	for _, w := range l.witness {
		l.absent(w)
	}
	v.report.Logs = append(v.report.Logs, l.log)
	return nil
}

// size is how far the last good checkpoint goes.
func (l *logState) size() uint64 {
	if l.last == nil {
		return 0
	}
	return l.last.Size
}

// segment reads the rows up to a place.
func (l *logState) segment(to uint64) (*segment, error) {
	s := &segment{from: l.size() + 1}
	l.keys, l.removals = nil, nil
	for {
		r, err := l.rows.Next(to)
		if err != nil || r == nil {
			return s, err
		}
		if l.log.Rows++; l.log.First == 0 {
			l.log.First = r.Seq
		}
		l.log.Last = r.Seq
		if l.read++; l.read%10_000 == 0 && l.Progress != nil {
			l.Progress(l.read)
		}
		if r.Table == audit.TableEvents && r.Values[3] == audit.EventSigningKeyChanged {
			l.keys = append(l.keys, field(r.Values[12], "key"))
		}
		if r.Table == audit.TableEvents && r.Values[3] == audit.EventRetentionApplied {
			l.removals = append(l.removals, audit.RemovalOf(r.Values[12]))
		}
		s.add(r)
	}
}

// tail is what is behind the last checkpoint.
func (l *logState) tail() error {
	s, err := l.segment(math.MaxUint64)
	if err != nil {
		return err
	}
	for _, r := range s.extra {
		l.found(KindDuplicate, r, r.Seq, r.Seq, "another row has this place too; only one of them was recorded")
	}
	for _, r := range s.odd {
		l.found(KindChanged, r, r.Seq, r.Seq, "its values are not those that were recorded"+r.whom())
	}
	if len(s.rows) == 0 {
		return nil
	}
	from, to := s.rows[0].seq, s.rows[len(s.rows)-1].seq
	for _, g := range s.missing(to, nil) {
		l.missing(g, KindMissing)
	}
	if t, ok := l.rows.newest(); ok && l.Now.Sub(t) < pending {
		l.log.Pending = uint64(len(s.rows))
		return nil
	}
	l.found(KindUnsealed, nil, from, to, "no checkpoint covers the rows: they were added, or checkpoints were taken away, or the gateway was killed and did not start again")
	return nil
}

// missing judges places without a row.
func (l *logState) missing(g audit.Gap, kind string) bool {
	if by := min(g.To, l.removed); by >= g.From {
		l.log.Removed += by - g.From + 1
		if g.From = by + 1; g.From > g.To {
			return true
		}
	}
	if !l.RetainedSince.IsZero() && (l.last == nil || !l.last.Time.After(l.RetainedSince.Add(slack))) {
		l.log.Removed += g.To - g.From + 1
		return true
	}
	what := "the rows are not there"
	if kind == KindCutOff {
		what = "the rows at the end are not there; a signed checkpoint covers them"
	}
	l.found(kind, nil, g.From, g.To, what)
	return false
}

func (l *logState) absent(w witnessed) {
	switch {
	case w.size <= l.removed:
	case w.size > max(l.size(), l.log.Last):
		l.found(KindCutOff, nil, max(l.size(), l.log.Last)+1, w.size, fmt.Sprintf("the witness knows a checkpoint of %d rows", w.size))
	default:
		l.found(KindCheckpointMissing, nil, w.size, w.size, "the witness has it")
	}
}

func field(detail, name string) string {
	var m map[string]any
	if json.Unmarshal([]byte(detail), &m) != nil {
		return ""
	}
	s, _ := m[name].(string)
	return strings.TrimSpace(s)
}
