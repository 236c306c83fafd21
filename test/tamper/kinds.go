package tamper

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
)

// Kind is one way to tamper. It works on any log with at least ten requests and four checkpoints.
type Kind struct {
	Name string
	// Want are the kinds of finding of which at least one must be reported; Witness tells that it can only be found
	// with the checkpoints that a witness keeps.
	Want    []string
	Witness bool
	Do      func(ctx context.Context, d *DB) error
}

const (
	requests    = audit.TableRequests
	events      = audit.TableEvents
	checkpoints = audit.TableCheckpoints
)

// Kinds are all of them.
var Kinds = []Kind{
	{Name: "change a request", Want: []string{proof.KindChanged}, Do: each(requests, middle, set(requests, "path", "/harmless"))},
	{Name: "change the actor of an event", Want: []string{proof.KindChanged}, Do: each(events, first, set(events, "actor_username", "mallory"))},
	{Name: "change a time", Want: []string{proof.KindChanged}, Do: each(requests, middle, set(requests, "time", "2026-03-01T00:00:00.000000Z"))},
	{Name: "change a request and its leaf hash", Want: []string{proof.KindRewritten}, Do: each(requests, middle, func(r Row) {
		r[Column(requests, "path")] = "/harmless"
		Rehash(requests, r)
	})},
	{Name: "change a leaf hash", Want: []string{proof.KindHashChanged}, Do: each(requests, middle, set(requests, "leaf_hash", string(make([]byte, 32))))},
	{Name: "change a checkpoint's root", Want: []string{proof.KindCheckpointChanged}, Do: each(checkpoints, middle, set(checkpoints, "root_hash", string(make([]byte, 32))))},
	{Name: "delete a row", Want: []string{proof.KindMissing}, Do: func(ctx context.Context, d *DB) error {
		seqs, err := d.seqs(ctx, requests)
		if err != nil {
			return err
		}
		return d.Delete(ctx, requests, d.at("seq", seqs[len(seqs)/2]))
	}},
	{Name: "delete the newest rows", Want: []string{proof.KindCutOff}, Do: func(ctx context.Context, d *DB) error { return d.cut(ctx, requests, events) }},
	{Name: "delete an impersonation", Want: []string{proof.KindMissing, proof.KindCutOff}, Do: func(ctx context.Context, d *DB) error {
		rows, err := d.Rows(ctx, requests, d.mine()+" AND impersonation_id <> ''")
		if err != nil {
			return err
		}
		where := d.mine() + " AND impersonation_id = '" + rows[0][Column(requests, "impersonation_id")] + "'"
		if err := d.Delete(ctx, requests, where); err != nil {
			return err
		}
		return d.Delete(ctx, events, where)
	}},
	{Name: "insert a row", Want: []string{proof.KindUnsealed}, Do: func(ctx context.Context, d *DB) error {
		return d.insert(ctx, func(_, last uint64) uint64 { return last + 1 })
	}},
	{Name: "insert a row at a place that is taken", Want: []string{proof.KindDuplicate}, Do: func(ctx context.Context, d *DB) error {
		return d.insert(ctx, func(middle, _ uint64) uint64 { return middle })
	}},
	{Name: "duplicate a row", Want: []string{proof.KindDuplicate}, Do: each(requests, middle, nil)},
	{Name: "swap two rows", Want: []string{proof.KindReordered}, Do: func(ctx context.Context, d *DB) error {
		seqs, err := d.seqs(ctx, requests)
		if err != nil {
			return err
		}
		a, b := seqs[len(seqs)/2], seqs[len(seqs)/2+1]
		return d.Replace(ctx, requests, d.mine()+fmt.Sprintf(" AND seq IN (%d, %d)", a, b), func(rows []Row) []Row {
			i := Column(requests, "seq")
			rows[0][i], rows[1][i] = rows[1][i], rows[0][i]
			return rows
		})
	}},
	{Name: "swap two rows and make their leaf hashes anew", Want: []string{proof.KindRewritten}, Do: func(ctx context.Context, d *DB) error {
		seqs, err := d.seqs(ctx, requests)
		if err != nil {
			return err
		}
		a, b := seqs[len(seqs)/2], seqs[len(seqs)/2+1]
		return d.Replace(ctx, requests, d.mine()+fmt.Sprintf(" AND seq IN (%d, %d)", a, b), func(rows []Row) []Row {
			i := Column(requests, "seq")
			rows[0][i], rows[1][i] = rows[1][i], rows[0][i]
			Rehash(requests, rows[0])
			Rehash(requests, rows[1])
			return rows
		})
	}},
	{Name: "delete a row and renumber those behind it", Want: []string{proof.KindReordered, proof.KindCutOff}, Do: renumber},
	{Name: "move a row to another log", Want: []string{proof.KindMissing}, Do: each(requests, middle, set(requests, "log_id", "aaaaaaaaaaaaaaaa"))},
	{Name: "delete a checkpoint", Want: []string{proof.KindCheckpointMissing}, Do: func(ctx context.Context, d *DB) error {
		rows, err := d.Rows(ctx, checkpoints, d.mine())
		if err != nil {
			return err
		}
		return d.Delete(ctx, checkpoints, d.mine()+" AND size = "+rows[len(rows)/2][2])
	}},
	{Name: "replace a checkpoint by an older one", Want: []string{proof.KindCheckpointChanged, proof.KindDuplicate}, Do: func(ctx context.Context, d *DB) error {
		rows, err := d.Rows(ctx, checkpoints, d.mine())
		if err != nil {
			return err
		}
		return d.Replace(ctx, checkpoints, d.mine()+" AND size = "+rows[len(rows)/2][2], func(now []Row) []Row {
			now[0][4] = rows[0][4]
			return now
		})
	}},
	{Name: "forge a checkpoint with another key", Want: []string{proof.KindCheckpointForged}, Do: func(ctx context.Context, d *DB) error {
		return d.Replace(ctx, checkpoints, d.mine(), func(rows []Row) []Row {
			rows[len(rows)/2] = d.forge(rows[len(rows)/2], nil)
			return rows
		})
	}},
	{Name: "write everything anew with another key", Want: []string{proof.KindCheckpointForged}, Do: rewrite},
	{Name: "delete the newest rows with their checkpoints", Want: []string{proof.KindCutOff}, Witness: true, Do: func(ctx context.Context, d *DB) error {
		if err := d.cut(ctx, requests, events); err != nil {
			return err
		}
		last, err := d.last(ctx)
		if err != nil {
			return err
		}
		if err := d.Delete(ctx, checkpoints, d.mine()+" AND size > "+strconv.FormatUint(last, 10)); err != nil {
			return err
		}
		// What no checkpoint covers any more goes too.
		rows, err := d.Rows(ctx, checkpoints, d.mine())
		if err != nil {
			return err
		}
		for _, table := range []string{requests, events} {
			if err := d.Delete(ctx, table, d.mine()+" AND seq > "+rows[len(rows)-1][2]); err != nil {
				return err
			}
		}
		return nil
	}},
	{Name: "delete everything", Want: []string{proof.KindCutOff}, Witness: true, Do: func(ctx context.Context, d *DB) error {
		for _, table := range []string{requests, events, checkpoints} {
			if err := d.Delete(ctx, table, d.mine()); err != nil {
				return err
			}
		}
		return nil
	}},
}

