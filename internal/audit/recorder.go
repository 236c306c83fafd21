package audit

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// ErrUnconfirmed is wrapped in an error of [Intent.Durable] or [Recorder.Event] when the record was taken but is not
// on disk yet: it is kept, and written when the disk is well again. It must not be recorded a second time.
var ErrUnconfirmed = errors.New("recorded, but not on disk yet")

// UnconfirmedError is the [ErrUnconfirmed] of an event.
type UnconfirmedError struct {
	error
	journal *journal.Journal
}

func (e *UnconfirmedError) Unwrap() error { return e.error }

// Confirm returns once the event is on disk, and everything that was recorded before now. An error that wraps ErrUnconfirmed says
// that it still is not; any other, that nobody waits for it any more, since the journal was closed.
func (e *UnconfirmedError) Confirm(ctx context.Context) error {
	err := e.journal.Sync(ctx)
	if errors.Is(err, journal.ErrClosed) {
		return fmt.Errorf("confirming what was recorded: %w", err)
	}
	if err != nil {
		return fmt.Errorf("confirming what was recorded: %w: %w", ErrUnconfirmed, err)
	}
	return nil
}

// Types of the journal's records.
const (
	recordIntent     = 1 // uvarint(id of the intent) canonical encoding of a request without an outcome
	recordRequest    = 2 // uvarint(id of its intent) canonical encoding
	recordEvent      = 3 // canonical encoding
	recordState      = 4 // JSON, see state
	recordCheckpoint = 5 // signed note
)

// Options say where a Recorder keeps its journal and what it works with. Dir alone is enough.
type Options struct {
	Dir      string
	FS       journal.FS  // default: the machine's
	Clock    clock.Clock // default: the machine's
	Rand     io.Reader   // default: crypto/rand
	Log      *slog.Logger
	Redactor *Redactor // default: NewRedactor()
	// MaxBytes bounds the journal, default 8 GiB; SegmentBytes its files, default 64 MiB.
	MaxBytes, SegmentBytes int64
}

// Recorder writes the log of one gateway: every row once, in order, on disk before it takes effect. Its methods are
// safe for concurrent use.
type Recorder struct {
	clock    clock.Clock
	rand     io.Reader
	log      *slog.Logger
	fs       journal.FS
	dir      string
	logID    string
	journal  *journal.Journal
	redactor atomic.Pointer[Redactor]

	// mu is the order of the log: a row's place is taken together with its append to the journal, under it.
	mu      sync.Mutex
	nextSeq uint64 // of the next row
	nextID  uint64 // of the next intent
	open    map[uint64]*Intent
	late    []*Intent     // have an outcome that the journal has not taken
	notice  *Event        // of the recovery, that the journal has not taken
	owed    []*Configured // came into force when the journal did not take it
	counts  counters
	seal    sealer
	closed  bool
	buf     []byte
	stats   Stats

	lastSeq   atomic.Uint64 // of the last row
	lateCount atomic.Int64  // of late and owed

	sinks     shippers
	witnesses shippers
	// replacing: which witnesses there are is just being changed, and none of their segments may go.
	replacing atomic.Bool
	patience  int64 // how much of the journal is kept for witnesses
}

// Open opens the journal, closes as interrupted what a crash left open, and tells so in an event. A disk that can't be
// written is no error: [Recorder.Healthy] says so, and the Recorder goes on by itself once it can.
func Open(o Options) (*Recorder, error) {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = journal.OS
	}
	if o.Redactor == nil {
		o.Redactor = NewRedactor()
	}
	r := &Recorder{
		clock: o.Clock, rand: o.Rand, log: o.Log, fs: o.FS, dir: o.Dir,
		nextSeq: 1, nextID: 1, open: map[uint64]*Intent{}, counts: newCounters(),
	}
	r.redactor.Store(o.Redactor)
	r.patience = cmp.Or(max(o.MaxBytes, 0), journal.DefaultMaxBytes) / 4
	if err := r.recover(o); err != nil {
		return nil, err
	}
	return r, nil
}

// LogID names this log: random, made with the journal's directory and kept in it.
func (r *Recorder) LogID() string { return r.logID }

// SetRedactor replaces the redactor, for a changed configuration.
func (r *Recorder) SetRedactor(to *Redactor) { r.redactor.Store(to) }

// Field is [Redactor.Field] by the redactor in force.
func (r *Recorder) Field(name string) (shown string, secret bool) {
	return r.redactor.Load().Field(name)
}

// Healthy says why nothing can be recorded now; nil when it can.
func (r *Recorder) Healthy() error { return r.journal.Healthy() }

