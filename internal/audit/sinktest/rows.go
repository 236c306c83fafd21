package sinktest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const logID = "kxp3vbq2mwu7zdnc"

// now is a recent time: sinks with a retention may drop old rows at any moment.
// The same for the whole run: a batch made again is byte-identical, as the shipper's is.
func now() time.Time { return begun }

var begun = time.Now().UTC().Truncate(time.Microsecond).Add(-time.Hour)

// request is an ordinary row; change alters it before it is hashed.
func request(seq uint64, change func(*audit.Request)) *audit.Request {
	r := &audit.Request{
		Time: now().Add(time.Duration(seq) * time.Millisecond), LogID: logID, Seq: seq,
		RequestID:       fmt.Sprintf("req-%d", seq),
		ImpersonationID: "imp-1", ImpersonationSeq: seq,
		ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng",
		TargetID: "u-2", TargetUsername: "sam", TargetName: "Sam Reed", Mode: "full",
		ClientIP: "192.0.2.7", UserAgent: "Mozilla/5.0", Method: "GET", Scheme: "https", Host: "app.example.com",
		Path: "/bookings/17", Query: "tab=checklist", Status: 200, Outcome: audit.OutcomeCompleted,
		Banner: audit.BannerMarked, Duration: 1234 * time.Microsecond, RequestBytes: 0, ResponseBytes: 20_480,
		ContentType: "text/html; charset=utf-8",
	}
	if change != nil {
		change(r)
	}
	r.Hash()
	return r
}

func event(seq uint64, kind string, change func(*audit.Event)) *audit.Event {
	e := &audit.Event{
		Time: now().Add(time.Duration(seq) * time.Millisecond), LogID: logID, Seq: seq, Type: kind,
		ActorID: "u-1", ActorUsername: "alice", ActorName: "Alice Ng", ClientIP: "192.0.2.7",
	}
	if change != nil {
		change(e)
	}
	e.Hash()
	return e
}

// batch puts rows into a batch cut as the shipper cuts it.
func batch(rows ...any) *audit.Batch {
	b := &audit.Batch{LogID: logID}
	note := func(log string, seq uint64) {
		b.LogID = log
		if b.From == 0 || seq < b.From {
			b.From = seq
		}
		b.To = max(b.To, seq)
	}
	for _, row := range rows {
		switch row := row.(type) {
		case *audit.Request:
			b.Requests = append(b.Requests, row)
			note(row.LogID, row.Seq)
		case *audit.Event:
			b.Events = append(b.Events, row)
			note(row.LogID, row.Seq)
		case *audit.Checkpoint:
			b.Checkpoints = append(b.Checkpoints, row)
		}
	}
	b.Token = fmt.Sprintf("%s-%d-%d", b.LogID, b.From, b.To)
	if b.From == 0 && len(b.Checkpoints) > 0 {
		size := b.Checkpoints[0].Size
		b.From, b.To = size+1, size
		b.Token = fmt.Sprintf("%s-checkpoint-%d", b.LogID, size)
	}
	return b
}

func requests(from, to uint64) []any {
	var rows []any
	for seq := from; seq <= to; seq++ {
		rows = append(rows, request(seq, nil))
	}
	return rows
}

// encode is the canonical encoding made from text alone, as an auditor's own program makes it from an export.
func encode(table string, columns []audit.Column, values []string) []byte {
	b := lengthPrefixed(nil, table+"/1")
	for i, c := range columns {
		if values[i] == "" || c.Kind == audit.KindNumber && values[i] == "0" {
			continue
		}
		b = lengthPrefixed(binary.AppendUvarint(b, uint64(c.Number)), values[i])
	}
	return b
}

func lengthPrefixed(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func names(columns []audit.Column) string {
	var list []string
	for _, c := range columns {
		list = append(list, c.Name)
	}
	return strings.Join(list, ", ")
}
