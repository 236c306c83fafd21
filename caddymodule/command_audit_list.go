package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

func auditListCommand(name, short string, list func(context.Context, *reading) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " [--actor <username>] [--target <username>] [--from <time>] [--to <time>] [--outcome <word>] [--q <text>] [--limit <n>] [--json]",
		Short: short,
		Long: `
Reads the audit that the configuration names, or the one given by --clickhouse or --sqlite, and lists what the flags narrow it
to. With --json each row is a JSON object on a line of its own, for programs.

Exit codes: 0 done, also when nothing was found; 1 it could not be read, and the message says why.`,
		RunE: withAudit(list),
	}
	readFlags(cmd)
	filterFlags(cmd)
	cmd.Flags().IntP("limit", "n", 100, "How many to list at most")
	cmd.Flags().Bool("json", false, "Print one JSON object a line, for programs")
	return cmd
}

// rows reads a list, at most as many as the flag limit says. note is what there is to say after it.
func rows[T any](ctx context.Context, r *reading, list func(context.Context, audit.Filter, audit.Page) (*audit.Found[T], error), each func(*T) error) (note string, err error) {
	f, err := r.filter()
	if err != nil {
		return "", err
	}
	left, err := r.cmd.Flags().GetInt("limit")
	if err != nil {
		return "", err
	}
	p := audit.Page{}
	n := 0
	for left > 0 {
		p.Limit = min(left, 1000)
		found, err := list(ctx, f, p)
		if err != nil {
			return "", err
		}
		for _, row := range found.Rows {
			if err := each(row); err != nil {
				return "", err
			}
		}
		n += len(found.Rows)
		left -= len(found.Rows)
		if p.Cursor = found.Next; p.Cursor == "" {
			break
		}
	}
	switch {
	case n == 0:
		note = "Nothing found."
	case p.Cursor != "":
		note = fmt.Sprintf("The first %d; there are more (--limit).", n)
	}
	return note, nil
}

// line prints an object for programs.
func (r *reading) line(object json.RawMessage) error {
	_, err := r.cmd.OutOrStdout().Write(append(object, '\n'))
	return err
}

// printed prints each row as JSON, or all as a table at the end.
func printed[T any](ctx context.Context, r *reading, list func(context.Context, audit.Filter, audit.Page) (*audit.Found[T], error), object func(*T) (json.RawMessage, error), t *table, cells func(*T) []string) error {
	each := func(row *T) error {
		t.add(cells(row)...)
		return nil
	}
	if r.json() {
		each = func(row *T) error {
			b, err := object(row)
			if err != nil {
				return err
			}
			return r.line(b)
		}
	}
	note, err := rows(ctx, r, list, each)
	if err == nil && len(t.rows) > 0 {
		err = t.print(r.cmd.OutOrStdout(), r.width())
	}
	if err == nil && note != "" {
		r.cmd.PrintErrln(note)
	}
	return err
}

func listImpersonations(ctx context.Context, r *reading) error {
	t := &table{head: []string{"STARTED", "LASTED", "ACTOR", "TARGET", "REQS", "WR", "REF", "END", "ID", "MODE", "REASON"}, whole: []string{"STARTED", "ID"}, below: []string{"MODE", "ID", "REASON"}}
	return printed(ctx, r, r.Impersonations, func(i *audit.Impersonation) (json.RawMessage, error) { return json.Marshal(i) }, t, func(i *audit.Impersonation) []string {
		return []string{
			r.time(i.Started), r.lasted(i), cmp.Or(i.ActorUsername, i.ActorID), cmp.Or(i.TargetUsername, i.TargetID),
			count(i.Requests), count(i.Writes), count(i.Refusals), cmp.Or(i.EndCause, "goes on"), i.ID, i.Mode, reasonOf(i),
		}
	})
}

// reasonOf is the reason given; it went with the start.
func reasonOf(i *audit.Impersonation) string {
	switch {
	case i.BeginningRemoved:
		return "(its beginning was removed: older than the audit is kept)"
	case i.BeginningMissing:
		return "(its beginning is missing, and not by the retention: run audit verify)"
	}
	return i.Reason
}

