package sinktest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// resendSameProcess: the answer to a successful write was lost, so it comes again.
func resendSameProcess(s *suite) {
	sink := s.open()
	b := mixed()
	for range 3 {
		s.write(sink, b)
	}
	s.holdsMixedOnce()
}

// resendNewProcess: the gateway died between the write and noting it.
func resendNewProcess(s *suite) {
	for range 3 {
		sink, err := s.Open(s.ctx)
		if err != nil {
			s.Fatal(err)
		}
		s.write(sink, mixed())
		if err := sink.Close(); err != nil {
			s.Errorf("closing: %v", err)
		}
	}
	s.holdsMixedOnce()
}

// resendOldBatch: a batch comes again after later ones (its position was restored from a copy).
func resendOldBatch(s *suite) {
	sink := s.open()
	s.write(sink, mixed())
	s.write(sink, batch(requests(5, 9)...))
	s.write(sink, mixed())
	s.write(sink, batch(requests(5, 9)...))
	s.want("SELECT count(*) FROM requests", "7")
	s.want("SELECT count(*) FROM events", "2")
	s.want("SELECT count(*) FROM checkpoints", "1")
}

// stamped is fixed, so that a batch made again is the same batch, as the shipper's is.
var stamped = now()

func mixed() *audit.Batch {
	r1, r2 := request(1, nil), request(3, nil)
	e1, e2 := event(2, audit.EventLogin, nil), event(4, audit.EventLogout, nil)
	r1.Time, r2.Time, e1.Time, e2.Time = stamped, stamped, stamped, stamped
	r1.Hash()
	r2.Hash()
	e1.Hash()
	e2.Hash()
	return batch(r1, e1, r2, e2, &audit.Checkpoint{Time: stamped, LogID: logID, Size: 4, Note: "n"})
}

func (s *suite) holdsMixedOnce() {
	s.Helper()
	s.want("SELECT count(*) FROM requests", "2")
	s.want("SELECT count(*) FROM events", "2")
	s.want("SELECT count(*) FROM checkpoints", "1")
}

// cancelled: a write whose context has ended is an error, and the batch is there once after it came again.
func cancelled(s *suite) {
	sink := s.open()
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := sink.Write(ctx, mixed()); err == nil {
		s.Error("a write with a cancelled context succeeded")
	}
	s.write(sink, mixed())
	s.holdsMixedOnce()
}

func order(s *suite) {
	sink := s.open()
	const size, batches = 500, 10
	for n := range uint64(batches) {
		s.write(sink, batch(requests(n*size+1, (n+1)*size)...))
	}
	s.want("SELECT count(*) FROM requests", fmt.Sprint(size*batches))
	s.want("SELECT count(DISTINCT seq) FROM requests", fmt.Sprint(size*batches))
	s.want("SELECT max(seq) FROM requests", fmt.Sprint(size*batches))
	for i, row := range s.query("SELECT seq, request_id FROM requests ORDER BY log_id, seq") {
		if row[0] != fmt.Sprint(i+1) || row[1] != fmt.Sprintf("req-%d", i+1) {
			s.Fatalf("row %d is %v", i, row)
		}
	}
}

func kindsOfBatches(s *suite) {
	sink := s.open()
	checkpoint := func(size uint64) *audit.Checkpoint {
		return &audit.Checkpoint{Time: now(), LogID: logID, Size: size, Note: "n"}
	}
	for range 2 {
		s.write(sink, batch(request(1, nil)))
		s.write(sink, batch(event(2, audit.EventLogin, nil)))
		s.write(sink, batch(checkpoint(2)))
		s.write(sink, batch(request(3, nil), checkpoint(3)))
		s.write(sink, batch(event(4, audit.EventLogin, nil), checkpoint(4), request(5, nil)))
		s.write(sink, &audit.Batch{LogID: logID, From: 6, To: 5, Token: "empty"})
	}
	s.want("SELECT count(*) FROM requests", "3")
	s.want("SELECT count(*) FROM events", "2")
	s.want("SELECT count(*) FROM checkpoints", "3")
}

// checkpoints: they come alone, after the rows they cover; again, from the same process and the next; and, where the
// gateway lost count of what it sent, all that its journal holds together.
func checkpoints(s *suite) {
	checkpoint := func(size uint64) *audit.Checkpoint {
		return &audit.Checkpoint{Time: now().Add(time.Duration(size) * time.Second), LogID: logID, Size: size, Note: fmt.Sprint("note ", size)}
	}
	first := s.open()
	s.write(first, batch(requests(1, 3)...))
	s.write(first, batch(checkpoint(3)))
	s.write(first, batch(checkpoint(3)))
	s.write(first, batch(request(4, nil), checkpoint(4), request(5, nil)))
	s.write(first, batch(checkpoint(5)))
	s.want("SELECT count(*) FROM checkpoints", "3")
	next := s.open()
	s.write(next, batch(checkpoint(5)))
	s.write(next, batch(checkpoint(3), checkpoint(4), checkpoint(5), request(6, nil), checkpoint(6)))
	lost := s.open()
	for i, c := range [][]*audit.Checkpoint{{checkpoint(3)}, {checkpoint(4), checkpoint(5)}, {checkpoint(6)}} {
		s.write(lost, &audit.Batch{LogID: logID, From: 7, To: 6, Token: fmt.Sprint("again-", i), Checkpoints: c})
	}
	s.want("SELECT count(*) FROM requests", "6")
	s.want("SELECT count(*) FROM checkpoints", "4")
	s.want("SELECT count(DISTINCT note) FROM checkpoints", "4")
}

// twoLogs: two gateways write to one sink; their positions do not collide.
func twoLogs(s *suite) {
	one, two := s.open(), s.open()
	for i, sink := range []audit.Sink{one, two, one} {
		log := []string{"log-a", "log-b", "log-a"}[i]
		from := []uint64{1, 1, 4}[i]
		var rows []any
		for seq := from; seq < from+3; seq++ {
			rows = append(rows, request(seq, func(r *audit.Request) { r.LogID = log }))
		}
		s.write(sink, batch(rows...))
	}
	s.want("SELECT count(*) FROM requests WHERE log_id = 'log-a'", "6")
	s.want("SELECT count(*) FROM requests WHERE log_id = 'log-b'", "3")
}

// large is the most a batch may hold: 10,000 rows, and long ones.
func large(s *suite) {
	sink := s.open()
	path := "/" + strings.Repeat("p", 400)
	var rows []any
	for seq := range uint64(10_000) {
		rows = append(rows, request(seq+1, func(r *audit.Request) { r.Path = path }))
	}
	b := batch(rows...)
	s.write(sink, b)
	s.write(sink, b)
	s.want("SELECT count(*) FROM requests", "10000")
	s.want("SELECT min(path) FROM requests", path)
}
