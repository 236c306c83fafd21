package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// Outcome is how a request ended.
type Outcome struct {
	Status        int
	Outcome       string // one of the Outcome constants
	Refusal       string
	Banner        string // one of the Banner constants
	Action        string // empty: as at the intent
	Duration      time.Duration
	RequestBytes  int64
	ResponseBytes int64
	ContentType   string
	Fields        string
}

// Intent is a request that was recorded and has no outcome yet.
type Intent struct {
	r      *Recorder
	id     uint64
	row    *Request // under Recorder.mu; nil once the outcome is in the journal
	ended  bool
	ticket journal.Ticket
}

// Durable returns once the intent is on disk. On an error the request must not be made; its outcome is then to be
// told all the same.
func (in *Intent) Durable(ctx context.Context) error {
	if err := in.ticket.Wait(ctx); err != nil {
		return fmt.Errorf("recording intent: %w: %w", ErrUnconfirmed, err)
	}
	return nil
}

// RequestID is the row's.
func (in *Intent) RequestID() string {
	in.r.mu.Lock()
	defer in.r.mu.Unlock()
	if in.row == nil {
		return ""
	}
	return in.row.RequestID
}

// Done records the outcome; only the first call counts. It does not wait, and it does not fail: what the disk does not
// take now is kept until it does.
func (in *Intent) Done(o Outcome) {
	r := in.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.ended {
		return
	}
	in.ended = true
	row := in.row
	row.Status, row.Outcome, row.Refusal, row.Banner = o.Status, o.Outcome, o.Refusal, o.Banner
	row.Duration, row.RequestBytes, row.ResponseBytes = o.Duration, o.RequestBytes, o.ResponseBytes
	row.ContentType, row.Fields = o.ContentType, o.Fields
	if o.Action != "" {
		row.Action = o.Action
	}
	row.cleanOutcome()
	if err := r.finish(in); err != nil {
		r.late = append(r.late, in)
		r.lateCount.Add(1)
	}
}

// finish appends the row of an intent that has its outcome.
func (r *Recorder) finish(in *Intent) error {
	in.row.Seq = r.nextSeq
	r.buf = appendID(r.buf[:0], in.id)
	id := len(r.buf)
	r.buf = in.row.AppendCanonical(r.buf)
	if _, err := r.journal.Append(recordRequest, r.buf, false); err != nil {
		in.row.Seq = 0
		return err
	}
	// The journal has its copy: the last byte of the id makes room for what goes before a leaf.
	r.buf[id-1] = leafPrefix
	r.placed(sha256.Sum256(r.buf[id-1:]))
	r.counts.finished(in.row)
	delete(r.open, in.id)
	in.row = nil
	r.stats.Rows++
	r.sealSoon(false)
	return nil
}

// committed is called by the journal after each commit.
func (r *Recorder) committed() {
	if r.lateCount.Load() > 0 {
		r.flushLate()
	}
	r.sinks.committed(r.lastSeq.Load())
	r.witnesses.committed(r.lastSeq.Load())
}

// flushLate appends what the journal refused before. There are no more of these than requests that were under way
// when it began to refuse.
func (r *Recorder) flushLate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.late) > 0 {
		if r.finish(r.late[0]) != nil {
			return
		}
		r.late = r.late[1:]
		r.lateCount.Add(-1)
	}
	r.late = nil
	if r.notice != nil {
		if _, err := r.appendLocked(r.notice); err == nil {
			r.notice = nil
		}
	}
	_, _ = r.placeOwed() // what is left waits for the next time
}

// appendID appends the id that ties an outcome to its intent.
func appendID(b []byte, id uint64) []byte { return binary.AppendUvarint(b, id) }