func first(int) int    { return 0 }
func middle(n int) int { return n / 2 }

func set(table, column, to string) func(Row) {
	return func(r Row) { r[Column(table, column)] = to }
}

// each changes one row; nil writes it a second time.
func each(table string, which func(int) int, change func(Row)) func(context.Context, *DB) error {
	return func(ctx context.Context, d *DB) error {
		rows, err := d.Rows(ctx, table, d.mine())
		if err != nil {
			return err
		}
		row := rows[which(len(rows))]
		if change == nil {
			return d.Insert(ctx, table, row)
		}
		place := "seq"
		if table == checkpoints {
			place = "size"
		}
		return d.Replace(ctx, table, d.mine()+" AND "+place+" = "+row[2], func([]Row) []Row {
			change(row)
			return []Row{row}
		})
	}
}

func (d *DB) mine() string { return "log_id = '" + d.LogID + "'" }

func (d *DB) at(column string, n uint64) string {
	return d.mine() + fmt.Sprintf(" AND %s = %d", column, n)
}

func (d *DB) seqs(ctx context.Context, table string) ([]uint64, error) {
	rows, err := d.Rows(ctx, table, d.mine())
	var list []uint64
	for _, r := range rows {
		n, _ := strconv.ParseUint(r[2], 10, 64)
		list = append(list, n)
	}
	return list, err
}

