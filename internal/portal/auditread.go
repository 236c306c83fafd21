package portal

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

const (
	// readingsWithin is how long the parts of one list, read after its first, wait to be one event.
	readingsWithin = time.Minute
	// maxReadings bounds how many such lists are kept in mind; beyond, each part is an event of its own.
	maxReadings  = 10_000
	recordWithin = 5 * time.Second
)

// readings makes events of what is read. The first part of a list is one at once, before it is shown. Further parts of the
// same list, read by the same person, are counted, and make one event a minute after the first of them.
type readings struct {
	events audit.Events
	clock  clock.Clock
	log    *slog.Logger

	mu   sync.Mutex
	open map[readingKey]*reading
}

type readingKey struct{ actor, what, asked string }

type reading struct {
	event       audit.Event
	filter      audit.Filter
	parts, rows int
}

// read records that the rows were read.
func (rs *readings) read(ctx context.Context, v *viewer, a *question, rows int) error {
	key := readingKey{v.actor.Username, a.what, a.asked.Encode()}
	rs.mu.Lock()
	if o := rs.open[key]; o != nil {
		o.parts++
		o.rows += rows
		rs.mu.Unlock()
		return nil
	}
	if len(rs.open) < maxReadings {
		rs.open[key] = &reading{event: eventOf(v, audit.EventAuditRead), filter: a.filter}
		rs.clock.AfterFunc(readingsWithin, func() { rs.settle(key) })
	}
	rs.mu.Unlock()
	e := eventOf(v, audit.EventAuditRead)
	e.Detail = a.filter.Detail(a.what, "rows", rows)
	err := rs.record(ctx, e)
	if err != nil {
		rs.mu.Lock()
		delete(rs.open, key) // the next part is a first one again
		rs.mu.Unlock()
	}
	return err
}

// settle records what was read of a list after its first part.
func (rs *readings) settle(key readingKey) {
	rs.mu.Lock()
	o := rs.open[key]
	delete(rs.open, key)
	rs.mu.Unlock()
	if o == nil || o.parts == 0 {
		return
	}
	o.event.Detail = o.filter.Detail(key.what, "rows", o.rows, "parts", o.parts)
	if err := rs.record(context.Background(), o.event); err != nil {
		rs.log.Error("the audit does not say how far a list was read", "actor", key.actor, "rows", o.rows, "error", err)
	}
}

func (rs *readings) record(ctx context.Context, e audit.Event) error {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	return rs.events.Event(ctx, e)
}

// eventOf is an event of the person who asks.
func eventOf(v *viewer, kind string) audit.Event {
	return audit.Event{
		Type: kind, ActorID: v.actor.ID, ActorUsername: v.actor.Username, ActorName: v.actor.DisplayName(), ClientIP: v.from.IP.String(),
	}
}

// recorded tells whether what was read is recorded, and so may be shown; it has answered if not.
func (p *portal) recorded(w http.ResponseWriter, r *http.Request, v *viewer, a *question, rows int) bool {
	if r.Method == http.MethodHead {
		return true // nothing is shown
	}
	err := p.readings.read(r.Context(), v, a, rows)
	if err == nil {
		return true
	}
	p.Log.ErrorContext(r.Context(), "reading the audit can't be recorded, so it is not shown", "error", err)
	problem.Write(w, r, unrecorded())
	return false
}
