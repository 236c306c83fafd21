package proof

import (
	"encoding/hex"
	"strconv"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// checkpoint takes the next checkpoint, as its row was found, and checks the rows up to it.
func (l *logState) checkpoint(values []string) error {
	l.log.Checkpoints++
	size, _ := strconv.ParseUint(values[2], 10, 64)
	wrong := func(kind, what string) error {
		l.broken[size] = true
		l.found(kind, nil, size, size, what)
		return nil
	}
	c, t, err := audit.ParseCheckpoint(values[4])
	if err != nil {
		return wrong(KindCheckpointChanged, "its note is not a checkpoint's: "+err.Error())
	}
	own := c.Values()
	own[3] = string(c.RootHash[:])
	for i, column := range audit.CheckpointColumns() {
		if own[i] != values[i] && hex.EncodeToString([]byte(values[i])) != own[i] {
			return wrong(KindCheckpointChanged, "its column "+column.Name+" is not what its note says")
		}
	}
	// An older key's log may name the key that it is signed by in the rows before it.
	if err := l.signed(c.Note); err != nil {
		return wrong(KindCheckpointForged, l.unsigned(size, err))
	}
	if c.Size == l.size() {
		if c.RootHash != l.last.RootHash && !lossBetween(l.anchor, t) {
			l.found(KindForked, nil, c.Size, c.Size, "two signed checkpoints of this size have different roots")
		} else if c.Note == l.last.Note {
			l.found(KindDuplicate, nil, c.Size, c.Size, "the checkpoint is there twice")
		}
		return nil
	}
	l.chain(c)
	l.heed(c)
	return l.upTo(c, t)
}

// chain checks that the checkpoint before is there.
func (l *logState) chain(c *audit.Checkpoint) {
	if c.Previous <= l.size() || l.broken[c.Previous] {
		return
	}
	if c.Previous < l.removed || l.last == nil && !l.RetainedSince.IsZero() && !c.Time.After(l.RetainedSince.Add(slack)) {
		return // retention took it
	}
	l.found(KindCheckpointMissing, nil, c.Previous, c.Previous, "the one after it names it")
}

// heed compares with the witness.
func (l *logState) heed(c *audit.Checkpoint) {
	for len(l.witness) > 0 && l.witness[0].size <= c.Size {
		w := l.witness[0]
		l.witness = l.witness[1:]
		switch {
		case w.note != "" && l.signed(w.note) != nil:
			l.found(KindCheckpointForged, nil, w.size, w.size, "the witness's checkpoint is signed by none of the keys you trust")
		case w.size < c.Size:
			if l.RetainedSince.IsZero() || l.last != nil {
				l.absent(w)
			}
		case w.root != c.RootHash:
			l.found(KindForked, nil, c.Size, c.Size, "the witness has another root for it, signed as well")
		}
	}
}

// upTo checks the rows between the last checkpoint and this one.
func (l *logState) upTo(c *audit.Checkpoint, t *audit.Tree) error {
	s, err := l.segment(c.Size)
	if err != nil {
		return err
	}
	missing := s.missing(c.Size, t.Gaps())
	for _, g := range missing {
		kind := KindMissing
		if g.To == c.Size && l.rows.ended() {
			kind = KindCutOff
		}
		l.missing(g, kind)
	}
	anchor := l.anchor
	if lossBetween(anchor, t) {
		anchor = nil
	}
	clean := s.check(anchor, c, t, missing, l.found)
	l.log.Lost = 0
	for _, g := range t.Gaps() {
		l.log.Lost += g.To - g.From + 1
	}
	if clean {
		for _, r := range l.removals {
			l.vouched[r.Log] = max(l.vouched[r.Log], r.Through)
		}
		for _, key := range l.keys {
			if err := l.trust(key); err != nil {
				l.found(KindCheckpointChanged, nil, c.Size, c.Size, err.Error())
			}
		}
	}
	l.anchor, l.last, l.log.Covered = t, c, c.Size
	return nil
}

// lossBetween tells whether the later tree says that rows of the earlier were lost since.
func lossBetween(earlier, later *audit.Tree) bool {
	if earlier == nil {
		return false
	}
	before := earlier.Gaps()
	for _, g := range later.Gaps() {
		if g.From > earlier.Size() {
			break
		}
		for seq := g.From; seq <= min(g.To, earlier.Size()); seq++ {
			if !inGap(before, seq) {
				return true
			}
		}
	}
	return false
}
