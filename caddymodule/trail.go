package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// trails are the open journals, by their directories, each with the sinks it is shipped to. They outlive reloads: what is
// being recorded and shipped goes on.
var trails = caddy.NewUsagePool()

// trail is one of them.
type trail struct {
	dir      string
	recorder *audit.Recorder
	clock    clock.Clock
	log      *switchedLog
	tenants  stack[shipping]
	// Keys of those in force; guarded by tenants. witnesses is nil before any configuration.
	sinks, witnesses []string
}

// shipping is what a configuration wants of a trail.
type shipping struct {
	log       *slog.Logger
	redactor  *audit.Redactor
	sinks     []SinkOpener
	witnesses []WitnessOpener
	signing   signing
}

// signing is how a configuration wants the log signed.
type signing struct {
	file  string // of the key; empty: the journal's own
	rows  uint64
	every time.Duration
}

// signer is what reads the key.
func (s signing) signer(journal string) func() (*audit.Signer, error) {
	if s.file == "" {
		return func() (*audit.Signer, error) { return audit.OwnSigner(journal) }
	}
	return func() (*audit.Signer, error) { return audit.ReadSigner(s.file) }
}

// acquireTrail opens the journal, or takes the one that is open already. The caller releases it.
func acquireTrail(dir string, c clock.Clock, log *slog.Logger) (t *trail, release func() error, err error) {
	value, _, err := trails.LoadOrNew(dir, func() (caddy.Destructor, error) {
		t := &trail{dir: dir, clock: c, log: newSwitchedLog(log)}
		recorder, err := audit.Open(audit.Options{Dir: dir, Clock: c, Log: t.log.logger()})
		if err != nil {
			return nil, err
		}
		t.recorder = recorder
		return t, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("opening the audit journal: %w; without it nothing done while impersonating could be recorded: "+
			"give `audit { journal … }` a directory that this process can write to and no other uses", err)
	}
	t, ok := value.(*trail)
	if !ok {
		return nil, nil, fmt.Errorf("opening the audit journal: it is a %T", value)
	}
	return t, func() error {
		_, err := trails.Delete(dir)
		return err
	}, nil
}

// apply puts a configuration's sinks in force. Those that are the same go on undisturbed.
func (t *trail) apply(ctx context.Context) func(*shipping) error {
	return func(s *shipping) error {
		t.log.to.Store(s.log)
		if err := t.applyWitnesses(ctx, s.witnesses); err != nil {
			return err
		}
		var keys []string
		for _, opener := range s.sinks {
			keys = append(keys, opener.Key())
		}
		if !slices.Equal(keys, t.sinks) {
			if err := t.replaceSinks(ctx, s.sinks); err != nil {
				return err
			}
			t.sinks = keys
		}
		t.recorder.SetRedactor(s.redactor)
		t.recorder.SealEvery(s.signing.rows, s.signing.every)
		t.recorder.UseSigner(s.signing.signer(t.dir))
		return nil
	}
}

// applyWitnesses puts the witnesses in force; before sinks, so that these delete nothing that they have not got.
func (t *trail) applyWitnesses(ctx context.Context, openers []WitnessOpener) error {
	keys := []string{}
	for _, opener := range openers {
		keys = append(keys, opener.Key())
	}
	if t.witnesses != nil && slices.Equal(keys, t.witnesses) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	var list []Witness
	for _, opener := range openers {
		w, err := opener.OpenWitness(ctx, Env{Log: t.log.logger(), Clock: t.clock})
		if err != nil {
			for _, opened := range list {
				err = errors.Join(err, opened.Close())
			}
			return fmt.Errorf("opening an audit witness: %w", err)
		}
		list = append(list, w)
	}
	if err := t.recorder.UseWitnesses(ctx, audit.ShipOptions{MaxBackoff: witnessBackoff}, list...); err != nil {
		return fmt.Errorf("using the audit witnesses: %w", err)
	}
	t.witnesses = keys
	return nil
}

// witnessBackoff bounds the wait between tries to publish.
const witnessBackoff = time.Minute

func (t *trail) replaceSinks(ctx context.Context, openers []SinkOpener) error {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	var sinks []Sink
	abandon := func(err error) error {
		for _, s := range sinks {
			err = errors.Join(err, s.Close())
		}
		return err
	}
	for _, opener := range openers {
		sink, err := opener.OpenSink(ctx, Env{Log: t.log.logger(), Clock: t.clock})
		if err != nil {
			return abandon(fmt.Errorf("opening an audit sink: %w", err))
		}
		sinks = append(sinks, sink)
	}
	if err := t.recorder.UseSinks(ctx, audit.ShipOptions{}, sinks...); err != nil {
		return fmt.Errorf("using the audit sinks: %w", err)
	}
	return nil
}

// Destruct implements [caddy.Destructor]: the last configuration has left.
func (t *trail) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	return t.recorder.Close(ctx)
}
