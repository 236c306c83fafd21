package evidence

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// removal is what a row of the pack says of the rows before those in it: retention let them go.
type removal struct {
	audit.Removal      // Through is less than the place of the first row that is there
	start         bool // the impersonation's start is not there
	shown         bool // and was one of them: its end says where it was
}

// places are, by log, that of the first of the impersonation's own rows, and that which its end says of the start.
type places struct{ first, start map[string]uint64 }

func (p *Pack) places() *places {
	at := &places{map[string]uint64{}, map[string]uint64{}}
	for _, r := range p.rows {
		if first := at.first[r.logID]; p.own(r) && (first == 0 || r.seq < first) {
			at.first[r.logID] = r.seq
		}
		if p.isEnd(r) {
			at.start[r.logID] = max(at.start[r.logID], audit.EndOf(r.event.Detail).StartSeq)
		}
	}
	return at
}

// removal is nil when the pack has no such row.
func (p *Pack) removal() (found *removal) {
	start, at := p.start() != nil, p.places()
	for _, r := range p.rows {
		if r.event == nil || r.event.Type != audit.EventRetentionApplied {
			continue
		}
		said := audit.RemovalOf(r.event.Detail)
		first := at.first[said.Log]
		if said.Through < 1 || first < 2 || start && said.Through >= first {
			continue
		}
		gone := &removal{Removal: said, start: !start, shown: !start && at.shown(said)}
		gone.Through = min(said.Through, first-1)
		if found == nil || gone.shown && !found.shown {
			found = gone
		}
	}
	return found
}

// shown tells whether a start that is not there was one of the rows that may go. Nothing but the end says where it was: times
// may step back, requests are placed when they are finished, and before the first row that is there others may be missing.
func (at *places) shown(gone audit.Removal) bool {
	seq := at.start[gone.Log]
	return seq > 0 && gone.Through >= seq
}

// numbered is a request by the number that a log gave it.
type numbered struct {
	log string
	n   uint64
}

// missing are the requests that are not there: each log counts from 1, and the end in it says how many there were.
func (p *Pack) missing() (list []numbered) {
	have := map[numbered]bool{}
	said := map[string]uint64{}
	for _, r := range p.rows {
		switch {
		case r.request != nil && r.request.ImpersonationID == p.ID:
			have[numbered{r.logID, r.request.ImpersonationSeq}] = true
			said[r.logID] = max(said[r.logID], r.request.ImpersonationSeq) // one that slips in at the very end is not counted there
		case p.isEnd(r):
			said[r.logID] = max(said[r.logID], audit.EndOf(r.event.Detail).Requests)
		}
	}
	for _, log := range slices.Sorted(maps.Keys(said)) {
		for n := uint64(1); n <= said[log] && len(list) <= maxRows; n++ {
			if at := (numbered{log, n}); !have[at] {
				list = append(list, at)
			}
		}
	}
	return list
}

// noEnd tells whether a log that has rows of the impersonation has no end of it.
func (p *Pack) noEnd() bool {
	ended := map[string]bool{}
	for _, r := range p.rows {
		ended[r.logID] = ended[r.logID] || p.isEnd(r)
	}
	return slices.ContainsFunc(p.rows, func(r *row) bool { return p.own(r) && !ended[r.logID] })
}

func (p *Pack) isEnd(r *row) bool {
	return r.event != nil && r.event.Type == audit.EventImpersonationEnded && r.event.ImpersonationID == p.ID
}

func (p *Pack) own(r *row) bool {
	return r.event != nil && r.event.ImpersonationID == p.ID || r.request != nil && r.request.ImpersonationID == p.ID
}

// has tells whether a row is one that a pack has: of the impersonation, of the request that its start was made of, or what
// configurations, keys and the retention were, by its start and its request. Another's, in its report, would be taken for this one's.
func (p *Pack) has(r *row, start *audit.Event, request string) bool {
	if p.own(r) || r.event == nil {
		return p.own(r)
	}
	switch r.event.Type {
	case audit.EventConfigLoaded:
		return inForce(r, start)
	case audit.EventSigningKeyChanged, audit.EventRetentionApplied:
		return true
	}
	return request != "" && r.event.ImpersonationID == "" && detailOf(r.event)["request"] == request
}

