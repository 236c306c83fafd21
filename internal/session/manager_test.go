package session_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

// world is a manager over a real store, on a clock that tests move.
type world struct {
	*session.Manager
	t     testing.TB
	store *spy
	clock *clock.Manual
	log   bytes.Buffer
	path  string
}

// spy is the real store; it counts, and lets a test act between a read and what becomes of it.
type spy struct {
	state.Store
	mu        sync.Mutex
	reads     int
	touches   int
	afterRead func()
	fail      error // of deletions and touches
}

func (s *spy) Session(ctx context.Context, id state.Hash) (*state.Session, error) {
	v, err := s.Store.Session(ctx, id)
	s.mu.Lock()
	s.reads++
	after := s.afterRead
	s.afterRead = nil
	s.mu.Unlock()
	if after != nil {
		after()
	}
	return v, err
}

func (s *spy) TouchSessions(ctx context.Context, seen map[state.Hash]time.Time) error {
	s.mu.Lock()
	s.touches += len(seen)
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		return fail
	}
	return s.Store.TouchSessions(ctx, seen)
}

func (s *spy) DeleteSession(ctx context.Context, id state.Hash) error {
	if s.fail != nil {
		return s.fail
	}
	return s.Store.DeleteSession(ctx, id)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "state.db"), clock: clock.NewManual(time.Date(2026, 3, 29, 0, 0, 0, 123456789, time.UTC))}
	w.open(0)
	return w
}

