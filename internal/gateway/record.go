package gateway

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
)

// durableWithin bounds how long a request waits for the journal: a stalled disk must not hold everyone for ever.
const durableWithin = 5 * time.Second

// record is one request's line in the audit: its intent, and the outcome as it becomes known.
type record struct {
	row    audit.Request
	intent *audit.Intent
	err    error // why there is no intent
	start  time.Time
	clock  clock.Clock
	body   *countingBody
	up     atomic.Int64 // bytes that came by a tunnel

	result  audit.Outcome
	decided bool
	onDisk  bool
}

// durable waits until the intent is on disk; false when it is not to be had. That the browser goes away does not cut it
// short. Own-account records never wait.
func (c *record) durable() bool {
	if c.onDisk || c.err != nil {
		return c.onDisk
	}
	ctx := waiting{Context: context.Background()}
	c.err = c.intent.Durable(&ctx)
	ctx.stop()
	c.onDisk = c.err == nil
	return c.onDisk
}

// waiting is a context that ends after durableWithin. It costs nothing until somebody waits for its end: most intents
// are on disk by the time the app has answered.
type waiting struct {
	context.Context //nolint:containedctx // it is one

	timer *time.Timer
	done  chan struct{}
}

func (w *waiting) Done() <-chan struct{} {
	if w.done == nil {
		done := make(chan struct{})
		w.done, w.timer = done, time.AfterFunc(durableWithin, func() { close(done) })
	}
	return w.done
}

func (w *waiting) Err() error {
	select {
	case <-w.done: // nil: nobody waited
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func (w *waiting) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (c *record) outcome(status int, outcome string) {
	c.result.Status, c.result.Outcome, c.decided = status, outcome, true
}

func (c *record) refused(status int, refusal string) {
	c.outcome(status, audit.OutcomeRefused)
	c.result.Refusal = refusal
}

// severed: it was cut because the impersonation ended, for that cause.
func (c *record) severed(status int, cause string) {
	c.outcome(status, audit.OutcomeSevered)
	c.result.Refusal = cause
}

// aborted: the answer broke off; by the browser when it is gone, else by the app.
func (c *record) aborted(r *http.Request, status int) {
	if r.Context().Err() != nil {
		c.outcome(status, audit.OutcomeAborted)
	} else {
		c.outcome(status, audit.OutcomeFailed)
	}
}

// answered: the handler returned; an error is still to be answered by the server around us.
func (c *record) answered(r *http.Request, status int, err error, statusOf func(error) int) {
	switch {
	case c.decided:
	case err != nil && r.Context().Err() != nil:
		c.outcome(statusOf(err), audit.OutcomeAborted)
	case err != nil:
		c.outcome(statusOf(err), audit.OutcomeFailed)
	default:
		if status == 0 {
			status = http.StatusOK // net/http writes it when a handler writes nothing
		}
		c.outcome(status, audit.OutcomeCompleted)
	}
}

// finish writes the outcome, whatever happened; without one decided, the handler panicked. A record that the journal
// did not take has none.
func (c *record) finish() {
	if c.intent == nil {
		return
	}
	if !c.decided {
		c.outcome(c.result.Status, audit.OutcomeFailed)
	}
	c.result.Duration = c.clock.Now().Sub(c.start)
	c.result.RequestBytes = c.row.RequestBytes
	if c.body != nil && (!c.body.announced || c.brokeOff()) {
		c.result.RequestBytes = c.body.n.Load()
	}
	c.result.RequestBytes += c.up.Load()
	if c.body != nil && c.body.fields != nil && c.result.Outcome != audit.OutcomeRefused { // what was refused changed nothing
		c.result.Fields = c.body.fields.String()
	}
	c.intent.Done(c.result)
}

// brokeOff tells whether less may have come of the request than was announced.
func (c *record) brokeOff() bool {
	switch c.result.Outcome {
	case audit.OutcomeSevered, audit.OutcomeAborted, audit.OutcomeFailed:
		return true
	}
	return false
}
