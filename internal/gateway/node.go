package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Node is what outlives configurations: the state, and those who alone write it. A configuration takes effect on it by
// [Node.Use]; the sessions and impersonations that were there go on under it.
type Node struct {
	Store          state.Store
	Sessions       *session.Manager
	Impersonations *impersonation.Manager
	Signer         *identity.Signer
	Banners        *BannerCounts
	// Notices is what people are to be told.
	Notices *notify.Queue
	// LoginKey is what the login seals its own cookies with.
	LoginKey []byte

	log      *slog.Logger
	recorder atomic.Pointer[Recorder]
}

// endingKey marks the context of an impersonation's end with its session: leaving word there may find the session over,
// and delete it.
type endingKey struct{}

// Recorder is what a node needs of the audit.
type Recorder interface {
	audit.Events
	// Counts tells what is recorded of an impersonation.
	Counts(impersonationID string) audit.Counts
}

// NodeOptions are what a Node works with. All are required.
type NodeOptions struct {
	// Store is the node's from now on, and closed by it.
	Store state.Store
	Clock clock.Clock
	Log   *slog.Logger
}

// OpenNode loads, or makes, the keys in the store. Nobody is impersonated before the first [Node.Use].
func OpenNode(ctx context.Context, o NodeOptions) (*Node, error) {
	signer, err := identity.LoadSigner(ctx, o.Store, o.Clock)
	if err != nil {
		return nil, err
	}
	key, err := loginKey(ctx, o.Store, o.Clock)
	if err != nil {
		return nil, err
	}
	n := &Node{Store: o.Store, Signer: signer, LoginKey: key, log: o.Log, Banners: new(BannerCounts)}
	if n.Notices, err = notify.NewQueue(ctx, notify.Options{Store: o.Store, Clock: o.Clock, Log: o.Log, Report: n.reportNotice}); err != nil {
		return nil, err
	}
	n.Sessions = session.NewManager(session.Options{Store: o.Store, Clock: o.Clock, Log: o.Log})
	leave := LeaveNotice(n.Sessions, o.Log)
	n.Impersonations = impersonation.NewManager(impersonation.Options{
		Store: o.Store, Clock: o.Clock, Log: o.Log, Notices: n.Notices,
		Counts: func(id string) uint64 {
			if r := n.recorder.Load(); r != nil {
				return (*r).Counts(id).Requests
			}
			return 0
		},
		OnEnd: func(ctx context.Context, l *impersonation.Live, e *impersonation.Ended) {
			leave(context.WithValue(ctx, endingKey{}, l.Session), l, e)
		},
	})
	n.Sessions.OnDelete(func(ctx context.Context, id state.Hash, _ string) {
		if ctx.Value(endingKey{}) == id {
			return // its impersonation has just ended, and would be waited for here while it waits for this
		}
		if err := n.Impersonations.EndSession(ctx, id, impersonation.CauseLogout, ""); err != nil {
			n.log.ErrorContext(ctx, "the impersonation of a session that is over can't be ended", "error", err)
		}
	})
	return n, nil
}

const loginKeyUse = "login"

// loginKey is the newest key of that use in the store; the first is made here.
func loginKey(ctx context.Context, store state.Store, c clock.Clock) ([]byte, error) {
	for range 2 {
		keys, err := store.Keys(ctx, loginKeyUse)
		if err != nil {
			return nil, fmt.Errorf("loading the login's key: %w", err)
		}
		for _, k := range keys {
			if k.RetiredAt.IsZero() {
				return k.PKCS8, nil
			}
		}
		k := &state.Key{Use: loginKeyUse, PKCS8: make([]byte, 32), CreatedAt: c.Now()}
		var id [8]byte
		_, _ = rand.Read(k.PKCS8) // never fails
		_, _ = rand.Read(id[:])
		k.ID = base64.RawURLEncoding.EncodeToString(id[:])
		if err := store.AddKey(ctx, k); err != nil && !errors.Is(err, state.ErrConflict) {
			return nil, fmt.Errorf("keeping the login's key: %w", err)
		}
	}
	return nil, errors.New("the login's key was kept, but is not there")
}

// Use puts a configuration in force: its rules decide, its journal records, its lifetimes count. Live impersonations
// it does not allow end.
func (n *Node) Use(ctx context.Context, r impersonation.Rules, rec Recorder, l session.Lifetimes) error {
	n.recorder.Store(&rec)
	n.Sessions.SetLifetimes(l)
	return n.Impersonations.Use(ctx, r, rec)
}

// Close writes down what is left to, until ctx ends, and closes the store. Sessions, live impersonations and notices
// that wait stay in it.
func (n *Node) Close(ctx context.Context) error {
	return errors.Join(n.Impersonations.Close(ctx), n.Notices.Close(ctx), n.Sessions.Close(ctx), n.Store.Close())
}
