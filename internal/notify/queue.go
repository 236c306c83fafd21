package notify

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// ErrFull is returned while so many deliveries wait that no more are taken: a notifier has not worked for long.
var ErrFull = errors.New("too many notices are waiting to be delivered")

// MaxQueued is how many deliveries may wait.
const MaxQueued = 100_000

// Outcome is what became of a delivery.
type Outcome struct {
	Via string
	// Message is nil when what was queued can't be read.
	Message  *Message
	Delivery string // its id
	To       Recipient
	Attempts int
	Sent     bool
	Error    string // why it was given up; empty when it was sent
}

// Options are what a Queue works with. Store and Report are required.
type Options struct {
	Store state.Store
	Clock clock.Clock  // default: the system's
	Log   *slog.Logger // default: nobody
	Rand  io.Reader    // default: crypto/rand
	// Report is told of each delivery that was made or given up, once it is; after an error it is told again.
	Report func(ctx context.Context, o Outcome) error
}

// Queue keeps messages until they are delivered. It outlives configurations: each gives it its notifiers by
// [Queue.Use]. Safe for concurrent use.
type Queue struct {
	store  state.Store
	clock  clock.Clock
	log    *slog.Logger
	rand   io.Reader
	report func(context.Context, Outcome) error

	cur    atomic.Pointer[[]Notifier]
	queued atomic.Int64

	mu      sync.Mutex
	workers map[string]*worker // by the notifier's name
	closed  bool
	wg      sync.WaitGroup
	ctx     context.Context //nolint:containedctx // ends the workers
	cancel  context.CancelFunc
}

// NewQueue makes a queue of what the store holds. Nothing is delivered before the first [Queue.Use]; Close it when done.
func NewQueue(ctx context.Context, o Options) (*Queue, error) {
	q := &Queue{store: o.Store, clock: o.Clock, log: o.Log, rand: o.Rand, report: o.Report, workers: make(map[string]*worker)}
	if q.clock == nil {
		q.clock = clock.System
	}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	if q.rand == nil {
		q.rand = rand.Reader
	}
	counts, err := q.store.CountNotices(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the queue of notices: %w", err)
	}
	for _, n := range counts {
		q.queued.Add(int64(n))
	}
	q.cur.Store(new([]Notifier))
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q, nil
}

// Use has these notifiers carry what is queued from now on, and what waits under their names. What waits for one that
// is not among them is given up.
func (q *Queue) Use(ctx context.Context, notifiers []Notifier) error {
	names := make(map[string]Notifier, len(notifiers))
	for _, n := range notifiers {
		if names[n.Name()] != nil {
			return fmt.Errorf("notify: there are two of the name %s", n.Name())
		}
		names[n.Name()] = n
	}
	counts, err := q.store.CountNotices(ctx)
	if err != nil {
		return fmt.Errorf("looking for notices that wait: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errors.New("the queue of notices is closed")
	}
	q.cur.Store(&notifiers)
	for name := range counts {
		if names[name] == nil {
			q.work(name, gone{name})
		}
	}
	for name, w := range q.workers {
		if names[name] == nil {
			w.use(gone{name})
		}
	}
	for name, n := range names {
		q.work(name, n)
	}
	return nil
}

// work has n carry what is queued under the name; with mu held.
func (q *Queue) work(name string, n Notifier) {
	w := q.workers[name]
	if w == nil {
		w = newWorker(q, name)
		q.workers[name] = w
		q.wg.Go(w.run)
	}
	w.use(n)
}

// gone stands for a notifier that is not configured any more.
type gone struct{ name string }

func (g gone) Name() string               { return g.name }
func (gone) Carries(*Message) []Recipient { return nil }
func (gone) Deliver(context.Context, *Delivery) error {
	return fmt.Errorf("%w: this notifier is not in the configuration any more", ErrPermanent)
}

// Reaches tells whether a delivery of the message would be made to the person, or by a notifier for all.
func (q *Queue) Reaches(m *Message, username string) bool {
	for _, n := range *q.cur.Load() {
		for _, to := range n.Carries(m) {
			if to.Username == "" || strings.EqualFold(to.Username, username) {
				return true
			}
		}
	}
	return false
}

// Put queues a message. Nil: it is durable, or no notifier carries it. It does not wait for a delivery.
func (q *Queue) Put(ctx context.Context, m *Message) error {
	notices, err := q.Prepare(ctx, m)
	if err != nil || len(notices) == 0 {
		return err
	}
	if err := q.store.PutNotices(ctx, notices...); err != nil {
		return fmt.Errorf("queueing a notice: %w", err)
	}
	q.Wake()
	return nil
}

// Prepare makes the deliveries of a message without queueing them, for a caller that stores them with what they tell
// of; [Queue.Wake] then.
func (q *Queue) Prepare(ctx context.Context, m *Message) ([]*state.Notice, error) {
	if m.ID == "" {
		id, err := q.newID()
		if err != nil {
			return nil, err
		}
		m.ID = id
	}
	if m.At.IsZero() {
		m.At = q.clock.Now()
	}
	var notices []*state.Notice
	now := q.clock.Now().UTC()
	for _, n := range *q.cur.Load() {
		for _, to := range n.Carries(m) {
			to.Lang = q.language(ctx, &to)
			body, err := json.Marshal(queued{m, to})
			if err != nil {
				return nil, fmt.Errorf("encoding a notice: %w", err)
			}
			id := m.ID + "." + n.Name()
			if to.Username != "" {
				id += "." + to.Username
			}
			notices = append(notices, &state.Notice{ID: id, Via: n.Name(), Body: body, CreatedAt: now, DueAt: now})
		}
	}
	if len(notices) > 0 && q.queued.Load()+int64(len(notices)) > MaxQueued {
		return nil, ErrFull
	}
	return notices, nil
}

// queued is a delivery as the store keeps it.
type queued struct {
	Message *Message  `json:"message"`
	To      Recipient `json:"to"`
}

// language is what the person reads: what was noted of them, else the default.
func (q *Queue) language(ctx context.Context, to *Recipient) string {
	if to.Lang != "" || to.Username == "" {
		return to.Lang
	}
	l, err := q.store.Language(ctx, strings.ToLower(strings.TrimSpace(to.Username)))
	if err != nil {
		return lang.Default
	}
	return l
}

func (q *Queue) newID() (string, error) {
	var b [12]byte
	if _, err := io.ReadFull(q.rand, b[:]); err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return "msg_" + hex.EncodeToString(b[:]), nil
}

// Wake has the workers look for what is due.
func (q *Queue) Wake() {
	q.recount()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.workers {
		w.poke()
	}
}

// Queued is how many deliveries wait, as far as is known.
func (q *Queue) Queued() int64 { return q.queued.Load() }

// recount asks the store how many wait.
func (q *Queue) recount() {
	counts, err := q.store.CountNotices(q.ctx)
	if err != nil {
		return // asked again soon
	}
	total := int64(0)
	for _, n := range counts {
		total += int64(n)
	}
	q.queued.Store(total)
}

// Close stops delivering; what is under way is cut off when ctx ends. What waits stays in the store.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	for _, w := range q.workers {
		w.stop()
	}
	q.mu.Unlock()
	done := make(chan struct{})
	go func() {
		q.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		q.cancel()
		return nil
	case <-ctx.Done():
		q.cancel() // what hangs is let go of; the store has it
		return fmt.Errorf("closing the queue of notices: %w", ctx.Err())
	}
}
