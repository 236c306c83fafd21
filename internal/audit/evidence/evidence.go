// Package evidence makes one file of what was done in one impersonation: who, whom, why, who agreed, the policy that allowed
// it, what was told to whom, every request and event with the proof that it is in the signed log, and how to check all of
// that without us.
//
// Everything in a pack is made of its rows, checkpoints and keys, so whoever checks it can make it again and compare. It has
// no time of its own: the same audit makes the same pack.
package evidence

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"
)

// maxRows bounds a pack: it is in memory.
const maxRows = 200_000

// ErrTooLarge: the impersonation has more rows than a pack may.
var ErrTooLarge = fmt.Errorf("it has more than %d rows; export them instead", maxRows)

// row is one of a pack's.
type row struct {
	table   string
	logID   string
	seq     uint64
	values  []string // in the order of the table's columns
	leaf    [32]byte
	size    uint64   // of the tree that proof is for
	proof   [][]byte // that the row is in it
	request *audit.Request
	event   *audit.Event
}

// inOrder compares the places of rows in a pack.
func inOrder(a, b *row) int {
	return cmp.Or(strings.Compare(a.logID, b.logID), cmp.Compare(a.seq, b.seq))
}

// ErrUnproven: rows are not those that were signed, or are missing.
var ErrUnproven = errors.New("the audit does not prove it")

// ErrRemoving: retention has begun to remove rows that the proof needs, or rows of the impersonation itself.
var ErrRemoving = errors.New("its rows, or those before it, are older than the audit is kept and being removed; try again once that is done. If this stays so, audit verify says more")

// ErrUnplaced: the start is not there, and nothing shows whether retention removed it. Ends say where the start is, unless it
// is in another log (the journal was replaced meanwhile), or they were recorded by an earlier version.
var ErrUnplaced = errors.New("its start is not there, and its end does not say where that was, so nothing in it shows that retention removed it; audit verify of the whole log does")

// GoneError: there is no such impersonation, or there was one that retention has removed: nothing tells the one from the other.
type GoneError struct {
	Before string // what is older may be gone; RFC 3339
	Kept   string // for how long the audit was kept then
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("%v: either there was none, or it was older than the audit is kept (%s): what was before %s is removed", audit.ErrNotThere, e.Kept, e.Before)
}

// Unwrap makes it an [audit.ErrNotThere].
func (e *GoneError) Unwrap() error { return audit.ErrNotThere }

// Pack is what evidence is made of.
type Pack struct {
	ID          string
	rows        []*row
	checkpoints []string // signed notes
	keys        []string // verifier keys
}

// Collect reads an impersonation. keys are those the gateway has published; they are put into the pack, though whoever
// checks it should take them from elsewhere. [audit.ErrNotThere] (or [GoneError]), [audit.ErrUnsealed], [ErrUnproven], [ErrUnplaced],
// [ErrRemoving] and [ErrTooLarge] say why there is none.
func Collect(ctx context.Context, r audit.Reader, id string, keys []string) (*Pack, error) {
	p := &Pack{ID: id, keys: keys}
	c := &collector{Pack: p, ctx: ctx, r: r, have: map[string]bool{}, spans: map[string][]*span{}, notes: map[string]bool{}}
	i, err := r.Impersonation(ctx, id)
	if errors.Is(err, audit.ErrNotThere) {
		return nil, c.gone(err)
	}
	if err != nil {
		return nil, err
	}
	steps := []func(*audit.Impersonation) error{c.timeline, c.agreements, c.policy, c.retained, c.rotations}
	for _, step := range steps {
		if err := step(i); err != nil {
			return nil, fmt.Errorf("collecting evidence: %w", err)
		}
	}
	slices.SortFunc(p.rows, inOrder)
	for _, row := range p.rows {
		if err := c.prove(row); err != nil {
			if errors.Is(err, ErrUnproven) && c.letGo(row.logID, row.seq) != nil {
				err = fmt.Errorf("%w (%w)", ErrRemoving, err)
			}
			return nil, fmt.Errorf("collecting evidence: log %s, row %d: %w", row.logID, row.seq, err)
		}
	}
	if log, seq := p.noConfig(p.removal()); seq > 0 && c.letGo(log, seq) != nil {
		return nil, fmt.Errorf("collecting evidence: %w", ErrRemoving)
	}
	if p.start() != nil && len(p.missing()) > 0 && c.letGo(i.LogID, p.places().first[i.LogID]) != nil {
		return nil, fmt.Errorf("collecting evidence: %w", ErrRemoving)
	}
	return p, nil
}

type collector struct {
	*Pack
	ctx   context.Context
	r     audit.Reader
	have  map[string]bool
	spans map[string][]*span // by log
	notes map[string]bool
}

func (c *collector) add(rows ...*row) error {
	for _, row := range rows {
		key := fmt.Sprint(row.logID, "/", row.seq)
		if c.have[key] {
			continue
		}
		if c.have[key] = true; len(c.rows) >= maxRows {
			return ErrTooLarge
		}
		c.rows = append(c.rows, row)
	}
	return nil
}

