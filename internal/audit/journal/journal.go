// Package journal is a write-ahead log of opaque records: append-only segments, a checksum for each record, one
// writer, group commit.
//
//	Append → pending batch → committer: write, fdatasync → Ticket.Wait returns → Reader sees it
//
// An append never waits for the disk. What is appended while the disk is busy shares the next commit; when it is idle
// the commit starts at once. A record that nobody waits for is written within [lingerTime] (so that the death of the
// process loses nothing but the last moment) and synced with the next commit, or within [syncTime].
//
// When the disk refuses (full, failing, read-only, over MaxBytes) appends are refused with the cause, and the journal
// tries once a second to start a new segment with all that is not yet durable. It never asks fsync twice for the same
// pages: after a failed fsync the kernel may have dropped them and report success the second time.
//
// The package knows nothing of what is in the records and imports nothing of the audit's.
package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

const (
	lingerTime = 2 * time.Millisecond
	syncTime   = time.Second
	probeTime  = time.Second
	// stallTime is how long a commit may take before appends are refused.
	stallTime = 5 * time.Second
	// maxPending bounds what waits in memory for the disk.
	maxPending = 16 << 20
	// maxUnsynced bounds what is written but not synced.
	maxUnsynced = 4 << 20
	// maxSpare bounds the buffer that is kept for the next batch.
	maxSpare = 1 << 20

	defaultSegmentBytes = 64 << 20
	minSegmentBytes     = 1 << 20

	// DefaultMaxBytes is what MaxBytes is unless it is given.
	DefaultMaxBytes = 8 << 30
)

// Errors an append is refused with; the cause is wrapped.
var (
	ErrClosed  = errors.New("the journal is closed")
	ErrLimit   = errors.New("the journal has reached its size limit")
	ErrStalled = errors.New("the disk does not answer")
	ErrTooLong = errors.New("the record is too long")
)

// Options say where a journal is and what it works with. Dir alone is enough.
type Options struct {
	Dir   string
	FS    FS          // default: the machine's
	Clock clock.Clock // default: the machine's
	Rand  io.Reader   // default: crypto/rand
	Log   *slog.Logger
	// SegmentBytes is the size of a segment, default 64 MiB. Where less space is left, segments are smaller, down to
	// 1 MiB.
	SegmentBytes int64
	// MaxBytes bounds the files together, default 8 GiB. At the bound the journal refuses as if the disk were full.
	MaxBytes int64
	// Replay takes the records that Open finds, in order, from the newest segment whose carried records are whole.
	Replay func(Record) error
	// Carry emits what a reader of a new segment alone must know: it is called while the journal holds Lock, which the
	// owner holds whenever it appends together with changing what it carries. A carried record may come again after
	// Carry as an ordinary one, and Replay must take that.
	Carry func(emit func(typ byte, payload []byte))
	Lock  sync.Locker
	// OnCommit is called after each commit, OnHealthy when the journal takes records again. Both from the journal's
	// goroutine: they must not wait for it.
	OnCommit  func()
	OnHealthy func()
}

// Journal is an open journal. Its methods are safe for concurrent use.
type Journal struct {
	o Options

	// mu guards what follows; it is never held over I/O.
	mu        sync.Mutex
	pending   *batch // takes appends; never nil
	idle      bool   // the committer waits for wake
	lingering bool   // a timer will wake the committer
	gathering bool   // the committer waits for more to share the commit
	share     share  // whether the committer waits for more, and for how many
	closing   bool
	syncDue   bool
	probeDue  bool
	failed    error
	segments  []*segment // oldest first
	committed chan struct{}
	spare     []byte // of a batch that is done, for the next
	stats     Stats

	// deleting makes deletions one after the other; it is held over I/O, and taken before mu.
	deleting sync.Mutex

	wake chan struct{}
	done chan struct{} // the committer has ended
	lock io.Closer

	// busy is the piece of I/O under way; nil: none is. After stall of it appends are refused.
	busy  atomic.Pointer[effort]
	stall time.Duration

	// What follows belongs to the committer.
	file        File     // of cur
	cur         *segment // nil: none could be started yet
	unsynced    []*batch // accepted, not durable
	syncArmed   bool
	gatherTimer *time.Timer
	seq         uint64 // of the next record
	durableSeq  uint64 // of the first record that is not durable
	off         int64  // of the next write
	zeroed      int64  // up to here the segment has been written, with zeros if nothing else
	next        uint64 // number of the next segment
	limit       int64  // size at which the current segment is left
}

// segment is one file.
type segment struct {
	header
	name string // path
	// size is what it takes on disk; what lies before end is durable. Journal.mu guards both; only the committer
	// changes them.
	size, end int64
}

// effort is a piece of I/O, by when it began: on the journal's clock and on the machine's.
type effort struct{ clock, machine time.Time }

// begin notes that one begins.
func (j *Journal) begin() *effort {
	e := &effort{j.o.Clock.Now(), time.Now()}
	j.busy.Store(e)
	return e
}

// took is how long it has taken, by the clock that says less: one that is set meanwhile says nothing of the disk.
func (e *effort) took(c clock.Clock) time.Duration {
	return min(c.Now().Sub(e.clock), time.Since(e.machine))
}

// batch is what one commit makes durable.
type batch struct {
	buf  []byte
	sync bool // somebody waits
	n    int  // records
	// waiters is how many of the records asked for a sync.
	waiters int
	err     error
	done    chan struct{} // closed when err is final
}

func newBatch(buf []byte) *batch {
	return &batch{buf: appendSync(buf[:0]), done: make(chan struct{})}
}

