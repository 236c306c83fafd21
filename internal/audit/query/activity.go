package query

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const errNoSpan = audit.BadQuestion("from, to: give both")

// letters of a time that name its piece, and how they are read.
var pieces = map[audit.Step]struct {
	letters int
	layout  string
}{
	audit.StepHour:  {13, "2006-01-02T15"},
	audit.StepDay:   {10, "2006-01-02"},
	audit.StepMonth: {7, "2006-01"},
}

// Activity implements [audit.Reader].
func (r *Reader) Activity(ctx context.Context, f audit.Filter, s audit.Step) ([]audit.Bucket, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	piece, ok := pieces[s]
	switch {
	case f.From.IsZero() || f.To.IsZero():
		return nil, errNoSpan
	case !ok:
		return nil, audit.BadQuestion("step: give hour, day or month")
	}
	var buckets []audit.Bucket
	index := map[string]int{}
	for at := s.Truncate(f.From); at.Before(f.To); at = s.Next(at) {
		if len(buckets) == audit.MaxBuckets {
			return nil, audit.BadQuestion(fmt.Sprintf("from, to: more than %d pieces of time; take a longer step", audit.MaxBuckets))
		}
		index[at.Format(piece.layout)] = len(buckets)
		buckets = append(buckets, audit.Bucket{Start: at})
	}
	begin := r.dialect.Begin(piece.letters)
	b := r.build("SELECT " + begin + " AS piece, count(DISTINCT impersonation_id) FROM " + r.dialect.Prefix + audit.TableEvents)
	b.started(f).add(" GROUP BY piece")
	err := r.each(ctx, "counting impersonations", b, func(rows *sql.Rows) error {
		var at string
		var n uint64
		err := rows.Scan(&at, &n)
		if i, ok := index[at]; ok {
			buckets[i].Impersonations = n
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	b = r.build("SELECT " + begin + " AS piece, " + sums + " FROM " + r.dialect.Prefix + audit.TableRequests)
	b.time(f).who(f).and("impersonation_id <> ''").add(" GROUP BY piece")
	return buckets, r.each(ctx, "counting requests", b, func(rows *sql.Rows) error {
		var at string
		var c audit.Bucket
		err := rows.Scan(&at, &c.Requests, &c.Writes, &c.Refusals)
		if i, ok := index[at]; ok {
			buckets[i].Requests, buckets[i].Writes, buckets[i].Refusals = c.Requests, c.Writes, c.Refusals
		}
		return err
	})
}

// Actors implements [audit.Reader].
func (r *Reader) Actors(ctx context.Context, f audit.Filter, limit int) ([]audit.Actor, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	b := r.build("SELECT who, max(called), sum(i), sum(t), sum(n), sum(w), sum(f) FROM (" +
		"SELECT actor_username AS who, max(actor_name) AS called, count(DISTINCT impersonation_id) AS i, count(DISTINCT target_username) AS t, 0 AS n, 0 AS w, 0 AS f" +
		" FROM " + r.dialect.Prefix + audit.TableEvents)
	b.started(f).add(" GROUP BY actor_username UNION ALL " +
		"SELECT actor_username, max(actor_name), 0, 0, " + sums + " FROM " + r.dialect.Prefix + audit.TableRequests)
	b.begin().time(f).who(f).and("impersonation_id <> ''").add(" GROUP BY actor_username) AS counted GROUP BY who ORDER BY sum(i) DESC, sum(n) DESC, who LIMIT ?", min(max(limit, 1), audit.MaxBuckets))
	var actors []audit.Actor
	return actors, r.each(ctx, "counting by actor", b, func(rows *sql.Rows) error {
		var a audit.Actor
		err := rows.Scan(&a.Username, &a.Name, &a.Impersonations, &a.Targets, &a.Requests, &a.Writes, &a.Refusals)
		actors = append(actors, a)
		return err
	})
}

func parsePiece(s string, step audit.Step) (time.Time, error) {
	return time.Parse(pieces[step].layout, s)
}
