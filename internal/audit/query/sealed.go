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
	for _, table := range []string{audit.TableRequests, audit.TableEvents} {
		b := r.build("SELECT seq, leaf_hash FROM " + r.dialect.Prefix + table)
		b.and("log_id = ?", logID).and("seq > ?", after).and("seq <= ?", s.Checkpoint.Size)
		err := r.each(ctx, "reading leaf hashes", b, func(rows *sql.Rows) error {
			var at uint64
			var leaf [32]byte
			if err := rows.Scan(&at, hashOf{&leaf}); err != nil {
				return err
			}
			s.Leaves[at] = leaf
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}
