package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// originPrefix and the log's id are the first line of its checkpoints.
const originPrefix = "caddy-impersonate/"

// noteText is the text of a checkpoint, to be signed; docs/audit-format.md is its specification. It is a checkpoint of
// C2SP's tlog-checkpoint: origin, size, root, and lines of our own: when it was made, the tree's subtrees, the size of
// the checkpoint before it, and what the journal lost.
func noteText(logID string, at time.Time, t *Tree, previous uint64) string {
	root := t.Root()
	b := make([]byte, 0, 256+64*45)
	b = fmt.Appendf(b, "%s%s\n%d\n%s\n", originPrefix, logID, t.Size(), base64.StdEncoding.EncodeToString(root[:]))
	b = append(b, "time "...)
	b = at.UTC().AppendFormat(b, TimeLayout)
	b = append(b, "\ntree"...)
	for _, h := range t.Hashes() {
		b = append(b, ' ')
		b = base64.StdEncoding.AppendEncode(b, h)
	}
	b = fmt.Appendf(b, "\nafter %d\n", previous)
	for _, g := range t.gaps {
		b = fmt.Appendf(b, "lost %d-%d\n", g.From, g.To)
	}
	return string(b)
}

// SignCheckpoint makes the checkpoint of a tree; previous is the size of the one before.
func SignCheckpoint(logID string, at time.Time, t *Tree, previous uint64, s *Signer) (*Checkpoint, error) {
	text := noteText(logID, at, t, previous)
	signed, err := note.Sign(&note.Note{Text: text}, s.signer)
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	return &Checkpoint{Time: at, LogID: logID, Size: t.Size(), RootHash: t.Root(), Previous: previous, Note: string(signed)}, nil
}

// ParseCheckpoint reads a signed note, and the tree in it. It checks that the tree has the root, and no signature:
// [note.Open] does that.
func ParseCheckpoint(signed string) (*Checkpoint, *Tree, error) {
	text, _, ok := strings.Cut(signed, "\n\n")
	if !ok {
		return nil, nil, errors.New("reading checkpoint: no signature")
	}
	c, t, err := parseText(text)
	if err != nil {
		return nil, nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	c.Note = signed
	if noteText(c.LogID, c.Time, t, c.Previous) != text+"\n" {
		return nil, nil, errors.New("reading checkpoint: not as it would be written")
	}
	return c, t, nil
}

func parseText(text string) (*Checkpoint, *Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 6 {
		return nil, nil, errors.New("lines are missing")
	}
	logID, ok := strings.CutPrefix(lines[0], originPrefix)
	if !ok {
		return nil, nil, fmt.Errorf("the origin is %.80q", lines[0])
	}
	c := &Checkpoint{LogID: logID}
	var err error
	if c.Size, err = strconv.ParseUint(lines[1], 10, 64); err != nil {
		return nil, nil, fmt.Errorf("its size: %w", err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != sha256.Size {
		return nil, nil, errors.New("its root is no hash")
	}
	c.RootHash = [32]byte(root)
	when, ok := strings.CutPrefix(lines[3], "time ")
	if !ok {
		return nil, nil, errors.New("it has no time")
	}
	if c.Time, err = time.Parse(TimeLayout, when); err != nil {
		return nil, nil, fmt.Errorf("its time: %w", err)
	}
	subtrees, ok := strings.CutPrefix(lines[4], "tree")
	if !ok {
		return nil, nil, errors.New("it has no tree")
	}
	var hashes [][]byte
	for s := range strings.FieldsSeq(subtrees) {
		h, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, nil, fmt.Errorf("its tree: %w", err)
		}
		hashes = append(hashes, h)
	}
	after, ok := strings.CutPrefix(lines[5], "after ")
	if !ok {
		return nil, nil, errors.New("it does not name the checkpoint before it")
	}
	if c.Previous, err = strconv.ParseUint(after, 10, 64); err != nil {
		return nil, nil, fmt.Errorf("the checkpoint before it: %w", err)
	}
	if c.Previous > 0 && c.Previous >= c.Size {
		return nil, nil, errors.New("the checkpoint before it is not smaller")
	}
	var gaps []Gap
	for _, line := range lines[6:] {
		var g Gap
		if _, err := fmt.Sscanf(line, "lost %d-%d", &g.From, &g.To); err != nil {
			return nil, nil, fmt.Errorf("the line %.80q: %w", line, err)
		}
		gaps = append(gaps, g)
	}
	t, err := rooted(c.Size, hashes, gaps, root)
	return c, t, err
}
