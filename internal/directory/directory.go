// Package directory is who exists and who is active, merged from sources in order of trust. It answers from
// memory: a lookup on every request, a search on every keystroke. What it answers from never changes; a change
// makes a new one, and moves [Directory.Generation].
//
// Accounts are joined over the sources by [identity.Key] of their username: the first source that has one gives its
// id and username; what it leaves open (name, email, groups, attributes) is taken from the later ones; and an
// account that any source calls inactive is inactive.
package directory

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// User is an account and what the directory knows of it. Immutable.
//
// In what a Source gives, nil Groups (or Attributes) are unknown, and taken from the next source that knows them or
// from the login; an empty list is known to be empty.
type User struct {
	identity.Identity
	Active bool
	// Source names the most trusted source that has it.
	Source string
}

// Source is one place that knows accounts: a file, the logins seen, SCIM, LDAP, a table.
type Source interface {
	// Name is for people: `file /etc/impersonate/users.yaml`.
	Name() string
	// Users returns all accounts, or nil and no error when nothing changed since the last call. On an error the
	// directory keeps what it had and reports it.
	Users(ctx context.Context) ([]User, error)
}

// LiveSource is a Source that hears of single accounts between two calls of Users.
type LiveSource interface {
	Source
	// OnUser has f called with each account that is new or changed. The directory calls it once, before Users.
	OnUser(f func(User))
}

// PacedSource is a Source that is asked at its own pace, and whose facts lapse: a server elsewhere.
type PacedSource interface {
	Source
	// Every is how often it is asked.
	Every() time.Duration
	// Keep is how long its last good answer counts while it gives none; 0: forever. After that its accounts are
	// unknown, whatever other sources say of them; those that were inactive stay so.
	Keep() time.Duration
	// Key tells whether another source gives the same answer: address and settings, without secrets. A Directory
	// that takes over from another goes on with the accounts of a source of the same key.
	Key() string
}

// Page is a piece of a search's answer, ordered by name.
type Page struct {
	Users []*User
	// Next is where the next page starts; empty: there is none.
	Next string
	// Total counts all accounts the query matches; -1 when a filter was given: then nobody has counted.
	Total int
}

// Options are what a Directory works with. The zero values default to the system's.
type Options struct {
	Clock clock.Clock
	Log   *slog.Logger
	// Sources in order of trust.
	Sources []Source
	// Broken is told when a source can't be read, once for each different error. It is called by Refresh, and
	// must not call the Directory.
	Broken func(ctx context.Context, source string, err error)
	// SourceTimeout is how long one source may take to answer; default 1 minute.
	SourceTimeout time.Duration
	// Previous is the Directory in force until now, if there is one: what its paced sources said last is not asked
	// again before it is due.
	Previous *Directory
}

// Directory is the merged accounts. Safe for concurrent use; readers never wait.
type Directory struct {
	clock   clock.Clock
	log     *slog.Logger
	broken  func(context.Context, string, error)
	timeout time.Duration

	// now is what readers see.
	now atomic.Pointer[snapshot]

	refreshing sync.Mutex // one application of answers or rebuild at a time
	shared     shared

	mu       sync.Mutex // guards what is below, and writing now; never held over I/O or while an index is built
	feeds    []*feed
	late     map[string]*User // changed while an index is being built; nil: none is
	rebuild  clock.Timer      // the rebuild to come
	loaded   bool             // the first Refresh is done
	onChange []func([]Change)
	queue    []Change
	telling  bool
}

// feed is one source and what it said last.
type feed struct {
	Source
	asking   sync.Mutex // asked once at a time
	every    time.Duration
	keep     time.Duration    // 0: forever
	users    map[string]*User // by key
	since    map[string]*User // given by a live source since it was last asked; nil: not being asked
	lastGood time.Time
	lapsed   bool // down for longer than keep
	err      error
	dropped  int // accounts that can't be used; with asking
}

