package sinktest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// story makes rows of impersonations, numbered as they come.
type story struct {
	seq  uint64
	rows []any
}

func (y *story) event(at time.Time, kind, id, actor, target, detail string) *audit.Event {
	y.seq++
	e := event(y.seq, kind, func(e *audit.Event) {
		e.Time, e.ImpersonationID, e.Detail = at, id, detail
		e.ActorID, e.ActorUsername, e.ActorName = "id-"+actor, actor, "Name of "+actor
		if target != "" {
			e.TargetID, e.TargetUsername, e.TargetName = "id-"+target, target, "Name of "+target
		}
		switch kind {
		case audit.EventImpersonationStarted:
			e.Reason, e.Ticket, e.Mode = "helping "+target, "T-"+id, "full"
		case audit.EventImpersonationEnded:
			e.Mode = "full"
		}
		e.Hash()
	})
	y.rows = append(y.rows, e)
	return e
}

func (y *story) start(at time.Time, id, actor, target string) *audit.Event {
	return y.event(at, audit.EventImpersonationStarted, id, actor, target, `{"policy":"support","site":"https://app.example.com"}`)
}

func (y *story) end(at time.Time, id, actor, target, cause string, lasted time.Duration) *audit.Event {
	return y.event(at, audit.EventImpersonationEnded, id, actor, target, fmt.Sprintf(`{"cause":%q,"by":"olga","duration_s":%d}`, cause, int(lasted.Seconds())))
}

func (y *story) request(at time.Time, id, actor, target, method string, change func(*audit.Request)) *audit.Request {
	y.seq++
	r := request(y.seq, func(r *audit.Request) {
		r.Time, r.ImpersonationID, r.Method = at, id, method
		r.ActorID, r.ActorUsername, r.ActorName = "id-"+actor, actor, "Name of "+actor
		r.TargetID, r.TargetUsername, r.TargetName = "id-"+target, target, "Name of "+target
		if change != nil {
			change(r)
		}
		r.Hash()
	})
	y.rows = append(y.rows, r)
	return r
}

func refused(r *audit.Request) {
	r.Outcome, r.Refusal, r.Status = audit.OutcomeRefused, "path_denied", 403
}

// monday is a working day's morning some weeks ago: sinks with a retention keep it.
func monday() time.Time {
	d := now().AddDate(0, 0, -21)
	d = time.Date(d.Year(), d.Month(), d.Day(), 9, 0, 0, 0, time.UTC)
	for d.Weekday() != time.Monday {
		d = d.AddDate(0, 0, -1)
	}
	return d
}

