package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/cookiejar"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// browser is what the gateway remembers of one session's browser: the view it was last given, the person's own
// app cookies, and the jar of the impersonation under way or just over.
type browser struct {
	store state.Store
	sess  *session.Session
	raw   string // seals what is kept of the cookies: the store alone opens nothing

	view atomic.Pointer[view]
	jar  atomic.Pointer[heldJar]
	news news

	// mu guards own and ownVersion, and orders starting and restoring.
	mu         sync.Mutex
	own        *cookiejar.Own
	ownVersion uint64

	saving   sync.Mutex // one save at a time; guards ownSaved
	ownSaved uint64

	heard   atomic.Bool // its language is noted
	loaded  atomic.Bool
	loading sync.Mutex
}

// heldJar is an impersonation's cookies at this host.
type heldJar struct {
	*cookiejar.Jar
	impersonation string
	// pending: it is over, and the browser has not been given its own cookies back.
	pending atomic.Bool
	saved   atomic.Uint64
	queued  atomic.Bool // a save is on its way
	// known is the gateway that remembers it beyond the session (see orphans).
	known atomic.Pointer[name]
}

type browserKey struct{}

// lingers is how long after its end an impersonation's cookies are still looked for in requests.
const lingers = 10 * time.Minute

// storeWithin bounds how long the store is waited for where cookies are read or kept.
const storeWithin = 5 * time.Second

const (
	purposeOwn = "own cookies"
	purposeJar = "target's cookies"
)

// browserOf is the session's browser, remembered from the store after a restart. While the store can't be read it is
// an error: without the jar of an impersonation just over, the target's cookies could not be told from the person's
// own, and an app that believes them would show the target's account.
func (g *Gateway) browserOf(ctx context.Context, sess *session.Session, raw string) (*browser, error) {
	b := sess.Value(browserKey{}, func() any {
		return &browser{store: g.Store, sess: sess, raw: raw, own: cookiejar.NewOwn()}
	}).(*browser)
	if b.loaded.Load() {
		return b, nil
	}
	b.loading.Lock()
	defer b.loading.Unlock()
	if b.loaded.Load() {
		return b, nil
	}
	// Also when this browser goes away: the next request needs the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	if err := b.load(ctx); err != nil {
		if !errors.Is(err, errUnreadable) {
			return nil, err
		}
		// It will never be readable. The worst that follows: an app's cookies are made anew.
		g.Log.Warn("a browser's app cookies can't be read", "error", err, "actor", sess.Claims.Username)
	}
	b.loaded.Store(true)
	return b, nil
}

// errUnreadable is of what the store holds, but nobody can make anything of.
var errUnreadable = errors.New("not to be read")

func (b *browser) owner() string { return hex.EncodeToString(b.sess.ID[:]) }

// load brings back what was saved: the person's own cookies, and the jar of the last impersonation.
func (b *browser) load(ctx context.Context) error {
	plain, bad := b.open(ctx, b.owner(), purposeOwn)
	if bad != nil && !errors.Is(bad, errUnreadable) {
		return bad
	}
	if plain != nil {
		own, err := cookiejar.UnmarshalOwn(plain)
		if err == nil {
			b.own = own
		} else {
			bad = fmt.Errorf("%w: %w", errUnreadable, err)
		}
	}
	last, err := b.store.LastImpersonation(ctx, b.sess.ID)
	if errors.Is(err, state.ErrNotFound) {
		return bad
	}
	if err != nil {
		return err
	}
	if plain, err = b.open(ctx, last.ID, purposeJar); err != nil {
		return err
	}
	if plain == nil {
		return bad
	}
	jar, err := cookiejar.UnmarshalJar(plain)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	held := &heldJar{Jar: jar, impersonation: last.ID}
	held.pending.Store(true)
	b.jar.Store(held)
	return bad
}

func (b *browser) open(ctx context.Context, owner, purpose string) ([]byte, error) {
	j, err := b.store.Jar(ctx, owner, "")
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	plain, err := b.sess.Open(b.raw, purpose, j.Sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return plain, nil
}

func (b *browser) put(owner, purpose string, plain []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin) // also when the browser has gone away
	defer cancel()
	return b.store.PutJar(ctx, &state.Jar{Owner: owner, Sealed: b.sess.Seal(b.raw, purpose, plain)})
}

// hasJar tells whether an impersonation's cookies may still be in the browser.
func (b *browser) hasJar() bool { return b.jar.Load() != nil }

// begin opens a jar for an impersonation that starts with this request. A request of another tab's may have come
// first; then it is that one's.
func (b *browser) begin(g *Gateway, h http.Header, r *http.Request, live *impersonation.Live, storage bool, now time.Time) {
	if held := b.jar.Load(); held != nil && held.impersonation != live.ID {
		b.restore(g, h, storage, now) // of an earlier one, if its end was never seen
	}
	b.news.forget()
	held := b.jarOf(g, withoutOurs(r), live, now)
	for _, c := range held.Begin(now) {
		h.Add("Set-Cookie", c)
	}
	b.save(g, held)
}

