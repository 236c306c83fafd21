package sinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// reader opens the reader, at the time of the suite's rows, and closes it at the end of the test.
func (s *suite) reader() audit.Reader {
	s.Helper()
	return s.readerAt(now())
}

func (s *suite) readerAt(at time.Time) audit.Reader {
	s.Helper()
	r, err := s.Reader(s.ctx, func() time.Time { return at })
	if err != nil {
		s.Fatalf("opening the reader: %v", err)
	}
	s.Cleanup(func() {
		if err := r.Close(); err != nil {
			s.Errorf("closing the reader: %v", err)
		}
	})
	return r
}

// list is one of a reader's lists.
type list[T any] func(context.Context, audit.Filter, audit.Page) (*audit.Found[T], error)

// all reads a list to its end in pages of limit rows, and checks that none is longer.
func all[T any](s *suite, of list[T], f audit.Filter, p audit.Page) []*T {
	s.Helper()
	var rows []*T
	for range 1000 {
		found, err := of(s.ctx, f, p)
		if err != nil {
			s.Fatalf("reading %+v %+v: %v", f, p, err)
		}
		if len(found.Rows) > p.Rows() {
			s.Fatalf("a page has %d rows, want at most %d", len(found.Rows), p.Rows())
		}
		rows = append(rows, found.Rows...)
		if found.Next == "" {
			return rows
		}
		p.Cursor = found.Next
	}
	s.Fatal("the list has no end")
	return nil
}

func seqs[T any](rows []*T) []uint64 {
	list := []uint64{}
	for _, row := range rows {
		switch r := any(row).(type) {
		case *audit.Request:
			list = append(list, r.Seq)
		case *audit.Event:
			list = append(list, r.Seq)
		case *audit.Impersonation:
			list = append(list, r.Seq)
		case *audit.Entry:
			if r.Request != nil {
				list = append(list, r.Request.Seq)
			} else {
				list = append(list, r.Event.Seq)
			}
		}
	}
	return list
}

// readRows: rows come back as they were given, every column, whatever is in them.
func readRows(s *suite) {
	sink, reader := s.open(), s.reader()
	var rows []any
	var requests []*audit.Request
	var events []*audit.Event
	for i, text := range awkward {
		r := request(uint64(2*i+1), func(r *audit.Request) {
			r.RequestID, r.ImpersonationID, r.ActorID, r.ActorUsername, r.ActorName = text, text, text, text, text
			r.TargetID, r.TargetUsername, r.TargetName, r.Mode, r.ClientIP = text, text, text, text, text
			r.UserAgent, r.Method, r.Scheme, r.Host, r.Path = text, text, text, text, text
			r.Query, r.Action, r.Outcome, r.Refusal, r.Banner, r.ContentType, r.Fields = text, text, text, text, text, text, text
			r.Status, r.Duration, r.RequestBytes, r.ResponseBytes = 200+i, time.Hour+time.Microsecond, 1<<40, 1<<62
		})
		e := event(uint64(2*i+2), text, func(e *audit.Event) {
			e.ImpersonationID, e.ActorID, e.ActorUsername, e.ActorName = text, text, text, text
			e.TargetID, e.TargetUsername, e.TargetName, e.Mode, e.ClientIP = text, text, text, text, text
			e.Reason, e.Ticket, e.Detail = text, text, text
		})
		rows = append(rows, r, e)
		requests, events = append(requests, r), append(events, e)
	}
	c := &audit.Checkpoint{Time: now(), LogID: logID, Size: uint64(len(rows)), RootHash: [32]byte{1, 0, 31: 7}, Note: "a\n\n— b\n"}
	s.write(sink, batch(append(rows, c)...))
	oldest := audit.Page{Oldest: true, Limit: 7}
	if diff := cmp.Diff(requests, all(s, reader.Requests, audit.Filter{}, oldest)); diff != "" {
		s.Errorf("requests (-given +read):\n%s", diff)
	}
	if diff := cmp.Diff(events, all(s, reader.Events, audit.Filter{}, oldest)); diff != "" {
		s.Errorf("events (-given +read):\n%s", diff)
	}
	if diff := cmp.Diff([]*audit.Checkpoint{c}, all(s, reader.Checkpoints, audit.Filter{Log: logID}, audit.Page{})); diff != "" {
		s.Errorf("checkpoints (-given +read):\n%s", diff)
	}
}

