package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Options are what a Manager works with. Store is needed; the others default to the system's.
type Options struct {
	Store state.Store
	Clock clock.Clock
	Rand  io.Reader
	Log   *slog.Logger
	// CacheSize is how many sessions are kept in memory at most; default 100,000. Beyond that the one unseen for
	// longest is read from the store again when it comes back.
	CacheSize int
}

// Lifetimes are how long a session lasts; a field that is zero or less takes its default.
type Lifetimes struct {
	Absolute time.Duration // since login; default 12 hours
	Idle     time.Duration // since the last request; default 1 hour
}

// Why a session was deleted.
const (
	CauseLogout   = "logout"   // by the person, the provider, or an operator
	CauseReplaced = "replaced" // the same browser logged in again
	CauseExpired  = "expired"  // it reached one of its lifetimes
)

// deleteTimeout bounds a deletion that goes on although whoever asked for it has left.
const deleteTimeout = 10 * time.Second

// Manager is the only one that writes sessions. Safe for concurrent use.
type Manager struct {
	store state.Store
	clock clock.Clock
	rand  io.Reader
	log   *slog.Logger

	lifetimes atomic.Pointer[Lifetimes]
	cache     *cache
	touches   touches

	mu       sync.Mutex
	onDelete []func(ctx context.Context, id state.Hash, cause string)
	// condemned are sessions whose deletion the store refused (a full disk): they open nothing any more, and
	// Sweep tries again. By cause.
	condemned map[state.Hash]string
}

// NewManager makes a Manager over the store, which must not have another.
func NewManager(o Options) *Manager {
	m := &Manager{store: o.Store, clock: o.Clock, rand: o.Rand, log: o.Log, condemned: map[state.Hash]string{}}
	if m.clock == nil {
		m.clock = clock.System
	}
	if m.rand == nil {
		m.rand = rand.Reader
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 100_000
	}
	m.cache = newCache(o.CacheSize)
	m.SetLifetimes(Lifetimes{})
	return m
}

// SetLifetimes sets how long sessions last, those that exist too.
func (m *Manager) SetLifetimes(l Lifetimes) {
	if l.Absolute <= 0 {
		l.Absolute = 12 * time.Hour
	}
	if l.Idle <= 0 {
		l.Idle = time.Hour
	}
	m.lifetimes.Store(&l)
}

