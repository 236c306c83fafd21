package gateway

import (
	"context"
	"io"
	"net/http"
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

	result  audit.Outcome
	decided bool
}

// durable waits until the intent is on disk; false when it is not to be had. On an own-account record it must not
// be called: those never wait.
func (c *record) durable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), durableWithin)
	defer cancel()
	if c.err == nil {
		c.err = c.intent.Durable(ctx)
	}
	return c.err == nil
}

func (c *record) outcome(status int, outcome string) {
	c.result.Status, c.result.Outcome, c.decided = status, outcome, true
}

func (c *record) refused(status int, refusal string) {
	c.outcome(status, audit.OutcomeRefused)
	c.result.Refusal = refusal
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

// finish writes the outcome, whatever happened; without one decided, the handler panicked.
func (c *record) finish() {
	if c.err != nil && c.intent == nil {
		return
	}
	if !c.decided {
		c.outcome(c.result.Status, audit.OutcomeFailed)
	}
	c.result.Duration = c.clock.Now().Sub(c.start)
	c.result.RequestBytes = c.row.RequestBytes
	if c.body != nil {
		c.result.RequestBytes = c.body.n
	}
	c.intent.Done(c.result)
}

// countingBody counts a body whose length was not announced.
type countingBody struct {
	io.ReadCloser
	n int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}
