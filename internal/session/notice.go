package session

import (
	"context"
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Notice is what the person is still to be told; empty: nothing. No I/O.
func (s *Session) Notice() string {
	if p := s.notice.Load(); p != nil {
		return *p
	}
	return ""
}

// SetNotice leaves word for the session's person, to be told once, at the next page they open. There is one at a
// time; a newer replaces an older. [state.ErrNotFound] when the session is gone.
func (m *Manager) SetNotice(ctx context.Context, id state.Hash, notice string) error {
	s, err := m.Lookup(ctx, id)
	if err != nil {
		return fmt.Errorf("leaving a notice: %w", err)
	}
	return s.SetNotice(ctx, notice)
}

// SetNotice is [Manager.SetNotice] for a session at hand. It is written to the store, so that a restart forgets
// nothing.
func (s *Session) SetNotice(ctx context.Context, notice string) error {
	s.noticeMu.Lock()
	defer s.noticeMu.Unlock()
	err := s.m.store.UpdateSession(ctx, s.ID, func(v *state.Session) error {
		v.Notice = notice
		return nil
	})
	s.m.cache.changed(&s.ID)
	if err != nil {
		return fmt.Errorf("leaving a notice: %w", err)
	}
	s.notice.Store(&notice)
	return nil
}

// TakeNotice is the notice, for the one caller that will show it: it is gone from the store before it is returned,
// and nobody else gets it. Empty: nothing to tell, which costs no I/O. After an error it stays to be told.
func (s *Session) TakeNotice(ctx context.Context) (string, error) {
	if s.Notice() == "" {
		return "", nil
	}
	s.noticeMu.Lock()
	defer s.noticeMu.Unlock()
	if s.Notice() == "" {
		return "", nil
	}
	taken := ""
	err := s.m.store.UpdateSession(ctx, s.ID, func(v *state.Session) error {
		taken, v.Notice = v.Notice, ""
		return nil
	})
	s.m.cache.changed(&s.ID)
	if err != nil {
		return "", fmt.Errorf("taking the notice: %w", err)
	}
	s.notice.Store(nil)
	return taken, nil
}
