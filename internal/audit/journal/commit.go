package journal

import (
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// run is the committer: the only goroutine that writes.
func (j *Journal) run() {
	defer close(j.done)
	for {
		j.mu.Lock()
		b := j.pending
		work := b.n > 0 || b.sync
		syncDue, probeDue, closing := j.syncDue, j.probeDue, j.closing
		j.syncDue, j.probeDue = false, false
		failed := j.failed != nil
		if !probeDue && !closing && (failed || !work && !syncDue) {
			j.idle = true
			j.mu.Unlock()
			<-j.wake
			continue
		}
		j.idle = false
		sync := b.sync || syncDue || closing
		j.mu.Unlock()

		switch {
		case failed:
			if probeDue || closing {
				j.probe()
			}
		case work && j.off >= j.limit:
			j.rotate()
		case work:
			j.commit(sync)
		case sync && len(j.unsynced) > 0:
			j.timed(j.syncAll)
		}
		if closing && j.finish() {
			return
		}
	}
}

// gather gives others a moment to share the commit. It is the machine's time, not the clock's: what is weighed is its
// CPU.
func (j *Journal) gather() (waited bool) {
	j.mu.Lock()
	wait := j.share.on && j.pending.waiters > 0 && j.pending.waiters < j.share.want() && !j.closing
	j.gathering = wait
	j.mu.Unlock()
	if !wait {
		return false
	}
	j.gatherTimer.Reset(gatherTime)
	for wait {
		select {
		case <-j.gatherTimer.C:
			wait = false
		case <-j.wake: // perhaps for something else, or for a commit that was made
			j.mu.Lock()
			wait = j.gathering && !j.closing
			j.mu.Unlock()
		}
	}
	j.mu.Lock()
	j.gathering = false
	j.share.gathered(j.pending.waiters)
	j.mu.Unlock()
	return true
}

// commit writes the pending batch, and syncs it if asked to.
func (j *Journal) commit(sync bool) {
	waited := j.gather()
	b := j.take(waited)
	j.unsynced = append(j.unsynced, b)
	j.timed(func() error {
		seq := j.cur.seal(b.buf, j.off, j.seq, j.cur.end)
		if err := j.zeroTo(j.off + int64(len(b.buf))); err != nil {
			return err
		}
		if _, err := j.file.WriteAt(b.buf, j.off); err != nil {
			return err
		}
		j.seq = seq
		j.off += int64(len(b.buf))
		if sync || b.sync || j.unsyncedBytes() > maxUnsynced {
			return j.syncAll()
		}
		if !j.syncArmed {
			j.syncArmed = true
			j.o.Clock.AfterFunc(syncTime, func() { j.due(&j.syncDue) })
		}
		return nil
	})
}

// zeroAhead is how far ahead of the records zeros are written. Space that is only reserved is marked as written by the
// file system when it is, in a transaction of its own: each sync then takes two to four times as long, and twice the
// CPU (ext4). Over zeros it writes nothing but the records.
const zeroAhead = 1 << 20

var zeros [zeroAhead]byte

// zeroTo makes sure that the segment was written before, up to an offset.
func (j *Journal) zeroTo(end int64) error {
	for j.zeroed < end {
		n := min(zeroAhead, j.cur.size-j.zeroed)
		if n <= 0 {
			return nil // beyond what is reserved it grows as it is written
		}
		if _, err := j.file.WriteAt(zeros[:n], j.zeroed); err != nil {
			return err
		}
		j.zeroed += n
	}
	return nil
}

// take takes the pending batch, for which the commit waited or not, and puts an empty one in its place.
func (j *Journal) take(waited bool) *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.pending
	j.share.committed(b.waiters, waited)
	j.pending = newBatch(j.spare)
	j.spare = nil
	return b
}

func (j *Journal) unsyncedBytes() int {
	n := 0
	for _, b := range j.unsynced {
		n += len(b.buf)
	}
	return n
}

// syncAll makes all that was written durable.
func (j *Journal) syncAll() error {
	began := j.o.Clock.Now()
	if err := j.file.SyncData(); err != nil {
		return err
	}
	j.syncArmed = false
	j.finished(j.o.Clock.Now().Sub(began))
	return nil
}

// finished tells everybody that all batches written so far are durable.
func (j *Journal) finished(took time.Duration) {
	j.durableSeq = j.seq
	j.mu.Lock()
	j.cur.end = j.off
	j.cur.size = max(j.cur.size, j.off)
	for _, b := range j.unsynced {
		j.stats.Records += uint64(b.n)
		j.stats.Written += uint64(len(b.buf))
		if cap(b.buf) <= maxSpare && cap(b.buf) > cap(j.spare) {
			j.spare = b.buf
		}
		b.buf = nil
		if b.err == nil {
			close(b.done)
		}
	}
	j.stats.Commits++
	j.stats.observe(took)
	if j.committed != nil {
		close(j.committed)
		j.committed = nil
	}
	j.mu.Unlock()
	j.unsynced = j.unsynced[:0]
	j.o.OnCommit()
}

