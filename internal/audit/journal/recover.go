package journal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Recovery is what Open found.
type Recovery struct {
	Segments int
	Records  int // replayed
	// TornBytes were cut off the end of the newest segment: a write that the crash interrupted. No record in them was
	// acknowledged.
	TornBytes int64
	// Damage are places in the middle that are no valid records, though valid ones follow. Those were kept.
	Damage []Damage
	// Quarantined are segments whose header can't be read; they were renamed so.
	Quarantined []string
}

// Damage is a place in a segment that is no valid record, though there was or must have been one.
type Damage struct {
	File   string
	Offset int64
	Bytes  int64
	// Records is how many are missing, as their numbers say.
	Records uint64
	// Acknowledged: they had been made durable. If not, a power cut left a hole in the last write.
	Acknowledged bool
}

func (d *Damage) Error() string {
	what := "an interrupted write"
	if d.Acknowledged {
		what = "damaged"
	}
	return fmt.Sprintf("%s: %s: %d bytes at offset %d, %d records missing", d.File, what, d.Bytes, d.Offset, d.Records)
}

// recover finds the segments, replays the newest and cuts off its torn end.
func (j *Journal) recover() (*Recovery, error) {
	found := &Recovery{}
	if err := j.findSegments(found); err != nil {
		return nil, err
	}
	found.Segments = len(j.segments)
	start, err := j.replayStart()
	if err != nil {
		return nil, err
	}
	for i := start; i < len(j.segments); i++ {
		if err := j.replay(i, found); err != nil {
			return nil, err
		}
	}
	j.durableSeq = j.seq
	return found, nil
}

// findSegments reads the headers of what lies in the directory.
func (j *Journal) findSegments(found *Recovery) error {
	names, err := j.o.FS.Names(j.o.Dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		path := filepath.Join(j.o.Dir, name)
		if strings.HasSuffix(name, segmentSuffix+tempSuffix) {
			// Never came into force.
			_ = j.o.FS.Remove(path)
			continue
		}
		number, ok := segmentNumber(strings.TrimSuffix(name, damagedSuffix))
		if !ok {
			continue
		}
		j.next = max(j.next, number+1)
		if strings.HasSuffix(name, damagedSuffix) {
			continue
		}
		s, err := j.openSegment(path, number)
		switch {
		case errors.Is(err, errHeader):
			if err := j.o.FS.Rename(path, path+damagedSuffix); err != nil {
				return fmt.Errorf("setting aside %s: %w", name, err)
			}
			found.Quarantined = append(found.Quarantined, path+damagedSuffix)
		case err != nil:
			return fmt.Errorf("reading %s: %w", name, err)
		default:
			j.segments = append(j.segments, s)
		}
	}
	return nil
}

func (j *Journal) openSegment(path string, number uint64) (*segment, error) {
	f, err := j.o.FS.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size < dataStart {
		return nil, errHeader
	}
	h, err := readHeader(f)
	if err != nil {
		return nil, err
	}
	if h.number != number || h.firstSeq == 0 {
		return nil, errHeader
	}
	return &segment{header: h, name: path, size: size, end: size}, nil
}

// replayStart is the newest segment whose carried records are whole: nothing before it is needed.
func (j *Journal) replayStart() (int, error) {
	for i := len(j.segments) - 1; i > 0; i-- {
		whole, err := j.carryWhole(j.segments[i])
		if err != nil {
			return 0, err
		}
		if whole {
			return i, nil
		}
	}
	return 0, nil
}

func (j *Journal) carryWhole(s *segment) (bool, error) {
	f, err := j.o.FS.Open(s.name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	end := dataStart + int64(min(s.carryBytes, uint64(s.size)))
	scan := newScanner(&s.header, f, dataStart, end)
	for {
		_, gap, err := scan.next()
		switch {
		case gap > 0:
			return false, nil
		case errors.Is(err, io.EOF):
			return scan.off == dataStart+int64(s.carryBytes), nil
		}
	}
}

// replay hands the records of the i-th segment to the owner and finds its end.
func (j *Journal) replay(i int, found *Recovery) error {
	s := j.segments[i]
	f, err := j.o.FS.Open(s.name)
	if err != nil {
		return err
	}
	defer f.Close()
	last := i == len(j.segments)-1
	// Records from here on were written anew in the next segment.
	superseded := ^uint64(0)
	if !last {
		superseded = j.segments[i+1].firstSeq
	}
	scan := newScanner(&s.header, f, dataStart, s.size)
	expect := s.firstSeq
	first := len(found.Damage)
	for {
		at := scan.off
		rec, gap, err := scan.next()
		if errors.Is(err, io.EOF) || rec.Seq >= superseded {
			if !last && expect < superseded {
				found.Damage = append(found.Damage, Damage{s.name, at, s.size - at, superseded - expect, true})
			}
			break
		}
		if gap > 0 || rec.Seq != expect {
			found.Damage = append(found.Damage, Damage{s.name, scan.gap, gap, rec.Seq - min(expect, rec.Seq), !last})
		}
		if err := j.o.Replay(rec); err != nil {
			return fmt.Errorf("replaying %s: %w", s.name, err)
		}
		found.Records++
		expect = rec.Seq + 1
	}
	j.seq = max(j.seq, expect)
	for n := first; n < len(found.Damage); n++ {
		d := &found.Damage[n]
		d.Acknowledged = d.Acknowledged || d.Offset < scan.durable
	}
	if scan.unreadable != nil {
		j.o.Log.Error("parts of the journal can't be read", "file", s.name, "error", scan.unreadable)
	}
	if last {
		found.TornBytes = scan.tail()
		s.end = scan.off
		if s.size > s.end {
			// If it can't be done now, the next segment says where this one ends.
			if err := j.o.FS.Truncate(s.name, s.end); err == nil {
				s.size = s.end
			}
		}
	}
	return nil
}
