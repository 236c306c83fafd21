package impersonation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Options are what a Manager works with. Store is needed; the others have defaults.
type Options struct {
	Store state.Store
	Clock clock.Clock  // default: the system's
	Rand  io.Reader    // default: crypto/rand
	Log   *slog.Logger // default: nobody
	// Counts is how many requests of an impersonation are in the journal, for the event of its end; default: 0.
	Counts func(id string) uint64
	// OnEnd is told of every end of one that had taken effect, also of those found over at start-up. Until it
	// returns, the session's next request waits, so that what OnEnd leaves for it is seen: for an [Ended.Unasked]
	// end, a notice to the person. Other sessions, and the cutting of connections, don't wait. Its context is not
	// the request's, and has a deadline. It must not call Of, Check or Start for that session.
	OnEnd func(ctx context.Context, l *Live, e *Ended)
	// Notices tells people of starts and ends and what is asked of them; default: they find it in their own pages and in
	// the portal.
	Notices Notices
}

// Notices takes what people are to be told; *[notify.Queue] is one.
type Notices interface {
	// Put queues a message.
	Put(ctx context.Context, m *notify.Message) error
	// Prepare makes what Put would queue, to be stored with what it tells of; Wake then.
	Prepare(ctx context.Context, m *notify.Message) ([]*state.Notice, error)
	Wake()
	// Reaches tells whether the message would get to the person.
	Reaches(m *notify.Message, username string) bool
}

