package audit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ShipOptions say how rows are sent. The zero value is the default.
type ShipOptions struct {
	BatchRows int           // at most; default 10,000
	BatchTime time.Duration // a batch is sent this long after its first row, if not full before; default 1 s
	Timeout   time.Duration // of one try; default 30 s
	// MaxBackoff bounds the wait between tries, default 30 s. It begins at 250 ms and doubles; the wait itself is
	// random below it, so that gateways do not come back at once.
	MaxBackoff time.Duration
	// Jitter picks the wait below a bound; tests replace it.
	Jitter func(bound time.Duration) time.Duration
}

const minBackoff = 250 * time.Millisecond

func (o *ShipOptions) setDefaults() {
	if o.BatchRows <= 0 {
		o.BatchRows = 10_000
	}
	if o.BatchTime <= 0 {
		o.BatchTime = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = 30 * time.Second
	}
	if o.Jitter == nil {
		o.Jitter = func(bound time.Duration) time.Duration { return rand.N(bound) + 1 }
	}
}

// Resumer is a Sink that knows by itself how far it is. It is asked when the position kept beside the journal is
// missing or damaged.
type Resumer interface {
	// LastSeq is the Seq of the last row of a log that the sink has; 0: none.
	LastSeq(ctx context.Context, logID string) (uint64, error)
}

// SinkStatus is how one sink is doing.
type SinkStatus struct {
	Name       string
	ShippedSeq uint64 // of the last row it has
	Backlog    uint64 // rows of the log that it has not
	// Oldest is when the first row of the batch at hand was made; zero when it has all.
	Oldest   time.Time
	Rows     uint64 // sent since the start
	Batches  uint64
	Failures uint64 // tries
	SetAside uint64 // batches it refused for good
	Lost     uint64 // records of the journal that were damaged before they were sent
	// Err is why it takes nothing now, and Since when that began; nil when all is well.
	Err   error
	Since time.Time
}

// shippers are the sinks, or the witnesses, in force.
type shippers struct {
	mu   sync.Mutex
	list []*shipper
	now  atomic.Pointer[[]*shipper]
}

// use replaces them, once those before are stopped.
func (ss *shippers) use(list []*shipper) {
	for _, s := range list {
		s.start()
	}
	ss.list = list
	now := slices.Clone(list)
	ss.now.Store(&now)
}

// UseSinks sets the sinks that get the log, replacing those before: these are stopped, and closed, first. A sink goes
// on where one of its name was. What lies in the journal is kept until every one of them has it; until the first call
// everything is. The Recorder closes the sinks.
func (r *Recorder) UseSinks(ctx context.Context, o ShipOptions, sinks ...Sink) error {
	o.setDefaults()
	r.sinks.mu.Lock()
	defer r.sinks.mu.Unlock()
	for i, sink := range sinks {
		if slices.ContainsFunc(sinks[:i], func(s Sink) bool { return fileName(s.Name()) == fileName(sink.Name()) }) {
			return fmt.Errorf("two sinks are called %s", sink.Name())
		}
	}
	r.sinks.stop(ctx, false)
	var list []*shipper
	for _, sink := range sinks {
		list = append(list, r.newShipper(sink, o))
	}
	r.sinks.use(list)
	return nil
}

// stop stops all; with drain it gives them until ctx ends to send what there is.
func (ss *shippers) stop(ctx context.Context, drain bool) {
	if !drain {
		// Those that come next may want what these have: nothing is deleted any more.
		ss.now.Store(nil)
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		ctx = stopped
	}
	defer ss.now.Store(nil)
	var wg sync.WaitGroup
	for _, s := range ss.list {
		wg.Go(func() { s.stop(ctx) })
	}
	wg.Wait()
	ss.list = nil
}

func (ss *shippers) close(ctx context.Context) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.stop(ctx, true)
}

// committed is called after each commit: who waits for a full batch is told when it may be.
func (ss *shippers) committed(last uint64) {
	list := ss.now.Load()
	if list == nil {
		return
	}
	for _, s := range *list {
		if want := s.want.Load(); want != 0 && last >= want {
			select {
			case s.nudge <- struct{}{}:
			default:
			}
		}
	}
}

func (ss *shippers) status(last uint64) []SinkStatus {
	list := ss.now.Load()
	if list == nil {
		return nil
	}
	var all []SinkStatus
	for _, s := range *list {
		s.mu.Lock()
		status := s.status
		s.mu.Unlock()
		status.Backlog = last - min(status.ShippedSeq, last)
		all = append(all, status)
	}
	return all
}

// least is the first segment that one of them is not past.
func (ss *shippers) least() (segment uint64, ok bool) {
	list := ss.now.Load()
	if list == nil {
		return 0, false
	}
	segment = ^uint64(0)
	for _, s := range *list {
		s.mu.Lock()
		segment = min(segment, s.pos.At.Segment)
		s.mu.Unlock()
	}
	return segment, segment != ^uint64(0)
}

// trim deletes the segments that every sink and every witness is past; and of those that witnesses are not past the
// oldest, when they are too much.
func (r *Recorder) trim() {
	least, ok := r.sinks.least()
	if !ok || r.replacing.Load() {
		return
	}
	keep := least
	if w, ok := r.witnesses.least(); ok {
		keep = min(keep, w)
	}
	err := r.journal.DeleteBefore(keep)
	for keep = max(keep, r.journal.Oldest()); err == nil && keep < least && r.journal.Stats().Bytes > r.patience; keep++ {
		err = r.journal.DeleteBefore(keep + 1)
	}
	if err != nil {
		r.log.Warn("a segment that every sink has can't be deleted", "error", err)
	}
}