func (w *world) open(cacheSize int) {
	w.t.Helper()
	s, err := sqlite.Open(context.Background(), w.path, sqlite.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
	w.store = &spy{Store: s}
	w.Manager = session.NewManager(session.Options{Store: w.store, Clock: w.clock, Log: slog.New(slog.NewTextHandler(&w.log, nil)), CacheSize: cacheSize})
}

// restart is what a restart of the process is to the manager.
func (w *world) restart() {
	w.t.Helper()
	w.check(w.Close(context.Background()))
	w.check(w.store.Store.Close())
	w.open(0)
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

var alice = session.Login{
	Claims: identity.Identity{ID: "u1", Username: "alice", Name: "Alice Ng", Email: "alice@example.com", Groups: []string{"support"}, Attributes: map[string]string{"department": "nord"}},
	Issuer: "https://idp", Subject: "sub-alice", SID: "sid-1", ACR: "mfa", AuthTime: time.Date(2026, 3, 28, 23, 59, 0, 0, time.UTC), IDToken: "header.claims.signature",
}

func (w *world) login(l session.Login) (*session.Session, string) {
	w.t.Helper()
	s, raw, err := w.Create(context.Background(), l)
	w.check(err)
	return s, raw
}

func (w *world) get(raw string) *session.Session {
	w.t.Helper()
	s, err := w.Get(context.Background(), raw)
	w.check(err)
	return s
}

func (w *world) gone(raw string) {
	w.t.Helper()
	if s, err := w.Get(context.Background(), raw); !errors.Is(err, state.ErrNotFound) {
		w.t.Fatalf("got %v, %v, want %v", s, err, state.ErrNotFound)
	}
}

func TestCreateAndGet(t *testing.T) {
	w := newWorld(t)
	made, raw := w.login(alice)
	if made.ID != state.HashID(raw) || len(raw) != 43 {
		t.Fatalf("raw id %q is not the one of %x", raw, made.ID)
	}
	same := func(s *session.Session) {
		t.Helper()
		if d := cmp.Diff(alice.Claims, s.Claims); d != "" {
			t.Error(d)
		}
		if s.Issuer != alice.Issuer || s.Subject != alice.Subject || s.SID != alice.SID || s.ACR != alice.ACR || !s.AuthTime.Equal(alice.AuthTime) ||
			!s.CreatedAt.Equal(made.CreatedAt) || s.ID != made.ID {
			t.Errorf("got %+v", s)
		}
		if tok, err := s.IDToken(raw); tok != alice.IDToken || err != nil {
			t.Errorf("ID token %q, %v", tok, err)
		}
	}
	same(w.get(raw))
	w.restart()
	same(w.get(raw))
	byHash, err := w.Lookup(t.Context(), made.ID)
	w.check(err)
	same(byHash)

	// The id is nowhere in what is kept.
	v, err := w.store.Session(t.Context(), made.ID)
	w.check(err)
	if bytes.Contains(v.Sealed, []byte("claims")) || strings.Contains(string(v.ID[:]), raw) {
		t.Error("the store holds a secret in the clear")
	}
}

func TestEveryLoginHasANewID(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for range 50 {
		_, raw := w.login(alice)
		if seen[raw] {
			t.Fatal("an id came twice")
		}
		seen[raw] = true
	}
	m := session.NewManager(session.Options{Store: w.store, Rand: iotest.ErrReader(io.ErrUnexpectedEOF)})
	if _, _, err := m.Create(t.Context(), alice); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without randomness: error %v", err)
	}
}

// Session fixation: an id known before the login is worth nothing after it.
func TestLoginReplaces(t *testing.T) {
	w := newWorld(t)
	var ended []string
	w.OnDelete(func(_ context.Context, _ state.Hash, cause string) { ended = append(ended, cause) })
	_, before := w.login(alice)
	again := alice
	again.Replaces = before
	_, after := w.login(again)
	w.gone(before)
	w.get(after)
	again.Replaces = "not an id"
	w.login(again)
	if d := cmp.Diff([]string{session.CauseReplaced}, ended); d != "" {
		t.Error(d)
	}
}

func TestUnknownIDs(t *testing.T) {
	w := newWorld(t)
	_, raw := w.login(alice)
	reads := w.store.reads
	for _, id := range []string{"", "x", raw + "A", raw[:42], raw[:42] + "=", raw[:42] + "\x00", strings.Repeat("é", 22), strings.Repeat("A", 1<<20)} {
		w.gone(id)
	}
	if w.store.reads != reads {
		t.Error("a string that can't be an id reached the store")
	}
	// An attacker's guesses leave nothing behind.
	cached := w.Cached()
	for i := range 300 {
		w.gone(strings.Repeat("A", 40) + string([]byte{'a' + byte(i%26), 'a' + byte(i/26), 'Q'}))
	}
	if w.Cached() != cached {
		t.Errorf("%d cached, want %d", w.Cached(), cached)
	}
}

func TestCacheNeedsNoStore(t *testing.T) {
	w := newWorld(t)
	s, raw := w.login(alice)
	w.check(w.store.Store.Close())
	if w.get(raw) != s {
		t.Error("another copy")
	}
	if _, err := w.Get(t.Context(), strings.Repeat("A", 43)); err == nil || errors.Is(err, state.ErrNotFound) {
		t.Errorf("error %v, want the store's: nobody knows whether there is such a session", err)
	}
}

func TestLifetimes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		set   session.Lifetimes
		steps []time.Duration // between requests
		want  bool            // alive at the last one
	}{
		{"idle, just not", session.Lifetimes{}, []time.Duration{time.Hour - 1000}, true},
		{"idle", session.Lifetimes{}, []time.Duration{time.Hour}, false},
		{"busy", session.Lifetimes{}, []time.Duration{50 * time.Minute, 50 * time.Minute, 50 * time.Minute}, true},
		{"absolute", session.Lifetimes{Absolute: 2 * time.Hour}, []time.Duration{50 * time.Minute, 50 * time.Minute, 20 * time.Minute}, false},
		{"own idle", session.Lifetimes{Idle: time.Minute}, []time.Duration{30 * time.Second, time.Minute}, false},
		{"clock put back", session.Lifetimes{}, []time.Duration{30 * time.Minute, -3 * time.Hour, 3 * time.Hour}, true},
	} {
		for _, restart := range []bool{false, true} {
			w := newWorld(t)
			var causes []string
			w.OnDelete(func(_ context.Context, _ state.Hash, cause string) { causes = append(causes, cause) })
			w.SetLifetimes(tt.set)
			_, raw := w.login(alice)
			for i, d := range tt.steps {
				w.clock.Advance(d)
				last := i == len(tt.steps)-1
				if last && restart {
					w.restart()
					w.SetLifetimes(tt.set)
				}
				_, err := w.Get(t.Context(), raw)
				if alive := err == nil; alive != (!last || tt.want) {
					t.Errorf("%s (restart %v): step %d: %v", tt.name, restart, i, err)
				}
			}
			if !tt.want {
				if _, err := w.store.Session(t.Context(), state.HashID(raw)); !errors.Is(err, state.ErrNotFound) {
					t.Errorf("%s: still stored: %v", tt.name, err)
				}
				if !restart && cmp.Diff([]string{session.CauseExpired}, causes) != "" {
					t.Errorf("%s: deletions %v", tt.name, causes)
				}
			}
		}
	}
}

