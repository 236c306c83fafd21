package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// removal is what a row of the pack says of the rows before those in it: retention let them go.
type removal struct {
	audit.Removal      // Through is less than the place of the first row that is there
	start         bool // the impersonation's start is not there
	shown         bool // and must have been one of them
	all           bool // every row before the first that is there is one of them
}

// removal is nil when the pack has no such row.
func (p *Pack) removal() (found *removal) {
	start := p.start() != nil
	for _, r := range p.rows {
		if r.event == nil || r.event.Type != audit.EventRetentionApplied {
			continue
		}
		said := audit.RemovalOf(r.event.Detail)
		first := p.first(said.Log)
		if said.Through < 1 || first < 2 || start && said.Through >= first {
			continue
		}
		gone := &removal{Removal: said, start: !start, all: said.Through >= first-1}
		gone.shown = gone.start && p.shown(said)
		gone.Through = min(said.Through, first-1)
		if found == nil || gone.shown && !found.shown {
			found = gone
		}
	}
	return found
}

// shown tells whether a start that is not there was one of the rows that may go: its place is before that of every row which
// is there, and it is what the end says. No other place is known: requests are placed when they are finished, and times may
// step back.
func (p *Pack) shown(gone audit.Removal) bool {
	if first := p.first(gone.Log); first > 1 && gone.Through >= first-1 {
		return true
	}
	seq := p.startSeq(gone.Log)
	return seq > 0 && gone.Through >= seq
}

// startSeq is where in a log the end says that the start is; 0: it does not say.
func (p *Pack) startSeq(log string) (seq uint64) {
	for _, r := range p.rows {
		if r.event != nil && r.logID == log && r.event.Type == audit.EventImpersonationEnded && r.event.ImpersonationID == p.ID {
			seq = max(seq, audit.EndOf(r.event.Detail).StartSeq)
		}
	}
	return seq
}

// missing are the numbers of requests that are not there; lead tells how many of them come before all that are.
func (p *Pack) missing() (numbers []uint64, lead int) {
	have := map[uint64]bool{}
	said, ended := uint64(0), false
	for _, r := range p.rows {
		switch {
		case r.request != nil && r.request.ImpersonationID == p.ID:
			have[r.request.ImpersonationSeq] = true
		case r.event != nil && r.event.ImpersonationID == p.ID && r.event.Type == audit.EventImpersonationEnded:
			said, ended = max(said, audit.EndOf(r.event.Detail).Requests), true
		}
	}
	if !ended {
		for n := range have {
			said = max(said, n)
		}
	}
	leading := true
	for n := uint64(1); n <= said && len(numbers) <= maxRows; n++ {
		if leading = leading && !have[n]; leading {
			lead++
		}
		if !have[n] {
			numbers = append(numbers, n)
		}
	}
	return numbers, lead
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
	headless := c.start() == nil
	if !headless && c.asked() && (i.Policy == "" || c.hasPolicy(i.Policy)) {
		return nil
	}
	first := c.first(i.LogID)
	var found *audit.Event
	why := "no event says that retention removed it"
	err := c.eachRetention(func(e *audit.Event) bool {
		said := audit.RemovalOf(e.Detail)
		if said.Log == i.LogID && said.Through > 0 && headless && c.startSeq(i.LogID) == 0 {
			why = "the end does not say where it was: it is in another log, or was recorded by an earlier version, so nothing shows that retention removed it"
		}
		if said.Log == i.LogID && said.Through > 0 && (headless && c.shown(said) || !headless && said.Through < first) {
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
		return nil // it was never recorded
	}
	return fmt.Errorf("%w: its start is not there, and %s; audit verify says more", ErrUnproven, why)
}

// Unshown is how many requests that retention removed are taken for missing unless the gateway signs the pack.
func (p *Pack) Unshown() (n int) {
	gone := p.removal()
	missing, lead := p.missing()
	switch {
	case gone == nil || !gone.shown:
		return 0
	case gone.all:
		return len(missing) - lead
	}
	return len(missing)
}

// settle is how long after the end requests that were under way may still be recorded.
const settle = 24 * time.Hour

// unbroken checks, where the start is gone, that no row after those which retention let go is missing, or says something
// else: any might be of the impersonation. Its requests are numbered, but nothing tells which of those that are not there
// had places before. It holds for the gateway's signature on the manifest; what is in a pack can't show it.
func (c *collector) unbroken() error {
	gone := c.removal()
	if gone == nil || !gone.start {
		return nil
	}
	var last uint64
	var over time.Time
	for _, r := range c.rows {
		if r.logID == gone.Log && (r.request != nil || r.event.ImpersonationID == c.ID) {
			last = max(last, r.seq)
		}
		if r.event != nil && r.event.ImpersonationID == c.ID && r.event.Type == audit.EventImpersonationEnded {
			over = r.event.Time.Add(settle)
		}
	}
	for seq := gone.Through + 1; ; {
		sealed, err := c.r.Sealed(c.ctx, gone.Log, seq)
		if errors.Is(err, audit.ErrUnsealed) && seq > last {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := newSpan(sealed)
		if err == nil && len(sealed.Changed) > 0 {
			err = fmt.Errorf("row %d is not the row that was recorded", slices.Min(sealed.Changed))
		}
		if err != nil {
			return fmt.Errorf("%w: what was recorded after its start: %w", ErrUnproven, err)
		}
		if seq = p.size + 1; p.size >= last && sealed.Checkpoint.Time.After(over) {
			return nil
		}
	}
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
	left, err := c.r.Timeline(c.ctx, c.ID, audit.Page{Limit: 1})
	if err == nil && len(left.Rows) > 0 {
		logID, seq := left.Rows[0].Place()
		if c.letGo(logID, seq-1) == nil {
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
