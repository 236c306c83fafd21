package audit

import (
	"os"
	"path/filepath"
	"testing"
)

// Batches of checkpoints alone that a sink refuses at one place of the log don't take each other's file.
func TestRefusedCheckpointsHaveFilesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	for _, b := range []*Batch{
		{From: 8, To: 7, Checkpoints: []*Checkpoint{{Size: 7}}},
		{From: 8, To: 7, Checkpoints: []*Checkpoint{{Size: 9}}},
		{From: 8, To: 7, Checkpoints: []*Checkpoint{{Size: 9}}}, // the same once more, after a crash
		{From: 8, To: 9, Requests: []*Request{{}}, Checkpoints: []*Checkpoint{{Size: 9}}},
	} {
		if err := os.WriteFile(filepath.Join(dir, refusedFile("click/house", b)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := RefusedBatches(dir)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d batches: %+v %v", len(list), list, err)
	}
	for _, b := range list {
		if b.From != 8 || b.To != 7 && b.To != 9 || !b.Of("click/house") {
			t.Errorf("%+v", b)
		}
	}
}
