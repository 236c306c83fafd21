package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/journal"
)

// position is how far one sink is, kept in a [journal.Cell] of its own beside the journal.
type position struct {
	LogID string           `json:"log_id"`
	At    journal.Position `json:"at"`  // the sink has all before it
	Seq   uint64           `json:"seq"` // of the last row it has
	// Cut is the batch that is being sent; its rows are the journal's from At to Cut.To.
	Cut *cut `json:"cut,omitempty"`
}

// cut is where a batch ends. It is durable before the batch is first sent, so that every try sends the same.
type cut struct {
	To    journal.Position `json:"to"`
	From  uint64           `json:"from_seq"`
	Last  uint64           `json:"to_seq"`
	Token string           `json:"token"`
}

const (
	positionPrefix = "shipped-"
	positionSuffix = ".position"
)

var errPosition = errors.New("it is damaged")

func positionFile(dir, sink string) string {
	return filepath.Join(dir, positionPrefix+fileName(sink)+positionSuffix)
}

// FileName makes a name fit for a file's.
func FileName(s string) string { return fileName(s) }

// fileName makes a sink's name fit for a file's.
func fileName(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, s)
}

// openPosition reads a sink's position; errPosition when it is damaged, found is false when there is none.
func openPosition(fsys journal.FS, file string) (c *journal.Cell, p position, found bool, err error) {
	c, value, damaged, err := journal.OpenCell(fsys, file)
	switch {
	case err != nil:
		return nil, p, false, fmt.Errorf("opening position: %w", err)
	case damaged || value != nil && json.Unmarshal(value, &p) != nil:
		return c, position{}, false, fmt.Errorf("reading position %s: %w", file, errPosition)
	}
	return c, p, value != nil, nil
}

// shippedSeq is the furthest that any sink is said to be in this log.
func (r *Recorder) shippedSeq() uint64 {
	names, err := r.fs.Names(r.dir)
	if err != nil {
		return 0
	}
	var last uint64
	for _, name := range names {
		if !strings.HasPrefix(name, positionPrefix) || !strings.HasSuffix(name, positionSuffix) {
			continue
		}
		var p position
		value, err := journal.ReadCell(r.fs, filepath.Join(r.dir, name))
		if err != nil || json.Unmarshal(value, &p) != nil || p.LogID != r.logID {
			continue
		}
		last = max(last, p.Seq)
		if p.Cut != nil {
			last = max(last, p.Cut.Last)
		}
	}
	return last
}
