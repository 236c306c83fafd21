package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// shipper brings the log's rows to one sink, or its checkpoints to one witness.
type shipper struct {
	r    *Recorder
	sink Sink
	o    ShipOptions
	log  *slog.Logger
	file string
	// notes: the sink is a witness. Its position's Seq is the size of the last checkpoint it has.
	notes bool

	cancel context.CancelFunc
	drain  chan struct{} // closed: send what there is without waiting for more, then stop
	done   chan struct{}
	nudge  chan struct{}
	want   atomic.Uint64 // nudge when the log reaches this Seq; 0: don't

	pos     position
	cell    *journal.Cell
	reader  *journal.Reader
	checked bool // the sink was ready, and has not failed since

	mu     sync.Mutex // guards status and the Segment of pos, and that others does not grow once drain is closed
	status SinkStatus
	others sync.WaitGroup // who uses the sink beside
}

func (r *Recorder) newShipper(sink Sink, o ShipOptions) *shipper {
	s := &shipper{
		r: r, sink: sink, o: o, log: r.log.With("sink", sink.Name()), file: positionFile(r.dir, sink.Name()),
		drain: make(chan struct{}), done: make(chan struct{}), nudge: make(chan struct{}, 1),
	}
	s.status.Name = sink.Name()
	return s
}

// start ships in the background. Until the position is read the sink holds on to all that is in the journal.
func (s *shipper) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.run(ctx)
}

// open reads how far the sink is.
func (s *shipper) open(ctx context.Context) error {
	c, p, found, err := openPosition(s.r.fs, s.file)
	switch {
	case errors.Is(err, errPosition):
		s.log.Error("how far a sink is, is lost: it is asked what it has, or gets all again that the journal holds", "error", err)
	case err != nil:
		return err
	case found && p.LogID != s.r.logID:
		s.log.Warn("how far this one is, is told of another log: it begins anew", "log_id", p.LogID)
		found = false
	}
	if !found {
		p = position{LogID: s.r.logID}
		if sink, ok := s.sink.(Resumer); ok {
			if p.Seq, err = sink.LastSeq(ctx, s.r.logID); err != nil {
				c.Close()
				return fmt.Errorf("asking the sink what it has: %w", err)
			}
		}
	}
	s.cell = c
	s.setPosition(p)
	return nil
}

// save makes a position durable and takes it.
func (s *shipper) save(p position) error {
	if err := s.cell.Set(encodeJSON(p)); err != nil {
		return fmt.Errorf("writing position: %w", err)
	}
	s.setPosition(p)
	return nil
}

// stop ends it: after all is sent when ctx allows, and in any case soon after ctx has ended.
func (s *shipper) stop(ctx context.Context) {
	s.mu.Lock()
	close(s.drain)
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	s.cancel()
	<-s.done
	s.others.Wait()
	if err := s.sink.Close(); err != nil {
		s.log.Warn("closing a sink", "error", err)
	}
}

func (s *shipper) draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

func (s *shipper) run(ctx context.Context) {
	defer close(s.done)
	if !s.retry(ctx, s.open) {
		return
	}
	defer s.cell.Close()
	defer s.closeReader()
	// A wrong address or schema is to show at the start, not at the first row.
	if !s.retry(ctx, s.check) {
		return
	}
	for {
		var b *builder
		// A journal that can't be read is tried again like a sink that does not answer. The wait for rows has no limit.
		if !s.retry(ctx, func(context.Context) (err error) { b, err = s.collect(ctx); return err }) {
			return
		}
		if b == nil {
			return // drained
		}
		s.reportDamage(b)
		if !s.retry(ctx, func(ctx context.Context) error { return s.send(ctx, b) }) {
			return
		}
	}
}

// collect waits for rows and makes a batch of them, with its cut on disk. nil: there are none and the drain has begun.
func (s *shipper) collect(ctx context.Context) (*builder, error) {
	if err := s.openReader(); err != nil {
		return nil, err
	}
	b := newBuilder(s.r.logID, s.pos.At, s.pos.Seq)
	b.notes = s.notes
	if c := s.pos.Cut; c != nil {
		// The batch was cut before a restart: it ends where it ended then.
		if err := b.refill(s.reader, c.To); err != nil {
			s.closeReader()
			return nil, fmt.Errorf("reading journal: %w", err)
		}
		b.batch.From, b.batch.To, b.batch.Token, b.to = c.From, c.Last, c.Token, c.To
		s.oldest(b.batch)
		return b, nil
	}
	if err := s.gather(ctx, b); err != nil {
		s.closeReader()
		return nil, err
	}
	if b.empty() {
		return nil, ctx.Err()
	}
	b.batch.Token = token(b.batch)
	p := s.pos
	p.Cut = &cut{To: b.to, From: b.batch.From, Last: b.batch.To, Token: b.batch.Token}
	if err := s.save(p); err != nil {
		s.closeReader()
		return nil, err
	}
	return b, nil
}

