package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Record is one record of a journal.
type Record struct {
	// Seq counts records from 1 over all segments. A record carried into a later segment gets a new one.
	Seq     uint64
	Type    byte
	Payload []byte // valid until the next call of what returned it
}

const (
	windowBytes = 256 << 10
	pageBytes   = 4 << 10
)

// scanner walks the records of one segment, from off to end. What is no valid record it steps over to the next one
// that is.
type scanner struct {
	h   *header
	r   io.ReaderAt
	off int64 // of the next record
	at  int64 // of the record returned last
	gap int64 // where the bytes before it began that are no records
	end int64

	window     []byte
	base       int64 // offset of the window
	durable    int64 // the furthest sync record seen
	unreadable error // the last read error; what could not be read counts as zeros
}

func newScanner(h *header, r io.ReaderAt, from, end int64) *scanner {
	return &scanner{h: h, r: r, off: from, end: end}
}

// next is the next record, and how many bytes before it, from s.gap on, are no records. io.EOF: no record follows off
// any more.
func (s *scanner) next() (rec Record, gap int64, err error) {
	for {
		rec, n := s.record(s.off)
		if n == 0 {
			at := s.resync(s.off + 1)
			if at < 0 {
				return Record{}, 0, io.EOF
			}
			if gap == 0 {
				s.gap = s.off
			}
			gap += at - s.off
			s.off = at
			continue
		}
		s.at = s.off
		s.off += n
		if rec.Type != typeSync {
			return rec, gap, nil
		}
		if len(rec.Payload) == 8 {
			s.durable = max(s.durable, int64(min(binary.LittleEndian.Uint64(rec.Payload), 1<<62)))
		}
	}
}

// record is the valid record at an offset and its whole length; 0 when there is none.
func (s *scanner) record(at int64) (Record, int64) {
	head := s.peek(at, recordHeader)
	if len(head) < recordHeader {
		return Record{}, 0
	}
	mark := s.h.recordMark()
	n := payloadLength(head)
	if !bytes.Equal(head[:4], mark[:]) || n > MaxPayload {
		return Record{}, 0
	}
	b := s.peek(at, recordHeader+n)
	if len(b) < recordHeader+n {
		return Record{}, 0
	}
	want := binary.LittleEndian.Uint32(b[4:])
	sum := s.h.sum(b, at)
	copy(b, mark[:])
	binary.LittleEndian.PutUint32(b[4:], want)
	if sum != want {
		return Record{}, 0
	}
	return Record{
		Seq:     s.h.firstSeq + uint64(binary.LittleEndian.Uint32(b[12:])),
		Type:    b[8],
		Payload: b[recordHeader:],
	}, int64(len(b))
}

// resync is the offset of the first valid record at or after an offset; -1 when there is none.
func (s *scanner) resync(from int64) int64 {
	mark := s.h.recordMark()
	for from < s.end {
		b := s.peek(from, windowBytes)
		i := bytes.Index(b, mark[:])
		if i < 0 {
			// The mark may lie across the end of the window.
			from += int64(max(len(b)-len(mark)+1, 1))
			continue
		}
		at := from + int64(i)
		if _, n := s.record(at); n > 0 {
			return at
		}
		from = at + 1
	}
	return -1
}

// tail is how many bytes from off on are in use, though no record: up to the last that is not zero.
func (s *scanner) tail() int64 {
	last := s.off
	for at := s.off; at < s.end; {
		b := s.peek(at, windowBytes)
		if len(b) == 0 {
			break
		}
		if trimmed := bytes.TrimRight(b, "\x00"); len(trimmed) > 0 {
			last = at + int64(len(trimmed))
		}
		at += int64(len(b))
	}
	return last - s.off
}

// peek is n bytes at an offset, fewer at the end.
func (s *scanner) peek(at int64, n int) []byte {
	n = int(min(int64(n), s.end-at))
	if n <= 0 {
		return nil
	}
	if at < s.base || at+int64(n) > s.base+int64(len(s.window)) {
		s.fill(at, n)
	}
	from := at - s.base
	to := min(from+int64(n), int64(len(s.window)))
	if from >= to {
		return nil
	}
	return s.window[from:to]
}

// fill moves the window to an offset.
func (s *scanner) fill(at int64, n int) {
	size := int(min(int64(max(n, windowBytes)), s.end-at))
	if cap(s.window) < size {
		s.window = make([]byte, size)
	}
	s.window, s.base = s.window[:size], at
	got, err := s.r.ReadAt(s.window, at)
	if err == nil {
		return
	}
	if errors.Is(err, io.EOF) {
		s.window = s.window[:got]
		return
	}
	// A bad sector must not hide the good ones around it.
	s.unreadable = err
	for from := 0; from < size; from += pageBytes {
		page := s.window[from:min(from+pageBytes, size)]
		got, err := s.r.ReadAt(page, at+int64(from))
		if err == nil {
			continue
		}
		clear(page[got:])
		if errors.Is(err, io.EOF) {
			s.window = s.window[:from+got]
			return
		}
	}
}
