package sinktest

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Text that databases, drivers and quoting get wrong.
var awkward = []string{
	"Zoë Ångström", "李雷 韩梅梅", "عمر الخيام", "🛠️👩🏽‍🔧 e\u0301", "O'Brien \"Bob\" `x` \\ \\n \\0 \\'",
	"%s %d ? $1 :x @y {z} ;--", "  blanks  ", "NULL", "\\N", "0", "-1", "1e9", "true", "\uFEFFbom", "a\u00a0b\u200eb",
	"\U0010FFFD", "\uFFFD", "x" + strings.Repeat("ü", 200),
}

// values: every column of every table comes back as it was given, and the leaf hash can be computed from what came
// back.
func values(s *suite) {
	sink := s.open()
	var rows []any
	seq := uint64(0)
	for _, text := range awkward {
		seq++
		rows = append(rows, request(seq, func(r *audit.Request) {
			r.RequestID, r.ImpersonationID, r.ActorID, r.ActorUsername, r.ActorName = text, text, text, text, text
			r.TargetID, r.TargetUsername, r.TargetName, r.Mode, r.ClientIP = text, text, text, text, text
			r.UserAgent, r.Method, r.Scheme, r.Host, r.Path = text, text, text, text, text
			r.Query, r.Action, r.Outcome, r.Refusal, r.Banner, r.ContentType, r.Fields = text, text, text, text, text, text, text
		}))
		seq++
		rows = append(rows, event(seq, text, func(e *audit.Event) {
			e.ImpersonationID, e.ActorID, e.ActorUsername, e.ActorName = text, text, text, text
			e.TargetID, e.TargetUsername, e.TargetName, e.Mode, e.ClientIP = text, text, text, text, text
			e.Reason, e.Ticket, e.Detail = text, text, text
		}))
	}
	// Each column its own value, so that a swap of two shows.
	rows = append(rows, &audit.Request{
		Time: now(), LogID: logID, Seq: seq + 1, RequestID: "c4", ImpersonationID: "c5", ImpersonationSeq: 6,
		ActorID: "c7", ActorUsername: "c8", ActorName: "c9", TargetID: "c10", TargetUsername: "c11", TargetName: "c12",
		Mode: "c13", ClientIP: "2001:db8::14", UserAgent: "c15", Method: "c16", Scheme: "c17", Host: "c18", Path: "c19",
		Query: "c20", Action: "c21", Status: 22, Outcome: "c23", Refusal: "c24", Banner: "c25",
		Duration: 26 * time.Microsecond, RequestBytes: 27, ResponseBytes: 28, ContentType: "c29", Fields: "c30",
	}, &audit.Event{
		Time: now(), LogID: logID, Seq: seq + 2, Type: "c4", ImpersonationID: "c5", ActorID: "c6", ActorUsername: "c7",
		TargetID: "c8", TargetUsername: "c9", ClientIP: "2001:db8::10", Reason: "c11", Ticket: "c12",
		Detail: `{"c":13}`, ActorName: "c14", TargetName: "c15", Mode: "c16",
	})
	// All that may be empty or 0 is.
	rows = append(rows,
		&audit.Request{Time: now(), LogID: logID, Seq: seq + 3},
		&audit.Event{Time: now().Truncate(time.Second), LogID: logID, Seq: seq + 4})
	rows = append(rows, &audit.Checkpoint{
		Time: now(), LogID: logID, Size: 12, RootHash: [32]byte{0, 1, 0xfe, 0xff, 31: 7}, Note: "line\n\n— key sig==\n",
	})
	s.roundTrip(sink, rows)
}

// bounds: the largest values the Recorder lets through.
func bounds(s *suite) {
	sink := s.open()
	long := func(n int) string { return strings.Repeat("é", n/2-2) + "a…" }
	s.roundTrip(sink, []any{
		request(1<<53+1, func(r *audit.Request) {
			r.ImpersonationSeq = 1<<53 + 1
			r.ActorName, r.TargetName, r.Action = long(256), long(256), long(256)
			r.UserAgent, r.Path, r.Query, r.Host, r.Fields = long(512), long(2048), long(2048), long(254), long(1024)
			r.Status, r.Duration = 999, math.MaxInt64/1000*time.Microsecond
			r.RequestBytes, r.ResponseBytes = math.MaxInt64, math.MaxInt64
		}),
		event(1<<53+2, audit.EventImpersonationStarted, func(e *audit.Event) {
			e.Reason, e.Ticket, e.Detail = long(2048), long(256), long(8192)
		}),
		&audit.Checkpoint{Time: now(), LogID: logID, Size: 1<<53 + 2, Note: strings.Repeat("note ", 400)},
	})
}

// roundTrip writes the rows as one batch and compares what the tables hold then.
func (s *suite) roundTrip(sink audit.Sink, rows []any) {
	s.Helper()
	wantRequests, wantEvents, wantCheckpoints := [][]string{}, [][]string{}, [][]string{}
	for _, row := range rows {
		switch row := row.(type) {
		case *audit.Request:
			row.Hash()
			wantRequests = append(wantRequests, append(row.Values(), hex.EncodeToString(row.LeafHash[:])))
		case *audit.Event:
			row.Hash()
			wantEvents = append(wantEvents, append(row.Values(), hex.EncodeToString(row.LeafHash[:])))
		case *audit.Checkpoint:
			wantCheckpoints = append(wantCheckpoints, row.Values())
		}
	}
	s.write(sink, batch(rows...))
	tables := []struct {
		name    string
		columns []audit.Column
		want    [][]string
	}{
		{audit.TableRequests, audit.RequestColumns(), wantRequests},
		{audit.TableEvents, audit.EventColumns(), wantEvents},
	}
	for _, table := range tables {
		got := s.query(fmt.Sprintf("SELECT %s, leaf_hash FROM %s ORDER BY seq", names(table.columns), table.name))
		if diff := cmp.Diff(table.want, got); diff != "" {
			s.Errorf("table %s (-given +found):\n%s", table.name, diff)
			continue
		}
		for _, row := range got {
			last := len(table.columns)
			hash := audit.LeafHash(encode(table.name, table.columns, row[:last]))
			if hex.EncodeToString(hash[:]) != row[last] {
				s.Errorf("table %s: the leaf hash can't be computed from the row %q", table.name, row)
			}
		}
	}
	got := s.query(fmt.Sprintf("SELECT %s FROM checkpoints ORDER BY size", names(audit.CheckpointColumns())))
	if diff := cmp.Diff(wantCheckpoints, got); diff != "" {
		s.Errorf("table checkpoints (-given +found):\n%s", diff)
	}
}