// gather fills a batch: until it is full, or BatchTime after its first row or checkpoint.
func (s *shipper) gather(ctx context.Context, b *builder) error {
	var timer clock.Timer
	due := make(chan struct{})
	defer func() {
		s.want.Store(0)
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		committed := s.r.journal.Committed()
		if err := b.fill(s.reader, s.o.BatchRows); err != nil {
			return fmt.Errorf("reading journal: %w", err)
		}
		if b.rows >= s.o.BatchRows || b.bytes >= maxBatchBytes || s.draining() {
			return nil
		}
		if b.empty() {
			if err := s.skip(b.to); err != nil {
				return err
			}
			select {
			case <-committed:
			case <-s.drain:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if timer == nil {
			s.oldest(b.batch)
			timer = s.r.clock.AfterFunc(s.o.BatchTime, func() { close(due) })
		}
		s.want.Store(b.batch.To + uint64(s.o.BatchRows-b.rows))
		select {
		case <-due:
			if err := b.fill(s.reader, s.o.BatchRows); err != nil {
				return fmt.Errorf("reading journal: %w", err)
			}
			return nil
		case <-s.nudge:
		case <-s.drain:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send brings one batch to the sink and notes it. It is called until it succeeds.
func (s *shipper) send(ctx context.Context, b *builder) error {
	if err := s.write(ctx, b.batch); err != nil {
		s.checked = false
		return err
	}
	p := position{LogID: s.r.logID, At: b.to, Seq: max(b.batch.To, s.pos.Seq)}
	// If this can't be written the same batch is sent again: the sink knows it by its token.
	if err := s.save(p); err != nil {
		return err
	}
	s.mu.Lock()
	s.status.Rows += uint64(b.rows)
	s.status.Batches++
	s.status.Oldest = time.Time{}
	s.mu.Unlock()
	s.r.trim()
	return nil
}

func (s *shipper) write(ctx context.Context, b *Batch) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	err := s.sink.Write(ctx, b)
	if errors.Is(err, ErrPermanent) {
		return s.setAside(b, err)
	}
	return err
}

func (s *shipper) check(ctx context.Context) error {
	if s.checked {
		return nil
	}
	err := s.sink.Check(ctx)
	s.checked = err == nil
	return err
}

// retry calls f until it succeeds, with growing waits; false when ctx has ended.
func (s *shipper) retry(ctx context.Context, f func(context.Context) error) bool {
	for bound := minBackoff; ; bound = min(2*bound, s.o.MaxBackoff) {
		try, cancel := context.WithCancelCause(ctx)
		timer := s.r.clock.AfterFunc(s.o.Timeout, func() {
			cancel(fmt.Errorf("no answer within %s: %w", s.o.Timeout, context.DeadlineExceeded))
		})
		err := f(try)
		if err != nil && try.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w (%w)", context.Cause(try), err)
		}
		timer.Stop()
		cancel(nil)
		if ctx.Err() != nil {
			return false
		}
		s.note(err)
		if err == nil {
			return true
		}
		due := make(chan struct{})
		wait := s.r.clock.AfterFunc(s.o.Jitter(bound), func() { close(due) })
		select {
		case <-due:
		case <-ctx.Done():
			wait.Stop()
			return false
		}
	}
}

// note keeps the sink's state, and logs when it changes.
func (s *shipper) note(err error) {
	s.mu.Lock()
	was := s.status.Err
	s.status.Err = err
	if err != nil {
		s.status.Failures++
		if was == nil {
			s.status.Since = s.r.clock.Now()
		}
	}
	since := s.status.Since
	s.mu.Unlock()
	switch {
	case err != nil && was == nil && s.notes:
		s.log.Error("a witness takes no checkpoints; they wait in the journal, and nothing else waits for them", "error", err)
	case err == nil && was != nil && s.notes:
		s.log.Info("a witness takes checkpoints again", "after", s.r.clock.Now().Sub(since))
	case err != nil && was == nil:
		s.log.Error("a sink takes no audit rows; they wait in the journal", "error", err)
	case err == nil && was != nil:
		s.log.Info("a sink takes audit rows again", "after", s.r.clock.Now().Sub(since))
	}
}

func (s *shipper) setPosition(p position) {
	s.mu.Lock()
	s.pos = p
	s.status.ShippedSeq = p.Seq
	s.mu.Unlock()
}

// skip moves over records that are no rows.
func (s *shipper) skip(to journal.Position) error {
	p := s.pos
	if p.At.Segment == to.Segment {
		// Not worth a write: after a restart they are skipped again.
		p.At = to
		s.setPosition(p)
		return nil
	}
	p.At = to
	if err := s.save(p); err != nil {
		return err
	}
	s.r.trim()
	return nil
}

func (s *shipper) oldest(b *Batch) {
	var t time.Time
	if len(b.Requests) > 0 {
		t = b.Requests[0].Time
	}
	if len(b.Events) > 0 && (t.IsZero() || b.Events[0].Time.Before(t)) {
		t = b.Events[0].Time
	}
	s.mu.Lock()
	s.status.Oldest = t
	s.mu.Unlock()
}

func (s *shipper) openReader() error {
	if s.reader != nil {
		return nil
	}
	reader, err := s.r.journal.NewReader(s.pos.At)
	if errors.Is(err, journal.ErrGone) {
		what := "the journal does not reach back to where a sink is: rows between are missing there"
		if s.notes {
			what = missedNotes
		}
		s.log.Error(what, "error", err)
		s.mu.Lock()
		s.status.Lost++
		s.mu.Unlock()
		p := s.pos
		p.At, p.Cut = journal.Position{}, nil
		s.setPosition(p)
		reader, err = s.r.journal.NewReader(s.pos.At)
	}
	if err != nil {
		return err
	}
	s.reader = reader
	return nil
}

func (s *shipper) closeReader() {
	if s.reader != nil {
		s.reader.Close()
		s.reader = nil
	}
}

const missedNotes = "the journal does not reach back to where a witness is: it misses checkpoints; the next it gets covers their rows"

func (s *shipper) reportDamage(b *builder) {
	if s.notes && len(b.damage) > 0 {
		s.log.Error(missedNotes, "damage", b.damage[0])
		s.mu.Lock()
		s.status.Lost++
		s.mu.Unlock()
		b.damage = nil
	}
	for _, d := range b.damage {
		s.log.Error("audit records are damaged and can't be sent", "damage", d)
		s.mu.Lock()
		s.status.Lost += d.Records
		s.mu.Unlock()
	}
	b.damage = nil
}
