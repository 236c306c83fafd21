package query

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// maxSealed bounds the rows between two checkpoints: an operator may set up to a million.
const maxSealed = 2_000_000

// Sealed implements [audit.Reader].
func (r *Reader) Sealed(ctx context.Context, logID string, seq uint64) (*audit.Sealed, error) {
	one := func(condition string) (*audit.Checkpoint, error) {
		b := r.build("SELECT " + checkpointColumns + " FROM " + r.dialect.Prefix + audit.TableCheckpoints)
		b.and("log_id = ?", logID).add(" AND "+condition+" LIMIT 1", seq)
		var rows []*audit.Checkpoint
		if err := r.each(ctx, "reading checkpoints", b, into(&rows, scanCheckpoint)); err != nil || len(rows) == 0 {
			return nil, err
		}
		return rows[0], nil
	}
	s := &audit.Sealed{Leaves: map[uint64][32]byte{}}
	var err error
	if s.Checkpoint, err = one("size >= ? ORDER BY size"); err != nil {
		return nil, err
	}
	if s.Checkpoint == nil {
		return nil, audit.ErrUnsealed
	}
	if s.Before, err = one("size < ? ORDER BY size DESC"); err != nil {
		return nil, err
	}
	after := uint64(0)
	if s.Before != nil {
		after = s.Before.Size
	}
	if s.Checkpoint.Size-after > maxSealed {
		return nil, fmt.Errorf("reading leaf hashes: %d rows between two checkpoints; at most %d", s.Checkpoint.Size-after, maxSealed)
	}
	row := func(seq uint64, kept, said [32]byte) {
		if s.Leaves[seq] = kept; kept != said {
			s.Changed = append(s.Changed, seq)
		}
	}
	const doing = "reading rows between two checkpoints"
	between := func(b *builder) *builder {
		return b.and("log_id = ?", logID).and("seq > ?", after).and("seq <= ?", s.Checkpoint.Size)
	}
	b, err := r.fromRequests(ctx, doing)
	if err != nil {
		return nil, err
	}
	if err := r.each(ctx, doing, between(b), func(rows *sql.Rows) error {
		q, err := scanRequest(rows)
		if err == nil {
			row(q.Seq, q.LeafHash, audit.LeafHash(q.AppendCanonical(nil)))
		}
		return err
	}); err != nil {
		return nil, err
	}
	b = r.build("SELECT " + eventColumns + " FROM " + r.dialect.Prefix + audit.TableEvents)
	return s, r.each(ctx, doing, between(b), func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		if err == nil {
			row(e.Seq, e.LeafHash, audit.LeafHash(e.AppendCanonical(nil)))
		}
		return err
	})
}
