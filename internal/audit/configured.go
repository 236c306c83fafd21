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
	if i := slices.Index(c.owed, c); i >= 0 {
		c.owed = slices.Delete(c.owed, i, i+1) // the last in the log is the one in force
	} else {
		c.lateCount.Add(1)
	}
	c.owed = append(c.owed, c)
	ticket, err := c.placeOwed()
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("recording event %s: %w: %w", EventConfigLoaded, ErrUnconfirmed, err)
	}
	return c.recorded(ctx, &c.loaded, ticket, nil)
}

// Event implements [Events], as [Recorder.Event] does.
func (c *Configured) Event(ctx context.Context, e Event) error {
	if e.Type != EventImpersonationStarted {
		return c.Recorder.Event(ctx, e)
	}
	c.mu.Lock()
	ticket, err := c.placeOwed()
	if err == nil && c.seq == 0 { // it was never put in force
		ticket, err = c.place()
	}
	if err == nil {
		e.Detail = startDetail(e.Detail, c.seq)
		ticket, err = c.appendLocked(&e)
	}
	c.mu.Unlock()
	return c.recorded(ctx, &e, ticket, err)
}

// place appends config_loaded; the caller holds mu.
func (c *Configured) place() (ticket journal.Ticket, err error) {
	e := c.loaded
	if ticket, err = c.appendLocked(&e); err == nil {
		c.seq = e.Seq
	}
	return ticket, err
}

// placeOwed appends what is owed, in the order in which it came into force. The ticket is the last one's; the caller holds mu.
func (r *Recorder) placeOwed() (ticket journal.Ticket, err error) {
	for len(r.owed) > 0 {
		if ticket, err = r.owed[0].place(); err != nil {
			return ticket, err
		}
		r.owed = slices.Delete(r.owed, 0, 1)
		r.lateCount.Add(-1)
	}
	return ticket, nil
}
