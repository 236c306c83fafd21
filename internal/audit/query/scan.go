package query

import (
	"database/sql"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// timeOf scans a time, which one engine keeps as text and another as a time.
type timeOf struct{ t *time.Time }

var _ sql.Scanner = timeOf{}

func (v timeOf) Scan(src any) error {
	switch x := src.(type) {
	case time.Time:
		*v.t = x.UTC()
		return nil
	case string:
		t, err := time.Parse(audit.TimeLayout, x)
		*v.t = t.UTC()
		return err
	case nil:
		*v.t = time.Time{}
		return nil
	}
	return fmt.Errorf("a time is a %T", src)
}

// hashOf scans a hash of 32 bytes.
type hashOf struct{ h *[32]byte }

func (v hashOf) Scan(src any) error {
	switch x := src.(type) {
	case []byte:
		return v.set(string(x))
	case string:
		return v.set(x)
	}
	return fmt.Errorf("a hash is a %T", src)
}

func (v hashOf) set(s string) error {
	if len(s) != len(v.h) {
		return fmt.Errorf("a hash has %d bytes", len(s))
	}
	copy(v.h[:], s)
	return nil
}

// intOf scans a number that is bounded above by what an int holds; whoever has changed the row may have written more.
type intOf struct{ n *int64 }

func (v intOf) Scan(src any) error {
	switch x := src.(type) {
	case int64:
		*v.n = x
	case uint64:
		*v.n = int64(min(x, math.MaxInt64))
	case uint32:
		*v.n = int64(x)
	case uint16:
		*v.n = int64(x)
	case uint8:
		*v.n = int64(x)
	default:
		return fmt.Errorf("a number is a %T", src)
	}
	return nil
}

var (
	eventColumns      = columns(audit.EventColumns(), "leaf_hash")
	checkpointColumns = columns(audit.CheckpointColumns())
)

func columns(list []audit.Column, more ...string) string {
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return strings.Join(append(names, more...), ", ")
}

func scanRequest(rows *sql.Rows) (*audit.Request, error) {
	var r audit.Request
	var status, micros int64
	err := rows.Scan(timeOf{&r.Time}, &r.LogID, &r.Seq, &r.RequestID, &r.ImpersonationID, &r.ImpersonationSeq,
		&r.ActorID, &r.ActorUsername, &r.ActorName, &r.TargetID, &r.TargetUsername, &r.TargetName,
		&r.Mode, &r.ClientIP, &r.UserAgent, &r.Method, &r.Scheme, &r.Host, &r.Path, &r.Query, &r.Action,
		intOf{&status}, &r.Outcome, &r.Refusal, &r.Banner, intOf{&micros}, intOf{&r.RequestBytes}, intOf{&r.ResponseBytes}, &r.ContentType, &r.Fields,
		hashOf{&r.LeafHash})
	r.Status, r.Duration = int(status), time.Duration(min(micros, math.MaxInt64/1000))*time.Microsecond
	return &r, err
}

func scanEvent(rows *sql.Rows) (*audit.Event, error) {
	var e audit.Event
	err := rows.Scan(timeOf{&e.Time}, &e.LogID, &e.Seq, &e.Type, &e.ImpersonationID, &e.ActorID, &e.ActorUsername,
		&e.TargetID, &e.TargetUsername, &e.ClientIP, &e.Reason, &e.Ticket, &e.Detail, &e.ActorName, &e.TargetName, &e.Mode,
		hashOf{&e.LeafHash})
	return &e, err
}

func scanCheckpoint(rows *sql.Rows) (*audit.Checkpoint, error) {
	var c audit.Checkpoint
	err := rows.Scan(timeOf{&c.Time}, &c.LogID, &c.Size, hashOf{&c.RootHash}, &c.Note)
	return &c, err
}

// into collects what scan reads.
func into[T any](list *[]*T, scan func(*sql.Rows) (*T, error)) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		row, err := scan(rows)
		*list = append(*list, row)
		return err
	}
}
