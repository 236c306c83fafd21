package impersonation

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Bells is the word left for people whose account somebody else used, until they have been told on a page of their
// own. The store has it; here it is found without asking that. Safe for concurrent use.
type Bells struct {
	store state.Store
	log   *slog.Logger
	// waiting is how many people have something to be told: nothing is looked for while it is 0.
	waiting atomic.Int64

	mu sync.Mutex // never held over I/O
	by map[string][]*bell
}

type bell struct {
	state.Bell
	over    bool // the impersonation is
	showing bool // a page that tells it is on its way
}

// due tells whether there is something to be told that has not been.
func (b *bell) due() bool { return !b.showing && (b.over || !b.Told) }

func newBells(store state.Store, log *slog.Logger) *Bells {
	return &Bells{store: store, log: log, by: make(map[string][]*bell)}
}

// load takes over what the store has. Live is asked which impersonations are.
func (b *Bells) load(ctx context.Context, live func(id string) bool) error {
	all, err := b.store.Bells(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range all {
		b.by[s.Username] = append(b.by[s.Username], &bell{Bell: *s, over: !live(s.ImpersonationID)})
	}
	b.waiting.Store(int64(len(b.by)))
	return nil
}

// add is for a start that has taken effect.
func (b *Bells) add(s *state.Bell) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by[s.Username] = append(b.by[s.Username], &bell{Bell: *s})
	b.waiting.Store(int64(len(b.by)))
}

// ended is for an impersonation's end: now there is more to be told.
func (b *Bells) ended(target, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.by[identity.Key(target)] {
		if e.ImpersonationID == id {
			e.over = true
		}
	}
}

// Any tells whether anybody is to be told anything. It costs a load.
func (b *Bells) Any() bool { return b.waiting.Load() > 0 }

// Due tells whether the person is to be told something.
func (b *Bells) Due(username string) bool {
	if !b.Any() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.by[identity.Key(username)], (*bell).due)
}

// Claim are the impersonations the person is to be told of, the oldest first, for the one caller that will: it calls
// [Bells.Told] then.
func (b *Bells) Claim(username string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for _, e := range b.by[identity.Key(username)] {
		if e.due() {
			e.showing = true
			ids = append(ids, e.ImpersonationID)
		}
	}
	return ids
}

// Told ends what Claim began: the person was told, or was not. Of one that was live then, they are told once more when
// it is over. What the store can't keep of it is told again after a restart.
func (b *Bells) Told(ctx context.Context, username string, shown bool, live func(id string) bool, ids ...string) {
	key := identity.Key(username)
	var keep, drop []state.Bell
	b.mu.Lock()
	var left []*bell
	for _, e := range b.by[key] {
		if !slices.Contains(ids, e.ImpersonationID) {
			left = append(left, e)
			continue
		}
		e.showing = false
		switch {
		case !shown:
			left = append(left, e)
		case live != nil && live(e.ImpersonationID):
			e.Told = true
			keep, left = append(keep, e.Bell), append(left, e)
		default:
			drop = append(drop, e.Bell)
		}
	}
	if len(left) == 0 {
		delete(b.by, key)
	} else {
		b.by[key] = left
	}
	b.waiting.Store(int64(len(b.by)))
	b.mu.Unlock()
	for i := range keep {
		if err := b.store.PutBell(ctx, &keep[i]); err != nil {
			b.log.WarnContext(ctx, "that somebody was told of an impersonation can't be kept; they are told again after a restart", "error", err)
		}
	}
	for i := range drop {
		if err := b.store.DeleteBell(ctx, key, drop[i].ImpersonationID); err != nil {
			b.log.WarnContext(ctx, "that somebody was told of an impersonation can't be kept; they are told again after a restart", "error", err)
		}
	}
}