// timed runs one piece of I/O; its error makes the journal refuse appends.
func (j *Journal) timed(f func() error) {
	e := j.begin()
	err := f()
	j.busy.Store(nil)
	if err != nil {
		j.fail(err)
	} else if e.took(j.o.Clock) > j.stall {
		// Appends were refused in the meantime.
		j.o.OnHealthy()
	}
}

// rotate leaves the current segment for a new one.
func (j *Journal) rotate() {
	j.timed(func() error {
		if len(j.unsynced) > 0 {
			if err := j.syncAll(); err != nil {
				return err
			}
		}
		return j.newSegment()
	})
}

// newSegment starts a segment that holds what the owner carries, then all that is accepted and not durable. It
// appears under its name only when it is durable: until then a crash finds the old segments as they were.
func (j *Journal) newSegment() error {
	var carry []byte
	carried := 0
	j.o.Lock.Lock()
	j.o.Carry(func(typ byte, payload []byte) {
		carry = appendRecord(carry, typ, payload)
		carried++
	})
	b := j.take(false)
	j.o.Lock.Unlock()
	j.unsynced = append(j.unsynced, b)
	h := header{
		number: j.next, firstSeq: j.durableSeq, carryBytes: uint64(len(carry)), created: j.o.Clock.Now().UnixMicro(),
	}
	if err := j.fillRandom(&h); err != nil {
		return fmt.Errorf("starting a segment: %w", err)
	}
	buf := append(h.block(), carry...)
	for _, b := range j.unsynced {
		buf = append(buf, b.buf...)
	}
	seq := h.seal(buf[dataStart:], dataStart, h.firstSeq, dataStart)

	name := filepath.Join(j.o.Dir, segmentName(h.number))
	f, size, err := j.createSegment(name, buf)
	if err != nil {
		return fmt.Errorf("starting a segment: %w", err)
	}
	j.leaveCurrent()
	j.file, j.seq, j.off, j.next = f, seq, int64(len(buf)), h.number+1
	j.zeroed = min(j.off+zeroAhead, size)
	j.limit = max(size-size/16, int64(len(buf))+max(int64(len(carry)), 1))
	j.cur = &segment{header: h, name: name, size: size, end: dataStart}
	j.mu.Lock()
	j.segments = append(j.segments, j.cur)
	j.mu.Unlock()
	j.syncArmed = false
	j.finished(0)
	return nil
}

func (j *Journal) fillRandom(h *header) error {
	var random [10]byte
	if _, err := io.ReadFull(j.o.Rand, random[:]); err != nil {
		return err
	}
	copy(h.salt[:], random[:8])
	copy(h.mark[:], random[8:])
	h.prepare()
	return nil
}

// createSegment writes a segment's file and makes it durable under its name.
func (j *Journal) createSegment(name string, content []byte) (_ File, size int64, err error) {
	temp := name + tempSuffix
	f, err := j.o.FS.Create(temp)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = j.o.FS.Remove(temp)
		}
	}()
	if size, err = j.allocate(f, int64(len(content))); err != nil {
		return nil, 0, err
	}
	if _, err = f.WriteAt(content, 0); err != nil {
		return nil, 0, err
	}
	if n := min(zeroAhead, size-int64(len(content))); n > 0 {
		if _, err = f.WriteAt(zeros[:n], int64(len(content))); err != nil {
			return nil, 0, err
		}
	}
	if err = f.SyncData(); err != nil {
		return nil, 0, err
	}
	if err = j.o.FS.Rename(temp, name); err != nil {
		return nil, 0, err
	}
	if err = j.o.FS.SyncDir(j.o.Dir); err != nil {
		// The name may or may not be there after a crash: it must not be there with what is given up now.
		_ = j.o.FS.Remove(name)
		return nil, 0, err
	}
	return f, size, nil
}

// allocate reserves a segment's space: as much as configured, less where there is less.
func (j *Journal) allocate(f File, need int64) (int64, error) {
	size := max(j.o.SegmentBytes, 2*need)
	least := min(max(minSegmentBytes, 2*need), size)
	room := j.o.MaxBytes - j.bytes()
	for {
		err := fmt.Errorf("%w (%d MiB)", ErrLimit, j.o.MaxBytes>>20)
		if size <= room {
			if err = f.Allocate(size); err == nil {
				return size, nil
			}
			if !isNoSpace(err) {
				return 0, err
			}
		}
		if size == least {
			return 0, err
		}
		size = max(size/2, least)
	}
}

// leaveCurrent closes the current segment's file. What it holds beyond its end has been written anew.
func (j *Journal) leaveCurrent() {
	if j.file == nil {
		return
	}
	// To give back the space that was reserved; a reader stops at the end in any case.
	if err := j.file.Truncate(j.cur.end); err == nil {
		j.mu.Lock()
		j.cur.size = j.cur.end
		j.mu.Unlock()
	}
	j.file.Close()
	j.file = nil
}