func readImpersonations(s *suite) {
	sink, reader := s.open(), s.reader()
	var y story
	t0 := monday()
	y.start(t0, "a", "alice", "sam")
	y.request(t0.Add(time.Minute), "a", "alice", "sam", "GET", nil)
	y.request(t0.Add(2*time.Minute), "a", "alice", "sam", "POST", nil)
	y.request(t0.Add(3*time.Minute), "a", "alice", "sam", "DELETE", refused)
	y.end(t0.Add(4*time.Minute), "a", "alice", "sam", "stopped", 4*time.Minute)
	y.end(t0.Add(9*time.Minute), "a", "alice", "sam", "expired", 9*time.Minute) // written again after a crash
	y.start(t0.Add(time.Hour), "b", "bob", "sam")
	y.end(t0.Add(2*time.Hour), "b", "bob", "sam", "idle", time.Hour)
	y.start(t0.Add(3*time.Hour), "c", "bob", "ann")
	y.request(t0.Add(3*time.Hour), "", "bob", "", "GET", nil)
	s.write(sink, batch(y.rows...))

	ended := t0.Add(4 * time.Minute)
	want := &audit.Impersonation{
		ID: "a", ActorID: "id-alice", ActorUsername: "alice", ActorName: "Name of alice", TargetID: "id-sam", TargetUsername: "sam", TargetName: "Name of sam",
		Reason: "helping sam", Ticket: "T-a", Mode: "full", Policy: "support", Site: "https://app.example.com", ClientIP: "192.0.2.7",
		Started: t0, Ended: &ended, EndCause: "stopped", EndedBy: "olga", Requests: 3, Writes: 1, Refusals: 1, LogID: logID, Seq: 1,
	}
	got, err := reader.Impersonation(s.ctx, "a")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		s.Errorf("one of them: %v (-want +got):\n%s", err, diff)
	}
	for name, tt := range map[string]struct {
		filter audit.Filter
		want   []string
	}{
		"all":     {audit.Filter{}, []string{"c", "b", "a"}},
		"actor":   {audit.Filter{Actor: "Bob"}, []string{"c", "b"}},
		"target":  {audit.Filter{Target: "sam"}, []string{"b", "a"}},
		"id":      {audit.Filter{Impersonation: "b"}, []string{"b"}},
		"active":  {audit.Filter{Outcome: audit.OutcomeActive}, []string{"c"}},
		"cause":   {audit.Filter{Outcome: "idle"}, []string{"b"}},
		"from":    {audit.Filter{From: t0.Add(time.Hour)}, []string{"c", "b"}},
		"to":      {audit.Filter{To: t0.Add(time.Hour)}, []string{"a"}},
		"reason":  {audit.Filter{Q: "HELPING ann"}, []string{"c"}},
		"ticket":  {audit.Filter{Q: "t-b"}, []string{"b"}},
		"nothing": {audit.Filter{Q: "zzz"}, []string{}},
	} {
		ids := []string{}
		for _, i := range all(s, reader.Impersonations, tt.filter, audit.Page{Limit: 1}) {
			ids = append(ids, i.ID)
		}
		if diff := cmp.Diff(tt.want, ids); diff != "" {
			s.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// readHeadless: impersonations whose start is gone are known by their end.
func readHeadless(s *suite) {
	sink, reader := s.open(), s.reader()
	t, ok := sink.(audit.Trimmer)
	if !ok {
		return
	}
	var y story
	t0 := monday()
	y.event(t0.Add(-time.Hour), audit.EventLogin, "", "alice", "", "")
	y.start(t0, "a", "alice", "sam")
	y.start(t0.Add(time.Second), "b", "bob", "ann")
	y.request(t0.Add(time.Minute), "a", "alice", "sam", "GET", nil)
	y.rows = append(y.rows, &audit.Checkpoint{Time: t0, LogID: logID, Size: y.seq, RootHash: [32]byte{1}, Note: "note"})
	y.request(t0.Add(2*time.Minute), "a", "alice", "sam", "POST", nil)
	y.start(t0.Add(3*time.Minute), "c", "cleo", "sam")
	y.end(t0.Add(4*time.Minute), "a", "alice", "sam", "stopped", 4*time.Minute)
	y.end(t0.Add(5*time.Minute), "a", "alice", "sam", "expired", 5*time.Minute) // written again after a crash
	y.end(t0.Add(6*time.Minute), "b", "bob", "ann", "idle", 6*time.Minute)
	y.end(t0.Add(7*time.Minute), "c", "cleo", "sam", "stopped", 4*time.Minute)
	// Its start would be in a place that nothing lets go.
	y.event(t0.Add(8*time.Minute), audit.EventImpersonationEnded, "d", "dora", "eve", `{"cause":"revoked","by":"olga","start_seq":5}`)
	// It began too late for that.
	y.event(t0.Add(9*time.Minute), audit.EventImpersonationEnded, "e", "emil", "eve", `{"cause":"revoked","by":"olga","duration_s":60}`)
	y.event(t0.Add(10*time.Minute), audit.EventRetentionApplied, "", "", "", audit.Detail("log", logID, "through", 4, "before", t0.Add(2*time.Minute).Format(time.RFC3339)))
	s.write(sink, batch(y.rows...))
	list := func(f audit.Filter, p audit.Page) []string {
		ids := []string{}
		for _, i := range all(s, reader.Impersonations, f, p) {
			ids = append(ids, i.ID)
		}
		return ids
	}
	if got := list(audit.Filter{}, audit.Page{Limit: 1}); !slices.Equal(got, []string{"e", "d", "c", "b", "a"}) {
		s.Errorf("while all is there: %q", got)
	}
	if err := t.Remove(s.ctx, audit.Prefix{LogID: logID, Through: 4}); err != nil {
		s.Fatal(err)
	}

	ended := t0.Add(4 * time.Minute)
	want := &audit.Impersonation{
		ID: "a", ActorID: "id-alice", ActorUsername: "alice", ActorName: "Name of alice", TargetID: "id-sam", TargetUsername: "sam", TargetName: "Name of sam",
		Mode: "full", Started: t0, Ended: &ended, EndCause: "stopped", EndedBy: "olga", Requests: 1, Writes: 1, LogID: logID, Seq: 7, BeginningRemoved: true,
	}
	got, err := reader.Impersonation(s.ctx, "a")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		s.Errorf("one of them: %v (-want +got):\n%s", err, diff)
	}
	for id, missing := range map[string]bool{"b": false, "d": true, "e": true} {
		if i, err := reader.Impersonation(s.ctx, id); err != nil || i.BeginningMissing != missing || i.BeginningRemoved == missing {
			s.Errorf("%s: %+v, %v", id, i, err)
		}
	}
	for name, tt := range map[string]struct {
		filter audit.Filter
		want   []string
	}{
		"all":    {audit.Filter{}, []string{"e", "d", "b", "a", "c"}}, // but for c by their end
		"actor":  {audit.Filter{Actor: "Bob"}, []string{"b"}},
		"target": {audit.Filter{Target: "sam"}, []string{"a", "c"}},
		"active": {audit.Filter{Outcome: audit.OutcomeActive}, []string{}},
		"cause":  {audit.Filter{Outcome: "stopped"}, []string{"a", "c"}},
		"from":   {audit.Filter{From: t0.Add(5 * time.Minute)}, []string{"e", "d", "b"}},
		"name":   {audit.Filter{Q: "of ALICE"}, []string{"a"}},
		"later":  {audit.Filter{From: t0.AddDate(0, 2, 0)}, []string{}},
	} {
		for _, limit := range []int{1, 2, 10} {
			if got := list(tt.filter, audit.Page{Limit: limit}); !slices.Equal(got, tt.want) {
				s.Errorf("%s, in pages of %d: %q, want %q", name, limit, got, tt.want)
			}
			backwards := slices.Clone(tt.want)
			slices.Reverse(backwards)
			if got := list(tt.filter, audit.Page{Limit: limit, Oldest: true}); !slices.Equal(got, backwards) {
				s.Errorf("%s, the oldest first, in pages of %d: %q, want %q", name, limit, got, backwards)
			}
		}
	}
}

func readTimeline(s *suite) {
	sink, reader := s.open(), s.reader()
	var y story
	t0 := monday()
	y.start(t0, "a", "alice", "sam")
	y.request(t0.Add(time.Second), "a", "alice", "sam", "GET", nil)
	y.request(t0.Add(time.Second), "b", "alice", "sam", "GET", nil)
	y.request(t0.Add(time.Second), "a", "alice", "sam", "POST", func(r *audit.Request) { r.Action = "Completed booking" })
	y.event(t0.Add(time.Second), audit.EventNoticeSent, "a", "alice", "sam", "")
	y.request(t0.Add(2*time.Second), "a", "alice", "sam", "GET", refused)
	y.request(t0.Add(3*time.Second), "a", "alice", "sam", "GET", func(r *audit.Request) { r.Action = "Looked at a report" })
	y.end(t0.Add(4*time.Second), "a", "alice", "sam", "stopped", 4*time.Second)
	s.write(sink, batch(y.rows...))
	for limit := 1; limit < 9; limit++ {
		page := audit.Page{Limit: limit}
		var got []uint64
		for {
			found, err := reader.Timeline(s.ctx, "a", page)
			if err != nil {
				s.Fatal(err)
			}
			got = append(got, seqs(found.Rows)...)
			if page.Cursor = found.Next; page.Cursor == "" {
				break
			}
		}
		if diff := cmp.Diff([]uint64{1, 2, 4, 5, 6, 7, 8}, got); diff != "" {
			s.Fatalf("in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	var lines []string
	page := audit.Page{Limit: 2}
	for {
		found, err := reader.Actions(s.ctx, "a", page)
		if err != nil {
			s.Fatal(err)
		}
		for _, a := range found.Rows {
			lines = append(lines, a.What+" "+a.Outcome)
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"Completed booking completed", "GET /bookings/17 refused", "Looked at a report completed"}, lines); diff != "" {
		s.Errorf("actions (-want +got):\n%s", diff)
	}
}

func readActivity(s *suite) {
	sink, reader := s.open(), s.reader()
	var y story
	t0 := monday()
	y.start(t0, "a", "alice", "sam")
	y.request(t0, "a", "alice", "sam", "GET", nil)
	y.request(t0.Add(59*time.Minute+59*time.Second+999999*time.Microsecond), "a", "alice", "sam", "POST", nil)
	y.start(t0.Add(time.Hour), "b", "bob", "ann")
	y.request(t0.Add(time.Hour), "b", "bob", "ann", "PUT", refused)
	y.start(t0.Add(26*time.Hour), "c", "bob", "sam")
	y.request(t0.Add(26*time.Hour), "", "bob", "", "POST", nil) // on his own account
	s.write(sink, batch(y.rows...))

	f := audit.Filter{From: t0, To: t0.Add(3 * time.Hour)}
	hours, err := reader.Activity(s.ctx, f, audit.StepHour)
	want := []audit.Bucket{
		{Start: t0, Impersonations: 1, Requests: 2, Writes: 1},
		{Start: t0.Add(time.Hour), Impersonations: 1, Requests: 1, Refusals: 1},
		{Start: t0.Add(2 * time.Hour)},
	}
	if diff := cmp.Diff(want, hours); err != nil || diff != "" {
		s.Errorf("by hour: %v (-want +got):\n%s", err, diff)
	}
	midnight := t0.Add(-9 * time.Hour)
	days, err := reader.Activity(s.ctx, audit.Filter{From: t0, To: t0.Add(27 * time.Hour), Actor: "bob"}, audit.StepDay)
	want = []audit.Bucket{
		{Start: midnight, Impersonations: 1, Requests: 1, Refusals: 1},
		{Start: midnight.AddDate(0, 0, 1), Impersonations: 1},
	}
	if diff := cmp.Diff(want, days); err != nil || diff != "" {
		s.Errorf("Bob's by day: %v (-want +got):\n%s", err, diff)
	}
	months, err := reader.Activity(s.ctx, audit.Filter{From: t0.AddDate(0, -2, 0), To: t0.AddDate(0, 0, 2)}, audit.StepMonth)
	sum := audit.Bucket{}
	for _, b := range months {
		sum.Impersonations += b.Impersonations
		sum.Requests += b.Requests
	}
	if err != nil || len(months) < 3 || sum.Impersonations != 3 || sum.Requests != 3 {
		s.Errorf("by month: %v, %v", months, err)
	}
	actors, err := reader.Actors(s.ctx, audit.Filter{From: t0, To: t0.AddDate(0, 0, 2)}, 10)
	wantActors := []audit.Actor{
		{Username: "bob", Name: "Name of bob", Impersonations: 2, Targets: 2, Requests: 1, Refusals: 1},
		{Username: "alice", Name: "Name of alice", Impersonations: 1, Targets: 1, Requests: 2, Writes: 1},
	}
	if diff := cmp.Diff(wantActors, actors); err != nil || diff != "" {
		s.Errorf("actors: %v (-want +got):\n%s", err, diff)
	}
	if some, err := reader.Actors(s.ctx, audit.Filter{}, 1); err != nil || len(some) != 1 {
		s.Errorf("the first actor: %v, %v", some, err)
	}
	for name, f := range map[string]audit.Filter{"no bounds": {}, "too much": {From: t0.AddDate(-1, 0, 0), To: t0}} {
		if _, err := reader.Activity(s.ctx, f, audit.StepHour); err == nil {
			s.Errorf("%s: no error", name)
		}
	}
	if _, err := reader.Activity(s.ctx, f, "minute"); err == nil {
		s.Error("by minute: no error")
	}
}

func readNotable(s *suite) {
	sink := s.open()
	t0 := monday()
	clock := t0.Add(50 * time.Hour)
	reader := s.readerAt(clock)
	var y story
	y.start(t0.AddDate(0, 0, -7), "old", "alice", "sam") // before: they know each other
	y.end(t0.AddDate(0, 0, -7).Add(time.Minute), "old", "alice", "sam", "stopped", time.Minute)
	y.start(t0, "known", "alice", "sam")
	for i := range 5 {
		y.request(t0.Add(time.Duration(i)*time.Second), "known", "alice", "sam", "GET", refused)
	}
	y.end(t0.Add(3*time.Hour), "known", "alice", "sam", "stopped", 3*time.Hour)
	y.start(t0.Add(time.Hour), "new", "bob", "sam")
	y.end(t0.Add(time.Hour+time.Minute), "new", "bob", "sam", "stopped", time.Minute)
	y.start(t0.Add(2*time.Hour), "again", "bob", "sam")
	y.end(t0.Add(2*time.Hour+time.Minute), "again", "bob", "sam", "stopped", time.Minute)
	y.start(t0.Add(14*time.Hour), "late", "alice", "sam") // 23:00
	y.end(t0.Add(14*time.Hour+time.Minute), "late", "alice", "sam", "stopped", time.Minute)
	for i := range 3 {
		id := fmt.Sprint("many", i)
		y.start(t0.AddDate(0, 0, 1).Add(time.Duration(i)*time.Minute), id, "carol", fmt.Sprint("target", i))
		y.end(t0.AddDate(0, 0, 1).Add(time.Duration(i)*time.Minute+time.Second), id, "carol", fmt.Sprint("target", i), "stopped", time.Second)
	}
	for i := range 5 {
		y.event(t0.Add(time.Duration(i)*time.Minute), audit.EventImpersonationRefused, "", "dave", "owner", `{"refusal":"target_protected"}`)
	}
	y.start(t0.Add(47*time.Hour), "goes on", "alice", "sam")
	s.write(sink, batch(y.rows...))

	got, err := reader.Notable(s.ctx, audit.Filter{From: t0, To: t0.Add(72 * time.Hour)}, audit.Thresholds{Targets: 3})
	if err != nil {
		s.Fatal(err)
	}
	pair := func(f audit.Finding, actor, target string) audit.Finding {
		f.ActorUsername, f.ActorName = actor, "Name of "+actor
		if target != "" {
			f.TargetUsername, f.TargetName = target, "Name of "+target
		}
		return f
	}
	day := t0.Add(-9 * time.Hour)
	want := []audit.Finding{
		pair(audit.Finding{Kind: audit.NotableLong, Time: t0.Add(47 * time.Hour), ImpersonationID: "goes on", Lasted: 3 * time.Hour}, "alice", "sam"),
		pair(audit.Finding{Kind: audit.NotableFirstForPair, Time: t0.Add(24*time.Hour + 2*time.Minute), ImpersonationID: "many2"}, "carol", "target2"),
		pair(audit.Finding{Kind: audit.NotableFirstForPair, Time: t0.Add(24*time.Hour + time.Minute), ImpersonationID: "many1"}, "carol", "target1"),
		pair(audit.Finding{Kind: audit.NotableFirstForPair, Time: t0.Add(24 * time.Hour), ImpersonationID: "many0"}, "carol", "target0"),
		pair(audit.Finding{Kind: audit.NotableTargets, Time: day.AddDate(0, 0, 1), Count: 3}, "carol", ""),
		pair(audit.Finding{Kind: audit.NotableOutOfHours, Time: t0.Add(14 * time.Hour), ImpersonationID: "late"}, "alice", "sam"),
		pair(audit.Finding{Kind: audit.NotableFirstForPair, Time: t0.Add(time.Hour), ImpersonationID: "new"}, "bob", "sam"),
		pair(audit.Finding{Kind: audit.NotableRefusals, Time: t0, ImpersonationID: "known", Count: 5}, "alice", "sam"),
		pair(audit.Finding{Kind: audit.NotableLong, Time: t0, ImpersonationID: "known", Lasted: 3 * time.Hour}, "alice", "sam"),
		pair(audit.Finding{Kind: audit.NotableStarts, Time: day, Count: 5}, "dave", ""),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("worth a look (-want +got):\n%s", diff)
	}
	if _, err := reader.Notable(s.ctx, audit.Filter{From: t0.AddDate(-1, 0, 0), To: t0}, audit.Thresholds{}); err == nil {
		s.Error("a year is looked at in one go")
	}
	// Working days are where the zone is.
	tokyo := time.FixedZone("Tokyo", 9*3600)
	got, err = reader.Notable(s.ctx, audit.Filter{From: t0, To: t0.Add(12 * time.Hour), Actor: "bob"}, audit.Thresholds{Zone: tokyo})
	kinds := map[string]int{}
	for _, f := range got {
		kinds[f.Kind]++
	}
	if diff := cmp.Diff(map[string]int{audit.NotableOutOfHours: 2, audit.NotableFirstForPair: 1}, kinds); err != nil || diff != "" {
		s.Errorf("in Tokyo: %v (-want +got):\n%s", err, diff)
	}
}
