package audit

import "encoding/json"

// Removal is what an event retention_applied says: the rows of a log up to one are kept no longer.
type Removal struct {
	Log     string `json:"log"`
	Through uint64 `json:"through"`
}

// RemovalOf is what the event's detail says; empty for one that is none: it was changed, and is found as such.
func RemovalOf(detail string) (r Removal) {
	if json.Unmarshal([]byte(detail), &r) != nil {
		return Removal{}
	}
	return r
}
