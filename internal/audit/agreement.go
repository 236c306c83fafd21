package audit

import "encoding/json"

// Agreement is what an event about a start says of who agreed to it.
type Agreement struct {
	Request    string `json:"request"` // that the start was made of
	ApprovedBy string `json:"approved_by"`
	Consented  bool   `json:"consented"` // the target did
	Emergency  bool   `json:"emergency"` // nobody was asked who should have been
}

// Agreement is what the event's detail says of one.
func (e *Event) Agreement() Agreement {
	var a Agreement
	_ = json.Unmarshal([]byte(e.Detail), &a) // rows may have been written by something else
	return a
}
