package evidence

import (
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