// inForce tells whether a configuration is that which the start names; an earlier version's start names none.
func inForce(r *row, start *audit.Event) bool {
	if start == nil {
		return true
	}
	seq := audit.StartOf(start.Detail).ConfigSeq
	return seq == 0 || r.logID == start.LogID && r.seq == seq
}

// config is the place of the configuration that the start names; 0: it names none, or is not there.
func (p *Pack) config() (log string, seq uint64) {
	if start := p.start(); start != nil {
		return start.LogID, audit.StartOf(start.Detail).ConfigSeq
	}
	return "", 0
}

// hasConfig tells whether what the start names is there.
func (p *Pack) hasConfig() bool {
	log, seq := p.config()
	return slices.ContainsFunc(p.rows, func(r *row) bool {
		return r.event != nil && r.event.Type == audit.EventConfigLoaded && r.logID == log && r.seq == seq
	})
}

// noConfig is the place of a configuration that is not there though the start names it and retention did not let it go; 0: all is well.
func (p *Pack) noConfig(gone *removal) (log string, seq uint64) {
	if log, seq = p.config(); seq == 0 || p.hasConfig() || gone != nil && gone.Log == log && gone.Through >= seq {
		return "", 0
	}
	return log, seq
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
		if !p.own(r) || r.event == nil || r.event.Type != audit.EventImpersonationStarted && r.event.Type != audit.EventEmergencyStarted {
			continue
		}
		if id, _ := detailOf(r.event)["request"].(string); id != "" {
			return id
		}
	}
	return ""
}

// retained adds the event by which retention let rows before the impersonation's first go, where something is missing that
// may have been among them: its start, who agreed, the policy's text.
func (c *collector) retained(i *audit.Impersonation) error {
	headless := c.start() == nil
	if !headless && c.asked() && c.ruled(i.Policy) {
		return nil
	}
	at := c.places()
	var found *audit.Event
	err := c.eachRetention(func(e *audit.Event) bool {
		said := audit.RemovalOf(e.Detail)
		if said.Log == i.LogID && said.Through > 0 && (headless && at.shown(said) || !headless && said.Through < at.first[i.LogID]) {
			found = e
		}
		return found == nil
	})
	switch {
	case err != nil:
		return err
	case found != nil:
		return c.add(ofEvent(found))
	case !headless:
		return nil // it was never recorded, or those who check the pack miss it
	case at.start[i.LogID] == 0:
		return ErrUnplaced
	}
	return fmt.Errorf("%w: its start is not there, and no event says that retention removed it; audit verify says more", ErrUnproven)
}

// Unshown is how many requests are not there, of one whose start retention has removed: maybe with it. No row says so.
func (p *Pack) Unshown() int {
	if gone := p.removal(); gone == nil || !gone.shown {
		return 0
	}
	return len(p.missing())
}

// asked tells whether the pack has how the start was asked for, if it was.
func (p *Pack) asked() bool {
	request := p.request()
	return request == "" || slices.ContainsFunc(p.rows, func(r *row) bool {
		return r.event != nil && strings.HasSuffix(r.event.Type, "_requested") && detailOf(r.event)["request"] == request
	})
}

// ruled tells whether the pack has what the policy was, as far as it was recorded.
func (p *Pack) ruled(name string) bool {
	if _, seq := p.config(); seq > 0 {
		return p.hasConfig()
	}
	return name == "" || slices.ContainsFunc(p.rows, func(r *row) bool {
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
	left, err := c.r.Timeline(c.ctx, c.ID, audit.Page{Limit: 1})
	if err == nil && len(left.Rows) > 0 {
		// A review, say, comes long after the end.
		logID, seq := left.Rows[0].Place()
		if left.Rows[0].Request != nil || seq < 2 || c.letGo(logID, seq-1) == nil {
			return fmt.Errorf("%w: its start is not there, though rows of it are; audit verify says more", ErrUnproven)
		}
	}
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
