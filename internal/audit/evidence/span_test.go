package evidence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// TestRowThatTheJournalLost: a sink may have a row whose place the journal lost. The tree has none there: the others are
// proven, that one is not.
func TestRowThatTheJournalLost(t *testing.T) {
	signer, err := audit.OwnSigner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var tree audit.Tree
	leaves := map[uint64][32]byte{}
	for seq := uint64(1); seq <= 3; seq++ {
		leaves[seq] = audit.LeafHash(fmt.Append(nil, seq))
		if seq == 2 {
			tree.Skip(seq)
			continue
		}
		tree.Append(leaves[seq])
	}
	checkpoint, err := audit.SignCheckpoint("kxp3vbq2mwu7zdnc", time.Now(), &tree, 0, signer)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newSpan(&audit.Sealed{Checkpoint: checkpoint, Leaves: leaves})
	if err != nil {
		t.Fatal(err)
	}
	path, err := p.path(3)
	if err != nil || !included(3, 3, leaves[3], path, checkpoint.RootHash) {
		t.Errorf("the row behind it is not proven: %v", err)
	}
	c := &collector{spans: map[string][]*span{"log": {p}}}
	if err := c.prove(&row{logID: "log", seq: 2, leaf: leaves[2]}); !errors.Is(err, ErrUnproven) {
		t.Errorf("the lost row: %v", err)
	}
}

// TestCheckpointOfAnotherSize: whoever can write to the sink can put a note beside columns that it does not fit. One of more rows
// than the columns say is not worked on: that would take as long as its size.
func TestCheckpointOfAnotherSize(t *testing.T) {
	const huge = 1 << 40
	root := audit.LeafHash(nil)
	hash := base64.StdEncoding.EncodeToString(root[:])
	note := fmt.Sprintf("caddy-impersonate/kxp3vbq2mwu7zdnc\n%d\n%s\ntime 2026-03-01T09:30:00.123456Z\ntree %s\nafter 0\nlost 1-%d\n\n\u2014 caddy-impersonate AAAA\n", huge, hash, hash, huge)
	if c, _, err := audit.ParseCheckpoint(note); err != nil || c.Size != huge {
		t.Fatal(err)
	}
	for _, s := range []*audit.Sealed{
		{Checkpoint: &audit.Checkpoint{LogID: "kxp3vbq2mwu7zdnc", Size: 3, Note: note}},
		{Checkpoint: &audit.Checkpoint{LogID: "another", Size: huge, Note: note}},
	} {
		if _, err := newSpan(s); err == nil {
			t.Error("taken for a checkpoint of 3 rows")
		}
	}
}
