package query

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// started narrows events to the starts that the filter means.
func (b *builder) started(f audit.Filter) *builder {
	b.is("type", audit.EventImpersonationStarted).and("impersonation_id <> ''").time(f).who(f)
	ended := "(SELECT impersonation_id FROM " + b.table(audit.TableEvents) + " WHERE type = '" + audit.EventImpersonationEnded + "'"
	switch f.Outcome {
	case "":
	case audit.OutcomeActive:
		b.and("impersonation_id " + b.Global + "NOT IN " + ended + ")")
	default:
		b.and("impersonation_id "+b.Global+"IN "+ended+" AND "+b.Text("cause")+" = ?)", f.Outcome)
	}
	return b.contains(f.Q, "reason", "ticket", "impersonation_id", "actor_username", "actor_name", "target_username", "target_name", "client_ip")
}

// Impersonations implements [audit.Reader].
func (r *Reader) Impersonations(ctx context.Context, f audit.Filter, p audit.Page) (*audit.Found[audit.Impersonation], error) {
	k, err := checked("impersonations", f, p)
	if err != nil {
		return nil, err
	}
	b := r.build("SELECT " + eventColumns + " FROM " + r.dialect.Prefix + audit.TableEvents)
	b.started(f).page(k, p, 1)
	var starts []*audit.Event
	if err := r.each(ctx, "reading impersonations", b, into(&starts, scanEvent)); err != nil {
		return nil, err
	}
	var headless []*audit.Event
	if f.Impersonation == "" || len(starts) == 0 { // else the one that is asked for is there
		if headless, err = r.headless(ctx, f, p, k, starts); err != nil {
			return nil, err
		}
	}
	rows := make([]*audit.Impersonation, 0, len(starts)+len(headless))
	for _, e := range starts {
		rows = append(rows, fromStart(e))
	}
	if len(headless) > 0 {
		gone, err := r.removals(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range headless {
			rows = append(rows, fromEnd(e, gone[e.LogID]))
		}
		slices.SortFunc(rows, func(a, b *audit.Impersonation) int {
			if p.Oldest {
				return listed(a).compare(listed(b))
			}
			return listed(b).compare(listed(a))
		})
	}
	found := cut(rows, "impersonations", f, p, listed)
	return found, r.complete(ctx, found.Rows)
}

// listed is an impersonation's place in the list: that of the event which it is known by.
func listed(i *audit.Impersonation) place {
	if i.Headless() {
		return place{*i.Ended, i.LogID, i.Seq}
	}
	return place{i.Started, i.LogID, i.Seq}
}

// headlessWithin is how long after the oldest event there may be ends of impersonations whose start was older, and has been
// removed: longer than any lasts (config.MaxImpersonation), and than a gateway stands still before it writes an end down.
const headlessWithin = 31 * 24 * time.Hour

// farAway is later than any row: where one impersonation is asked for, its end is looked for wherever it is.
var farAway = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// headless are the ends of impersonations whose start is not there, of a page that has these starts.
func (r *Reader) headless(ctx context.Context, f audit.Filter, p audit.Page, k *place, starts []*audit.Event) (ends []*audit.Event, err error) {
	if f.Outcome == audit.OutcomeActive {
		return nil, nil
	}
	until := farAway
	if f.Impersonation == "" {
		var oldest time.Time
		b := r.build("SELECT time FROM " + r.dialect.Prefix + audit.TableEvents + " ORDER BY time LIMIT 1")
		if err := r.each(ctx, "looking for the oldest event", b, func(rows *sql.Rows) error { return rows.Scan(timeOf{&oldest}) }); err != nil {
			return nil, err
		}
		if oldest.IsZero() {
			return nil, nil
		}
		until = oldest.Add(headlessWithin)
	}
	if !f.From.Before(until) || p.Oldest && k != nil && !k.at.Before(until) {
		return nil, nil
	}
	if n := p.Rows(); !p.Oldest && len(starts) > n && !starts[n-1].Time.Before(until) {
		return nil, nil // the page is full of younger ones
	}
	b := r.build("SELECT " + eventColumns + " FROM " + r.dialect.Prefix + audit.TableEvents)
	b.is("type", audit.EventImpersonationEnded).and("impersonation_id <> ''").and("time < "+b.At, b.Arg(until))
	b.and("impersonation_id "+b.Global+"NOT IN (SELECT impersonation_id FROM "+b.table(audit.TableEvents)+
		" WHERE type = '"+audit.EventImpersonationStarted+"' AND time < "+b.At+")", b.Arg(until))
	// One that was written again after a crash is not the end.
	b.and("(log_id, seq) "+b.Global+"IN (SELECT log_id, min(seq) FROM "+b.table(audit.TableEvents)+
		" WHERE type = '"+audit.EventImpersonationEnded+"' AND time < "+b.At+" GROUP BY log_id, impersonation_id)", b.Arg(until))
	b.time(f).who(f)
	if f.Outcome != "" {
		b.and(b.Text("cause")+" = ?", f.Outcome)
	}
	b.contains(f.Q, "impersonation_id", "actor_username", "actor_name", "target_username", "target_name").page(k, p, 1)
	return ends, r.each(ctx, "reading impersonations without their start", b, into(&ends, scanEvent))
}

// Impersonation implements [audit.Reader].
func (r *Reader) Impersonation(ctx context.Context, id string) (*audit.Impersonation, error) {
	if id == "" {
		return nil, audit.ErrNotThere
	}
	found, err := r.Impersonations(ctx, audit.Filter{Impersonation: id}, audit.Page{Limit: 1, Oldest: true})
	if err != nil {
		return nil, err
	}
	if len(found.Rows) == 0 {
		return nil, audit.ErrNotThere
	}
	return found.Rows[0], nil
}

func fromStart(e *audit.Event) *audit.Impersonation {
	i := &audit.Impersonation{
		ID: e.ImpersonationID, ActorID: e.ActorID, ActorUsername: e.ActorUsername, ActorName: e.ActorName,
		TargetID: e.TargetID, TargetUsername: e.TargetUsername, TargetName: e.TargetName, Reason: e.Reason, Ticket: e.Ticket,
		Mode: e.Mode, ClientIP: e.ClientIP, Started: e.Time, LogID: e.LogID, Seq: e.Seq,
	}
	var d struct{ Policy, Site string }
	if json.Unmarshal([]byte(e.Detail), &d) == nil { // rows may have been written by something else
		i.Policy, i.Site = d.Policy, d.Site
	}
	return i
}

// removals are the furthest that retention let the rows of each log go.
func (r *Reader) removals(ctx context.Context) (map[string]audit.Removal, error) {
	by := map[string]audit.Removal{}
	b := r.build("SELECT " + eventColumns + " FROM " + r.dialect.Prefix + audit.TableEvents)
	return by, r.each(ctx, "reading what retention removed", b.is("type", audit.EventRetentionApplied), func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		if err == nil {
			if said := audit.RemovalOf(e.Detail); said.Through > by[said.Log].Through {
				by[said.Log] = said
			}
		}
		return err
	})
}

