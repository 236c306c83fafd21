package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

// eventWithin bounds how long an event of the directory waits for the journal.
const eventWithin = 30 * time.Second

// DirectoryEvents writes what happens in a directory to the audit: accounts that are deactivated or removed, accounts that
// are active again, sources that can't be read. What the journal does not take is logged instead. Close when done.
type DirectoryEvents struct {
	events audit.Events
	log    *slog.Logger
	ctx    context.Context //nolint:containedctx // ends what Close does not wait for
	cancel context.CancelFunc
	queue  chan audit.Event
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when the queue is empty after it
}

// maxQueued bounds the events that wait to be written: a source that loses its head may deactivate everybody while the disk
// hangs. A channel takes their room, 3 MB, at once (docs/cost.md says what else that does); what is beyond is logged.
const maxQueued = 10_000

// NewDirectoryEvents starts writing.
func NewDirectoryEvents(events audit.Events, log *slog.Logger) *DirectoryEvents {
	d := &DirectoryEvents{events: events, log: log, queue: make(chan audit.Event, maxQueued), stop: make(chan struct{}), done: make(chan struct{})}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	go d.run()
	return d
}

// Changed is for [directory.Directory.OnChange]. It does not wait.
func (d *DirectoryEvents) Changed(changes []directory.Change) {
	for _, c := range changes {
		switch c.Kind {
		case directory.Deactivated:
			d.put(audit.Event{Type: audit.EventUserDeactivated, TargetID: c.After.ID, TargetUsername: c.After.Username, TargetName: c.After.Name, Detail: audit.Detail("source", c.After.Source)})
		case directory.Removed:
			d.put(audit.Event{Type: audit.EventUserDeactivated, TargetID: c.Before.ID, TargetUsername: c.Before.Username, TargetName: c.Before.Name, Detail: audit.Detail("removed", true, "source", c.Before.Source)})
		case directory.Reactivated:
			d.put(audit.Event{Type: audit.EventUserReactivated, TargetID: c.After.ID, TargetUsername: c.After.Username, TargetName: c.After.Name, Detail: audit.Detail("source", c.After.Source)})
		}
	}
}

// Broken is for [directory.Options]. It does not wait.
func (d *DirectoryEvents) Broken(_ context.Context, source string, err error) {
	d.put(audit.Event{Type: audit.EventDirectoryBroken, Reason: err.Error(), Detail: audit.Detail("source", source)})
}

func (d *DirectoryEvents) put(e audit.Event) {
	select {
	case d.queue <- e:
	default:
		d.lost(e, "too many at once")
	}
}

func (d *DirectoryEvents) run() {
	defer close(d.done)
	for {
		select {
		case e := <-d.queue:
			d.write(e)
			continue
		default:
		}
		select {
		case e := <-d.queue:
			d.write(e)
		case <-d.stop:
			if len(d.queue) == 0 {
				return
			}
		}
	}
}

func (d *DirectoryEvents) write(e audit.Event) {
	ctx, cancel := context.WithTimeout(d.ctx, eventWithin)
	defer cancel()
	if err := d.events.Event(ctx, e); err != nil {
		d.lost(e, err.Error())
	}
}

func (d *DirectoryEvents) lost(e audit.Event, why string) {
	d.log.Error("an event of the directory is missing from the audit", "type", e.Type, "username", e.TargetUsername, "detail", e.Detail, "error", why)
}

// Close writes what waits, until ctx ends; what remains then is logged. Nothing may be put in after.
func (d *DirectoryEvents) Close(ctx context.Context) {
	close(d.stop)
	select {
	case <-d.done:
	case <-ctx.Done():
		d.cancel() // from here on writing fails, and what waits is logged
		<-d.done
	}
	d.cancel()
}
