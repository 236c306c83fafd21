package audit

import (
	"context"
	"encoding/json"
)

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

// AgreementTo is what the start of an impersonation says of one; empty where the start is not there.
func AgreementTo(ctx context.Context, r Reader, id string) (Agreement, error) {
	start, err := r.Events(ctx, Filter{Impersonation: id, Type: EventImpersonationStarted}, Page{Limit: 1})
	if err != nil || len(start.Rows) == 0 {
		return Agreement{}, err
	}
	return start.Rows[0].Agreement(), nil
}

// Words are who agreed; none: nobody had to. Nobody and target are what is said of an emergency, and of the target.
func (a Agreement) Words(nobody, target string) (who []string) {
	if a.Emergency {
		return []string{nobody}
	}
	if a.ApprovedBy != "" {
		who = append(who, a.ApprovedBy)
	}
	if a.Consented {
		who = append(who, target)
	}
	return who
}
