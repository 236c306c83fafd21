package journal

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// Position is a place between two records. The zero Position is the oldest there is.
type Position struct {
	Segment uint64 `json:"segment"`
	Offset  int64  `json:"offset"`
}

// ErrGone is returned for a position that the journal does not reach back to, or forward to.
var ErrGone = errors.New("the journal does not hold this position")

// Reader reads durable records in order, from one position on. It is not safe for concurrent use.
type Reader struct {
	j      *Journal
	s      *segment
	f      File
	scan   *scanner
	expect uint64 // sequence of the next record; 0: unknown
}

// NewReader starts reading at a position that an earlier Reader told.
func (j *Journal) NewReader(at Position) (*Reader, error) {
	j.mu.Lock()
	var s *segment
	for _, have := range j.segments {
		if have.number == at.Segment || at == (Position{}) {
			s = have
			break
		}
	}
	none := len(j.segments) == 0
	j.mu.Unlock()
	r := &Reader{j: j}
	if s == nil && none && at == (Position{}) {
		return r, nil
	}
	if s == nil {
		return nil, fmt.Errorf("%w: segment %d", ErrGone, at.Segment)
	}
	if at == (Position{}) {
		at.Offset = dataStart
	}
	if err := r.open(s, at.Offset); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader) open(s *segment, offset int64) error {
	f, err := r.j.o.FS.Open(s.name)
	if err != nil {
		return fmt.Errorf("reading journal: %w", err)
	}
	r.Close()
	r.s, r.f = s, f
	r.scan = newScanner(&s.header, f, max(offset, dataStart), 0)
	r.expect = 0
	if offset <= dataStart {
		r.expect = s.firstSeq
	}
	return nil
}

// Position is where the next record begins.
func (r *Reader) Position() Position {
	if r.s == nil {
		return Position{}
	}
	return Position{r.s.number, r.scan.off}
}

// Next is the next durable record; io.EOF when there is none yet. A [*Damage] error tells of records that can't be
// read: the call after it goes on behind them.
func (r *Reader) Next() (Record, error) {
	for {
		end, next, err := r.look()
		if err != nil {
			return Record{}, err
		}
		superseded := uint64(math.MaxUint64)
		if next != nil {
			superseded = next.firstSeq
		}
		r.scan.end = end
		at := r.scan.off
		rec, gap, err := r.scan.next()
		if err == nil && rec.Seq < superseded {
			missing := r.expect != 0 && rec.Seq != r.expect
			if gap > 0 || missing {
				lost := rec.Seq - min(r.expect, rec.Seq)
				if r.expect == 0 {
					lost = 1
				}
				r.expect = rec.Seq
				r.scan.off = r.scan.at
				return Record{}, &Damage{r.s.name, r.scan.gap, gap, lost, true}
			}
			r.expect = rec.Seq + 1
			return rec, nil
		}
		if next == nil {
			if r.scan.off < end {
				// All up to end was durable once.
				r.scan.off = end
				return Record{}, &Damage{r.s.name, at, end - at, 1, true}
			}
			return Record{}, io.EOF
		}
		expect := r.expect
		name := r.s.name
		if err := r.open(next, dataStart); err != nil {
			return Record{}, err
		}
		if expect != 0 && expect < superseded {
			return Record{}, &Damage{name, at, end - at, superseded - expect, true}
		}
	}
}

// look is the durable end of the segment at hand, and the segment after it.
func (r *Reader) look() (end int64, next *segment, err error) {
	r.j.mu.Lock()
	segments := r.j.segments
	i := 0
	for i < len(segments) && r.s != nil && segments[i].number <= r.s.number {
		i++
	}
	if i < len(segments) {
		next = segments[i]
	}
	if r.s != nil {
		end = r.s.end
	}
	r.j.mu.Unlock()
	if r.s != nil {
		return end, next, nil
	}
	// The journal had no segment yet.
	if next == nil {
		return 0, nil, io.EOF
	}
	if err := r.open(next, dataStart); err != nil {
		return 0, nil, err
	}
	return r.look()
}

// Close lets go of the file.
func (r *Reader) Close() {
	if r.f != nil {
		r.f.Close()
		r.f = nil
	}
}
