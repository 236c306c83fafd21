package journal

import (
	"bytes"
	"time"
)

// What tests of the package see beside what is exported.
const (
	LingerTime    = lingerTime
	SyncTime      = syncTime
	ProbeTime     = probeTime
	DataStart     = dataStart
	TempSuffix    = tempSuffix
	DamagedSuffix = damagedSuffix
	SegmentSuffix = segmentSuffix
	HeaderCopyAt  = headerCopyAt
)

// SegmentName is the name of a segment's file.
var SegmentName = segmentName

// SetStallTime is for before the first append.
func (j *Journal) SetStallTime(d time.Duration) { j.stall = d }

// Idle tells whether the committer waits.
func (j *Journal) Idle() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.idle
}

// RecordAt is a record and where it lies in its segment.
type RecordAt struct {
	Record
	From, To int64
}

// Records lists the records of an undamaged segment.
func Records(content []byte) ([]RecordAt, error) {
	h, err := decodeHeader(content)
	if err != nil {
		return nil, err
	}
	var list []RecordAt
	scan := newScanner(&h, bytes.NewReader(content), dataStart, int64(len(content)))
	for {
		rec, _, err := scan.next()
		if err != nil {
			return list, nil
		}
		rec.Payload = bytes.Clone(rec.Payload)
		list = append(list, RecordAt{rec, scan.at, scan.off})
	}
}
