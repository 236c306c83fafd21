package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// maxBatchBytes bounds a batch's rows, encoded; decoded they take about three times that.
const maxBatchBytes = 8 << 20

// builder makes a batch of the journal's records.
type builder struct {
	batch  *Batch
	notes  bool // checkpoints alone: rows are passed over, and To is the size of the last
	rows   int
	bytes  int
	after  uint64           // rows up to here are left out: the sink has them
	to     journal.Position // where the next record begins
	damage []*journal.Damage
}

func newBuilder(logID string, from journal.Position, after uint64) *builder {
	return &builder{batch: &Batch{LogID: logID, From: after + 1, To: after}, after: after, to: from}
}

// add takes one record.
func (b *builder) add(rec journal.Record) error {
	if b.notes && rec.Type != recordCheckpoint {
		return nil
	}
	switch rec.Type {
	case recordRequest:
		_, n := binary.Uvarint(rec.Payload)
		if n <= 0 {
			return errTruncated
		}
		row, err := DecodeRequest(rec.Payload[n:])
		if err != nil {
			return err
		}
		if b.place(row.Seq, len(rec.Payload)) {
			b.batch.Requests = append(b.batch.Requests, row)
		}
	case recordEvent:
		row, err := DecodeEvent(rec.Payload)
		if err != nil {
			return err
		}
		if b.place(row.Seq, len(rec.Payload)) {
			b.batch.Events = append(b.batch.Events, row)
		}
	case recordCheckpoint:
		// Those that the sink has already it knows by themselves.
		c, _, err := ParseCheckpoint(string(rec.Payload))
		if err != nil {
			return err
		}
		if b.notes {
			if c.Size <= b.batch.To {
				return nil
			}
			b.batch.From, b.batch.To = c.Size+1, c.Size
			b.rows++
		}
		b.batch.Checkpoints = append(b.batch.Checkpoints, c)
		b.bytes += len(rec.Payload)
	case recordIntent, recordState:
	default:
		return fmt.Errorf("record type %d is unknown", rec.Type)
	}
	return nil
}

func (b *builder) place(seq uint64, bytes int) bool {
	if seq <= b.batch.To {
		return false
	}
	if b.rows == 0 {
		b.batch.From = seq
	}
	b.batch.To = seq
	b.rows++
	b.bytes += bytes
	return true
}

// fill reads on until the batch has so many rows, or the reader has no more.
func (b *builder) fill(reader *journal.Reader, rows int) error {
	return b.read(reader, func() bool { return b.rows >= rows || b.bytes >= maxBatchBytes })
}

// refill reads a batch that was cut before, up to its end.
func (b *builder) refill(reader *journal.Reader, to journal.Position) error {
	return b.read(reader, func() bool { return !before(b.to, to) })
}

func (b *builder) read(reader *journal.Reader, full func() bool) error {
	for !full() {
		rec, err := reader.Next()
		var damage *journal.Damage
		switch {
		case errors.Is(err, io.EOF):
			b.to = reader.Position()
			return nil
		case errors.As(err, &damage):
			b.damage = append(b.damage, damage)
		case err != nil:
			return err
		default:
			if err := b.add(rec); err != nil {
				return fmt.Errorf("record %d: %w", rec.Seq, err)
			}
		}
		b.to = reader.Position()
	}
	return nil
}

func before(a, b journal.Position) bool {
	return a.Segment < b.Segment || a.Segment == b.Segment && a.Offset < b.Offset
}

// empty tells that there is nothing to send.
func (b *builder) empty() bool { return b.rows == 0 && len(b.batch.Checkpoints) == 0 }

func token(b *Batch) string {
	if b.From > b.To && len(b.Checkpoints) > 0 {
		return fmt.Sprintf("%s-checkpoint-%d", b.LogID, b.Checkpoints[0].Size)
	}
	return fmt.Sprintf("%s-%d-%d", b.LogID, b.From, b.To)
}
