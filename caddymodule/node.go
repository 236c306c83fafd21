package caddymodule

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory/scim"
	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

// nodes are the open states with what writes them, by their openers' keys. They outlive reloads: sessions and live
// impersonations go on.
var nodes = caddy.NewUsagePool()

// node is one of them. It keeps nothing of the configuration that opened it but the clock.
type node struct {
	*gateway.Node
	log     *switchedLog
	tenants stack[tenant]
	scim    *scim.Service
}

// tenant is a configuration on a node.
type tenant struct {
	log       *slog.Logger
	rules     impersonation.Rules
	recorder  *audit.Configured
	lifetimes session.Lifetimes
	notifiers []Notifier
}

const (
	openWithin  = 30 * time.Second
	closeWithin = 15 * time.Second
)

// acquireNode opens the state, or takes the one that is open already. The caller releases it.
func acquireNode(ctx context.Context, opener StateOpener, c clock.Clock, log *slog.Logger) (n *node, release func() error, err error) {
	value, _, err := nodes.LoadOrNew(opener.Key(), func() (caddy.Destructor, error) {
		ctx, cancel := context.WithTimeout(ctx, openWithin)
		defer cancel()
		n := &node{log: newSwitchedLog(log)}
		store, err := opener.OpenState(ctx, Env{Log: n.log.logger(), Clock: c})
		if err != nil {
			return nil, err
		}
		n.Node, err = gateway.OpenNode(ctx, gateway.NodeOptions{Store: store, Clock: c, Log: n.log.logger()})
		if err != nil {
			_ = store.Close() // the first error is the one to report
			return nil, err
		}
		n.scim = scim.NewService(store, c)
		return n, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("opening state: %w", err)
	}
	n, ok := value.(*node)
	if !ok {
		return nil, nil, fmt.Errorf("opening state: it is a %T", value)
	}
	return n, func() error {
		_, err := nodes.Delete(opener.Key())
		return err
	}, nil
}

// apply puts a configuration in force.
func (n *node) apply(ctx context.Context) func(*tenant) error {
	return func(t *tenant) error {
		n.log.to.Store(t.log)
		if err := n.Notices.Use(ctx, t.notifiers); err != nil {
			return err
		}
		// Before anybody is let in by its rules.
		if err := inForce(ctx, t.recorder); err != nil {
			t.log.Error("the audit does not say yet that this configuration is in force; it will before anybody starts an impersonation", "error", err)
		}
		return n.Use(ctx, t.rules, t.recorder, t.lifetimes)
	}
}

func inForce(ctx context.Context, c *audit.Configured) error {
	ctx, cancel := context.WithTimeout(ctx, eventWithin)
	defer cancel()
	return c.InForce(ctx)
}

// directory is that of the configuration in force; nil when there is none.
func (n *node) directory() *directory.Directory {
	if t := n.tenants.last(); t != nil {
		return t.rules.Directory
	}
	return nil
}

// Destruct implements [caddy.Destructor]: the last configuration has left.
func (n *node) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	return n.Close(ctx)
}
