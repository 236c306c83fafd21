package audit

import (
	"encoding/json"
	"time"
)

// Removal is what an event retention_applied says: the rows of a log up to one are kept no longer.
type Removal struct {
	Log     string `json:"log"`
	Through uint64 `json:"through"`
	// Before is when the oldest row that stays may be from; zero: it is no time.
	Before time.Time `json:"before"`
}

// RemovalOf is what the event's detail says; empty for one that is none: it was changed, and is found as such.
func RemovalOf(detail string) Removal { return said[Removal](detail) }

// End is what an event impersonation_ended says of the log it is in.
type End struct {
	Requests uint64 `json:"requests"`  // how many there were
	StartSeq uint64 `json:"start_seq"` // Seq of the start; 0: it is in another log, or the end is of an earlier version
}

// EndOf is what the event's detail says; empty for one that is none.
func EndOf(detail string) End { return said[End](detail) }

// Start is what an event impersonation_started says of the log it is in.
type Start struct {
	ConfigSeq uint64 `json:"config_seq"` // Seq of the configuration in force; 0: it is in another log, or the start is of an earlier version
}

// StartOf is what the event's detail says; empty for one that is none.
func StartOf(detail string) Start { return said[Start](detail) }

// said decodes an event's detail; whatever is none says nothing.
func said[T any](detail string) (v T) {
	if json.Unmarshal([]byte(detail), &v) != nil {
		var nothing T
		return nothing
	}
	return v
}
