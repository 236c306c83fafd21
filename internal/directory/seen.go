package directory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// seenMargin is how far back Users looks again: a login is stored a little after the time it carries.
const seenMargin = time.Minute

// SeenSource knows who has logged in, as the provider described them then. Everybody it knows is active. Where
// several accounts of the provider have one username, the last to log in is the one.
type SeenSource struct {
	store state.Store

	mu     sync.Mutex
	by     map[subject]*seen
	best   map[string]*seen // by key
	newest time.Time
	loaded bool
	stale  bool // an account was renamed: the list has to be given as a whole
	tell   func(User)
}

type subject struct{ issuer, subject string }

type seen struct {
	user User
	key  string
	last time.Time
}

// NewSeenSource is the source over what the store has. Nothing is read before Users.
func NewSeenSource(store state.Store) *SeenSource {
	return &SeenSource{store: store, by: map[subject]*seen{}, best: map[string]*seen{}, tell: func(User) {}}
}

// Name implements [Source].
func (s *SeenSource) Name() string { return "seen" }

// OnUser implements [LiveSource].
func (s *SeenSource) OnUser(f func(User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell = f
}

// Note keeps a login in the store and gives the account to the directory at once.
func (s *SeenSource) Note(ctx context.Context, u state.SeenUser) error {
	if err := CheckUsername(u.Username); err != nil {
		return fmt.Errorf("noting a login: the username %w", err)
	}
	if err := s.store.PutSeen(ctx, &u); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, changed := s.take(&u); changed {
		s.tell(e.user)
	}
	return nil
}

// Users implements [Source]. After the first time it reads only who has logged in since, perhaps through another
// gateway.
func (s *SeenSource) Users(ctx context.Context) ([]User, error) {
	s.mu.Lock()
	loaded, since := s.loaded, s.newest.Add(-seenMargin)
	s.mu.Unlock()
	var read []*state.SeenUser
	collect := func(u *state.SeenUser) error {
		read = append(read, u)
		return nil
	}
	var err error
	if loaded {
		err = s.store.SeenSince(ctx, since, collect)
	} else {
		err = s.store.EachSeen(ctx, collect)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = true
	news := !loaded
	for _, u := range read {
		_, changed := s.take(u)
		news = news || changed
	}
	if !news && !s.stale {
		return nil, nil
	}
	if s.stale {
		clear(s.best)
		for _, e := range s.by {
			s.prefer(e)
		}
		s.stale = false
	}
	users := make([]User, 0, len(s.best))
	for _, e := range s.best {
		users = append(users, e.user)
	}
	return users, nil
}

// take keeps a login; changed tells whether it gives an account other facts. It is called with mu held.
func (s *SeenSource) take(u *state.SeenUser) (e *seen, changed bool) {
	e = &seen{key: identity.Key(u.Username), last: u.LastSeen, user: User{Active: true, Identity: identity.Identity{
		ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, Groups: u.Groups, Attributes: u.Attributes,
	}}}
	if e.user.ID == "" {
		e.user.ID = u.Subject
	}
	id := subject{u.Issuer, u.Subject}
	old := s.by[id]
	if old != nil && old.last.After(e.last) {
		return old, false // read before a later login was noted
	}
	if old != nil && old.key != e.key && s.best[old.key] == old {
		s.stale = true
	}
	s.by[id] = e
	if e.last.After(s.newest) {
		s.newest = e.last
	}
	before := s.best[e.key]
	if before == old && old != nil {
		s.best[e.key] = e
	} else {
		s.prefer(e)
	}
	return e, s.best[e.key] == e && (before == nil || !before.user.equal(&e.user))
}

// prefer makes e the one of its username if it was there last. It is called with mu held.
func (s *SeenSource) prefer(e *seen) {
	have := s.best[e.key]
	if have == nil || e.last.After(have.last) || e.last.Equal(have.last) && e.user.ID < have.user.ID {
		s.best[e.key] = e
	}
}
