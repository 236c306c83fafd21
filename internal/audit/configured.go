package audit

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// Configured is a [Recorder] as one configuration uses it: the starts recorded by it say where its config_loaded is
// ("config_seq"), also when another comes into force while somebody is let in by its rules.
type Configured struct {
	*Recorder
	loaded Event
	seq    uint64 // place of the last config_loaded; 0: it has none yet. The Recorder's mu guards it
}

// Configured takes the configuration's event config_loaded, for [Configured.InForce].
func (r *Recorder) Configured(loaded Event) *Configured {
	loaded.Type = EventConfigLoaded
	return &Configured{Recorder: r, loaded: loaded}
}

// InForce records that the configuration comes into force, each time that it does; it waits for the disk until ctx ends. An
// error wraps [ErrUnconfirmed]: the record is made as soon as it can be, and before any start by this configuration.
func (c *Configured) InForce(ctx context.Context) error {
	c.mu.Lock()
	c.loaded.Time = c.clock.Now()
	c.seq = 0
	ticket, err := c.place()
	if err != nil && !slices.Contains(c.owed, c) {
		c.owed = append(c.owed, c)
	}
	c.mu.Unlock()
	if err == nil {
		err = ticket.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("recording event %s: %w: %w", EventConfigLoaded, ErrUnconfirmed, err)
	}
	return nil
}

// Event implements [Events], as [Recorder.Event] does.
func (c *Configured) Event(ctx context.Context, e Event) error {
	if e.Type != EventImpersonationStarted {
		return c.Recorder.Event(ctx, e)
	}
	c.mu.Lock()
	ticket, err := c.place()
	if err == nil {
		e.Detail = startDetail(e.Detail, c.seq)
		ticket, err = c.appendLocked(&e)
	}
	c.mu.Unlock()
	return recorded(ctx, &e, ticket, err)
}

// place appends config_loaded unless it has its place; the caller holds mu.
func (c *Configured) place() (ticket journal.Ticket, err error) {
	if c.seq > 0 {
		return ticket, nil
	}
	e := c.loaded
	if ticket, err = c.appendLocked(&e); err == nil {
		c.seq = e.Seq
	}
	return ticket, err
}
