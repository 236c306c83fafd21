// Package proof checks that an audit is whole: that its rows are those its signed checkpoints commit to, none changed,
// missing, added or moved. It needs the rows, the checkpoints and the public keys, and trusts nothing else.
package proof

import "fmt"

// Kinds of findings.
const (
	KindChanged           = "changed"            // the row's values are not those its leaf hash was made of
	KindHashChanged       = "hash_changed"       // the row is the one recorded, its column leaf_hash is not
	KindRewritten         = "rewritten"          // rows are not those recorded, and their leaf hashes were made anew
	KindMissing           = "missing"            // rows are gone between others
	KindCutOff            = "cut_off"            // rows are gone at the end
	KindReordered         = "reordered"          // the row stands at another place than it was recorded at
	KindDuplicate         = "duplicate"          // a second row for one place
	KindUnsealed          = "unsealed"           // no checkpoint covers the rows: they were added, or checkpoints taken away
	KindCheckpointChanged = "checkpoint_changed" // it is not readable, or its columns are not what its note says
	KindCheckpointForged  = "checkpoint_forged"  // it is signed by none of the keys
	KindCheckpointMissing = "checkpoint_missing" // a later one, or the witness, knows it
	KindForked            = "forked"             // two signed checkpoints of one size contradict each other
)

// Finding is something that is not as it was recorded.
type Finding struct {
	Kind  string `json:"kind"`
	LogID string `json:"log_id"`
	Table string `json:"table,omitempty"` // when it is about one row
	From  uint64 `json:"from"`            // seq of the first row, or size of the checkpoint
	To    uint64 `json:"to"`
	What  string `json:"what"` // for people
}

func (f Finding) String() string {
	place := fmt.Sprint(f.From)
	if f.To != f.From {
		place = fmt.Sprintf("%d-%d", f.From, f.To)
	}
	if f.Table != "" {
		place = f.Table + " " + place
	}
	return fmt.Sprintf("%s: log %s, %s: %s", f.Kind, f.LogID, place, f.What)
}

// Log is what was found of one log.
type Log struct {
	LogID       string `json:"log_id"`
	Rows        uint64 `json:"rows"`
	First       uint64 `json:"first"` // seq of the first row
	Last        uint64 `json:"last"`
	Checkpoints uint64 `json:"checkpoints"`
	Covered     uint64 `json:"covered"` // size of the last checkpoint that is good
	Pending     uint64 `json:"pending"` // newest rows that wait for their checkpoint
	Removed     uint64 `json:"removed"` // by retention
	Lost        uint64 `json:"lost"`    // by the journal, as checkpoints say
}

// Report is the outcome.
type Report struct {
	Logs     []Log     `json:"logs"`
	Findings []Finding `json:"findings"`
	More     uint64    `json:"more_findings"` // that are not listed
	Keys     []string  `json:"keys"`          // that signed checkpoints, or were vouched for by one that did
}

// Clean tells whether nothing was found.
func (r *Report) Clean() bool { return len(r.Findings) == 0 }

// maxFindings bounds the list.
const maxFindings = 1000

func (r *Report) add(f Finding) {
	if n := len(r.Findings); n > 0 {
		// What goes on is one finding.
		if last := &r.Findings[n-1]; last.Kind == f.Kind && last.LogID == f.LogID && last.Table == f.Table && last.What == f.What && last.To+1 == f.From {
			last.To = f.To
			return
		}
		if n >= maxFindings {
			r.More++
			return
		}
	}
	r.Findings = append(r.Findings, f)
}