func ofRequest(q *audit.Request) *row {
	return &row{table: audit.TableRequests, logID: q.LogID, seq: q.Seq, values: q.Values(), leaf: q.LeafHash, request: q}
}

func ofEvent(e *audit.Event) *row {
	return &row{table: audit.TableEvents, logID: e.LogID, seq: e.Seq, values: e.Values(), leaf: e.LeafHash, event: e}
}

// timeline is what happened in the impersonation.
func (c *collector) timeline(i *audit.Impersonation) error {
	page := audit.Page{Limit: 1000}
	for {
		found, err := c.r.Timeline(c.ctx, i.ID, page)
		if err != nil {
			return err
		}
		for _, e := range found.Rows {
			row := ofEvent
			if e.Request != nil {
				err = c.add(ofRequest(e.Request))
			} else {
				err = c.add(row(e.Event))
			}
			if err != nil {
				return err
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return nil
		}
	}
}

// before is how long before a start its request may have been made.
const before = 31 * 24 * time.Hour

// events adds those of a filter, the newest first, that match; all, or one.
func (c *collector) events(f audit.Filter, one bool, match func(*audit.Event, map[string]any) bool) error {
	var failed error
	if err := c.each(f, func(e *audit.Event) bool {
		if !match(e, detailOf(e)) {
			return true
		}
		failed = c.add(ofEvent(e))
		return failed == nil && !one
	}); err != nil {
		return err
	}
	return failed
}

// each calls do with the events of a filter, the newest first, until it returns false.
func (c *collector) each(f audit.Filter, do func(*audit.Event) bool) error {
	page := audit.Page{Limit: 500}
	for {
		found, err := c.r.Events(c.ctx, f, page)
		if err != nil {
			return err
		}
		for _, e := range found.Rows {
			if !do(e) {
				return nil
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return nil
		}
	}
}

func detailOf(e *audit.Event) map[string]any {
	var d map[string]any
	_ = json.Unmarshal([]byte(e.Detail), &d) // what is none says nothing
	return d
}

// agreements are the events of the request that the start was made of: asked, agreed to, by whom.
func (c *collector) agreements(i *audit.Impersonation) error {
	request := c.request()
	if request == "" {
		return nil
	}
	f := audit.Filter{Q: request, From: i.Started.Add(-before), To: i.Started.Add(time.Hour)}
	return c.events(f, false, func(e *audit.Event, d map[string]any) bool {
		return e.ImpersonationID == "" && d["request"] == request // else a start that failed, and gave the request back
	})
}

// policy is the event of the configuration that was in force at the start: the one that it names. A start that names none is of
// an earlier version: then it is the last before it that has the policy's text.
func (c *collector) policy(i *audit.Impersonation) error {
	if log, seq := c.config(); seq > 0 {
		f := audit.Filter{Type: audit.EventConfigLoaded, Log: log}
		return c.events(f, true, func(e *audit.Event, _ map[string]any) bool { return e.Seq == seq })
	}
	if i.Policy == "" {
		return nil
	}
	f := audit.Filter{Type: audit.EventConfigLoaded, Log: i.LogID, To: i.Started.Add(time.Microsecond)}
	return c.events(f, true, func(_ *audit.Event, d map[string]any) bool { return policyIn(d, i.Policy) != "" })
}

func policyIn(d map[string]any, name string) string {
	policies, _ := d["policies"].(map[string]any)
	text, _ := policies[name].(string)
	return text
}

// rotations are the events that name signing keys: a pack is checked with a key that vouches for the next.
func (c *collector) rotations(i *audit.Impersonation) error {
	logs := map[string]bool{}
	for _, row := range c.rows {
		logs[row.logID] = true
	}
	for log := range logs {
		f := audit.Filter{Type: audit.EventSigningKeyChanged, Log: log}
		if err := c.events(f, false, func(*audit.Event, map[string]any) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}

// prove gives a row its proof, and the pack the checkpoint that it leads to.
func (c *collector) prove(r *row) error {
	var p *span
	for _, s := range c.spans[r.logID] {
		if r.seq > s.after && r.seq <= s.size {
			p = s
		}
	}
	if p == nil {
		sealed, err := c.r.Sealed(c.ctx, r.logID, r.seq)
		if err != nil {
			return err
		}
		if p, err = newSpan(sealed); err != nil {
			return fmt.Errorf("%w: %w", ErrUnproven, err)
		}
		// Rows come in the order of their places: what is behind is not asked for again.
		c.spans[r.logID] = []*span{p}
		if note := sealed.Checkpoint.Note; !c.notes[note] {
			c.notes[note] = true
			c.checkpoints = append(c.checkpoints, note)
		}
	}
	if p.lost(r.seq) {
		return fmt.Errorf("%w: the journal lost its place, so no checkpoint covers it", ErrUnproven)
	}
	if leaf, ok := p.leaves[r.seq]; !ok || leaf != r.leaf || proof.LeafHash(r.table, r.values) != leaf {
		return fmt.Errorf("%w: it is not the row that was recorded", ErrUnproven)
	}
	var err error
	r.size = p.size
	r.proof, err = p.path(r.seq)
	return err
}
