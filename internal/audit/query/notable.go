package query

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Notable implements [audit.Reader]. The newest come first.
func (r *Reader) Notable(ctx context.Context, f audit.Filter, t audit.Thresholds) ([]audit.Finding, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	switch {
	case f.From.IsZero() || f.To.IsZero():
		return nil, errNoSpan
	case f.To.Sub(f.From) > audit.MaxNotableDays*24*time.Hour:
		return nil, audit.BadQuestion(fmt.Sprintf("from, to: more than %d days", audit.MaxNotableDays))
	}
	f.Outcome, f.Type, f.Q = "", "", ""
	t = t.Defaults()
	var all []audit.Finding
	for _, look := range []func(context.Context, audit.Filter, audit.Thresholds) ([]audit.Finding, error){
		r.outOfHours, r.firstForPair, r.refusals, r.long, r.targets, r.refusedStarts,
	} {
		found, err := look(ctx, f, t)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b audit.Finding) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.ActorUsername, b.ActorUsername), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ImpersonationID, b.ImpersonationID))
	})
	return all, nil
}

// someone are the columns of a start that a finding tells.
const someone = "impersonation_id, actor_username, actor_name, target_username, target_name"

func finding(kind string, list *[]audit.Finding) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		f := audit.Finding{Kind: kind}
		err := rows.Scan(timeOf{&f.Time}, &f.ImpersonationID, &f.ActorUsername, &f.ActorName, &f.TargetUsername, &f.TargetName)
		*list = append(*list, f)
		return err
	}
}

func (r *Reader) outOfHours(ctx context.Context, f audit.Filter, t audit.Thresholds) (found []audit.Finding, err error) {
	b := r.build("SELECT time, " + someone + " FROM " + r.dialect.Prefix + audit.TableEvents)
	b.started(f)
	if spans := t.Hours(f.From, f.To); len(spans) > 0 {
		var in []string
		var args []any
		for _, s := range spans {
			in = append(in, "time >= "+b.At+" AND time < "+b.At)
			args = append(args, b.Arg(s.From), b.Arg(s.To))
		}
		b.and("NOT ("+strings.Join(in, " OR ")+")", args...)
	}
	b.add(" ORDER BY time DESC LIMIT ?", t.Limit)
	return found, r.each(ctx, "looking for starts out of hours", b, finding(audit.NotableOutOfHours, &found))
}

func (r *Reader) firstForPair(ctx context.Context, f audit.Filter, t audit.Thresholds) (found []audit.Finding, err error) {
	from := f.From
	f.From = time.Time{} // all that came before counts
	d := r.dialect
	b := r.build("SELECT min(time) AS first, " + d.OfFirst("impersonation_id") + ", actor_username, " + d.OfFirst("actor_name") + ", target_username, " + d.OfFirst("target_name") +
		" FROM " + d.Prefix + audit.TableEvents)
	b.started(f).add(" GROUP BY actor_username, target_username HAVING first >= "+b.At+" ORDER BY first DESC LIMIT ?", b.Arg(from), t.Limit)
	return found, r.each(ctx, "looking for new pairs", b, finding(audit.NotableFirstForPair, &found))
}

func (r *Reader) refusals(ctx context.Context, f audit.Filter, t audit.Thresholds) (found []audit.Finding, err error) {
	b := r.build("SELECT min(time) AS first, impersonation_id, max(actor_username), max(actor_name), max(target_username), max(target_name), count(*) AS n FROM " + r.dialect.Prefix + audit.TableRequests)
	b.is("outcome", audit.OutcomeRefused).and("impersonation_id <> ''").time(f).who(f)
	b.add(" GROUP BY impersonation_id HAVING n >= ? ORDER BY n DESC, impersonation_id LIMIT ?", t.Refusals, t.Limit)
	return found, r.each(ctx, "looking for refusals", b, func(rows *sql.Rows) error {
		f := audit.Finding{Kind: audit.NotableRefusals}
		err := rows.Scan(timeOf{&f.Time}, &f.ImpersonationID, &f.ActorUsername, &f.ActorName, &f.TargetUsername, &f.TargetName, &f.Count)
		found = append(found, f)
		return err
	})
}

// long finds those that ended after a long time, and those that have gone on for one.
func (r *Reader) long(ctx context.Context, f audit.Filter, t audit.Thresholds) (found []audit.Finding, err error) {
	seconds := r.dialect.Number("duration_s")
	b := r.build("SELECT time, " + someone + ", " + seconds + " FROM " + r.dialect.Prefix + audit.TableEvents)
	b.is("type", audit.EventImpersonationEnded).time(f).who(f).and(seconds+" >= ?", int64(t.Long/time.Second)).add(" ORDER BY time DESC LIMIT ?", t.Limit)
	err = r.each(ctx, "looking for long ones", b, func(rows *sql.Rows) error {
		f := audit.Finding{Kind: audit.NotableLong}
		var lasted int64
		err := rows.Scan(timeOf{&f.Time}, &f.ImpersonationID, &f.ActorUsername, &f.ActorName, &f.TargetUsername, &f.TargetName, intOf{&lasted})
		f.Lasted = time.Duration(lasted) * time.Second
		f.Time = f.Time.Add(-f.Lasted) // when it began
		found = append(found, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	now := r.now()
	f.Outcome = audit.OutcomeActive
	b = r.build("SELECT time, " + someone + " FROM " + r.dialect.Prefix + audit.TableEvents)
	b.started(f).and("time <= "+b.At, b.Arg(now.Add(-t.Long))).add(" ORDER BY time DESC LIMIT ?", t.Limit)
	before := len(found)
	err = r.each(ctx, "looking for long ones", b, finding(audit.NotableLong, &found))
	for i := range found[before:] {
		f := &found[before+i]
		f.Lasted = now.Sub(f.Time).Truncate(time.Second)
	}
	return found, err
}

// byDay counts something by actor and day.
func (r *Reader) byDay(ctx context.Context, kind, count string, least, limit int, narrow func(*builder) *builder) (found []audit.Finding, err error) {
	b := r.build("SELECT " + r.dialect.Begin(10) + " AS piece, actor_username, max(actor_name), " + count + " AS n FROM " + r.dialect.Prefix + audit.TableEvents)
	narrow(b).add(" GROUP BY piece, actor_username HAVING n >= ? ORDER BY n DESC, piece, actor_username LIMIT ?", least, limit)
	return found, r.each(ctx, "counting by day", b, func(rows *sql.Rows) error {
		f := audit.Finding{Kind: kind}
		var day string
		if err := rows.Scan(&day, &f.ActorUsername, &f.ActorName, &f.Count); err != nil {
			return err
		}
		var err error
		f.Time, err = parsePiece(day, audit.StepDay)
		found = append(found, f)
		return err
	})
}

func (r *Reader) targets(ctx context.Context, f audit.Filter, t audit.Thresholds) ([]audit.Finding, error) {
	return r.byDay(ctx, audit.NotableTargets, "count(DISTINCT target_username)", t.Targets, t.Limit, func(b *builder) *builder { return b.started(f) })
}

func (r *Reader) refusedStarts(ctx context.Context, f audit.Filter, t audit.Thresholds) ([]audit.Finding, error) {
	return r.byDay(ctx, audit.NotableStarts, "count(*)", t.Refusals, t.Limit, func(b *builder) *builder {
		return b.is("type", audit.EventImpersonationRefused).time(f).who(f)
	})
}
