package sinktest

import (
	"math"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// trim: only the beginning of a log goes, up to a checkpoint, and never past a row that is young enough or needed.
func trim(s *suite) {
	sink := s.open()
	t, ok := sink.(audit.Trimmer)
	if !ok {
		return // a sink need not be able to
	}
	old, edge := now().AddDate(0, 0, -10), now().AddDate(0, 0, -5)
	aged := func(log string) func(*audit.Request) {
		return func(r *audit.Request) { r.LogID, r.Time = log, old.Add(time.Duration(r.Seq)*time.Second) }
	}
	checkpoint := func(log string, size uint64, at time.Time) *audit.Checkpoint {
		return &audit.Checkpoint{Time: at, LogID: log, Size: size, RootHash: [32]byte{byte(size)}, Note: "note"}
	}
	// Rows 1 to 1300 are old, but 1201 is not: somebody's download ended late. Row 700 is an event.
	var rows []any
	for seq := uint64(1); seq <= 1300; seq++ {
		switch seq {
		case 700:
			rows = append(rows, event(seq, audit.EventLogin, func(e *audit.Event) { e.Time = old }))
		case 1201:
			rows = append(rows, request(seq, nil))
		default:
			rows = append(rows, request(seq, aged(logID)))
		}
	}
	rows = append(rows, checkpoint(logID, 600, old), checkpoint(logID, 1150, old), checkpoint(logID, 1250, now()))
	s.write(sink, batch(rows...))
	// Another log's rows are all old, a third's are not.
	s.write(sink, batch(request(1, aged("abandoned")), request(2, aged("abandoned")), checkpoint("abandoned", 1, old)))
	s.write(sink, batch(request(1, aged("another")), request(2, func(r *audit.Request) { r.LogID = "another" }), checkpoint("another", 1, old)))

	removable := func(limit uint64) []audit.Prefix {
		s.Helper()
		list, err := t.Removable(s.ctx, logID, edge, limit)
		if err != nil {
			s.Fatal(err)
		}
		return list
	}
	abandoned := audit.Prefix{LogID: "abandoned", Through: 2, Whole: true}
	for limit, want := range map[uint64][]audit.Prefix{
		math.MaxUint64: {{LogID: logID, Through: 1150}, abandoned},
		1149:           {{LogID: logID, Through: 600}, abandoned},
		599:            {abandoned},
		0:              {abandoned},
	} {
		if got := removable(limit); !slices.Equal(got, want) {
			s.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
	if list, err := t.Removable(s.ctx, logID, old.AddDate(0, 0, -1), math.MaxUint64); err != nil || len(list) > 0 {
		s.Errorf("nothing is so old: %v, %v", list, err)
	}
	for _, p := range removable(math.MaxUint64) {
		for range 2 { // a second time it finds nothing to do
			if err := t.Remove(s.ctx, p); err != nil {
				s.Fatal(err)
			}
		}
	}
	s.want("SELECT min(seq) FROM requests WHERE log_id = '"+logID+"'", "1151")
	s.want("SELECT count(*) FROM requests WHERE log_id = '"+logID+"'", "150")
	s.want("SELECT count(*) FROM events", "0")
	s.want("SELECT min(size) FROM checkpoints WHERE log_id = '"+logID+"'", "1150")
	s.want("SELECT count(*) FROM checkpoints WHERE log_id = '"+logID+"'", "2")
	s.want("SELECT count(*) FROM requests WHERE log_id = 'abandoned'", "0")
	s.want("SELECT count(*) FROM checkpoints WHERE log_id = 'abandoned'", "0")
	s.want("SELECT count(*) FROM requests WHERE log_id = 'another'", "2")
	if list := removable(math.MaxUint64); len(list) > 0 {
		s.Errorf("removed, and still to be: %v", list)
	}
	// Writing goes on, and what comes again from before is told apart as before.
	s.write(sink, batch(request(1301, nil)))
	s.want("SELECT max(seq) FROM requests WHERE log_id = '"+logID+"'", "1301")
	if s.Reader == nil {
		return
	}
	r, err := s.Reader(s.ctx, time.Now)
	if err != nil {
		s.Fatal(err)
	}
	defer r.Close()
	// A page's cursor into what is gone leads to nothing, not to an error.
	f := audit.Filter{To: edge}
	if found, err := r.Requests(s.ctx, f, audit.Page{Limit: 10}); err != nil || found.Next == "" {
		s.Fatalf("%+v, %v", found, err)
	} else {
		first := found.Next
		if err := t.Remove(s.ctx, audit.Prefix{LogID: logID, Through: 1200}); err != nil {
			s.Fatal(err)
		}
		if err := t.Remove(s.ctx, audit.Prefix{LogID: "another", Through: 1}); err != nil {
			s.Fatal(err)
		}
		if err := t.Remove(s.ctx, audit.Prefix{LogID: logID, Through: 1300}); err != nil {
			s.Fatal(err)
		}
		found, err := r.Requests(s.ctx, f, audit.Page{Limit: 10, Cursor: first})
		if err != nil || len(found.Rows) != 0 || found.Next != "" {
			s.Errorf("behind what is gone: %+v, %v", found, err)
		}
	}
	extent, err := r.Extent(s.ctx, edge)
	if err != nil || extent.Requests != 0 || !extent.Oldest.After(edge) {
		s.Errorf("%+v, %v", extent, err)
	}
}