// jarOf is the jar of a live impersonation; one is opened at its first request, and if a restart lost it.
func (b *browser) jarOf(g *Gateway, r *http.Request, live *impersonation.Live, now time.Time) *heldJar {
	if held := b.jar.Load(); held != nil && held.impersonation == live.ID {
		return held
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if held := b.jar.Load(); held != nil && held.impersonation == live.ID {
		return held
	}
	held := &heldJar{Jar: cookiejar.NewJar(g.Scheme(r) == "https", b.own, r.Header["Cookie"], now), impersonation: live.ID}
	held.pending.Store(true)
	if live.Live() { // else a next one may have begun, and its jar is not to be replaced
		b.jar.Store(held)
	}
	return held
}

// targetCookies puts the impersonation's cookies on a request, and none of the actor's.
func (b *browser) targetCookies(s *Site, r *http.Request, live *impersonation.Live, now time.Time) *heldJar {
	held := b.jarOf(s.Gateway, r, live, now)
	if held.known.Load() != s.name {
		s.orphans.add(b.sess.ID, held)
		held.known.Store(s.name)
	}
	setCookie(r.Header, held.Request(r, now))
	if held.Version() != held.saved.Load() {
		b.saveLater(s.Gateway, held)
	}
	return held
}

// mirror takes the app's Set-Cookies into the jar; what scripts may read goes to the browser too.
func (b *browser) mirror(s *Site, r *http.Request, h http.Header, held *heldJar, now time.Time) {
	session.StripSetCookie(h) // an app can't set the gateway's
	set := h["Set-Cookie"]
	if len(set) == 0 {
		return
	}
	mirrored, displaces := held.Response(r, set, now)
	if len(mirrored) == 0 {
		delete(h, "Set-Cookie")
	} else {
		h["Set-Cookie"] = mirrored
	}
	switch {
	case displaces: // what is put back must be known before the browser loses it
		b.save(s.Gateway, held)
	case held.Version() != held.saved.Load():
		b.saveLater(s.Gateway, held)
	}
}

// ownCookies puts the actor's own cookies on a request that may still carry an impersonation's.
func (b *browser) ownCookies(r *http.Request, now time.Time) {
	held := b.jar.Load()
	if held == nil {
		return
	}
	if held.Left(r) {
		// The answer that gave them back never arrived, or one of the impersonation's came after it.
		held.pending.Store(true)
	}
	setCookie(r.Header, held.Own(r, now))
}

// ownResponse remembers what the app sets for the person, and puts back what an impersonation displaced.
func (b *browser) ownResponse(s *Site, r *http.Request, h http.Header) {
	session.StripSetCookie(h) // an app can't set the gateway's
	if set := h["Set-Cookie"]; len(set) > 0 {
		now := s.Clock.Now()
		b.mu.Lock()
		changed := b.own.Learn(r, s.Scheme(r) == "https", set, now)
		if changed {
			b.ownVersion++
		}
		b.mu.Unlock()
		if held := b.jar.Load(); held != nil {
			held.Learn(r, set, now)
		}
		if changed {
			go b.saveOwn(s.Gateway)
		}
	}
	if b.hasJar() {
		b.restore(s.Gateway, h, s.clearStorage, s.Clock.Now())
	}
}

// saveOwn keeps the newest of the person's own cookies.
func (b *browser) saveOwn(g *Gateway) {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	version := b.ownVersion
	var plain []byte
	if version != b.ownSaved {
		plain = b.own.Marshal()
	}
	b.mu.Unlock()
	if plain == nil {
		return
	}
	if err := b.put(b.owner(), purposeOwn, plain); err != nil {
		g.Log.Warn("app cookies can't be saved", "error", err, "actor", b.sess.Claims.Username)
		return
	}
	b.ownSaved = version
}

// restore gives the browser its own cookies back, once, and empties its storage if so.
func (b *browser) restore(g *Gateway, h http.Header, storage bool, now time.Time) {
	held := b.jar.Load()
	if held == nil || !held.pending.CompareAndSwap(true, false) {
		return
	}
	held.giveBack(h, storage, now)
	g.orphans.forget(b.sess.ID, held)
	// Requests under way may still carry the impersonation's cookies; a little later none does.
	g.Clock.AfterFunc(lingers, func() { b.jar.CompareAndSwap(held, nil) })
	go func() {
		b.saving.Lock()
		defer b.saving.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), storeWithin)
		defer cancel()
		_ = b.store.DeleteJars(ctx, held.impersonation) // left behind, it is restored once more after a restart: harmless
	}()
}

// giveBack adds what leaves the browser as it was before the impersonation.
func (held *heldJar) giveBack(h http.Header, storage bool, now time.Time) {
	// What the app itself sets in this very answer is newer, and comes after.
	h["Set-Cookie"] = append(held.Restore(now), h["Set-Cookie"]...)
	if len(h["Set-Cookie"]) == 0 {
		delete(h, "Set-Cookie")
	}
	if h.Get("Clear-Site-Data") == "" {
		clearSiteData(h, storage)
	}
}

// leave is for the end of the session: nothing of the impersonation stays in the browser.
func (b *browser) leave(g *Gateway, h http.Header, storage bool, now time.Time) {
	if held := b.jar.Load(); held != nil {
		held.pending.Store(true)
		b.restore(g, h, storage, now)
	}
}

func (b *browser) save(g *Gateway, held *heldJar) {
	b.saving.Lock()
	defer b.saving.Unlock()
	held.queued.Store(false)
	version := held.Version()
	if version == held.saved.Load() || !held.pending.Load() { // nothing new, or over: the row must not come back
		return
	}
	if err := b.put(held.impersonation, purposeJar, held.Marshal()); err != nil {
		g.Log.Warn("an impersonation's cookies can't be saved", "error", err, "impersonation", held.impersonation)
		return
	}
	held.saved.Store(version)
}

// saveLater has it saved without waiting; one at a time, however long the store takes.
func (b *browser) saveLater(g *Gateway, held *heldJar) {
	if held.queued.CompareAndSwap(false, true) {
		go b.save(g, held)
	}
}

func setCookie(h http.Header, value string) {
	if value == "" {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{value}
}
