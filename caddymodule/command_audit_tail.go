package caddymodule

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const (
	tailEvery = time.Second
	// tailWindow is how late a row may come: a request has its time when it arrives, and its row when it is over.
	tailWindow = 10 * time.Minute
)

func auditTailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail [-f] [--limit <n>] [--json]",
		Short: "Prints the last requests and events; -f goes on as they come",
		Long: `
Prints the last requests and events, the newest at the end, as lines a person can read; events begin with an asterisk. With -f it goes
on until it is interrupted. A row shows up once it has reached the sink, a second or so after it was made; a request once it is over.

Exit codes: 0 done, or interrupted; 1 it could not be read, and the message says why.`,
		RunE: withAudit(tail),
	}
	readFlags(cmd)
	filterFlags(cmd)
	cmd.Flags().IntP("limit", "n", 20, "How many to begin with")
	cmd.Flags().BoolP("follow", "f", false, "Go on as they come")
	cmd.Flags().Bool("json", false, "Print one JSON object a line, for programs")
	return cmd
}

func tail(ctx context.Context, r *reading) error {
	f, err := r.filter()
	if err != nil {
		return err
	}
	limit, err := r.cmd.Flags().GetInt("limit")
	if err != nil {
		return err
	}
	follow, err := r.cmd.Flags().GetBool("follow")
	if err != nil {
		return err
	}
	if follow {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
	}
	seen := map[string]time.Time{}
	newest := r.now.Add(-tailWindow)
	since := f
	since.From = newest.Add(-tailWindow)
	if follow {
		// What was there before the beginning is not new; looked at first, so that what comes meanwhile is.
		before, err := r.since(ctx, since)
		if err != nil {
			return err
		}
		for _, e := range before {
			seen[keyOf(e)] = e.Time()
		}
	}
	entries, err := r.last(ctx, f, min(max(limit, 0), audit.MaxLimit))
	if err != nil {
		return err
	}
	for _, e := range entries {
		delete(seen, keyOf(e))
	}
	show := func(entries []*audit.Entry) error {
		for _, e := range entries {
			if _, ok := seen[keyOf(e)]; ok {
				continue
			}
			seen[keyOf(e)] = e.Time()
			if e.Time().After(newest) {
				newest = e.Time()
			}
			if err := r.entry(e, true); err != nil {
				return err
			}
		}
		return nil
	}
	if err := show(entries); err != nil || !follow {
		return err
	}
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		since.From = newest.Add(-tailWindow)
		entries, err := r.since(ctx, since)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := show(entries); err != nil {
			return err
		}
		for key, at := range seen {
			if at.Before(since.From) {
				delete(seen, key)
			}
		}
	}
}

// last are the newest n, the oldest of them first.
func (r *reading) last(ctx context.Context, f audit.Filter, n int) ([]*audit.Entry, error) {
	if n == 0 {
		return nil, nil
	}
	entries, err := r.both(ctx, f, audit.Page{Limit: n}, false)
	return entries[max(len(entries)-n, 0):], err
}

// since are all, the oldest first.
func (r *reading) since(ctx context.Context, f audit.Filter) ([]*audit.Entry, error) {
	return r.both(ctx, f, audit.Page{Limit: audit.MaxLimit, Oldest: true}, true)
}

func (r *reading) both(ctx context.Context, f audit.Filter, p audit.Page, whole bool) ([]*audit.Entry, error) {
	var entries []*audit.Entry
	for q := p; f.Type == ""; {
		found, err := r.Requests(ctx, f, q)
		if err != nil {
			return nil, err
		}
		for _, row := range found.Rows {
			entries = append(entries, &audit.Entry{Request: row})
		}
		if q.Cursor = found.Next; !whole || q.Cursor == "" {
			break
		}
	}
	for q := p; ; {
		found, err := r.Events(ctx, f, q)
		if err != nil {
			return nil, err
		}
		for _, row := range found.Rows {
			entries = append(entries, &audit.Entry{Event: row})
		}
		if q.Cursor = found.Next; !whole || q.Cursor == "" {
			break
		}
	}
	slices.SortStableFunc(entries, func(a, b *audit.Entry) int { return a.Time().Compare(b.Time()) })
	return entries, nil
}

func keyOf(e *audit.Entry) string {
	if e.Request != nil {
		return e.Request.LogID + "/" + count(e.Request.Seq)
	}
	return e.Event.LogID + "/" + count(e.Event.Seq)
}