func (d *DB) last(ctx context.Context) (uint64, error) {
	var last uint64
	for _, table := range []string{requests, events} {
		seqs, err := d.seqs(ctx, table)
		if err != nil {
			return 0, err
		}
		if n := len(seqs); n > 0 {
			last = max(last, seqs[n-1])
		}
	}
	return last, nil
}

// cut deletes the newest third of the rows.
func (d *DB) cut(ctx context.Context, tables ...string) error {
	last, err := d.last(ctx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := d.Delete(ctx, table, d.mine()+fmt.Sprintf(" AND seq > %d", last-last/3)); err != nil {
			return err
		}
	}
	return nil
}

func (d *DB) insert(ctx context.Context, place func(middle, last uint64) uint64) error {
	rows, err := d.Rows(ctx, requests, d.mine())
	if err != nil {
		return err
	}
	last, err := d.last(ctx)
	if err != nil {
		return err
	}
	row := rows[len(rows)/2]
	middle, _ := strconv.ParseUint(row[2], 10, 64)
	row[2] = strconv.FormatUint(place(middle, last), 10)
	row[Column(requests, "path")] = "/never/asked/for"
	Rehash(requests, row)
	return d.Insert(ctx, requests, row)
}

func renumber(ctx context.Context, d *DB) error {
	seqs, err := d.seqs(ctx, requests)
	if err != nil {
		return err
	}
	gone := seqs[len(seqs)/2]
	if err := d.Delete(ctx, requests, d.at("seq", gone)); err != nil {
		return err
	}
	behind := d.mine() + fmt.Sprintf(" AND seq > %d", gone)
	for _, table := range []string{requests, events} {
		if rows, err := d.Rows(ctx, table, behind); err != nil || len(rows) == 0 {
			if err != nil {
				return err
			}
			continue // no event happened since
		}
		err := d.Replace(ctx, table, behind, func(rows []Row) []Row {
			for _, r := range rows {
				n, _ := strconv.ParseUint(r[2], 10, 64)
				r[2] = strconv.FormatUint(n-1, 10)
			}
			return rows
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forge signs a checkpoint with the attacker's key, over its own tree or another.
func (d *DB) forge(row Row, t *audit.Tree) Row {
	c, own, err := audit.ParseCheckpoint(row[4])
	if err != nil {
		panic(err)
	}
	if t == nil {
		t = own
	}
	forged, err := audit.SignCheckpoint(c.LogID, c.Time.Add(time.Microsecond), t, c.Previous, d.Key)
	if err != nil {
		panic(err)
	}
	values := forged.Values()
	values[3] = string(forged.RootHash[:])
	return values
}

// rewrite changes a row, and makes all that follows from it anew.
func rewrite(ctx context.Context, d *DB) error {
	if err := each(requests, middle, func(r Row) {
		r[Column(requests, "path")] = "/harmless"
		Rehash(requests, r)
	})(ctx, d); err != nil {
		return err
	}
	leaves := map[uint64][32]byte{}
	for _, table := range []string{requests, events} {
		rows, err := d.Rows(ctx, table, d.mine())
		if err != nil {
			return err
		}
		for _, r := range rows {
			n, _ := strconv.ParseUint(r[2], 10, 64)
			leaves[n] = [32]byte([]byte(r[len(r)-1]))
		}
	}
	return d.Replace(ctx, checkpoints, d.mine(), func(rows []Row) []Row {
		t := new(audit.Tree)
		for i, r := range rows {
			size, _ := strconv.ParseUint(r[2], 10, 64)
			for t.Size() < size {
				t.Append(leaves[t.Size()+1])
			}
			rows[i] = d.forge(r, t.Clone())
		}
		return rows
	})
}
