package audit

import (
	"context"
	"errors"
	"time"
)

// ErrElsewhere is returned by [Trimmer.Remove] where this process may not delete: somebody else does, by what the log's
// event retention_applied says may go.
var ErrElsewhere = errors.New("this process may not delete; somebody else has to")

// Trimmer is a [Sink] that the oldest part of a log can be taken from, and nothing else.
type Trimmer interface {
	// Removable tells how much of each log is older than before. Of the log own, that is up to the last of its
	// checkpoints of at most limit rows that no row as young stands before; of any other, all or nothing.
	Removable(ctx context.Context, own string, before time.Time, limit uint64) ([]Prefix, error)
	// Remove deletes that much of a log, the oldest rows first and little by little, so that writing goes on. What it
	// has deleted when ctx ends stays deleted; asked again it goes on. The checkpoint at the end of the prefix stays:
	// it proves what comes behind.
	Remove(ctx context.Context, p Prefix) error
}

// Prefix is the beginning of a log.
type Prefix struct {
	LogID string
	// Through is the seq of its last row.
	Through uint64
	// Whole: it is all there is of the log, with its checkpoints.
	Whole bool
}

// EachTrimmer calls f for every sink in force that is a [Trimmer], with a context that ends when the sink is to close:
// it waits for f then. shipped is the seq of the last row the sink has. Errors are joined.
func (r *Recorder) EachTrimmer(ctx context.Context, f func(ctx context.Context, sink string, shipped uint64, t Trimmer) error) error {
	list := r.sinks.now.Load()
	if list == nil {
		return nil
	}
	var errs []error
	for _, s := range *list {
		if t, ok := s.sink.(Trimmer); ok {
			s.mu.Lock()
			shipped := s.status.ShippedSeq
			s.mu.Unlock()
			errs = append(errs, s.beside(ctx, func(ctx context.Context) error { return f(ctx, s.sink.Name(), shipped, t) }))
		}
	}
	return errors.Join(errs...)
}

// LastSeq is the seq of the log's last row; 0: there is none.
func (r *Recorder) LastSeq() uint64 { return r.lastSeq.Load() }

// beside runs f while the sink is open.
func (s *shipper) beside(ctx context.Context, f func(context.Context) error) error {
	s.mu.Lock()
	if s.draining() {
		s.mu.Unlock()
		return nil
	}
	s.others.Add(1)
	s.mu.Unlock()
	defer s.others.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-s.drain:
			cancel()
		case <-over:
		}
	}()
	return f(ctx)
}
