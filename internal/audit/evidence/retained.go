package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// removal is what a row of the pack says of the rows before those in it: retention let them go.
type removal struct {
	audit.Removal
	start bool // the impersonation's start was one of them
}

// removal is nil when the pack has no such row. That the start is not there and nothing says so is no such case.
func (p *Pack) removal() *removal {
	for _, r := range p.rows {
		if r.event == nil || r.event.Type != audit.EventRetentionApplied {
			continue
		}
		if said := audit.RemovalOf(r.event.Detail); said.Through >= 1 && said.Through < p.first(said.Log) {
			return &removal{Removal: said, start: p.start() == nil}
		}
	}
	return nil
}

// start is the event of the impersonation's start; nil: it is not there.
func (p *Pack) start() *audit.Event {
	for _, r := range p.rows {
		if r.event != nil && r.event.Type == audit.EventImpersonationStarted && r.event.ImpersonationID == p.ID {
			return r.event
		}
	}
	return nil
}

// request is the one that the start was made of, as the start says; empty: nobody was asked.
func (p *Pack) request() string {
	for _, r := range p.rows {
		if r.event == nil || r.event.Type != audit.EventImpersonationStarted && r.event.Type != audit.EventEmergencyStarted {
			continue
		}
		if id, _ := detailOf(r.event)["request"].(string); id != "" {
			return id
		}
	}
	return ""
}

// first is the place of the first of the impersonation's own rows in a log; 0: it has none there.
func (p *Pack) first(log string) (seq uint64) {
	for _, r := range p.rows {
		own := r.event != nil && r.event.ImpersonationID == p.ID || r.request != nil && r.request.ImpersonationID == p.ID
		if own && r.logID == log && (seq == 0 || r.seq < seq) {
			seq = r.seq
		}
	}
	return seq
}

// retained adds the event by which retention let rows before the impersonation's first go, where something is missing that
// may have been among them: its start, who agreed, the policy's text.
func (c *collector) retained(i *audit.Impersonation) error {
	if !i.BeginningRemoved && c.asked() && (i.Policy == "" || c.hasPolicy(i.Policy)) {
		return nil
	}
	first, removing := c.first(i.LogID), false
	var found *audit.Event
	err := c.eachRetention(func(e *audit.Event) bool {
		switch said := audit.RemovalOf(e.Detail); {
		case said.Log != i.LogID || said.Through == 0:
		case said.Through < first:
			found = e
		default:
			removing = true
		}
		return found == nil
	})
	switch {
	case err != nil:
		return err
	case found != nil:
		return c.add(ofEvent(found))
	case !i.BeginningRemoved:
		return nil // it was never recorded
	case removing:
		return ErrRemoving
	}
	return fmt.Errorf("%w: its start is not there, and no event says that retention removed it; audit verify says more", ErrUnproven)
}

// asked tells whether the pack has how the start was asked for, if it was.
func (p *Pack) asked() bool {
	request := p.request()
	return request == "" || slices.ContainsFunc(p.rows, func(r *row) bool {
		return r.event != nil && strings.HasSuffix(r.event.Type, "_requested") && detailOf(r.event)["request"] == request
	})
}

func (p *Pack) hasPolicy(name string) bool {
	return slices.ContainsFunc(p.rows, func(r *row) bool {
		return r.event != nil && r.event.Type == audit.EventConfigLoaded && policyIn(detailOf(r.event), name) != ""
	})
}

// letGo is an event by which retention lets a row go that is there; nil: there is none.
func (c *collector) letGo(logID string, seq uint64) (found *audit.Event) {
	_ = c.eachRetention(func(e *audit.Event) bool {
		if said := audit.RemovalOf(e.Detail); said.Log == logID && said.Through >= seq {
			found = e
		}
		return found == nil
	})
	return found
}

// eachRetention calls do with what retention let go, the newest first, until it returns false.
func (c *collector) eachRetention(do func(*audit.Event) bool) error {
	return c.each(audit.Filter{Type: audit.EventRetentionApplied}, do)
}

// gone tells what may have become of an impersonation that is not there.
func (c *collector) gone(notThere error) error {
	var last *audit.Event
	if err := c.eachRetention(func(e *audit.Event) bool { last = e; return false }); err != nil || last == nil {
		return errors.Join(notThere, err)
	}
	d := detailOf(last)
	e := &GoneError{}
	e.Before, _ = d["before"].(string)
	e.Kept, _ = d["retention"].(string)
	return e
}
