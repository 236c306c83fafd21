package directory

import (
	"context"
	"sync"
)

// shared is the refresh that several ask for.
type shared struct {
	running chan struct{} // has room for one

	mu   sync.Mutex // guards next
	next *refresh   // asked for, and not begun; nil: none is
}

type refresh struct {
	done chan struct{}
	err  error
}

// RefreshNow is [Directory.Refresh] for whoever has changed something at a source: it asks them all after it was called, and
// returns once that is in force. Whoever calls it while others wait has one refresh together with them, so however often it
// is called, sources are asked once at a time. A call that ends with its ctx leaves the refresh to the others.
func (d *Directory) RefreshNow(ctx context.Context) error {
	s := &d.shared
	s.mu.Lock()
	r := s.next
	if r == nil {
		r = &refresh{done: make(chan struct{})}
		s.next = r
		go func() {
			s.running <- struct{}{}
			s.mu.Lock()
			s.next = nil // who comes now may have changed something that this one does not see
			s.mu.Unlock()
			r.err = d.Refresh(context.WithoutCancel(ctx)) // each source has its time limit
			<-s.running
			close(r.done)
		}()
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
