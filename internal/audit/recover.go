package audit

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// state is what every segment of the journal begins with, so that older ones can be deleted: beside it, the intents
// that are open.
type state struct {
	LogID    string             `json:"log_id"`
	NextSeq  uint64             `json:"next_seq"`
	NextID   uint64             `json:"next_id"`
	Counts   map[string]*Counts `json:"counts,omitempty"`
	EndedNow []string           `json:"ended,omitempty"` // of these counts, in the order they ended
	// Tree is the tree of the rows before NextSeq; Signed how many of them have a checkpoint, Key what that is by.
	Tree   [][]byte `json:"tree,omitempty"`
	Gaps   []Gap    `json:"gaps,omitempty"`
	Signed uint64   `json:"signed,omitempty"`
	Key    string   `json:"key,omitempty"`
}

// stateChunk is how many impersonations' counts go in one record, to stay under journal.MaxPayload.
const stateChunk = 1000

// carry emits the state; the journal holds mu.
func (r *Recorder) carry(emit func(typ byte, payload []byte)) {
	s := state{LogID: r.logID, NextSeq: r.nextSeq, NextID: r.nextID, Counts: map[string]*Counts{}}
	s.Tree, s.Gaps, s.Signed, s.Key = r.seal.tree.Hashes(), r.seal.tree.Gaps(), r.seal.signed, r.seal.key
	flush := func() {
		emit(recordState, encodeJSON(s))
		s.Counts, s.EndedNow = map[string]*Counts{}, nil
	}
	for _, id := range slices.Sorted(maps.Keys(r.counts.by)) {
		if c := r.counts.by[id]; !c.Ended {
			s.Counts[id] = c
			if len(s.Counts) == stateChunk {
				flush()
			}
		}
	}
	for _, id := range r.counts.ended {
		s.Counts[id] = r.counts.by[id]
		s.EndedNow = append(s.EndedNow, id)
		if len(s.Counts) == stateChunk {
			flush()
		}
	}
	flush()
	// An intent may have its outcome already, if the journal would not take that.
	var b []byte
	for _, id := range slices.Sorted(maps.Keys(r.open)) {
		b = r.open[id].row.AppendCanonical(appendID(b[:0], id))
		emit(recordIntent, b)
	}
}

// replay takes one record of the journal at Open. Carried records may tell again what is known.
func (r *Recorder) replay(rec journal.Record) error {
	switch rec.Type {
	case recordIntent, recordRequest:
		id, n := binary.Uvarint(rec.Payload)
		if n <= 0 {
			return errTruncated
		}
		row, err := DecodeRequest(rec.Payload[n:])
		if err != nil {
			return err
		}
		r.nextID = max(r.nextID, id+1)
		r.logID = row.LogID
		if rec.Type == recordIntent {
			r.counts.intent(row.ImpersonationID, row.ImpersonationSeq)
			r.open[id] = &Intent{r: r, id: id, row: row, ended: true}
			return nil
		}
		r.replayRow(row.Seq, row.LeafHash)
		r.counts.finished(row)
		delete(r.open, id)
	case recordEvent:
		e, err := DecodeEvent(rec.Payload)
		if err != nil {
			return err
		}
		r.logID = e.LogID
		r.replayRow(e.Seq, e.LeafHash)
		r.know(e)
	case recordCheckpoint:
		c, _, err := ParseCheckpoint(string(rec.Payload))
		if err != nil {
			return err
		}
		r.seal.signed = max(r.seal.signed, c.Size)
	case recordState:
		var s state
		if err := json.Unmarshal(rec.Payload, &s); err != nil {
			return fmt.Errorf("decoding state: %w", err)
		}
		r.logID = s.LogID
		r.nextID = max(r.nextID, s.NextID)
		if err := r.replayTree(&s); err != nil {
			return fmt.Errorf("decoding state: %w", err)
		}
		for id, c := range s.Counts {
			have := r.counts.get(id)
			have.Requests = max(have.Requests, c.Requests)
			have.Last = max(have.Last, c.Last)
			if c.First != 0 {
				have.First = c.First
			}
			if c.Start != 0 {
				have.Start = c.Start
			}
		}
		for _, id := range s.EndedNow {
			r.counts.end(id)
		}
	default:
		return fmt.Errorf("record type %d is unknown: the journal was written by a newer version", rec.Type)
	}
	return nil
}

// replayRow takes the leaf of a row. Places before it that have none were lost: so the index of a leaf is its row's
// Seq less 1, whatever happened.
func (r *Recorder) replayRow(seq uint64, leaf [32]byte) {
	if seq < r.nextSeq {
		return // carried, or told again
	}
	r.seal.tree.Skip(seq - 1)
	r.seal.tree.Append(leaf)
	r.nextSeq = seq + 1
}