// readFilters: each filter shows what it says and no more.
func readFilters(s *suite) {
	sink, reader := s.open(), s.reader()
	at := func(seq uint64) time.Time { return now().Add(time.Duration(seq) * time.Millisecond) }
	s.write(sink, batch(
		request(1, nil),
		request(2, func(r *audit.Request) { r.ActorUsername, r.Path = "bob", "/Zürich/100%_off" }),
		request(3, func(r *audit.Request) { r.TargetUsername, r.Query = "ann", "q=Needle" }),
		request(4, func(r *audit.Request) { r.ImpersonationID = "imp-2" }),
		request(5, func(r *audit.Request) { r.Outcome, r.Refusal = audit.OutcomeRefused, "path_denied" }),
		request(6, func(r *audit.Request) { r.ActorUsername, r.Action = "Carol.X", "Completed booking" }),
		request(7, func(r *audit.Request) { r.Path = `/100\off` }),
		event(8, audit.EventLogin, nil),
		event(9, audit.EventImpersonationRefused, func(e *audit.Event) {
			e.TargetUsername, e.Reason, e.Detail = "owner", "because I must", `{"refusal":"target_protected"}`
		}),
		event(10, audit.EventImpersonationEnded, func(e *audit.Event) { e.ImpersonationID, e.Detail = "imp-1", `{"cause":"idle"}` }),
		event(11, audit.EventLogin, func(e *audit.Event) { e.Detail = "no JSON: idle" }),
	))
	type seqList = []uint64
	for name, tt := range map[string]struct {
		filter           audit.Filter
		requests, events seqList
	}{
		"none":          {audit.Filter{}, seqList{7, 6, 5, 4, 3, 2, 1}, seqList{11, 10, 9, 8}},
		"actor":         {audit.Filter{Actor: "bob"}, seqList{2}, seqList{}},
		"actor's case":  {audit.Filter{Actor: "BOB"}, seqList{2}, seqList{}},
		"actor exactly": {audit.Filter{Actor: "Carol.X"}, seqList{6}, seqList{}},
		"target":        {audit.Filter{Target: "ann"}, seqList{3}, seqList{}},
		"both":          {audit.Filter{Actor: "bob", Target: "ann"}, seqList{}, seqList{}},
		"impersonation": {audit.Filter{Impersonation: "imp-2"}, seqList{4}, seqList{}},
		"outcome":       {audit.Filter{Outcome: "refused"}, seqList{5}, seqList{}},
		"cause":         {audit.Filter{Outcome: "idle"}, seqList{}, seqList{10}},
		"refusal":       {audit.Filter{Outcome: "target_protected"}, seqList{}, seqList{9}},
		"type":          {audit.Filter{Type: audit.EventLogin}, seqList{7, 6, 5, 4, 3, 2, 1}, seqList{11, 8}},
		"log":           {audit.Filter{Log: "another"}, seqList{}, seqList{}},
		"from":          {audit.Filter{From: at(6)}, seqList{7, 6}, seqList{11, 10, 9, 8}},
		"to":            {audit.Filter{To: at(3)}, seqList{2, 1}, seqList{}},
		"from and to":   {audit.Filter{From: at(3), To: at(9)}, seqList{7, 6, 5, 4, 3}, seqList{8}},
		"microsecond":   {audit.Filter{From: at(3).Add(time.Microsecond), To: at(5)}, seqList{4}, seqList{}},
		"q":             {audit.Filter{Q: "needle"}, seqList{3}, seqList{}},
		"q, a name":     {audit.Filter{Q: "sam r"}, seqList{7, 6, 5, 4, 3, 2, 1}, seqList{}},
		"q, beyond A-Z": {audit.Filter{Q: "Zürich"}, seqList{2}, seqList{}},
		"q, percent":    {audit.Filter{Q: "0%_O"}, seqList{2}, seqList{}},
		"q, underscore": {audit.Filter{Q: "_"}, seqList{2}, seqList{9}},
		"q, backslash":  {audit.Filter{Q: `0\o`}, seqList{7}, seqList{}},
		"q, reason":     {audit.Filter{Q: "I MUST"}, seqList{}, seqList{9}},
	} {
		f := tt.filter
		kind := f.Type
		f.Type = ""
		if diff := cmp.Diff(tt.requests, seqs(all(s, reader.Requests, f, audit.Page{}))); diff != "" {
			s.Errorf("%s: requests (-want +got):\n%s", name, diff)
		}
		f.Type = kind
		if diff := cmp.Diff(tt.events, seqs(all(s, reader.Events, f, audit.Page{}))); diff != "" {
			s.Errorf("%s: events (-want +got):\n%s", name, diff)
		}
	}
}

