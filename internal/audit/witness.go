package audit

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Witness is where checkpoints go beside the sinks: a place that whoever can write to these can't reach. What is cut off a
// log together with its checkpoints is found with those the witness has.
//
// Each gets the checkpoints of a log in order of their size, once they are on disk. They wait in the journal for it as
// long as that is below a quarter of its limit; then the oldest go, and the next that the witness gets covers their rows.
type Witness interface {
	// Name is for logs, metrics, and the file that says how far it is. It must hold no secret.
	Name() string
	// Publish returns once the witness has the checkpoint. After an error or a crash it may get one a second time.
	Publish(ctx context.Context, c *Checkpoint) error
	Close() error
}

// witnessGrace is how long witnesses are waited for at Close: what they have not got they get after the next start.
const witnessGrace = 3 * time.Second

// UseWitnesses sets the witnesses that get the log's checkpoints, as [Recorder.UseSinks] sets the sinks. Call it before
// that, so that nothing is deleted that they have not got.
func (r *Recorder) UseWitnesses(ctx context.Context, o ShipOptions, witnesses ...Witness) error {
	o.setDefaults()
	r.witnesses.mu.Lock()
	defer r.witnesses.mu.Unlock()
	for i, w := range witnesses {
		if slices.ContainsFunc(witnesses[:i], func(other Witness) bool { return fileName(other.Name()) == fileName(w.Name()) }) {
			return fmt.Errorf("two witnesses are called %s", w.Name())
		}
	}
	r.replacing.Store(true)
	defer r.replacing.Store(false)
	r.witnesses.stop(ctx, false)
	var list []*shipper
	for _, w := range witnesses {
		s := r.newShipper(&witnessSink{Witness: w}, o)
		s.notes, s.file = true, positionFile(r.dir, "witness-"+w.Name())
		s.log = r.log.With("witness", w.Name())
		list = append(list, s)
	}
	r.witnesses.use(list)
	return nil
}

func (r *Recorder) closeWitnesses(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, witnessGrace)
	defer cancel()
	r.witnesses.close(ctx)
}

// witnessSink is a witness as shippers take it.
type witnessSink struct {
	Witness
	size uint64 // of the last that was published
}

func (w *witnessSink) Check(context.Context) error { return nil }

func (w *witnessSink) Write(ctx context.Context, b *Batch) error {
	for _, c := range b.Checkpoints {
		if c.Size <= w.size {
			continue // published by a try that broke off behind it
		}
		if err := w.Publish(ctx, c); err != nil {
			return fmt.Errorf("publishing checkpoint %d: %w", c.Size, err)
		}
		w.size = c.Size
	}
	return nil
}
