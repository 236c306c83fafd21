package query

import (
	"context"
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// unsafe is what changes something: by its method, and not refused.
const unsafe = "method NOT IN ('GET', 'HEAD', 'OPTIONS', 'TRACE') AND outcome <> 'refused'"

func (b *builder) requests(f audit.Filter) *builder {
	return b.time(f).who(f).is("outcome", f.Outcome).contains(f.Q, "path", "query", "action", "fields", "actor_username", "actor_name",
		"target_username", "target_name", "request_id", "client_ip", "host")
}

func (b *builder) events(f audit.Filter) *builder {
	b.time(f).who(f).is("type", f.Type)
	if o := f.Outcome; o != "" {
		b.and("("+b.Text("cause")+" = ? OR "+b.Text("refusal")+" = ? OR "+b.Text("reason")+" = ?)", o, o, o)
	}
	return b.contains(f.Q, "reason", "ticket", "detail", "actor_username", "actor_name", "target_username", "target_name", "client_ip")
}

// Requests implements [audit.Reader].
func (r *Reader) Requests(ctx context.Context, f audit.Filter, p audit.Page) (*audit.Found[audit.Request], error) {
	k, err := checked("requests", f, p)
	if err != nil {
		return nil, err
	}
	rows, err := r.requests(ctx, f, p, k)
	if err != nil {
		return nil, err
	}
	return cut(rows, "requests", f, p, placeOfRequest), nil
}

func (r *Reader) requests(ctx context.Context, f audit.Filter, p audit.Page, k *place) ([]*audit.Request, error) {
	const doing = "reading requests"
	b, err := r.fromRequests(ctx, doing)
	if err != nil {
		return nil, err
	}
	b.requests(f).page(k, p, 1)
	var rows []*audit.Request
	return rows, r.each(ctx, doing, b, into(&rows, scanRequest))
}

// fromRequests begins a statement that reads whole rows.
func (r *Reader) fromRequests(ctx context.Context, doing string) (*builder, error) {
	const from = " FROM "
	table := r.dialect.Prefix + audit.TableRequests
	if list := r.columns.Load(); list != nil {
		return r.build("SELECT " + *list + from + table), nil
	}
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	list, current, err := audit.Selected(limited, r.db, table, audit.RequestColumns(), "leaf_hash")
	if err != nil {
		return nil, r.failed(ctx, limited, doing, err)
	}
	if current {
		r.columns.Store(&list)
	}
	return r.build("SELECT " + list + from + table), nil
}

func placeOfRequest(r *audit.Request) place { return place{r.Time, r.LogID, r.Seq} }

// Events implements [audit.Reader].
func (r *Reader) Events(ctx context.Context, f audit.Filter, p audit.Page) (*audit.Found[audit.Event], error) {
	k, err := checked("events", f, p)
	if err != nil {
		return nil, err
	}
	rows, err := r.events(ctx, f, p, k)
	if err != nil {
		return nil, err
	}
	return cut(rows, "events", f, p, placeOfEvent), nil
}

func (r *Reader) events(ctx context.Context, f audit.Filter, p audit.Page, k *place) ([]*audit.Event, error) {
	b := r.build("SELECT " + eventColumns + " FROM " + r.dialect.Prefix + audit.TableEvents)
	b.events(f).page(k, p, 1)
	var rows []*audit.Event
	return rows, r.each(ctx, "reading events", b, into(&rows, scanEvent))
}

func placeOfEvent(e *audit.Event) place { return place{e.Time, e.LogID, e.Seq} }

// Checkpoints implements [audit.Reader].
func (r *Reader) Checkpoints(ctx context.Context, f audit.Filter, p audit.Page) (*audit.Found[audit.Checkpoint], error) {
	k, err := checked("checkpoints", f, p)
	if err != nil {
		return nil, err
	}
	direction, behind := "DESC", "<"
	if p.Oldest {
		direction, behind = "ASC", ">"
	}
	b := r.build("SELECT " + checkpointColumns + " FROM " + r.dialect.Prefix + audit.TableCheckpoints)
	b.time(f).is("log_id", f.Log)
	if k != nil {
		b.and("(time, log_id, size) "+behind+" ("+b.At+", ?, ?)", b.Arg(k.at), k.logID, k.seq)
	}
	b.add(strings.ReplaceAll(" ORDER BY time %, log_id %, size % LIMIT ?", "%", direction), p.Rows()+1)
	var rows []*audit.Checkpoint
	if err := r.each(ctx, "reading checkpoints", b, into(&rows, scanCheckpoint)); err != nil {
		return nil, err
	}
	return cut(rows, "checkpoints", f, p, func(c *audit.Checkpoint) place { return place{c.Time, c.LogID, c.Size} }), nil
}

// Timeline implements [audit.Reader].
func (r *Reader) Timeline(ctx context.Context, id string, p audit.Page) (*audit.Found[audit.Entry], error) {
	f := audit.Filter{Impersonation: id}
	p.Oldest = true
	k, err := checked("timeline", f, p)
	if err != nil || id == "" {
		return &audit.Found[audit.Entry]{}, err
	}
	requests, err := r.requests(ctx, f, p, k)
	if err != nil {
		return nil, err
	}
	events, err := r.events(ctx, f, p, k)
	if err != nil {
		return nil, err
	}
	entries := make([]*audit.Entry, 0, len(requests)+len(events))
	for _, q := range requests {
		entries = append(entries, &audit.Entry{Request: q})
	}
	for _, e := range events {
		entries = append(entries, &audit.Entry{Event: e})
	}
	slices.SortFunc(entries, func(a, b *audit.Entry) int { return placeOfEntry(a).compare(placeOfEntry(b)) })
	return cut(entries, "timeline", f, p, placeOfEntry), nil
}

func placeOfEntry(e *audit.Entry) place {
	if e.Request != nil {
		return placeOfRequest(e.Request)
	}
	return placeOfEvent(e.Event)
}

func (k place) compare(o place) int {
	if c := k.at.Compare(o.at); c != 0 {
		return c
	}
	if c := strings.Compare(k.logID, o.logID); c != 0 {
		return c
	}
	switch {
	case k.seq < o.seq:
		return -1
	case k.seq > o.seq:
		return 1
	}
	return 0
}

// Actions implements [audit.Reader].
func (r *Reader) Actions(ctx context.Context, id string, p audit.Page) (*audit.Found[audit.Action], error) {
	f := audit.Filter{Impersonation: id}
	p.Oldest = true
	k, err := checked("actions", f, p)
	if err != nil || id == "" {
		return &audit.Found[audit.Action]{}, err
	}
	const doing = "reading actions"
	b, err := r.fromRequests(ctx, doing)
	if err != nil {
		return nil, err
	}
	b.requests(f).and("(action <> '' OR outcome = 'refused' OR "+unsafe+")").page(k, p, 1)
	var rows []*audit.Request
	if err := r.each(ctx, doing, b, into(&rows, scanRequest)); err != nil {
		return nil, err
	}
	found := cut(rows, "actions", f, p, placeOfRequest)
	out := &audit.Found[audit.Action]{Next: found.Next}
	for _, q := range found.Rows {
		out.Rows = append(out.Rows, q.AsAction())
	}
	return out, nil
}
