package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	// atOnce is how many deliveries one notifier makes at a time.
	atOnce = 4
	// tryWithin bounds one try; lease is how long a delivery is taken for, so that a crash delays it by that at most. It is
	// longer than a try takes, its report and its removal.
	tryWithin = 30 * time.Second
	lease     = time.Minute
	// Pauses between tries double from the first to the most.
	pauseFirst = 5 * time.Second
	pauseMost  = time.Hour
	// GiveUpAfter is for how long a delivery is tried.
	GiveUpAfter = 72 * time.Hour
	// lookAgain is when the store is asked again after it failed, or another process may have queued something.
	lookAgain   = 30 * time.Second
	reportMost  = 10 * time.Second
	maxErrorLen = 500
)

// worker carries what is queued for one notifier.
type worker struct {
	q    *Queue
	name string
	to   atomic.Pointer[Notifier]
	wake chan struct{}
	over chan struct{}
	once sync.Once
}

func newWorker(q *Queue, name string) *worker {
	return &worker{q: q, name: name, wake: make(chan struct{}, 1), over: make(chan struct{})}
}

func (w *worker) use(n Notifier) {
	w.to.Store(&n)
	w.poke()
}

func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) stop() { w.once.Do(func() { close(w.over) }) }

func (w *worker) stopped() bool {
	select {
	case <-w.over:
		return true
	default:
		return false
	}
}

func (w *worker) run() {
	for !w.stopped() {
		now := w.q.clock.Now()
		claimed, next, err := w.q.store.ClaimNotices(w.q.ctx, w.name, now, now.Add(lease), atOnce)
		if err != nil {
			if w.q.ctx.Err() != nil {
				return
			}
			w.q.log.Error("notices that wait can't be read", "via", w.name, "error", err)
			next = now.Add(lookAgain)
		}
		if len(claimed) > 0 {
			var wg sync.WaitGroup
			for _, n := range claimed {
				wg.Go(func() { w.deliver(n) })
			}
			wg.Wait()
			continue
		}
		w.wait(next.Sub(w.q.clock.Now()), !next.IsZero()) // which has gone on meanwhile
	}
}

// wait until something is queued or due.
func (w *worker) wait(d time.Duration, due bool) {
	if due {
		t := w.q.clock.AfterFunc(max(d, 0), w.poke)
		defer t.Stop()
	}
	select {
	case <-w.wake:
	case <-w.over:
	}
}

// deliver makes one try, and writes down what came of it.
func (w *worker) deliver(n *state.Notice) {
	var body queued
	if err := json.Unmarshal(n.Body, &body); err != nil || body.Message == nil {
		w.settle(n, Outcome{Via: w.name, Delivery: n.ID, Attempts: n.Attempts, Error: "what was queued can't be read"})
		return
	}
	o := Outcome{Via: w.name, Message: body.Message, Delivery: n.ID, To: body.To, Attempts: n.Attempts, Sent: true}
	if n.Sent { // but that could not be recorded
		w.settle(n, o)
		return
	}
	now := w.q.clock.Now()
	if e := body.Message.Expires; !e.IsZero() && !now.Before(e) {
		o.Sent, o.Error = false, "too late: "+orNothing(n.Error)
		w.settle(n, o)
		return
	}
	n.Attempts++
	o.Attempts = n.Attempts
	err := w.try(&Delivery{ID: n.ID, Attempt: n.Attempts, Message: body.Message, To: body.To})
	switch {
	case err == nil:
		w.settle(n, o)
	case w.q.ctx.Err() != nil: // closing: not the notifier's fault
		n.Attempts--
		n.DueAt = now
		w.update(n)
	case errors.Is(err, ErrPermanent), now.Sub(n.CreatedAt) >= GiveUpAfter:
		o.Sent, o.Error = false, Line(err.Error(), maxErrorLen)
		w.settle(n, o)
	default:
		n.Error = Line(err.Error(), maxErrorLen)
		pause := backOff(n.Attempts)
		n.DueAt = w.q.clock.Now().Add(pause)
		w.q.log.Warn("a notice could not be delivered; it is tried again", "via", w.name, "kind", body.Message.Kind, "to", body.To.Username,
			"attempts", n.Attempts, "retry_in", pause, "error", err)
		w.update(n)
	}
}

func (w *worker) try(d *Delivery) (err error) {
	ctx, cancel := context.WithTimeout(w.q.ctx, tryWithin)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // a notifier may be anybody's
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return (*w.to.Load()).Deliver(ctx, d)
}

// settle reports what became of a delivery, and removes it. While it can't be reported it stays, marked.
func (w *worker) settle(n *state.Notice, o Outcome) {
	if !o.Sent {
		w.q.log.Error("a notice was given up", "via", w.name, "delivery", n.ID, "to", o.To.Username, "attempts", n.Attempts, "error", o.Error)
	}
	ctx, cancel := context.WithTimeout(w.q.ctx, reportMost)
	defer cancel()
	if err := w.q.report(ctx, o); err != nil {
		n.Sent, n.DueAt = o.Sent, w.q.clock.Now().Add(lookAgain)
		w.q.log.Error("what became of a notice can't be recorded", "via", w.name, "delivery", n.ID, "sent", o.Sent, "error", err)
		w.update(n)
		return
	}
	if err := w.q.store.DeleteNotice(ctx, n.ID); err != nil {
		n.Sent = o.Sent
		w.q.log.Error("a notice that is done with can't be removed; it is recorded once more", "via", w.name, "delivery", n.ID, "error", err)
		return
	}
	w.q.queued.Add(-1)
}

// update writes down how far a delivery is. What can't be written stays taken until its lease is over.
func (w *worker) update(n *state.Notice) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.q.ctx), reportMost)
	defer cancel()
	if err := w.q.store.UpdateNotice(ctx, n); err != nil {
		w.q.log.Error("how far a notice is can't be stored", "via", w.name, "delivery", n.ID, "error", err)
	}
}

// backOff is the pause after so many tries: doubling, and up to a quarter longer or shorter, so that what failed at the
// same time is not tried again at the same time.
func backOff(attempts int) time.Duration {
	d := pauseFirst << min(attempts-1, 20)
	d = min(d, pauseMost)
	return d - d/4 + time.Duration(rand.Int64N(int64(d)/2+1)) //nolint:gosec // jitter is no secret
}

func orNothing(s string) string {
	if s == "" {
		return "it was not tried"
	}
	return s
}
