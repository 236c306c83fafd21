package gateway

import (
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

var (
	errInactive  = errors.New("the account is deactivated")
	errUndecided = errors.New("the impersonation was not decided on yet")
)

// view is one session as one site presents it to the app: computed once, good until a fact, the impersonation or
// the configuration changes. All its headers come from one identity.
type view struct {
	site       *name
	live       *impersonation.Live
	target     *directory.User
	generation uint64

	who    Who
	values *identity.Values
	signed atomic.Pointer[signed]
	ip     atomic.Pointer[ipText]
}

type signed struct {
	origin string
	token  string
	until  time.Time
}

type ipText struct {
	addr netip.Addr
	text string
}

// viewOf returns the session's view, made anew when anything it was made of has changed. The target is as the
// impersonation was last decided on. Generation is the directory's from before that: a change in between makes the
// next request look again.
func (s *Site) viewOf(b *browser, sess *session.Session, live *impersonation.Live, generation uint64, r *http.Request) (*view, error) {
	var target *directory.User
	if live != nil {
		if target = live.Target(); target == nil {
			return nil, errUndecided
		}
	}
	if v := b.view.Load(); v != nil && v.site == s.called && v.live == live && v.target == target && v.generation == generation && v.signedFor(s, r) {
		return v, nil
	}
	actor, _ := s.Rules.Directory.Person(&sess.Claims)
	if !actor.Active {
		return nil, errInactive
	}
	v := &view{site: s.called, live: live, target: target, generation: generation, who: Who{User: &actor.Identity, Actor: &actor.Identity}}
	if live != nil {
		v.who = Who{User: &target.Identity, Actor: &actor.Identity, ID: live.ID, Mode: live.Mode}
	}
	var err error
	if v.values, err = s.headers.Values(v.context()); err != nil {
		return nil, err
	}
	if s.assertion != "" {
		v.signed.Store(&signed{origin: s.origin(r)})
	}
	b.view.Store(v)
	return v, nil
}

func (v *view) signedFor(s *Site, r *http.Request) bool {
	if s.assertion == "" {
		return true
	}
	a := v.signed.Load()
	scheme := s.Scheme(r)
	return len(a.origin) == len(scheme)+3+len(r.Host) && a.origin[:len(scheme)] == scheme && a.origin[len(scheme)+3:] == r.Host
}

func (v *view) context() identity.Context {
	return identity.Context{User: v.who.User, Actor: v.who.Actor, ID: v.who.ID, Mode: v.who.Mode}
}

// assertion is the signed assertion, made anew every few seconds rather than on each request.
func (v *view) assertion(s *Site) (string, error) {
	a := v.signed.Load()
	if s.Clock.Now().Before(a.until) {
		return a.token, nil
	}
	token, until, err := s.Signer.Sign(v.context(), a.origin)
	if err != nil {
		return "", err
	}
	v.signed.Store(&signed{a.origin, token, until})
	return token, nil
}

// clientIP is the address as text; one person's requests mostly come from one.
func (v *view) clientIP(addr netip.Addr) string {
	if t := v.ip.Load(); t != nil && t.addr == addr {
		return t.text
	}
	t := &ipText{addr: addr}
	if addr.IsValid() {
		t.text = addr.Unmap().String()
	}
	v.ip.Store(t)
	return t.text
}
