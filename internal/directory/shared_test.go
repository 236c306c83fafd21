package directory

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// slowSource answers when it is let.
type slowSource struct {
	asked chan struct{}
	let   chan error
	n     atomic.Int64
}

func (s *slowSource) Name() string { return "slow" }

func (s *slowSource) Users(ctx context.Context) ([]User, error) {
	s.n.Add(1)
	s.asked <- struct{}{}
	select {
	case err := <-s.let:
		return []User{}, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Whoever asks while a refresh is under way has the next one, which they share; it begins after they asked.
func TestRefreshNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowSource{asked: make(chan struct{}), let: make(chan error)}
		d := New(Options{Sources: []Source{s}})
		first := make(chan error, 1)
		go func() { first <- d.RefreshNow(t.Context()) }()
		<-s.asked

		later := make(chan error, 50)
		for range cap(later) {
			go func() { later <- d.RefreshNow(t.Context()) }()
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := d.RefreshNow(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("whoever leaves: %v", err)
		}
		synctest.Wait()
		s.let <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		<-s.asked
		if len(later) != 0 {
			t.Error("answered by a refresh that had begun before")
		}
		broken := errors.New("broken")
		s.let <- broken
		for range cap(later) {
			if err := <-later; !errors.Is(err, broken) {
				t.Errorf("%v, want what the source said", err)
			}
		}
		if n := s.n.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}
