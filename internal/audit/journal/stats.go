package journal

import "time"

// SyncBounds are the upper bounds of the histogram of fsync times; the last bucket has none.
var SyncBounds = [...]time.Duration{
	100 * time.Microsecond, 300 * time.Microsecond, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond,
	30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second,
}

// Stats are counts since Open, and sizes now.
type Stats struct {
	Bytes    int64 // of all segments, with the space reserved
	Segments int
	Records  uint64 // made durable
	Written  uint64 // bytes
	Commits  uint64
	SyncTime time.Duration // spent in all commits' fsync
	// Syncs counts them by duration: Syncs[i] those up to SyncBounds[i] and over the one before.
	Syncs    [len(SyncBounds) + 1]uint64
	Refused  uint64 // appends
	Failures uint64 // times the journal began to refuse
}

func (s *Stats) observe(took time.Duration) {
	s.SyncTime += took
	i := 0
	for i < len(SyncBounds) && took > SyncBounds[i] {
		i++
	}
	s.Syncs[i]++
}

// Stats is a copy of the counts.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Segments = len(j.segments)
	for _, segment := range j.segments {
		s.Bytes += segment.size
	}
	return s
}

// bytes is the size of all segments.
func (j *Journal) bytes() int64 { return j.Stats().Bytes }
