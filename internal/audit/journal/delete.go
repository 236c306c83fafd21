package journal

import (
	"fmt"
	"slices"
)

// Oldest is the number of the oldest segment; 0: there is none.
func (j *Journal) Oldest() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) == 0 {
		return 0
	}
	return j.segments[0].number
}

// DeleteBefore removes the segments before the one with this number, never the current one. The caller has no use for
// their records any more.
func (j *Journal) DeleteBefore(number uint64) error {
	j.deleting.Lock()
	defer j.deleting.Unlock()
	j.mu.Lock()
	n := 0
	for n < len(j.segments)-1 && j.segments[n].number < number {
		n++
	}
	gone := slices.Clone(j.segments[:n])
	j.mu.Unlock()
	for _, s := range gone {
		if err := j.o.FS.Remove(s.name); err != nil {
			return fmt.Errorf("deleting shipped segment: %w", err)
		}
		j.mu.Lock()
		j.segments = j.segments[1:]
		retry := j.failed != nil && !j.closing
		j.mu.Unlock()
		if retry {
			j.due(&j.probeDue)
		}
	}
	return nil
}