// due tells whether it is to be asked before anything else is known. It is called with the directory's mu held.
func (f *feed) due(now time.Time) bool {
	return f.every == 0 || f.lastGood.IsZero() || f.err != nil || now.Sub(f.lastGood) >= f.every
}

// New makes a Directory that knows nobody until Refresh is called. It has no effects.
func New(o Options) *Directory {
	d := &Directory{clock: o.Clock, log: o.Log, broken: o.Broken, timeout: o.SourceTimeout}
	if d.clock == nil {
		d.clock = clock.System
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.broken == nil {
		d.broken = func(context.Context, string, error) {}
	}
	if d.timeout <= 0 {
		d.timeout = time.Minute
	}
	d.shared.running = make(chan struct{}, 1)
	d.now.Store(&snapshot{base: buildIndex(nil)})
	for i, s := range o.Sources {
		f := &feed{Source: s}
		if p, ok := s.(PacedSource); ok {
			f.every, f.keep = p.Every(), p.Keep()
			f.inherit(o.Previous, p.Key())
		}
		d.feeds = append(d.feeds, f)
		if s, ok := s.(LiveSource); ok {
			s.OnUser(func(u User) { d.upsert(i, u) })
		}
	}
	return d
}

// Generation moves whenever any account's facts do: what was decided on an earlier one is to be decided again. Read
// it before the facts.
func (d *Directory) Generation() uint64 { return d.now.Load().generation }

// Lookup finds the account with that username, in any spelling that joins with it.
func (d *Directory) Lookup(username string) (*User, bool) {
	return d.now.Load().lookup(identity.Key(username))
}

// ByID finds the account with that id. Where sources use one id for different accounts it is one of them.
func (d *Directory) ByID(id string) (*User, bool) { return d.now.Load().byID(id) }

// Len counts the accounts.
func (d *Directory) Len() int { return d.now.Load().len() }

// Person is what is known now of someone who logged in: the directory's facts, and where it leaves one open, the
// login's. Someone the directory does not know is who the provider says, and active; known is false.
func (d *Directory) Person(claims *identity.Identity) (u *User, known bool) {
	u, ok := d.Lookup(claims.Username)
	if !ok {
		return &User{Identity: *claims, Active: true}, false
	}
	if u.Name != "" && u.Email != "" && u.Groups != nil && u.Attributes != nil {
		return u, true
	}
	v := *u
	v.fill(claims)
	return &v, true
}

// fill takes what u leaves open from another's facts.
func (u *User) fill(from *identity.Identity) {
	if u.Name == "" {
		u.Name = from.Name
	}
	if u.Email == "" {
		u.Email = from.Email
	}
	if u.Groups == nil {
		u.Groups = from.Groups
	}
	if u.Attributes == nil {
		u.Attributes = from.Attributes
	}
}

// SourceStatus is how a source is doing.
type SourceStatus struct {
	Name string
	// Users counts the accounts in force from it.
	Users int
	// LastGood is when it last answered without an error; zero: never.
	LastGood time.Time
	// Err is what is wrong with it now; nil: nothing. The accounts of its last good answer stay in force, unless
	// Lapsed.
	Err error
	// Lapsed: it has given no answer for so long that its accounts count as unknown.
	Lapsed bool
}

// Status tells how the sources are doing, in their order.
func (d *Directory) Status() []SourceStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]SourceStatus, len(d.feeds))
	for i, f := range d.feeds {
		all[i] = SourceStatus{Name: f.Name(), Users: len(f.users), LastGood: f.lastGood, Err: f.err, Lapsed: f.lapsed}
		if f.lapsed {
			all[i].Users = 0
		}
	}
	return all
}

// Note hands a login to the source that keeps them, if there is one: the account is found at once.
func (d *Directory) Note(ctx context.Context, u state.SeenUser) error {
	for _, f := range d.feeds {
		if s, ok := f.Source.(*SeenSource); ok {
			return s.Note(ctx, u)
		}
	}
	return nil
}

// ErrCursor is returned for a cursor that Search did not make.
var ErrCursor = errors.New("no such place in the list")
