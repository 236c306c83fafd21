// Package session is who has logged in, browser by browser. The browser holds one random id and nothing else; the
// store holds the id's hash, and what is sealed at rest opens only with the id itself. A copy of the database lets
// nobody in and reads no one's tokens.
//
// Sessions are cached in memory, so one process must own the store's file.
package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Session is one browser's login. The exported fields never change.
type Session struct {
	ID state.Hash
	// Claims are what the provider said at login; the directory's facts come on top of them at each request.
	Claims          identity.Identity
	Issuer, Subject string
	// SID is the provider's own session id; may be empty.
	SID string
	// ACR is the login's claim acr; may be empty.
	ACR string
	// AuthTime is when the person last proved who they are; zero when the provider did not say.
	AuthTime  time.Time
	CreatedAt time.Time

	m      *Manager
	sealed []byte // the ID token

	lastSeen  atomic.Int64 // microseconds
	persisted atomic.Int64 // the LastSeen last sent to the store

	noticeMu sync.Mutex // orders changes of the stored notice with those of the copy below
	notice   atomic.Pointer[string]

	valuesMu sync.Mutex // held by writers of values
	values   atomic.Pointer[[]value]
}

type value struct{ key, v any }

func (m *Manager) fromState(v *state.Session) *Session {
	s := &Session{
		ID: v.ID, Issuer: v.Issuer, Subject: v.Subject, SID: v.SID, ACR: v.ACR, AuthTime: v.AuthTime, CreatedAt: v.CreatedAt,
		Claims: identity.Identity{ID: v.UserID, Username: v.Username, Name: v.Name, Email: v.Email, Groups: v.Groups, Attributes: v.Attributes},
		m:      m, sealed: v.Sealed,
	}
	s.lastSeen.Store(v.LastSeen.UnixMicro())
	s.persisted.Store(v.LastSeen.UnixMicro())
	if v.Notice != "" {
		s.notice.Store(&v.Notice)
	}
	return s
}

// LastSeen is the time of the last request.
func (s *Session) LastSeen() time.Time { return time.UnixMicro(s.lastSeen.Load()).UTC() }

// expired tells whether the session is over at now, by either lifetime.
func (s *Session) expired(now time.Time, l *Lifetimes) bool {
	return now.Sub(s.CreatedAt) >= l.Absolute || now.UnixMicro()-s.lastSeen.Load() >= l.Idle.Microseconds()
}

// see moves the last request to now; never backwards.
func (s *Session) see(now int64) {
	for {
		old := s.lastSeen.Load()
		if now <= old || s.lastSeen.CompareAndSwap(old, now) {
			return
		}
	}
}

// Value is an object kept with the session, in memory: made by make at the first call with the key, the same at
// every later one. It lasts as long as the session stays in the cache, so it must be one that can be made again.
// Make must not call Value. Keys are compared with ==; use an unexported type.
func (s *Session) Value(key any, make func() any) any {
	if v, ok := s.value(key); ok {
		return v
	}
	s.valuesMu.Lock()
	defer s.valuesMu.Unlock()
	if v, ok := s.value(key); ok {
		return v
	}
	var all []value
	if p := s.values.Load(); p != nil {
		all = append(all, *p...)
	}
	v := make()
	all = append(all, value{key, v})
	s.values.Store(&all)
	return v
}

func (s *Session) value(key any) (any, bool) {
	if p := s.values.Load(); p != nil {
		for i := range *p {
			if (*p)[i].key == key {
				return (*p)[i].v, true
			}
		}
	}
	return nil, false
}