func (r *Recorder) replayTree(s *state) error {
	r.seal.signed = max(r.seal.signed, s.Signed)
	if s.Key != "" {
		r.seal.key = s.Key
	}
	if s.NextSeq <= r.nextSeq {
		return nil
	}
	if len(s.Tree) == 0 {
		// Written before there was a tree.
		r.seal.tree.Skip(s.NextSeq - 1)
	} else {
		t, err := NewTree(s.NextSeq-1, s.Tree, s.Gaps)
		if err != nil {
			return err
		}
		r.seal.tree = *t
	}
	r.nextSeq = s.NextSeq
	return nil
}

// keyOf is the verifier key that a signing_key_changed event tells of.
func keyOf(e *Event) string {
	var detail struct{ Key string }
	if json.Unmarshal([]byte(e.Detail), &detail) != nil {
		return ""
	}
	return detail.Key
}

// recover opens the journal and brings the log to order.
func (r *Recorder) recover(o Options) error {
	named, err := r.readLogID()
	if err != nil {
		return err
	}
	j, found, err := journal.Open(journal.Options{
		Dir: o.Dir, FS: o.FS, Clock: o.Clock, Rand: o.Rand, Log: o.Log,
		MaxBytes: o.MaxBytes, SegmentBytes: o.SegmentBytes,
		Replay: r.replay, Carry: r.carry, Lock: &r.mu, OnCommit: r.committed, OnHealthy: r.onHealthy,
	})
	if err != nil {
		return fmt.Errorf("opening audit: %w", err)
	}
	if r.logID != named {
		// Only for people and other programs: it is in the journal.
		if err := journal.WriteFile(r.fs, filepath.Join(r.dir, logIDFile), []byte(r.logID+"\n")); err != nil {
			r.log.Warn("the log's name can't be written to its file", "journal", r.dir, "error", err)
		}
	}
	r.mu.Lock()
	r.journal = j
	shipped := r.shippedSeq()
	behind := shipped >= r.nextSeq
	if behind {
		// Rows that a sink has were lost here. Their places must not be given to others.
		r.seal.tree.Skip(shipped)
		r.nextSeq = shipped + 1
	}
	r.lastSeq.Store(r.nextSeq - 1)
	for _, id := range slices.Sorted(maps.Keys(r.open)) {
		in := r.open[id]
		if in.row.Outcome == "" {
			in.row.Outcome = OutcomeInterrupted
		}
		r.late = append(r.late, in)
	}
	r.lateCount.Store(int64(len(r.late)))
	r.notice = recoveryNotice(found, len(r.open), behind)
	if r.notice != nil {
		r.notice.Time = r.clock.Now()
		r.log.Warn("the audit journal was not closed, or is damaged", "journal", r.dir, "detail", r.notice.Detail)
	}
	r.mu.Unlock()
	r.flushLate()
	return nil
}

func (r *Recorder) onHealthy() {
	r.mu.Lock()
	ready := r.journal != nil
	r.mu.Unlock()
	if ready {
		r.flushLate()
	}
}

// recoveryNotice is the event that tells what Open found; nil when there is nothing to tell.
func recoveryNotice(found *journal.Recovery, interrupted int, behind bool) *Event {
	detail := struct {
		Interrupted int      `json:"interrupted"`
		TornBytes   int64    `json:"torn_bytes"`
		Lost        uint64   `json:"lost_records,omitempty"`
		Damage      []string `json:"damage,omitempty"`
		Quarantined []string `json:"quarantined,omitempty"`
		Behind      bool     `json:"behind_sink,omitempty"`
	}{Interrupted: interrupted, TornBytes: found.TornBytes, Quarantined: found.Quarantined, Behind: behind}
	for _, d := range found.Damage {
		detail.Lost += d.Records
		if len(detail.Damage) < 10 {
			detail.Damage = append(detail.Damage, d.Error())
		}
	}
	if interrupted == 0 && found.TornBytes == 0 && len(found.Damage) == 0 && len(found.Quarantined) == 0 && !behind {
		return nil
	}
	return &Event{Type: EventJournalRecovered, Detail: string(encodeJSON(detail))}
}

const logIDFile = "log_id"

// readLogID reads the log's name from its file, or makes one; named is what the file says. The journal's own records
// have it too and overrule both.
func (r *Recorder) readLogID() (named string, err error) {
	data, err := journal.ReadFile(r.fs, filepath.Join(r.dir, logIDFile), 1024)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("opening audit: %w", err)
	}
	if id := strings.TrimSpace(string(data)); id != "" && clean(id, maxID) == id {
		r.logID = id
		return id, nil
	}
	var b [10]byte
	if _, err := io.ReadFull(r.rand, b[:]); err != nil {
		return "", fmt.Errorf("naming the log: %w", err)
	}
	r.logID = strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	return "", nil
}
