package caddymodule

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory/scim"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// What a guest module is made of, under names it can import. See each type's documentation for its contract, and the
// conformance suites in internal/state/statetest and internal/audit/sinktest for what is expected beyond the types.
type (
	// Store is durable state: sessions, impersonations, cookie jars, keys.
	Store = state.Store
	// Source is one place that knows accounts.
	Source = directory.Source
	// User is an account and what a source knows of it.
	User = directory.User
	// Identity is an account's facts, as an app is told them.
	Identity = identity.Identity
	// Sink is where finished rows of the record go.
	Sink = audit.Sink
	// Batch is what a Sink is given to write.
	Batch = audit.Batch
	// Request is a row of the record: a request made.
	Request = audit.Request
	// Event is a row of the record: something else that happened.
	Event = audit.Event
	// Checkpoint is a row of the record: a signed tree head.
	Checkpoint = audit.Checkpoint
	// Witness is where checkpoints go, beside the sinks.
	Witness = audit.Witness
	// Reader answers auditors' questions from the record.
	Reader = audit.Reader
	// Notifier carries messages one way.
	Notifier = notify.Notifier
	// Message is one thing to be told.
	Message = notify.Message
	// Delivery is a message on its way to somebody.
	Delivery = notify.Delivery
	// Recipient is somebody who is to be told.
	Recipient = notify.Recipient
	// Clock tells the time.
	Clock = clock.Clock
)

// StateOpener is implemented by guest modules of the namespace impersonate.state: where sessions and impersonations
// are kept.
type StateOpener interface {
	// Key names what OpenState opens, such as the absolute path of a file. Configurations with the same key share
	// it: it is opened once, outlives their reloads and is closed after the last. It must not hold a secret.
	Key() string
	// OpenState is called once the server starts, never to validate a configuration. What it returns must not
	// keep the module's caddy.Context, which ends with the configuration.
	OpenState(ctx context.Context, env Env) (Store, error)
}

// SourceOpener is implemented by guest modules of the namespace impersonate.directories: who exists and who is active.
type SourceOpener interface {
	// OpenSource is called once for each configuration that is started. It need not reach anything: the source is
	// asked again and again, and may fail. A Source that is an io.Closer is closed with its configuration.
	OpenSource(ctx context.Context, env Env) (Source, error)
}

// SinkOpener is implemented by guest modules of the namespace impersonate.sinks: where the record goes.
type SinkOpener interface {
	// Key names what OpenSink opens: as long as it is the same from one configuration to the next, the sink goes on
	// undisturbed. It must not hold a secret, but change when one changes: a hash will do.
	Key() string
	// OpenSink is called once the server starts, also while the one of an older configuration is still open. It
	// should not fail because the place can't be reached: rows wait in the journal until it can. How far the
	// journal was shipped is kept by the Sink's Name, which must be that of the module.
	OpenSink(ctx context.Context, env Env) (Sink, error)
}

// ReaderOpener may be implemented by a SinkOpener beside: what it keeps can be read through the gateway, in the portal, the
// API and by the commands. Of several sinks the first that can be is read.
type ReaderOpener interface {
	// OpenReader is called once for each configuration that is started. It need not reach anything: each question may
	// fail by itself. The Reader is closed with its configuration.
	OpenReader(ctx context.Context, env Env) (Reader, error)
}

// WitnessOpener is implemented by guest modules of the namespace impersonate.witnesses: where checkpoints are published, so
// that whoever can write to the sinks can't cut off rows together with the checkpoints that cover them.
type WitnessOpener interface {
	// Key names what OpenWitness opens: as long as it is the same from one configuration to the next, the witness goes on
	// undisturbed. It must not hold a secret, but change when one changes: a hash will do.
	Key() string
	// OpenWitness is called once the server starts, also while the one of an older configuration is still open. It
	// should reach for nobody: checkpoints wait in the journal. How far the witness is, is kept by its Name.
	OpenWitness(ctx context.Context, env Env) (Witness, error)
}

// NotifierOpener is implemented by guest modules of the namespace impersonate.notifiers: what people are told by.
type NotifierOpener interface {
	// OpenNotifier is called once for each configuration that is started. It should reach for nobody: what can't be
	// delivered waits, and is tried again. A Notifier that is an io.Closer is closed with its configuration.
	OpenNotifier(ctx context.Context, env Env) (Notifier, error)
}

// ClockSource is implemented by guest modules of the namespace impersonate.clocks: what time it is. For tests, which
// move it by hand; no module of that namespace comes with the gateway.
type ClockSource interface {
	Clock() Clock
}

// Env is what a guest module may use of the running gateway.
type Env struct {
	// Log outlives reloads. It must be told no secret.
	Log *slog.Logger
	// Clock is the one to tell the time by.
	Clock Clock
	// Store is the state; nil while it is being opened.
	Store Store
	// Zone is the one to tell people times in. Nil but for notifiers.
	Zone *time.Location

	// scim is the accounts an identity provider keeps in the state; nil where that is not open.
	scim *scim.Service
}

// now is the clock's time; nil where there is no clock.
func (e Env) now() func() time.Time {
	if e.Clock == nil {
		return nil
	}
	return e.Clock.Now
}