func TestLastSeenIsWrittenOnceAMinute(t *testing.T) {
	w := newWorld(t)
	s, raw := w.login(alice)
	for range 10 * 60 {
		w.clock.Advance(time.Second)
		w.get(raw)
	}
	if w.store.touches < 9 || w.store.touches > 10 {
		t.Errorf("written %d times in ten minutes of a request a second", w.store.touches)
	}
	stored := func() time.Time {
		v, err := w.store.Session(t.Context(), s.ID)
		w.check(err)
		return v.LastSeen
	}
	if lag := w.clock.Now().Sub(stored()); lag > 62*time.Second {
		t.Errorf("the store is %v behind", lag)
	}
	w.check(w.Close(t.Context()))
	if !stored().Equal(w.clock.Now().Truncate(time.Microsecond)) {
		t.Errorf("after Close the store says %v, want %v", stored(), w.clock.Now())
	}
}

// The idle lifetime is shorter than the time between two writes.
func TestShortIdleSurvivesARestart(t *testing.T) {
	w := newWorld(t)
	l := session.Lifetimes{Idle: 20 * time.Second}
	w.SetLifetimes(l)
	_, raw := w.login(alice)
	for range 10 {
		w.clock.Advance(10 * time.Second)
		w.get(raw)
	}
	w.clock.Advance(2 * time.Second)
	w.check(w.store.Store.Close()) // no goodbye
	w.open(0)
	w.SetLifetimes(l)
	w.get(raw)
}

func TestTouchesThatFailAreTriedAgain(t *testing.T) {
	w := newWorld(t)
	s, raw := w.login(alice)
	w.store.fail = errors.New("disk full")
	for range 5 {
		w.clock.Advance(2 * time.Minute)
		w.get(raw)
		w.clock.Advance(2 * time.Second)
	}
	if n := strings.Count(w.log.String(), "disk full"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, w.log.String())
	}
	last := s.LastSeen()
	w.store.fail = nil
	w.check(w.Close(t.Context()))
	v, err := w.store.Session(t.Context(), s.ID)
	w.check(err)
	if !v.LastSeen.Equal(last) {
		t.Errorf("stored %v, want %v", v.LastSeen, last)
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	type call struct {
		ID    state.Hash
		Cause string
	}
	var calls []call
	w.OnDelete(func(ctx context.Context, id state.Hash, cause string) {
		if ctx.Err() != nil {
			t.Error("called with a context that is over")
		}
		calls = append(calls, call{id, cause})
	})
	s, raw := w.login(alice)
	_, other := w.login(alice)
	// The browser went away: the logout happens all the same.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.check(w.Delete(ctx, s.ID))
	w.gone(raw)
	w.get(other)
	w.check(w.Delete(ctx, s.ID))
	if d := cmp.Diff([]call{{s.ID, session.CauseLogout}, {s.ID, session.CauseLogout}}, calls); d != "" {
		t.Error(d)
	}
	w.restart()
	w.gone(raw)
	w.get(other)
}

// A session read from the store just before it is deleted must not come back through the cache.
func TestDeletedDuringALookup(t *testing.T) {
	w := newWorld(t)
	s, raw := w.login(alice)
	w.restart()
	w.store.afterRead = func() { w.check(w.Delete(context.Background(), s.ID)) }
	w.gone(raw)
	w.gone(raw)
	if w.Cached() != 0 {
		t.Error("it is in the cache")
	}
}

func TestDeletionTheStoreRefuses(t *testing.T) {
	w := newWorld(t)
	ended := 0
	w.OnDelete(func(context.Context, state.Hash, string) { ended++ })
	s, raw := w.login(alice)
	full := errors.New("disk full")
	w.store.fail = full
	if err := w.Delete(t.Context(), s.ID); !errors.Is(err, full) {
		t.Fatalf("error %v", err)
	}
	w.gone(raw)
	if ended != 1 {
		t.Error("what hangs on the session was not ended")
	}
	if all, err := w.ByProvider(t.Context(), alice.Issuer, alice.Subject, ""); len(all) != 0 || err != nil {
		t.Errorf("found %v, %v", all, err)
	}
	if err := w.Sweep(t.Context()); !errors.Is(err, full) {
		t.Errorf("sweep: %v", err)
	}
	w.store.fail = nil
	w.check(w.Sweep(t.Context()))
	w.restart()
	w.gone(raw)
}