// Intent records that a request is about to be made. It takes the row over: the caller must not touch it any more. It
// sets LogID, ImpersonationSeq, Time and RequestID where they are zero, and redacts and bounds the rest. It does not
// wait for the disk; [Intent.Durable] does. On an error nothing is recorded, and the request must not be made.
func (r *Recorder) Intent(row *Request) (*Intent, error) {
	if row.RequestID == "" {
		id, err := r.randomID()
		if err != nil {
			return nil, fmt.Errorf("recording intent: %w", err)
		}
		row.RequestID = id
	}
	redactor := r.redactor.Load()
	row.LogID = r.logID
	row.Path = redactor.Path(row.Path)
	row.Query = redactor.Query(row.Query)
	row.UserAgent = redactor.Header("User-Agent", row.UserAgent)
	row.clean(r.clock.Now)
	row.Seq = 0
	in := &Intent{r: r, row: row}

	r.mu.Lock()
	defer r.mu.Unlock()
	row.ImpersonationSeq = r.counts.next(row.ImpersonationID)
	in.id = r.nextID
	r.buf = row.AppendCanonical(appendID(r.buf[:0], in.id))
	var err error
	if in.ticket, err = r.journal.Append(recordIntent, r.buf, true); err != nil {
		r.stats.RefusedIntents++
		return nil, fmt.Errorf("recording intent: %w", err)
	}
	r.nextID++
	r.open[in.id] = in
	r.counts.intent(row.ImpersonationID, row.ImpersonationSeq)
	r.stats.Intents++
	return in, nil
}

// Event implements [Events]: it returns once the event is durable. An impersonation_ended event's Detail becomes a
// JSON object with the number of the impersonation's requests so far ("requests"), all of which have their row before
// or after it; a Detail that is no object becomes its "cause".
func (r *Recorder) Event(ctx context.Context, e Event) error {
	ticket, err := r.append(&e)
	return r.recorded(ctx, &e, ticket, err)
}

// recorded waits until an event that was appended, unless with an error, is durable.
func (r *Recorder) recorded(ctx context.Context, e *Event, ticket journal.Ticket, err error) error {
	if err != nil {
		return fmt.Errorf("recording event %s: %w", e.Type, err)
	}
	if err := ticket.Wait(ctx); err != nil {
		return &UnconfirmedError{fmt.Errorf("recording event %s: %w: %w", e.Type, ErrUnconfirmed, err), r.journal}
	}
	return nil
}

func (r *Recorder) append(e *Event) (journal.Ticket, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.appendLocked(e)
}

func (r *Recorder) appendLocked(e *Event) (journal.Ticket, error) {
	e.LogID = r.logID
	if e.Type == EventImpersonationEnded {
		e.Detail = endDetail(e.Detail, r.counts.of(e.ImpersonationID))
	}
	e.clean(r.clock.Now)
	e.Seq = r.nextSeq
	r.buf = e.AppendCanonical(append(r.buf[:0], leafPrefix))
	ticket, err := r.journal.Append(recordEvent, r.buf[1:], true)
	if err != nil {
		return ticket, err
	}
	r.placed(sha256.Sum256(r.buf))
	r.know(e)
	r.stats.Events++
	r.sealSoon(e.Type == EventImpersonationEnded)
	return ticket, nil
}

// know takes up what later rows say of an event that has its place, now or at the start.
func (r *Recorder) know(e *Event) {
	r.counts.event(e)
	if e.Type == EventSigningKeyChanged {
		r.seal.key = keyOf(e)
	}
}

// Counts tells of an impersonation; zero for one that is not known (any more).
func (r *Recorder) Counts(impersonationID string) Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts.of(impersonationID)
}

// Close makes all that was recorded durable, gives the sinks until ctx ends to take it, and lets go of the journal and
// the sinks. What they have not taken waits in the journal for the next start.
func (r *Recorder) Close(ctx context.Context) error {
	r.flushLate()
	r.mu.Lock()
	r.closed = true
	r.makeCheckpoint()
	if r.seal.timer != nil {
		r.seal.timer.Stop()
		r.seal.timer = nil
	}
	r.mu.Unlock()
	// An error here is told again by the journal's Close.
	_ = r.journal.Sync(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.sinks.close(ctx) })
	wg.Go(func() { r.closeWitnesses(ctx) })
	wg.Wait()
	if err := r.journal.Close(); err != nil {
		return fmt.Errorf("closing audit: %w", err)
	}
	return nil
}

func (r *Recorder) randomID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(r.rand, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

// Stats are counts since Open, and sizes now.
type Stats struct {
	Journal        journal.Stats
	Intents        uint64 // recorded
	RefusedIntents uint64
	Events         uint64
	Rows           uint64 // requests finished
	Checkpoints    uint64
	Open           int    // intents without an outcome
	Late           int    // outcomes that wait for the disk
	LastSeq        uint64 // of the last row of the log
	Sinks          []SinkStatus
	// Witnesses have the size of the last checkpoint for ShippedSeq, and count checkpoints as Rows.
	Witnesses []SinkStatus
}

// Stats tells of the journal and the sinks.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	s := r.stats
	s.Open, s.Late, s.LastSeq = len(r.open)-len(r.late), len(r.late), r.nextSeq-1
	r.mu.Unlock()
	s.Journal = r.journal.Stats()
	s.Sinks = r.sinks.status(s.LastSeq)
	s.Witnesses = r.witnesses.status(s.LastSeq)
	return s
}