// fromEnd is what the end tells of one whose start is gone, and of whose log retention let so much go. An end that does not
// say where the start was is of a start in another log, or of an earlier version: then its time must do.
func fromEnd(e *audit.Event, gone audit.Removal) *audit.Impersonation {
	i := &audit.Impersonation{
		ID: e.ImpersonationID, ActorID: e.ActorID, ActorUsername: e.ActorUsername, ActorName: e.ActorName,
		TargetID: e.TargetID, TargetUsername: e.TargetUsername, TargetName: e.TargetName,
		Mode: e.Mode, Started: e.Time, Ended: &e.Time, LogID: e.LogID, Seq: e.Seq,
	}
	var d struct {
		Cause, By string
		Seconds   uint32 `json:"duration_s"`
	}
	if json.Unmarshal([]byte(e.Detail), &d) != nil {
		d.Cause = e.Detail
	}
	i.EndCause, i.EndedBy, i.Started = d.Cause, d.By, e.Time.Add(-time.Duration(d.Seconds)*time.Second)
	i.BeginningRemoved = gone.Through > 0 && (gone.Before.IsZero() || i.Started.Before(gone.Before))
	if seq := audit.EndOf(e.Detail).StartSeq; seq > 0 {
		i.BeginningRemoved = gone.Through >= seq
	}
	i.BeginningMissing = !i.BeginningRemoved
	return i
}

// complete adds ends and counts.
func (r *Reader) complete(ctx context.Context, list []*audit.Impersonation) error {
	for some := range slices.Chunk(list, 500) {
		var ids []string
		byID := map[string][]*audit.Impersonation{}
		var first time.Time
		for _, i := range some {
			if byID[i.ID] == nil {
				ids = append(ids, i.ID)
			}
			byID[i.ID] = append(byID[i.ID], i)
			if first.IsZero() || i.Started.Before(first) {
				first = i.Started
			}
		}
		// No row of an impersonation is much older than its start: what came before need not be looked at. A clock that was
		// put back in between stays within the day.
		since := audit.Filter{From: first.AddDate(0, 0, -1)}
		if err := r.ends(ctx, since, ids, byID); err != nil {
			return err
		}
		if err := r.counts(ctx, since, ids, byID); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) ends(ctx context.Context, since audit.Filter, ids []string, byID map[string][]*audit.Impersonation) error {
	b := r.build("SELECT impersonation_id, time, detail FROM " + r.dialect.Prefix + audit.TableEvents)
	b.is("type", audit.EventImpersonationEnded).time(since).in("impersonation_id", ids).add(" ORDER BY time, log_id, seq")
	return r.each(ctx, "reading ends of impersonations", b, func(rows *sql.Rows) error {
		var id, detail string
		var at time.Time
		if err := rows.Scan(&id, timeOf{&at}, &detail); err != nil {
			return err
		}
		var d struct{ Cause, By string }
		if json.Unmarshal([]byte(detail), &d) != nil {
			d.Cause = detail
		}
		for _, i := range byID[id] {
			if i.Ended == nil { // one that was written again after a crash is not the end
				i.Ended, i.EndCause, i.EndedBy = &at, d.Cause, d.By
			}
		}
		return nil
	})
}

// sums counts requests, writes and refusals.
const sums = "count(*), sum(CASE WHEN " + unsafe + " THEN 1 ELSE 0 END), sum(CASE WHEN outcome = 'refused' THEN 1 ELSE 0 END)"

func (r *Reader) counts(ctx context.Context, since audit.Filter, ids []string, byID map[string][]*audit.Impersonation) error {
	b := r.build("SELECT impersonation_id, " + sums + " FROM " + r.dialect.Prefix + audit.TableRequests)
	b.time(since).in("impersonation_id", ids).add(" GROUP BY impersonation_id")
	return r.each(ctx, "counting requests", b, func(rows *sql.Rows) error {
		var id string
		var requests, writes, refusals uint64
		if err := rows.Scan(&id, &requests, &writes, &refusals); err != nil {
			return err
		}
		for _, i := range byID[id] {
			i.Requests, i.Writes, i.Refusals = requests, writes, refusals
		}
		return nil
	})
}
