package impersonation

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// locks are the pairs of actor and target that an objection keeps apart, by their keys.
type locks struct {
	count atomic.Int64 // nothing is looked up while it is 0
	mu    sync.RWMutex
	pairs map[[2]string]*state.Lock
}

func (l *locks) load(ctx context.Context, store state.Store) error {
	all, err := store.Locks(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairs = make(map[[2]string]*state.Lock, len(all))
	for _, lock := range all {
		l.pairs[[2]string{lock.ActorUsername, lock.TargetUsername}] = lock
	}
	l.count.Store(int64(len(l.pairs)))
	return nil
}

func (l *locks) has(actor, target string) bool {
	if l.count.Load() == 0 {
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.pairs[[2]string{identity.Key(actor), identity.Key(target)}] != nil
}

func (l *locks) set(lock *state.Lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pairs == nil {
		l.pairs = make(map[[2]string]*state.Lock)
	}
	l.pairs[[2]string{lock.ActorUsername, lock.TargetUsername}] = lock
	l.count.Store(int64(len(l.pairs)))
}

func (l *locks) remove(actor, target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, [2]string{actor, target})
	l.count.Store(int64(len(l.pairs)))
}

// LockedFor are the targets that have objected to the actor, by the keys of their usernames; nil: none.
func (m *Manager) LockedFor(actor string) map[string]bool {
	l := &m.locks
	if l.count.Load() == 0 {
		return nil
	}
	actor = identity.Key(actor)
	l.mu.RLock()
	defer l.mu.RUnlock()
	var targets map[string]bool
	for pair := range l.pairs {
		if pair[0] == actor {
			if targets == nil {
				targets = make(map[string]bool)
			}
			targets[pair[1]] = true
		}
	}
	return targets
}

// Locked tells whether the target has objected to the actor, and nobody in charge has lifted that.
func (m *Manager) Locked(actor, target string) bool { return m.locks.has(actor, target) }
