package caddymodule

import "sync"

// stack is the configurations that share something pooled. The last to enter is in force. At a reload that is the new
// one, while the old one is still there; if the new one then fails to start, the old one is in force again.
type stack[T any] struct {
	// mu is held while a configuration is put in force, so that two never are at once.
	mu      sync.Mutex
	entries []*T
}

// enter puts t in force by calling apply, and keeps it unless apply fails.
func (s *stack[T]) enter(t *T, apply func(*T) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := apply(t); err != nil {
		return err
	}
	s.entries = append(s.entries, t)
	return nil
}

// leave takes t out. When it was in force and others remain, the one before it is applied again.
func (s *stack[T]) leave(t *T, apply func(*T) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range s.entries {
		if e != t {
			continue
		}
		inForce := i == len(s.entries)-1
		s.entries = append(s.entries[:i], s.entries[i+1:]...)
		if inForce && i > 0 {
			return apply(s.entries[i-1])
		}
		return nil
	}
	return nil
}

// inUse tells whether some configuration is in force.
func (s *stack[T]) inUse() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries) > 0
}

// last is the configuration in force; nil: none is.
func (s *stack[T]) last() *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return nil
	}
	return s.entries[len(s.entries)-1]
}