// OnDelete has f called after every deletion, for whatever cause, so that what hangs on the session ends with it. F
// may be called for a session that was gone already. It must not block for long: a request may be waiting. Its
// context is not cancelled with the request's and has no deadline.
func (m *Manager) OnDelete(f func(ctx context.Context, id state.Hash, cause string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onDelete = append(slices.Clip(m.onDelete), f)
}

// Login is what a login was told by the provider.
type Login struct {
	Claims          identity.Identity
	Issuer, Subject string
	SID, ACR        string    // may be empty
	AuthTime        time.Time // may be zero
	// IDToken is kept sealed, for the provider's logout; may be empty.
	IDToken string
	// Replaces is the raw id the browser had before, if any: that session is deleted, whosever it was.
	Replaces string
}

// Create makes a session for a login, always under a new id (session fixation), and returns it with the raw id for
// the browser's cookie. A session it replaces is deleted once the new one exists.
func (m *Manager) Create(ctx context.Context, l Login) (*Session, string, error) {
	var b [rawIDBytes]byte
	if _, err := io.ReadFull(m.rand, b[:]); err != nil {
		return nil, "", fmt.Errorf("creating session: %w", err)
	}
	raw := base64.RawURLEncoding.EncodeToString(b[:])
	now := m.clock.Now().UTC().Truncate(time.Microsecond) // as the store keeps it
	v := &state.Session{
		ID: state.HashID(raw), Issuer: l.Issuer, Subject: l.Subject, UserID: l.Claims.ID, Username: l.Claims.Username, Name: l.Claims.Name,
		Email: l.Claims.Email, Groups: l.Claims.Groups, Attributes: l.Claims.Attributes, SID: l.SID, ACR: l.ACR,
		AuthTime: l.AuthTime, CreatedAt: now, LastSeen: now,
	}
	if l.IDToken != "" {
		v.Sealed = seal(raw, purposeIDToken, []byte(l.IDToken))
	}
	gen := m.cache.gen(&v.ID)
	if err := m.store.CreateSession(ctx, v); err != nil {
		return nil, "", fmt.Errorf("creating session: %w", err)
	}
	s, _ := m.keep(m.fromState(v), gen)
	if wellFormed(l.Replaces) {
		if err := m.delete(ctx, state.HashID(l.Replaces), CauseReplaced); err != nil {
			m.log.WarnContext(ctx, "a session replaced by a new login could not be deleted; it is refused and deleted later", "error", err)
		}
	}
	return s, raw, nil
}

// Get is the session of the id a browser sent; [state.ErrNotFound] when there is none (any more). It counts as a
// request: the idle lifetime starts over. A session in the cache costs no I/O.
func (m *Manager) Get(ctx context.Context, rawID string) (*Session, error) {
	if !wellFormed(rawID) {
		return nil, state.ErrNotFound
	}
	var b [rawIDLen]byte // a conversion would allocate
	copy(b[:], rawID)
	id := state.Hash(sha256.Sum256(b[:]))
	s, err := m.lookup(ctx, &id)
	if err != nil {
		return nil, err
	}
	now := m.clock.Now()
	l := m.lifetimes.Load()
	if s.expired(now, l) {
		return nil, m.expire(ctx, s)
	}
	m.touch(s, now, l)
	return s, nil
}

// Lookup is the session with that hash; it does not count as a request.
func (m *Manager) Lookup(ctx context.Context, id state.Hash) (*Session, error) {
	s, err := m.lookup(ctx, &id)
	if err != nil {
		return nil, err
	}
	if s.expired(m.clock.Now(), m.lifetimes.Load()) {
		return nil, m.expire(ctx, s)
	}
	return s, nil
}

func (m *Manager) expire(ctx context.Context, s *Session) error {
	if err := m.delete(ctx, s.ID, CauseExpired); err != nil {
		m.log.WarnContext(ctx, "an expired session could not be deleted; it is refused and deleted later", "error", err)
	}
	return state.ErrNotFound
}

// lookup finds a session, cached or stored, whatever its age.
func (m *Manager) lookup(ctx context.Context, id *state.Hash) (*Session, error) {
	if s := m.cache.get(id); s != nil {
		return s, nil
	}
	// A few tries are enough unless the shard's sessions change all the time; then this request goes on with what
	// it read, uncached.
	var s *Session
	for range 4 {
		gen := m.cache.gen(id)
		if m.isCondemned(*id) {
			return nil, state.ErrNotFound
		}
		v, err := m.store.Session(ctx, *id)
		if errors.Is(err, state.ErrNotFound) {
			return nil, state.ErrNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("looking up session: %w", err)
		}
		s = m.fromState(v)
		if t, ok := m.touches.pendingOf(*id); ok {
			s.see(t)
		}
		var ok bool
		if s, ok = m.keep(s, gen); ok {
			break
		}
	}
	return s, nil
}

// keep puts a session in the cache; the one that makes room for it has its last request written.
func (m *Manager) keep(s *Session, gen uint64) (*Session, bool) {
	s, evicted, ok := m.cache.put(s, gen)
	if evicted != nil {
		m.touchLater(evicted)
	}
	return s, ok
}

// Delete ends a session now; no error when it is gone already. It finishes even if ctx is cancelled meanwhile. When
// the store fails the error is returned, but the session is refused from now on all the same.
func (m *Manager) Delete(ctx context.Context, id state.Hash) error {
	return m.delete(ctx, id, CauseLogout)
}

func (m *Manager) delete(ctx context.Context, id state.Hash, cause string) error {
	ctx = context.WithoutCancel(ctx)
	err := m.deleteStored(ctx, id)
	m.mu.Lock()
	if err != nil {
		m.condemned[id] = cause
	} else {
		delete(m.condemned, id)
	}
	told := m.onDelete
	m.mu.Unlock()
	m.cache.remove(&id)
	m.touches.forget(id)
	for _, f := range told {
		f(ctx, id, cause)
	}
	if err != nil {
		return fmt.Errorf("deleting session: %w", err)
	}
	return nil
}

func (m *Manager) deleteStored(ctx context.Context, id state.Hash) error {
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	return m.store.DeleteSession(ctx, id)
}

func (m *Manager) isCondemned(id state.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.condemned[id]
	return ok
}

// ByProvider finds the sessions of a login at the provider: those of its session sid, or, when sid is empty, all of
// the subject's.
func (m *Manager) ByProvider(ctx context.Context, issuer, subject, sid string) ([]*Session, error) {
	all, err := m.store.SessionsOf(ctx, issuer, subject, sid)
	if err != nil {
		return nil, fmt.Errorf("finding sessions: %w", err)
	}
	var found []*Session
	for _, v := range all {
		if m.isCondemned(v.ID) {
			continue
		}
		s := m.cache.get(&v.ID)
		if s == nil {
			s = m.fromState(v)
		}
		found = append(found, s)
	}
	return found, nil
}

// Cached is how many sessions are in memory.
func (m *Manager) Cached() int { return m.cache.len() }
