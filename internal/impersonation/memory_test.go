package impersonation_test

import (
	"context"
	"sync"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// memory is as much of a store as an impersonation needs, at the speed of a map.
type memory struct {
	state.Store // nil: what is not here is not called
	mu          sync.Mutex
	live        map[string]state.Impersonation // and ended, but unrecorded
	over        map[string]state.Impersonation
	sessions    map[state.Hash]state.Session
	locks       map[[2]string]state.Lock
}

func newMemory() *memory {
	return &memory{
		live: map[string]state.Impersonation{}, over: map[string]state.Impersonation{}, sessions: map[state.Hash]state.Session{}, locks: map[[2]string]state.Lock{},
	}
}

func (m *memory) CreateSession(_ context.Context, s *state.Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[s.ID] = *s
	return nil
}

func (m *memory) DeleteSession(_ context.Context, id state.Hash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, id)
	return nil
}

func (m *memory) Session(_ context.Context, id state.Hash) (*state.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[id]
	if !ok {
		return nil, state.ErrNotFound
	}
	return &s, nil
}

func (m *memory) CreateImpersonation(_ context.Context, i *state.Impersonation, _ ...state.Telling) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.sessions[i.Session]; !ok {
		return state.ErrNotFound
	}
	for _, other := range m.live {
		if other.Session == i.Session && other.Live() {
			return state.ErrConflict
		}
	}
	m.live[i.ID] = *i
	return nil
}

func (m *memory) UpdateImpersonation(_ context.Context, id string, f func(*state.Impersonation) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.live[id]
	if !ok {
		if i, ok = m.over[id]; !ok {
			return state.ErrNotFound
		}
	}
	if err := f(&i); err != nil {
		return err
	}
	delete(m.live, id)
	delete(m.over, id)
	if !i.Live() && i.EndRecorded {
		m.over[id] = i
	} else {
		m.live[id] = i
	}
	return nil
}

func (m *memory) LiveImpersonations(context.Context) ([]*state.Impersonation, error) {
	return m.which(func(i *state.Impersonation) bool { return i.Live() }), nil
}

func (m *memory) UnrecordedEnds(context.Context) ([]*state.Impersonation, error) {
	return m.which(func(i *state.Impersonation) bool { return !i.Live() && !i.EndRecorded }), nil
}

func (m *memory) which(f func(*state.Impersonation) bool) []*state.Impersonation {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*state.Impersonation
	for _, i := range m.live {
		if f(&i) {
			out = append(out, &i)
		}
	}
	return out
}

func (m *memory) OpenRequests(context.Context) ([]*state.Request, error) { return nil, nil }

func (*memory) Bells(context.Context) ([]*state.Bell, error) { return nil, nil }

func (m *memory) Locks(context.Context) ([]*state.Lock, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*state.Lock
	for _, l := range m.locks {
		all = append(all, &l)
	}
	return all, nil
}

func (m *memory) PutLock(_ context.Context, l *state.Lock) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	pair := [2]string{l.ActorUsername, l.TargetUsername}
	if _, ok := m.locks[pair]; !ok {
		m.locks[pair] = *l
	}
	return nil
}

func (m *memory) DeleteLock(_ context.Context, actor, target string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	pair := [2]string{actor, target}
	if _, ok := m.locks[pair]; !ok {
		return state.ErrNotFound
	}
	delete(m.locks, pair)
	return nil
}
