// Package retention is how long the audit is kept: the setting, which only an owner changes, each change recorded before
// it takes effect ([Keeper]); and the removal of what is older, of which the log itself says what was removed
// ([Keeper.Run]).
//
// Only the beginning of a log is ever removed, up to a checkpoint that stays, so that what remains is proven by it as
// before. It decides nothing on who is an owner.
package retention

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Errors of [Keeper.Change], beside [*FloorError].
var (
	ErrReason = errors.New("a reason is missing")
	// ErrChanged: somebody else changed it since it was read.
	ErrChanged = errors.New("the retention was changed meanwhile")
)

// FloorError refuses a period shorter than the operator allows.
type FloorError struct{ Floor Period }

func (e *FloorError) Error() string {
	return fmt.Sprintf("at least %s: the gateway's configuration does not allow a shorter retention", e.Floor)
}

const (
	// Grace is how long a shorter period waits until it takes effect: what is deleted can't be had back, a setting can.
	Grace = 24 * time.Hour
	// MaxReason bounds a reason, in characters.
	MaxReason = 1000

	settingName = "retention"
)

// Limits are what the operator's configuration says.
type Limits struct {
	// Initial is in force until an owner changes it.
	Initial Period
	// Floor is the shortest that may be.
	Floor Period
}

// Setting is what is in force, and how it came to be.
type Setting struct {
	Period Period
	Limits Limits
	// Previous was in force before; it goes on until From, if it is longer.
	Previous Period
	From     time.Time
	// ChangedAt is zero while it is the configuration's.
	ChangedAt         time.Time
	ChangedBy, Reason string
	// Version names the value: another after each change.
	Version string
}

// Effective is the period that rows are removed by at a time.
func (s *Setting) Effective(now time.Time) Period {
	p := s.Period
	if now.Before(s.From) {
		p = longer(p, s.Previous)
	}
	return longer(p, s.Limits.Floor)
}

// stored is a Setting in the state.
type stored struct {
	Period    string    `json:"period"`
	Previous  string    `json:"previous"`
	ChangedAt time.Time `json:"changed_at"`
	ChangedBy string    `json:"changed_by"`
	Reason    string    `json:"reason"`
}

// Store is the part of [state.Store] that is needed.
type Store interface {
	Setting(ctx context.Context, name string) (string, error)
	PutSetting(ctx context.Context, name, value string) error
	LiveImpersonations(ctx context.Context) ([]*state.Impersonation, error)
}

// Log is the part of [audit.Recorder] that is needed.
type Log interface {
	audit.Events
	LogID() string
	LastSeq() uint64
	Counts(impersonationID string) audit.Counts
	EachTrimmer(ctx context.Context, f func(ctx context.Context, sink string, shipped uint64, t audit.Trimmer) error) error
}

// Options are what a Keeper works with; all are required.
type Options struct {
	Store  Store
	Audit  Log
	Clock  clock.Clock
	Log    *slog.Logger
	Limits Limits
}

// Keeper keeps the setting of one configuration, and removes by it.
type Keeper struct {
	Options
	mu    sync.Mutex    // one change at a time
	nudge chan struct{} // it was changed
}

// New makes a Keeper. It reads nothing yet.
func New(o Options) *Keeper { return &Keeper{Options: o, nudge: make(chan struct{}, 1)} }

// Setting is what is in force.
func (k *Keeper) Setting(ctx context.Context) (*Setting, error) {
	s := &Setting{Period: k.Limits.Initial, Previous: k.Limits.Initial, Limits: k.Limits}
	text, err := k.Store.Setting(ctx, settingName)
	switch {
	case errors.Is(err, state.ErrNotFound):
		s.Version = version(s.Period.String())
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("reading the retention: %w", err)
	}
	var in stored
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, fmt.Errorf("reading the retention: %w", err)
	}
	if s.Period, err = Parse(in.Period); err != nil {
		return nil, fmt.Errorf("reading the retention: %w", err)
	}
	if s.Previous, err = Parse(in.Previous); err != nil {
		return nil, fmt.Errorf("reading the retention: %w", err)
	}
	s.ChangedAt, s.ChangedBy, s.Reason, s.Version = in.ChangedAt, in.ChangedBy, in.Reason, version(text)
	if s.Period.Shorter(s.Previous) {
		s.From = in.ChangedAt.Add(Grace)
	}
	return s, nil
}

func version(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Change is what an owner wants.
type Change struct {
	Period Period
	Reason string
	// Match is the [Setting.Version] it is to replace; empty: whichever there is.
	Match string
	// Who does it, and from where.
	ActorID, ActorUsername, ActorName, ClientIP string
}

// Check tells what is wrong with a change, without making it.
func (k *Keeper) Check(c Change) error {
	if c.Period.Shorter(k.Limits.Floor) {
		return &FloorError{k.Limits.Floor}
	}
	if strings.TrimSpace(c.Reason) == "" {
		return ErrReason
	}
	if n := utf8.RuneCountInString(c.Reason); n > MaxReason {
		return fmt.Errorf("%w: %d characters are too many, at most %d", ErrReason, n, MaxReason)
	}
	return nil
}

// Change records the change durably and then makes it. Without a record there is none.
func (k *Keeper) Change(ctx context.Context, c Change) (*Setting, error) {
	if err := k.Check(c); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	old, err := k.Setting(ctx)
	if err != nil {
		return nil, err
	}
	if c.Match != "" && c.Match != old.Version {
		return nil, ErrChanged
	}
	if c.Period == old.Period {
		return old, nil
	}
	now := k.Clock.Now().UTC().Truncate(time.Microsecond)
	next := stored{Period: c.Period.String(), Previous: old.Effective(now).String(), ChangedAt: now, ChangedBy: c.ActorUsername, Reason: strings.TrimSpace(c.Reason)}
	text, err := json.Marshal(next)
	if err != nil {
		return nil, fmt.Errorf("changing the retention: %w", err)
	}
	event := audit.Event{
		Type: audit.EventRetentionChanged, ActorID: c.ActorID, ActorUsername: c.ActorUsername, ActorName: c.ActorName, ClientIP: c.ClientIP,
		Reason: next.Reason, Detail: audit.Detail("old", old.Period.String(), "new", next.Period),
	}
	if err := k.Audit.Event(ctx, event); err != nil {
		return nil, fmt.Errorf("changing the retention: %w", err)
	}
	// From here on the record says so: a browser that goes away must not undo it.
	ctx = context.WithoutCancel(ctx)
	if err := k.Store.PutSetting(ctx, settingName, string(text)); err != nil {
		event.Detail = audit.Detail("old", next.Period, "new", old.Period.String(), "cause", "it could not be stored")
		return nil, fmt.Errorf("changing the retention: %w", errors.Join(err, k.Audit.Event(ctx, event)))
	}
	select {
	case k.nudge <- struct{}{}:
	default:
	}
	return k.Setting(ctx)
}