// readHostile: text that is SQL somewhere is text here, and what can't be asked is refused.
func readHostile(s *suite) {
	sink, reader := s.open(), s.reader()
	var rows []any
	for i, text := range awkward {
		rows = append(rows, request(uint64(i+1), func(r *audit.Request) { r.ActorUsername, r.TargetUsername, r.Path = text, text, text }))
	}
	s.write(sink, batch(rows...))
	for i, text := range awkward {
		for _, f := range []audit.Filter{{Actor: text}, {Target: text}, {Q: text}} {
			if f.Check() != nil {
				continue // longer than one may look for
			}
			if got := seqs(all(s, reader.Requests, f, audit.Page{Limit: 100})); !slices.Contains(got, uint64(i+1)) || f.Q == "" && len(got) != 1 {
				s.Errorf("%+v: %v, want %d", f, got, i+1)
			}
		}
	}
	for _, text := range []string{"' OR 1=1 --", `\' OR 1=1 --`, "'; DROP TABLE requests; --", "?", "{x:String}", "$1", "@p", "%"} {
		for _, f := range []audit.Filter{{Actor: text}, {Target: text}, {Impersonation: text}, {Log: text}} {
			if got := all(s, reader.Requests, f, audit.Page{}); len(got) != 0 {
				s.Errorf("%+v shows %d rows", f, len(got))
			}
		}
	}
	for _, f := range []audit.Filter{
		{Q: strings.Repeat("x", 201)},
		{Q: "\xff"},
		{Q: "\x00"},
		{Actor: strings.Repeat("x", 257)},
		{Outcome: "a b"},
		{Type: "'"},
		{From: now(), To: now()},
		{From: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)},
		{To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if _, err := reader.Requests(s.ctx, f, audit.Page{}); err == nil {
			s.Errorf("%+v is taken", f)
		}
	}
	s.want("SELECT count(*) FROM requests", fmt.Sprint(len(awkward)))
}

