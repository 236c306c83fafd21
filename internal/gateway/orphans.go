package gateway

import (
	"errors"
	"net/http"
	"sync"

	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// orphans are the jars of impersonations whose session may end behind the browser's back: by its lifetime, at the
// provider, by another login. What the target's app set is then still in that browser, and would be taken for the
// person's own after their next login, by an app that believes its cookie. In memory only: the store keeps nothing
// of a session that is over.
type orphans struct {
	mu sync.Mutex // never held over I/O
	by map[state.Hash]*heldJar
}

// maxOrphans bounds them; past it some browser keeps what it has.
const maxOrphans = 10_000

func (o *orphans) add(session state.Hash, held *heldJar) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = map[state.Hash]*heldJar{}
	}
	for id := range o.by {
		if len(o.by) < maxOrphans {
			break
		}
		delete(o.by, id)
	}
	o.by[session] = held
}

func (o *orphans) forget(session state.Hash, held *heldJar) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by[session] == held {
		delete(o.by, session)
	}
}

// of is the jar left by the session with that raw id; nil: none.
func (o *orphans) of(raw string) *heldJar {
	if raw == "" {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.by) == 0 {
		return nil
	}
	return o.by[state.HashID(raw)]
}

// serveLogin wraps the pages of a login: once the browser's session is over, its answer takes the target's cookies out.
func (g *Gateway) serveLogin(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if raw, ok := session.RawID(r, g.Scheme(r) == "https"); ok {
			w = &headWriter{ResponseWriter: w, look: func(h http.Header, status int) {
				if status >= 200 {
					g.giveBackOrphan(h, r, raw, g.found(r).clearsStorage())
				}
			}}
		}
		serve(w, r)
	}
}

// giveBackOrphan adds what the impersonation of a session that is over left to be undone, once.
func (g *Gateway) giveBackOrphan(h http.Header, r *http.Request, raw string, storage bool) {
	held := g.orphans.of(raw)
	if held == nil {
		return
	}
	id := state.HashID(raw)
	if _, err := g.Sessions.Lookup(r.Context(), id); !errors.Is(err, state.ErrNotFound) {
		return
	}
	g.orphans.forget(id, held)
	held.giveBack(h, storage, g.Clock.Now())
}