func TestByProvider(t *testing.T) {
	w := newWorld(t)
	mk := func(subject, sid string) *session.Session {
		l := alice
		l.Subject, l.SID = subject, sid
		s, _ := w.login(l)
		return s
	}
	a1, a2, b := mk("a", "1"), mk("a", "2"), mk("b", "3")
	for _, tt := range []struct {
		subject, sid string
		want         []*session.Session
	}{{"a", "", []*session.Session{a1, a2}}, {"a", "2", []*session.Session{a2}}, {"", "3", []*session.Session{b}}, {"", "", nil}, {"c", "", nil}} {
		got, err := w.ByProvider(t.Context(), alice.Issuer, tt.subject, tt.sid)
		w.check(err)
		if len(got) != len(tt.want) {
			t.Fatalf("%+v: %d found", tt, len(got))
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%+v: another session, or another copy", tt)
			}
		}
	}
	w.restart()
	if got, err := w.ByProvider(t.Context(), alice.Issuer, "a", ""); len(got) != 2 || err != nil {
		t.Errorf("after a restart: %v, %v", got, err)
	}
}

func TestSweep(t *testing.T) {
	w := newWorld(t)
	ended := 0
	w.OnDelete(func(_ context.Context, _ state.Hash, cause string) {
		if cause == session.CauseExpired {
			ended++
		}
	})
	_, busy := w.login(alice)
	for range 450 { // more than a batch
		w.login(alice)
	}
	w.clock.Advance(30 * time.Minute)
	w.get(busy)
	_, young := w.login(alice)
	w.clock.Advance(31 * time.Minute)
	w.get(busy)
	w.check(w.Sweep(t.Context()))
	if ended != 450 || w.Cached() != 2 {
		t.Errorf("%d swept, %d cached; want 450 and 2", ended, w.Cached())
	}
	w.get(busy)
	w.get(young)
	w.clock.Advance(13 * time.Hour)
	w.check(w.Sweep(t.Context()))
	all, err := w.store.SessionsOf(t.Context(), alice.Issuer, alice.Subject, "")
	if len(all) != 0 || err != nil {
		t.Errorf("%d left, %v", len(all), err)
	}
}

// In use, but the store has not heard of it for longer than the idle lifetime: it must survive the sweep.
func TestSweepBelievesTheCache(t *testing.T) {
	w := newWorld(t)
	var raws []string
	for range 450 {
		_, raw := w.login(alice)
		raws = append(raws, raw)
	}
	w.SetLifetimes(session.Lifetimes{Idle: 100 * time.Second})
	w.clock.Advance(50 * time.Second)
	w.store.fail = errors.New("disk full")
	for _, raw := range raws {
		w.get(raw)
	}
	w.clock.Advance(60 * time.Second) // its writes failed
	w.store.fail = nil
	w.check(w.Sweep(t.Context()))
	for _, raw := range raws {
		w.get(raw)
	}
}

func TestCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	w.restart()
	w.check(w.store.Store.Close())
	w.open(256)
	var raws []string
	for range 700 {
		w.clock.Advance(time.Millisecond)
		_, raw := w.login(alice)
		raws = append(raws, raw)
	}
	if n := w.Cached(); n > 256 {
		t.Fatalf("%d cached, want at most 256", n)
	}
	w.clock.Advance(50 * time.Minute)
	for _, raw := range raws {
		w.get(raw)
	}
	w.clock.Advance(50 * time.Minute) // evicted ones, too, were seen 50 minutes ago
	for _, raw := range raws {
		w.get(raw)
	}
	if n := w.Cached(); n > 256 {
		t.Errorf("%d cached, want at most 256", n)
	}
}

func TestConcurrent(t *testing.T) {
	w := newWorld(t)
	var raws []string
	for range 16 {
		_, raw := w.login(alice)
		raws = append(raws, raw)
	}
	var wg sync.WaitGroup
	for i, raw := range raws {
		for range 4 {
			wg.Go(func() {
				for range 200 {
					s, err := w.Get(context.Background(), raw)
					if errors.Is(err, state.ErrNotFound) && i%2 == 0 {
						return
					}
					if err != nil || s.ID != state.HashID(raw) {
						t.Errorf("got %v, %v", s, err)
						return
					}
				}
			})
		}
		wg.Go(func() {
			if i%2 == 0 {
				w.check(w.Delete(context.Background(), state.HashID(raw)))
			} else {
				w.check(w.SetNotice(context.Background(), state.HashID(raw), "n"))
			}
		})
		wg.Go(func() { w.clock.Advance(time.Second) })
	}
	wg.Wait()
	for i, raw := range raws {
		if i%2 == 0 {
			w.gone(raw)
		} else if w.get(raw).Notice() != "n" {
			t.Error("a notice was lost")
		}
	}
}