// Ticket is one append's claim to be told when it is durable.
type Ticket struct{ b *batch }

// Wait returns nil once the record is durable, else why it is not (yet: the journal keeps trying to write what it has
// accepted).
func (t Ticket) Wait(ctx context.Context) error {
	if t.b == nil {
		return ErrClosed
	}
	select {
	case <-t.b.done:
		return t.b.err
	default:
	}
	select {
	case <-t.b.done:
		return t.b.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Open opens the journal in a directory, creating it where there is none, and tells what it found. A disk that
// refuses to be written is no error here: the journal is then open, and [Journal.Healthy] says why it takes nothing.
func Open(o Options) (*Journal, *Recovery, error) {
	o.setDefaults()
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, nil, fmt.Errorf("creating journal directory: %w", err)
	}
	lock, err := o.FS.Lock(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, nil, fmt.Errorf("locking journal %s: %w", o.Dir, err)
	}
	j := &Journal{
		o: o, lock: lock, pending: newBatch(nil), seq: 1, durableSeq: 1, next: 1,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		gatherTimer: time.NewTimer(time.Hour), stall: stallTime,
	}
	found, err := j.recover()
	if err != nil {
		lock.Close()
		return nil, nil, fmt.Errorf("opening journal %s: %w", o.Dir, err)
	}
	if err := j.newSegment(); err != nil {
		j.fail(err)
	}
	go j.run()
	return j, found, nil
}

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = OS
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	// Several segments must fit, or none could ever be left and deleted.
	o.SegmentBytes = max(min(o.SegmentBytes, o.MaxBytes/4), dataStart+syncRecordBytes)
	if o.Replay == nil {
		o.Replay = func(Record) error { return nil }
	}
	if o.Carry == nil {
		o.Carry = func(func(byte, []byte)) {}
	}
	if o.Lock == nil {
		o.Lock = new(sync.Mutex)
	}
	if o.OnCommit == nil {
		o.OnCommit = func() {}
	}
	if o.OnHealthy == nil {
		o.OnHealthy = func() {}
	}
}

// Append adds a record, copying the payload. Types are the owner's, 0xff excepted. With sync the commit that makes it
// durable starts as soon as the disk is free. A record accepted is kept and written even if the disk refuses it for
// now; a refused one is not.
func (j *Journal) Append(typ byte, payload []byte, sync bool) (Ticket, error) {
	if len(payload) > MaxPayload || typ == typeSync {
		return Ticket{}, ErrTooLong
	}
	j.mu.Lock()
	if err := j.refusal(); err != nil {
		j.stats.Refused++
		j.mu.Unlock()
		return Ticket{}, err
	}
	b := j.pending
	b.buf = appendRecord(b.buf, typ, payload)
	b.n++
	b.sync = b.sync || sync
	wake, linger := false, false
	if sync {
		b.waiters++
	}
	if j.gathering && b.waiters >= j.share.want() {
		wake, j.gathering = true, false
	}
	if j.idle {
		if sync {
			wake, j.idle = true, false
		} else if !j.lingering {
			linger, j.lingering = true, true
		}
	}
	j.mu.Unlock()
	switch {
	case wake:
		j.signal()
	case linger:
		j.o.Clock.AfterFunc(lingerTime, j.lingered)
	}
	return Ticket{b}, nil
}

// refusal says why nothing can be appended now.
func (j *Journal) refusal() error {
	switch {
	case j.closing:
		return ErrClosed
	case j.failed != nil:
		return j.failed
	case len(j.pending.buf) > maxPending:
		return fmt.Errorf("%w: %d MiB wait for it", ErrStalled, maxPending>>20)
	}
	if e := j.busy.Load(); e != nil {
		if took := e.took(j.o.Clock); took > j.stall {
			return fmt.Errorf("%w since %s", ErrStalled, took.Round(time.Second))
		}
	}
	return nil
}

// Healthy says why appends are refused now; nil when they are taken.
func (j *Journal) Healthy() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.refusal()
}

func (j *Journal) lingered() {
	j.mu.Lock()
	j.lingering = false
	wake := j.idle && j.pending.n > 0
	if wake {
		j.idle = false
	}
	j.mu.Unlock()
	if wake {
		j.signal()
	}
}

// due is the timers' way to the committer.
func (j *Journal) due(flag *bool) {
	j.mu.Lock()
	*flag = true
	j.mu.Unlock()
	j.signal()
}

func (j *Journal) signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Sync makes all that was appended durable.
func (j *Journal) Sync(ctx context.Context) error {
	j.mu.Lock()
	if err := j.refusal(); err != nil {
		j.mu.Unlock()
		return err
	}
	// Also an empty batch's commit syncs all that was written before it.
	b := j.pending
	b.sync = true
	j.idle = false
	j.mu.Unlock()
	j.signal()
	return Ticket{b}.Wait(ctx)
}

// Committed is closed at the next commit. Take it before looking for records, to miss none.
func (j *Journal) Committed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.committed == nil {
		j.committed = make(chan struct{})
	}
	return j.committed
}

// Close makes durable what was appended and lets go of the files. What the disk did not take is lost, and the error
// says so.
func (j *Journal) Close() error {
	j.mu.Lock()
	if !j.closing {
		j.closing = true
		j.probeDue = j.failed != nil
	}
	j.mu.Unlock()
	j.signal()
	<-j.done
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lock != nil {
		j.lock.Close()
		j.lock = nil
	}
	if j.failed != nil {
		return fmt.Errorf("closing journal: %w", j.failed)
	}
	return nil
}