// readPages: rows that come while somebody pages move none of those to come; cursors are held to their list.
func readPages(s *suite) {
	sink, reader := s.open(), s.reader()
	same := now()
	var rows []any
	for seq := uint64(1); seq <= 25; seq++ { // many at the same microsecond
		rows = append(rows, request(seq, func(r *audit.Request) { r.Time = same.Add(time.Duration(seq/10) * time.Microsecond) }))
	}
	s.write(sink, batch(rows...))
	page := audit.Page{Limit: 4}
	var got []uint64
	for next := uint64(26); ; next++ {
		found, err := reader.Requests(s.ctx, audit.Filter{}, page)
		if err != nil {
			s.Fatal(err)
		}
		got = append(got, seqs(found.Rows)...)
		if found.Next == "" {
			break
		}
		page.Cursor = found.Next
		s.write(sink, batch(request(next, func(r *audit.Request) { r.Time = same.Add(time.Second) })))
	}
	want := []uint64{}
	for seq := uint64(25); seq >= 1; seq-- {
		want = append(want, seq)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("pages (-want +got):\n%s", diff)
	}
	slices.Reverse(want)
	oldest := seqs(all(s, reader.Requests, audit.Filter{To: same.Add(time.Millisecond)}, audit.Page{Limit: 3, Oldest: true}))
	if diff := cmp.Diff(want, oldest); diff != "" {
		s.Errorf("the oldest first (-want +got):\n%s", diff)
	}

	found, err := reader.Requests(s.ctx, audit.Filter{Actor: "alice"}, audit.Page{Limit: 1})
	if err != nil || found.Next == "" {
		s.Fatal(err)
	}
	cursor := found.Next
	bad := func(name string, err error) {
		if !errors.Is(err, audit.ErrCursor) {
			s.Errorf("%s: %v", name, err)
		}
	}
	_, err = reader.Requests(s.ctx, audit.Filter{Actor: "bob"}, audit.Page{Cursor: cursor})
	bad("another filter", err)
	_, err = reader.Requests(s.ctx, audit.Filter{Actor: "alice"}, audit.Page{Cursor: cursor, Oldest: true})
	bad("another order", err)
	_, err = reader.Events(s.ctx, audit.Filter{Actor: "alice"}, audit.Page{Cursor: cursor})
	bad("another list", err)
	for _, c := range []string{"x", "AAAA", cursor[:len(cursor)-3], cursor + "A", cursor + "====", strings.Repeat("A", 10_000), "' OR 1=1", "\x00", cursor[:20] + "!" + cursor[21:]} {
		if _, err := reader.Requests(s.ctx, audit.Filter{Actor: "alice"}, audit.Page{Cursor: c}); err != nil {
			bad(fmt.Sprintf("cursor %.20q", c), err)
		}
	}
	if _, err := reader.Requests(s.ctx, audit.Filter{Actor: "alice"}, audit.Page{Cursor: cursor, Limit: 1 << 30}); err != nil {
		s.Error(err)
	}
}

// readEmpty: nothing is there yet, which is no error.
func readEmpty(s *suite) {
	reader := s.reader()
	if got := all(s, reader.Requests, audit.Filter{}, audit.Page{}); len(got) != 0 {
		s.Errorf("requests: %v", got)
	}
	if got := all(s, reader.Events, audit.Filter{}, audit.Page{}); len(got) != 0 {
		s.Errorf("events: %v", got)
	}
	if got := all(s, reader.Impersonations, audit.Filter{}, audit.Page{}); len(got) != 0 {
		s.Errorf("impersonations: %v", got)
	}
	if _, err := reader.Impersonation(s.ctx, "none"); !errors.Is(err, audit.ErrNotThere) {
		s.Errorf("an impersonation that is not there: %v", err)
	}
	f := audit.Filter{From: now().AddDate(0, 0, -2), To: now()}
	if got, err := reader.Activity(s.ctx, f, audit.StepDay); err != nil || len(got) < 2 || got[0].Requests != 0 {
		s.Errorf("activity: %v, %v", got, err)
	}
	if got, err := reader.Actors(s.ctx, f, 10); err != nil || len(got) != 0 {
		s.Errorf("actors: %v, %v", got, err)
	}
	if got, err := reader.Notable(s.ctx, f, audit.Thresholds{}); err != nil || len(got) != 0 {
		s.Errorf("worth a look: %v, %v", got, err)
	}
}

// readGone: what can't be read is an error that names the place, never an empty list.
func readGone(s *suite) {
	s.open()
	reader := s.reader()
	for _, table := range []string{"requests", "events"} {
		if err := s.Exec(s.ctx, "DROP TABLE "+table); err != nil {
			s.Fatal(err)
		}
	}
	for name, err := range map[string]error{
		"requests":       second(reader.Requests(s.ctx, audit.Filter{}, audit.Page{})),
		"impersonations": second(reader.Impersonations(s.ctx, audit.Filter{}, audit.Page{})),
		"one":            second(reader.Impersonation(s.ctx, "imp-1")),
		"timeline":       second(reader.Timeline(s.ctx, "imp-1", audit.Page{})),
	} {
		if err == nil || errors.Is(err, audit.ErrNotThere) || errors.Is(err, audit.ErrCursor) || errors.Is(err, audit.ErrTooSlow) {
			s.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := reader.Checkpoints(ctx, audit.Filter{}, audit.Page{}); !errors.Is(err, context.Canceled) {
		s.Errorf("asked by somebody who went away: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
