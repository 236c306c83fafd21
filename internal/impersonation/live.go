package impersonation

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Live is a running impersonation, as it was when it was asked for: its fields never change. Where its time is
// shortened or prolonged, [Manager.Of] returns another Live; the methods answer for now, on both.
type Live struct {
	state.Impersonation
	c *core
	// until is when it expires, after c.base: a difference of the monotonic clock, which setting the machine's
	// clock does not move.
	until time.Duration
}

// core is what all Lives of one impersonation share.
type core struct {
	base      time.Time // what durations here count from; with the monotonic clock
	startedAt time.Time // like StartedAt, with the monotonic clock if it was started by this process
	claims    identity.Identity

	view     atomic.Pointer[Live]
	lastSeen atomic.Int64 // after base
	ended    atomic.Pointer[Ended]
	verdict  atomic.Pointer[verdict]

	ctx    context.Context
	cancel context.CancelCauseFunc
	// told is closed once OnEnd has returned and the session is free for another.
	told chan struct{}

	inFlight atomic.Int64
	drained  chan struct{} // of one; a hint to look at inFlight again

	mu        sync.Mutex // guards what follows, and changes of view; never held over I/O
	timer     clock.Timer
	persisted time.Duration // the lastSeen that the store has
	unsaved   bool          // view was shortened or prolonged since the store had it
	reports   time.Duration // see [Manager.ReportBanner]
	recovered bool          // found ended, but unrecorded, at start-up

	extending sync.Mutex // one Extend at a time; held over I/O

	effective atomic.Bool // it has taken effect; set under mu, and never after ended
	launch    sync.Once   // of telling and recording the end
	rowTried  chan struct{}
	recorded  atomic.Bool // the ended event is in the journal
	// unconfirmed is the ended event that the journal took, and the disk did not yet. It is the recording goroutine's.
	unconfirmed *audit.UnconfirmedError
	toldEnd     atomic.Bool // its notices are queued
	noRow       atomic.Bool // it never came into the store
}

// verdict is the last decision that it may go on, and what it was made on.
type verdict struct {
	on         *currentName
	generation uint64
	target     *directory.User
	decision   policy.Decision
	at         time.Time
	from       From
	known      bool // from is
}

// newCore makes the shared part. Row is kept; base is the present of the injected clock.
func newCore(row state.Impersonation, base, startedAt time.Time, until time.Duration, claims identity.Identity) *core {
	c := &core{
		base: base, startedAt: startedAt, claims: claims, told: make(chan struct{}), drained: make(chan struct{}, 1), rowTried: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.view.Store(&Live{Impersonation: row, c: c, until: until})
	c.persisted = row.LastSeen.Sub(base)
	c.lastSeen.Store(int64(c.persisted))
	return c
}

// Context is cancelled when the impersonation ends, with the *[Ended] as its cause: what is under way is cut by it.
func (l *Live) Context() context.Context { return l.c.ctx }

// Ended is how it ended; nil while it has not.
func (l *Live) Ended() *Ended { return l.c.ended.Load() }

// Live tells whether it has not ended.
func (l *Live) Live() bool { return l.c.ended.Load() == nil }

// Target is the target's account as of the last decision; nil before the first.
func (l *Live) Target() *directory.User {
	if v := l.c.verdict.Load(); v != nil {
		return v.target
	}
	return nil
}

// Touch notes a request at now: the idle time starts over. No I/O; the store learns of it within ten seconds.
func (l *Live) Touch(now time.Time) {
	seen := int64(now.Sub(l.c.base))
	for {
		old := l.c.lastSeen.Load()
		if seen <= old || l.c.lastSeen.CompareAndSwap(old, seen) {
			return
		}
	}
}

// Remaining is the time left until it expires, whether or not it is used; 0 when it has ended.
func (l *Live) Remaining(now time.Time) time.Duration {
	if !l.Live() {
		return 0
	}
	return max(0, l.c.view.Load().until-now.Sub(l.c.base))
}

// Enter counts a request as under way, until Leave; false when the impersonation has ended, and the request must not
// be made in its name. The event of the end is written when all have left, or a moment later, so that its count
// covers them.
func (l *Live) Enter() bool {
	l.c.inFlight.Add(1)
	if l.c.ended.Load() != nil { // in this order: end looks at inFlight after it set ended
		l.Leave()
		return false
	}
	return true
}

// Leave ends what Enter began, once the request's outcome is handed to the audit.
func (l *Live) Leave() {
	if l.c.inFlight.Add(-1) == 0 && l.c.ended.Load() != nil {
		select {
		case l.c.drained <- struct{}{}:
		default:
		}
	}
}

// due is why it is over by the clock, and since when; empty: it is not.
func (c *core) due(now time.Time) (cause string, after time.Duration) {
	l, since := c.view.Load(), now.Sub(c.base)
	cause, after = CauseExpired, l.until
	if l.Idle > 0 {
		if idle := time.Duration(c.lastSeen.Load()) + l.Idle; idle < after {
			cause, after = CauseIdle, idle
		}
	}
	if since < after {
		return "", after
	}
	return cause, after
}

// dueEnd is the end that is due at now; nil: none.
func (c *core) dueEnd(now time.Time) *Ended {
	cause, after := c.due(now)
	if cause == "" {
		return nil
	}
	return &Ended{Cause: cause, At: stored(c.base.Add(after))}
}

// row is the state as it is now, for the store and for lists.
func (c *core) row() state.Impersonation {
	i := c.view.Load().Impersonation
	i.LastSeen = stored(c.base.Add(time.Duration(c.lastSeen.Load())))
	if e := c.ended.Load(); e != nil {
		i.EndedAt, i.EndCause, i.EndedBy, i.EndRecorded = e.At, e.Cause, e.By, c.recorded.Load()
	}
	return i
}

// stored is a time as the store keeps it.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
