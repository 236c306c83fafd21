package sinktest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

func viewActions(s *suite) {
	sink := s.open()
	own := func(r *audit.Request) {
		r.ImpersonationID, r.ImpersonationSeq, r.TargetID, r.TargetUsername, r.TargetName, r.Mode = "", 0, "", "", "", ""
	}
	b := batch(
		request(1, func(r *audit.Request) { r.Method, r.Action = "POST", "Completed booking" }),
		request(2, nil),
		request(3, func(r *audit.Request) {
			r.Method, r.Path, r.Status, r.Outcome, r.Refusal = "POST", "/billing", 403, audit.OutcomeRefused, "path_denied"
		}),
		request(4, func(r *audit.Request) { r.Method, r.Action, r.Status = "POST", "Completed booking", 422 }),
		request(5, func(r *audit.Request) { r.Status, r.Outcome = 0, audit.OutcomeInterrupted }),
		request(6, own),
		request(7, func(r *audit.Request) { r.ActorName, r.TargetName = "", "" }),
		request(8, func(r *audit.Request) {
			r.ActorName, r.ActorUsername, r.TargetName, r.TargetUsername = "", "", "", ""
		}),
		event(9, audit.EventLogin, nil),
	)
	s.write(sink, b)
	want := [][]string{
		{"1", "Alice Ng (impersonating Sam Reed): Completed booking"},
		{"2", "Alice Ng (impersonating Sam Reed): GET /bookings/17"},
		{"3", "Alice Ng (impersonating Sam Reed): POST /billing (refused: path_denied)"},
		{"4", "Alice Ng (impersonating Sam Reed): Completed booking (status 422)"},
		{"5", "Alice Ng (impersonating Sam Reed): GET /bookings/17 (interrupted)"},
		{"6", "Alice Ng: GET /bookings/17"},
		{"7", "alice (impersonating sam): GET /bookings/17"},
		{"8", "u-1 (impersonating u-2): GET /bookings/17"},
	}
	if diff := cmp.Diff(want, s.query("SELECT seq, line FROM actions ORDER BY seq")); diff != "" {
		s.Errorf("view actions (-want +got):\n%s", diff)
	}
	r := b.Requests[3]
	row := s.query("SELECT time, log_id, seq, request_id, impersonation_id, actor_id, actor_username, actor_name, " +
		"target_id, target_username, target_name, action, method, path, status, outcome FROM actions WHERE seq = 4")
	wantRow := [][]string{{
		r.Time.Format(audit.TimeLayout), r.LogID, "4", r.RequestID, r.ImpersonationID, r.ActorID, r.ActorUsername,
		r.ActorName, r.TargetID, r.TargetUsername, r.TargetName, "Completed booking", "POST", r.Path, "422", "completed",
	}}
	if diff := cmp.Diff(wantRow, row); diff != "" {
		s.Errorf("columns of view actions (-want +got):\n%s", diff)
	}
}

func viewImpersonations(s *suite) {
	sink := s.open()
	start := now().Truncate(time.Second)
	about := func(id string, at time.Time, detail string) func(*audit.Event) {
		return func(e *audit.Event) {
			e.Time, e.ImpersonationID, e.Detail = at, id, detail
			e.TargetID, e.TargetUsername, e.TargetName, e.Mode = "u-2", "sam", "Sam Reed", "full"
			if e.Type == audit.EventImpersonationStarted {
				e.Reason, e.Ticket = "booking won't complete", "T-17"
			}
		}
	}
	of := func(id string, n uint64, change func(*audit.Request)) func(*audit.Request) {
		return func(r *audit.Request) {
			r.ImpersonationID, r.ImpersonationSeq = id, n
			if change != nil {
				change(r)
			}
		}
	}
	s.write(sink, batch(
		event(1, audit.EventImpersonationStarted, about("imp-1", start, `{"policy":"support"}`)),
		request(2, of("imp-1", 1, nil)),
		request(3, of("imp-1", 2, func(r *audit.Request) { r.Method = "POST" })),
		request(4, of("imp-1", 3, func(r *audit.Request) { r.Method = "DELETE"; r.Outcome = audit.OutcomeRefused })),
		request(5, of("imp-1", 4, func(r *audit.Request) { r.Method = "HEAD" })),
		event(6, audit.EventNoticeSent, about("imp-1", start.Add(time.Second), "mail")),
	))
	s.write(sink, batch(
		event(7, audit.EventImpersonationStarted, about("imp-2", start.Add(time.Minute), "")),
		event(8, audit.EventImpersonationEnded, about("imp-1", start.Add(2*time.Minute), `{"cause":"revoked","by":"olga","requests":5}`)),
		// Cut off by the end, and so finished after it.
		request(9, of("imp-1", 5, func(r *audit.Request) { r.Method = "PUT"; r.Outcome = audit.OutcomeSevered })),
		event(10, audit.EventImpersonationRefused, func(e *audit.Event) { e.TargetUsername = "owner" }),
		request(11, func(r *audit.Request) { r.ImpersonationID, r.ImpersonationSeq = "", 0 }),
		// Written by something that does not know the form of the detail.
		event(12, audit.EventImpersonationStarted, about("imp-3", start.Add(3*time.Minute), "no JSON")),
		event(13, audit.EventImpersonationEnded, about("imp-3", start.Add(4*time.Minute), "expired")),
	))
	who := []string{"u-1", "alice", "Alice Ng", "u-2", "sam", "Sam Reed", "booking won't complete", "T-17", "full"}
	row := func(id, policy, started, ended, cause, by, requests, writes, refusals string) []string {
		r := append([]string{id}, who...)
		return append(r, policy, started, ended, cause, by, requests, writes, refusals)
	}
	at := func(d time.Duration) string { return start.Add(d).Format(audit.TimeLayout) }
	want := [][]string{
		row("imp-1", "support", at(0), at(2*time.Minute), "revoked", "olga", "5", "2", "1"),
		row("imp-2", "", at(time.Minute), "", "", "", "0", "0", "0"),
		row("imp-3", "", at(3*time.Minute), at(4*time.Minute), "expired", "", "0", "0", "0"),
	}
	got := s.query("SELECT impersonation_id, actor_id, actor_username, actor_name, target_id, target_username, " +
		"target_name, reason, ticket, mode, policy, started, ended, end_cause, ended_by, requests, writes, refusals " +
		"FROM impersonations ORDER BY started")
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("view impersonations (-want +got):\n%s", diff)
	}
}