func (r *reading) lasted(i *audit.Impersonation) string {
	end := r.now
	if i.Ended != nil {
		end = *i.Ended
	}
	return max(end.Sub(i.Started), 0).Truncate(time.Second).String()
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

func listRequests(ctx context.Context, r *reading) error {
	t := &table{head: []string{"TIME", "ACTOR", "TARGET", "STATUS", "OUTCOME", "WHAT"}, whole: []string{"TIME"}, below: []string{"WHAT"}}
	return printed(ctx, r, r.Requests, func(q *audit.Request) (json.RawMessage, error) { return q.JSON(), nil }, t, func(q *audit.Request) []string {
		what := q.AsAction().What
		if q.Action != "" {
			what += " (" + q.Method + " " + q.Path + ")"
		}
		what += fieldsOf(q)
		return []string{
			r.time(q.Time), cmp.Or(q.ActorUsername, q.ActorID), cmp.Or(q.TargetUsername, q.TargetID, "-"), strconv.Itoa(q.Status),
			strings.TrimSuffix(q.Outcome+": "+q.Refusal, ": "), what,
		}
	})
}

// fieldsOf is which fields a request sent, if that was recorded.
func fieldsOf(q *audit.Request) string {
	if q.Fields == "" {
		return ""
	}
	return "; fields: " + q.Fields
}

func listEvents(ctx context.Context, r *reading) error {
	t := &table{head: []string{"TIME", "TYPE", "ACTOR", "TARGET", "ADDRESS", "SAYS"}, whole: []string{"TIME", "TYPE"}, below: []string{"SAYS"}}
	return printed(ctx, r, r.Events, func(e *audit.Event) (json.RawMessage, error) { return e.JSON(), nil }, t, func(e *audit.Event) []string {
		return []string{r.time(e.Time), e.Type, cmp.Or(e.ActorUsername, e.ActorID, "-"), cmp.Or(e.TargetUsername, e.TargetID, "-"), cmp.Or(e.ClientIP, "-"), saysOf(e)}
	})
}

// saysOf is what an event says beside who and whom.
func saysOf(e *audit.Event) string {
	var parts []string
	for _, s := range []string{e.Reason, e.Ticket} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	var d map[string]any
	if json.Unmarshal([]byte(e.Detail), &d) != nil {
		return strings.Join(append(parts, e.Detail), " · ")
	}
	detail := strings.Trim(e.Detail, "{}")
	if detail != "" {
		parts = append(parts, strings.NewReplacer(`":"`, ": ", `":`, ": ", `","`, ", ", `,"`, ", ", `"`, "").Replace(detail))
	}
	return strings.Join(parts, " · ")
}

func auditShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show <id> [--json]",
		Short: "Shows one impersonation: who, whom, why, what was done",
		Long: `
Shows an impersonation and its timeline, the oldest first. With --json the impersonation is the first line, and each request and
event one after it, for programs.

Exit codes: 0 done; 1 there is none, or it could not be read, and the message says why.`,
		Args: named("the impersonation's id"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAudit(func(ctx context.Context, r *reading) error { return r.show(ctx, args[0]) })(cmd, args)
	}
	readFlags(cmd)
	cmd.Flags().Bool("json", false, "Print one JSON object a line, for programs")
	return cmd
}

func (r *reading) show(ctx context.Context, id string) error {
	i, err := r.Impersonation(ctx, id)
	if err != nil {
		return fmt.Errorf("impersonation %.64q: %w", id, err)
	}
	out := r.cmd.OutOrStdout()
	if r.json() {
		b, err := json.Marshal(i)
		if err != nil {
			return err
		}
		if err := r.line(b); err != nil {
			return err
		}
	} else {
		ended := "goes on"
		if i.Ended != nil {
			ended = r.time(*i.Ended) + " (" + i.EndCause + strings.TrimSuffix(", by "+i.EndedBy, ", by ") + ")"
		}
		agreement, err := audit.AgreementTo(ctx, r.Reader, i.ID)
		if err != nil {
			return err
		}
		allowed := "policy " + i.Policy + ", mode " + i.Mode
		if i.Headless() {
			allowed = "a policy that is not known any more, mode " + i.Mode
		}
		facts := [][2]string{
			{"Impersonation", i.ID},
			{"Actor", strings.TrimSpace(i.ActorName + " (" + i.ActorUsername + ")")},
			{"Target", strings.TrimSpace(i.TargetName + " (" + i.TargetUsername + ")")},
			{"Reason", reasonOf(i)},
			{"Ticket", i.Ticket},
			{"Allowed by", allowed},
			{"Agreed", strings.Join(agreement.Words("nobody: an emergency", "the target"), ", ")},
			{"Site", i.Site},
			{"From", i.ClientIP},
			{"Started", r.time(i.Started)},
			{"Ended", ended},
			{"Lasted", r.lasted(i)},
			{"Requests", fmt.Sprintf("%d (writes %d, refused %d)", i.Requests, i.Writes, i.Refusals)},
		}
		if err := printFacts(out, slices.DeleteFunc(facts, func(f [2]string) bool { return f[1] == "" })); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	p := audit.Page{Limit: 1000}
	for {
		found, err := r.Timeline(ctx, id, p)
		if err != nil {
			return err
		}
		for _, e := range found.Rows {
			if err := r.entry(e, false); err != nil {
				return err
			}
		}
		if p.Cursor = found.Next; p.Cursor == "" {
			return nil
		}
	}
}

// entry prints a request or an event, on a terminal in as many lines as it takes but for what is very long.
func (r *reading) entry(e *audit.Entry, who bool) error {
	switch {
	case r.json() && e.Request != nil:
		return r.line(audit.RowWithTable(e.Request.JSON(), audit.TableRequests))
	case r.json():
		return r.line(audit.RowWithTable(e.Event.JSON(), audit.TableEvents))
	}
	line := ""
	switch {
	case e.Request != nil && who:
		line = e.Request.Line()
	case e.Request != nil:
		line = e.Request.AsAction().What + e.Request.Aside() + fieldsOf(e.Request)
	case who:
		line = "* " + e.Event.Line() + "  " + saysOf(e.Event)
	default:
		line = "* " + e.Event.Type + "  " + saysOf(e.Event)
	}
	at, width := r.time(e.Time())+"  ", r.width()
	indent := len(at)
	if width < 3*indent {
		indent = 2 * gap
	}
	_, err := fmt.Fprintln(r.cmd.OutOrStdout(), hanging(at, fit(plain(strings.TrimSpace(line)), 2*width), width, indent))
	return err
}