// Manager is the only one that writes impersonations; the store must not have another. It outlives configurations:
// each gives it its rules by [Manager.Use]. Safe for concurrent use.
type Manager struct {
	store   state.Store
	clock   clock.Clock
	rand    io.Reader
	log     *slog.Logger
	counts  func(string) uint64
	onEnd   func(context.Context, *Live, *Ended)
	notices Notices
	bells   *Bells
	locks   locks

	cur atomic.Pointer[current]

	useMu      sync.Mutex // orders Use; held over I/O, by nothing that serves requests
	loaded     bool
	subscribed *directory.Directory

	// mu guards the maps; never held over I/O.
	mu        sync.RWMutex
	bySession map[state.Hash]*core // starting and live
	byID      map[string]*core     // the same
	places    places               // the same
	pending   map[string]*core     // ended, but not yet written down everywhere
	early     map[string]bool      // ended before the first Use
	changed   chan struct{}        // closed and replaced when pending shrinks
	saving    clock.Timer          // of the next saveSeen; nil while nothing lives
	// rechecking is of the next Recheck that nothing but the time asks for; nil while none is to come.
	rechecking clock.Timer
	closed     bool
	count      atomic.Int64 // len(bySession)

	saveMu sync.Mutex // one saveSeen at a time

	// asking orders what becomes of requests; held over I/O, by nothing that serves the app. Expiring is the next time
	// that one of them is over.
	asking     sync.Mutex
	expiring   clock.Timer // guarded by mu, as is
	expiringAt time.Time

	stats      counters
	complaints complaints

	writeTimeout atomic.Int64  // of a start, a time.Duration
	rowTimeout   time.Duration // see the constant

	closing chan struct{} // closed by Close
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// current is the configuration in force. A decision made on it holds while it is current.
type current struct {
	Rules
	name                  *currentName
	events                audit.Events
	locked                func(actor, target string) bool // see [Manager.Locked]
	asksTime, asksRequest bool                            // see [policy.Set]
}

// currentName tells a configuration from others by its address (of no size, all would have the same). A decision is
// kept with it instead of the configuration: that would stay in memory as long as anybody's impersonation.
type currentName struct{ _ byte }

// NewManager makes a Manager. It answers after its first [Manager.Use]; Close it when done.
func NewManager(o Options) *Manager {
	m := &Manager{
		store: o.Store, clock: o.Clock, rand: o.Rand, log: o.Log, counts: o.Counts, onEnd: o.OnEnd, notices: o.Notices,
		bySession: make(map[state.Hash]*core), byID: make(map[string]*core), pending: make(map[string]*core),
		early: make(map[string]bool), changed: make(chan struct{}), closing: make(chan struct{}),
		rowTimeout: rowTimeout,
	}
	m.writeTimeout.Store(int64(writeTimeout))
	if m.clock == nil {
		m.clock = clock.System
	}
	if m.rand == nil {
		m.rand = rand.Reader
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.counts == nil {
		m.counts = func(string) uint64 { return 0 }
	}
	if m.onEnd == nil {
		m.onEnd = func(context.Context, *Live, *Ended) {}
	}
	m.bells = newBells(m.store, m.log)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Of is the session's live impersonation; nil: none. One that is over by the clock is ended first, and a session
// whose impersonation has just ended waits here until the person's notice of it is left (see [Options.OnEnd]). It
// does no I/O itself. Whether it may still go on is asked of [Manager.Check].
func (m *Manager) Of(ctx context.Context, session state.Hash) *Live {
	if m.count.Load() == 0 {
		return nil
	}
	m.mu.RLock()
	c := m.bySession[session]
	m.mu.RUnlock()
	if c == nil || !c.effective.Load() {
		return nil
	}
	if c.ended.Load() == nil {
		e := c.dueEnd(m.clock.Now())
		if e == nil {
			return c.view.Load()
		}
		if !m.end(c, e) && c.ended.Load() == nil {
			return c.view.Load()
		}
	}
	c.wait(ctx)
	return nil
}

// wait waits until the end is told.
func (c *core) wait(ctx context.Context) {
	select {
	case <-c.told:
	case <-ctx.Done():
	}
}

// Bells is what people are to be told of on their own pages.
func (m *Manager) Bells() *Bells { return m.bells }

// Get finds one by its id, live or ended; [state.ErrNotFound] when there is none.
func (m *Manager) Get(ctx context.Context, id string) (*state.Impersonation, error) {
	if i := m.here(id); i != nil {
		return i, nil
	}
	i, err := m.store.Impersonation(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("finding an impersonation: %w", err)
	}
	return i, nil
}

// Last is the session's live impersonation, else its latest; [state.ErrNotFound] when it never had one.
func (m *Manager) Last(ctx context.Context, session state.Hash) (*state.Impersonation, error) {
	if l := m.Of(ctx, session); l != nil {
		i := l.c.row()
		return &i, nil
	}
	i, err := m.store.LastImpersonation(ctx, session)
	if err != nil {
		return nil, fmt.Errorf("finding the session's impersonation: %w", err)
	}
	return m.newest(i), nil
}

// PlaceOf is where a list goes on behind an impersonation.
func PlaceOf(i *state.Impersonation) state.Place { return state.Place{At: i.StartedAt, ID: i.ID} }

// List lists those of an actor (empty: everybody's), newest first, behind the place given, up to limit: the "active"
// ones, the "ended", or "all" (or empty).
func (m *Manager) List(ctx context.Context, actorUsername, which string, behind state.Place, limit int) ([]*state.Impersonation, error) {
	limit = min(max(limit, 1), state.MaxList)
	if which == "active" {
		return m.listLive(actorUsername, behind, limit), nil
	}
	var out []*state.Impersonation
	for {
		some, err := m.store.ListImpersonations(ctx, actorUsername, "", behind, state.MaxList)
		if err != nil {
			return nil, fmt.Errorf("listing impersonations: %w", err)
		}
		for _, i := range some {
			if i = m.newest(i); which == "ended" && i.Live() {
				continue
			}
			if out = append(out, i); len(out) == limit {
				return out, nil
			}
		}
		// Those that are left out are live, thus few: a second round is rare.
		if which != "ended" || len(some) < state.MaxList {
			return out, nil
		}
		behind = PlaceOf(some[len(some)-1])
	}
}

// ListTarget lists those of a target, live and ended, newest first, behind the place given, up to limit.
func (m *Manager) ListTarget(ctx context.Context, targetUsername string, behind state.Place, limit int) ([]*state.Impersonation, error) {
	all, err := m.store.ListImpersonations(ctx, "", targetUsername, behind, min(max(limit, 1), state.MaxList))
	if err != nil {
		return nil, fmt.Errorf("listing impersonations: %w", err)
	}
	for n, i := range all {
		all[n] = m.newest(i)
	}
	return all, nil
}

// IsLive tells whether the impersonation goes on.
func (m *Manager) IsLive(id string) bool {
	i := m.here(id)
	return i != nil && i.Live()
}

func (m *Manager) listLive(actorUsername string, behind state.Place, limit int) []*state.Impersonation {
	now := m.clock.Now()
	var out []*state.Impersonation
	for _, c := range m.all() {
		if !c.effective.Load() || c.ended.Load() != nil || c.dueEnd(now) != nil {
			continue
		}
		i := c.row()
		if (actorUsername == "" || i.ActorUsername == actorUsername) && (behind.At.IsZero() || comesBehind(&i, behind)) {
			out = append(out, &i)
		}
	}
	slices.SortFunc(out, func(a, b *state.Impersonation) int {
		if c := b.StartedAt.Compare(a.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return out[:min(len(out), limit)]
}

// comesBehind tells whether a list, newest first, has it behind that place.
func comesBehind(i *state.Impersonation, p state.Place) bool {
	if c := i.StartedAt.Compare(p.At); c != 0 {
		return c < 0
	}
	return i.ID < p.ID
}

// here is one that memory knows better than the store; nil: none.
func (m *Manager) here(id string) *state.Impersonation {
	m.mu.RLock()
	c := m.byID[id]
	if c == nil {
		c = m.pending[id]
	}
	m.mu.RUnlock()
	if c == nil || !c.effective.Load() {
		return nil
	}
	i := c.row()
	return &i
}

func (m *Manager) newest(i *state.Impersonation) *state.Impersonation {
	if h := m.here(i.ID); h != nil {
		return h
	}
	return i
}

// all are those starting and live.
func (m *Manager) all() []*core {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*core, 0, len(m.byID))
	for _, c := range m.byID {
		out = append(out, c)
	}
	return out
}

// Flush waits until every end so far is written down: in the store and in the journal.
func (m *Manager) Flush(ctx context.Context) error {
	for {
		m.mu.RLock()
		n, changed := len(m.pending), m.changed
		m.mu.RUnlock()
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d ended impersonations to be written down: %w", n, ctx.Err())
		}
	}
}

// Close stops the timers and writes down what is left to, until ctx ends; what remains then is done at the next
// start. Live impersonations stay: they outlive a restart.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	close(m.closing)
	if m.saving != nil {
		m.saving.Stop()
	}
	if m.rechecking != nil {
		m.rechecking.Stop()
	}
	if m.expiring != nil {
		m.expiring.Stop()
	}
	m.mu.Unlock()
	for _, c := range m.all() {
		c.stopTimer()
	}
	stop := context.AfterFunc(ctx, m.cancel)
	defer stop()
	m.saveSeen(m.ctx)
	done := make(chan struct{})
	go func() {
		m.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	m.cancel()
	m.mu.RLock()
	n := len(m.pending)
	m.mu.RUnlock()
	if n > 0 {
		err = errors.Join(err, fmt.Errorf("%d ended impersonations are not written down everywhere; that is done at the next start", n))
	}
	if err != nil {
		return fmt.Errorf("closing impersonations: %w", err)
	}
	return nil
}

// within is how long a write may take that goes on although whoever asked for it has left.
func (m *Manager) within() time.Duration { return time.Duration(m.writeTimeout.Load()) }
