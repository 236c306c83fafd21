package journal

import (
	"errors"
	"fmt"
	"syscall"
)

// fail makes the journal refuse appends until a new segment could be started. Whoever waits is told now; what was
// accepted is kept, to be the first thing in the new segment.
func (j *Journal) fail(err error) {
	j.mu.Lock()
	first := j.failed == nil
	j.failed = fmt.Errorf("writing journal: %w", err)
	err = j.failed
	if j.pending.n > 0 || j.pending.sync {
		j.unsynced = append(j.unsynced, j.pending)
		j.pending = newBatch(nil)
	}
	for _, b := range j.unsynced {
		if b.err == nil {
			b.err = err
			close(b.done)
		}
	}
	if first {
		j.stats.Failures++
	}
	j.mu.Unlock()
	if first {
		j.o.Log.Error("the journal can't be written: requests that must be recorded are refused until it can",
			"journal", j.o.Dir, "error", err)
	}
	j.o.Clock.AfterFunc(probeTime, func() { j.due(&j.probeDue) })
}

// probe tries to go on in a new segment.
func (j *Journal) probe() {
	j.begin()
	err := j.newSegment()
	j.busy.Store(nil)
	if err != nil {
		j.fail(err)
		return
	}
	j.mu.Lock()
	j.failed = nil
	j.mu.Unlock()
	j.o.Log.Info("the journal can be written again", "journal", j.o.Dir)
	j.o.OnHealthy()
}

// finish ends the committer when all is durable, or can't be made so.
func (j *Journal) finish() bool {
	j.mu.Lock()
	left := j.failed == nil && (j.pending.n > 0 || j.pending.sync || len(j.unsynced) > 0)
	j.mu.Unlock()
	if left {
		return false
	}
	j.leaveCurrent()
	return true
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
