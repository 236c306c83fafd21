package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	// firstAfter is how long after the start the first look is; every how often one is taken.
	firstAfter = time.Minute
	every      = time.Hour
	// lead is how long the log says that rows go before they do: the event is in the sink then, under a checkpoint.
	lead = 10 * time.Minute
	// atMost: a log says so once a day, not at each look.
	atMost = 23 * time.Hour

	appliedSetting = "retention_applied"
)

// applied is how far a log goes from a sink, in the state.
type applied struct {
	Through uint64    `json:"through"`
	Whole   bool      `json:"whole,omitempty"`
	At      time.Time `json:"at"`
	Seq     uint64    `json:"seq"` // the event that says so is this row, or before it
	Period  string    `json:"period"`
	Done    bool      `json:"done"`
}

// Run removes what is older than the retention, now and then, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	wait := firstAfter
	for {
		due := make(chan struct{})
		timer := k.Clock.AfterFunc(wait, func() { close(due) })
		select {
		case <-due:
		case <-k.nudge:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = every
		more, err := k.Apply(ctx)
		if err != nil && ctx.Err() == nil {
			k.Log.Error("what is older than the retention can't be removed; it is tried again", "error", err)
		}
		if more {
			wait = lead
		}
	}
}

// Apply takes one look. What is older than the retention is said to go, in an event of the log; what an earlier look has
// said is removed. More tells that something is said and not removed.
func (k *Keeper) Apply(ctx context.Context) (more bool, err error) {
	s, err := k.Setting(ctx)
	if err != nil {
		return false, err
	}
	now := k.Clock.Now().UTC()
	period := s.Effective(now)
	before, ok := period.Before(now)
	if !ok {
		return false, nil
	}
	live, err := k.Store.LiveImpersonations(ctx)
	if err != nil {
		return false, fmt.Errorf("removing what is older than the retention: %w", err)
	}
	known, err := k.applied(ctx)
	if err != nil {
		return false, err
	}
	limit, others := k.limit(live, before)
	err = k.Audit.EachTrimmer(ctx, func(ctx context.Context, sink string, shipped uint64, t audit.Trimmer) error {
		prefixes, err := t.Removable(ctx, k.Audit.LogID(), before, limit)
		if err != nil {
			return fmt.Errorf("asking %s what is older than the retention: %w", sink, err)
		}
		for _, p := range prefixes {
			if p.LogID != k.Audit.LogID() && !others {
				continue
			}
			key := sink + " " + p.LogID
			was := known[key]
			if !was.Done && was.Through > 0 && now.Sub(was.At) >= lead && shipped >= was.Seq {
				gone := audit.Prefix{LogID: p.LogID, Through: min(p.Through, was.Through), Whole: p.Whole && was.Whole}
				if err := t.Remove(ctx, gone); err != nil && !errors.Is(err, audit.ErrElsewhere) {
					return fmt.Errorf("removing what is older than the retention from %s: %w", sink, err)
				}
				was.Done = true
			} else if p.Through > was.Through && (now.Sub(was.At) >= atMost || was.Period != period.String()) {
				if err := k.record(ctx, sink, p, before, period); err != nil {
					return err
				}
				was = applied{Through: p.Through, Whole: p.Whole, At: now, Seq: k.Audit.LastSeq(), Period: period.String()}
			}
			more = more || !was.Done
			if was == known[key] {
				continue
			}
			known[key] = was
			if err := k.saveApplied(ctx, known); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}

// limit is the last row of this log that no live impersonation needs; others tells whether none needs another log's.
func (k *Keeper) limit(live []*state.Impersonation, before time.Time) (limit uint64, others bool) {
	limit, others = math.MaxUint64, true
	for _, i := range live {
		switch first := k.Audit.Counts(i.ID).First; {
		case first > 0:
			limit = min(limit, first-1)
		case i.StartedAt.Before(before):
			others = false // its beginning is in a log before this one
		}
	}
	return limit, others
}

func (k *Keeper) record(ctx context.Context, sink string, p audit.Prefix, before time.Time, period Period) error {
	detail := audit.Detail("log", p.LogID, "through", p.Through, "before", before.Format(time.RFC3339), "retention", period.String(), "sink", sink)
	return k.Audit.Event(ctx, audit.Event{Type: audit.EventRetentionApplied, Detail: detail})
}

func (k *Keeper) applied(ctx context.Context) (map[string]applied, error) {
	known := map[string]applied{}
	text, err := k.Store.Setting(ctx, appliedSetting)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return known, nil
	case err == nil:
		err = json.Unmarshal([]byte(text), &known)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the retention removed: %w", err)
	}
	return known, nil
}

func (k *Keeper) saveApplied(ctx context.Context, known map[string]applied) error {
	text, err := json.Marshal(known)
	if err == nil {
		err = k.Store.PutSetting(ctx, appliedSetting, string(text))
	}
	if err != nil {
		return fmt.Errorf("noting what the retention removed: %w", err)
	}
	return nil
}
