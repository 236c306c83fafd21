package gateway

import (
	"context"
	"encoding/hex"
	"errors"
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

	// mu guards own, and orders starting, restoring and saving.
	mu     sync.Mutex
	own    *cookiejar.Own
	saving sync.Mutex // one save at a time, in order
}

// heldJar is an impersonation's cookies at this host.
type heldJar struct {
	*cookiejar.Jar
	impersonation string
	// pending: it is over, and the browser has not been given its own cookies back.
	pending atomic.Bool
	saved   atomic.Uint64
}

type browserKey struct{}

// lingers is how long after its end an impersonation's cookies are still looked for in requests.
const lingers = 10 * time.Minute

const (
	purposeOwn = "own cookies"
	purposeJar = "target's cookies"
)

// browserOf is the session's browser, remembered from the store after a restart.
func (g *Gateway) browserOf(ctx context.Context, sess *session.Session, raw string) *browser {
	return sess.Value(browserKey{}, func() any {
		b := &browser{store: g.Store, sess: sess, raw: raw, own: cookiejar.NewOwn()}
		if err := b.load(ctx); err != nil {
			// The worst that follows: an app's cookies are made anew.
			g.Log.Warn("a browser's app cookies can't be read", "error", err, "actor", sess.Claims.Username)
		}
		return b
	}).(*browser)
}

func (b *browser) owner() string { return hex.EncodeToString(b.sess.ID[:]) }

// load brings back what was saved: the person's own cookies, and the jar of the last impersonation.
func (b *browser) load(ctx context.Context) error {
	plain, err := b.open(ctx, b.owner(), purposeOwn)
	if err != nil {
		return err
	}
	if plain != nil {
		if b.own, err = cookiejar.UnmarshalOwn(plain); err != nil {
			b.own = cookiejar.NewOwn()
			return err
		}
	}
	last, err := b.store.LastImpersonation(ctx, b.sess.ID)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if plain, err = b.open(ctx, last.ID, purposeJar); err != nil || plain == nil {
		return err
	}
	jar, err := cookiejar.UnmarshalJar(plain)
	if err != nil {
		return err
	}
	held := &heldJar{Jar: jar, impersonation: last.ID}
	held.pending.Store(true)
	b.jar.Store(held)
	return nil
}

func (b *browser) open(ctx context.Context, owner, purpose string) ([]byte, error) {
	j, err := b.store.Jar(ctx, owner, "")
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return b.sess.Open(b.raw, purpose, j.Sealed)
}

func (b *browser) put(owner, purpose string, plain []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // also when the browser has gone away
	defer cancel()
	return b.store.PutJar(ctx, &state.Jar{Owner: owner, Sealed: b.sess.Seal(b.raw, purpose, plain)})
}

// hasJar tells whether an impersonation's cookies may still be in the browser.
func (b *browser) hasJar() bool { return b.jar.Load() != nil }

// begin opens a jar for an impersonation that starts with this request.
func (b *browser) begin(g *Gateway, h http.Header, r *http.Request, live *impersonation.Live, now time.Time) {
	b.restore(g, h, now) // of an earlier one, if its end was never seen
	b.mu.Lock()
	defer b.mu.Unlock()
	held := &heldJar{Jar: cookiejar.NewJar(g.Scheme(r) == "https", b.own, withoutOurs(r).Header["Cookie"], now), impersonation: live.ID}
	held.pending.Store(true)
	for _, c := range held.Begin(now) {
		h.Add("Set-Cookie", c)
	}
	b.jar.Store(held)
	b.save(g, held)
}

// jarOf is the jar of a live impersonation; one is opened if a restart or another process lost it.
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
	b.jar.Store(held)
	return held
}

// targetCookies puts the impersonation's cookies on a request, and none of the actor's.
func (b *browser) targetCookies(s *Site, r *http.Request, live *impersonation.Live, now time.Time) {
	held := b.jarOf(s.Gateway, r, live, now)
	setCookie(r.Header, held.Request(r, now))
	if held.Version() != held.saved.Load() {
		b.saveLater(s.Gateway, held)
	}
}

// mirror takes the app's Set-Cookies into the jar; what scripts may read goes to the browser too.
func (b *browser) mirror(s *Site, r *http.Request, h http.Header, live *impersonation.Live, now time.Time) {
	session.StripSetCookie(h) // an app can't set the gateway's
	set := h["Set-Cookie"]
	if len(set) == 0 {
		return
	}
	held := b.jarOf(s.Gateway, r, live, now)
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
	if held := b.jar.Load(); held != nil {
		setCookie(r.Header, held.Own(r, now))
	}
}

// ownResponse remembers what the app sets for the person, and puts back what an impersonation displaced.
func (b *browser) ownResponse(s *Site, r *http.Request, h http.Header) {
	session.StripSetCookie(h) // an app can't set the gateway's
	if set := h["Set-Cookie"]; len(set) > 0 {
		b.mu.Lock()
		changed := b.own.Learn(r, s.Scheme(r) == "https", set, s.Clock.Now())
		if held := b.jar.Load(); held != nil {
			held.Learn(r, set, s.Clock.Now())
		}
		plain := []byte(nil)
		if changed {
			plain = b.own.Marshal()
		}
		b.mu.Unlock()
		if changed {
			go func() {
				b.saving.Lock()
				defer b.saving.Unlock()
				if err := b.put(b.owner(), purposeOwn, plain); err != nil {
					s.Log.Warn("app cookies can't be saved", "error", err, "actor", b.sess.Claims.Username)
				}
			}()
		}
	}
	if b.hasJar() {
		b.restore(s.Gateway, h, s.Clock.Now())
	}
}

// restore gives the browser its own cookies back, once.
func (b *browser) restore(g *Gateway, h http.Header, now time.Time) {
	held := b.jar.Load()
	if held == nil || !held.pending.CompareAndSwap(true, false) {
		return
	}
	set := held.Restore(now)
	// What the app itself sets in this very answer is newer, and comes after.
	h["Set-Cookie"] = append(set, h["Set-Cookie"]...)
	if h.Get("Clear-Site-Data") == "" {
		clearCache(h)
	}
	// Requests under way may still carry the impersonation's cookies; a little later none does.
	g.Clock.AfterFunc(lingers, func() { b.jar.CompareAndSwap(held, nil) })
	impersonation := held.impersonation
	go func() {
		b.saving.Lock()
		defer b.saving.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = b.store.DeleteJars(ctx, impersonation) // left behind, it is restored once more after a restart: harmless
	}()
}

// leave is for logout: nothing of the impersonation stays in the browser.
func (b *browser) leave(g *Gateway, h http.Header, now time.Time) {
	if held := b.jar.Load(); held != nil {
		held.pending.Store(true)
		b.restore(g, h, now)
	}
}

func (b *browser) save(g *Gateway, held *heldJar) {
	b.saving.Lock()
	defer b.saving.Unlock()
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

func (b *browser) saveLater(g *Gateway, held *heldJar) { go b.save(g, held) }

func setCookie(h http.Header, value string) {
	if value == "" {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{value}
}
