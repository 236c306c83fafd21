package audit

import (
	"encoding/hex"
	"strconv"
	"time"
)

// Kind is what a column holds, and so how its value reads as text.
type Kind uint8

// Kinds of columns.
const (
	KindText   Kind = iota // UTF-8 without control characters
	KindNumber             // decimal, not negative
	KindTime               // 2006-01-02T15:04:05.000000Z
	KindHash               // 32 bytes; lower-case hex as text
)

// Column is one column of a table. Its Number is its name in the canonical encoding: it never changes, and a column
// added later takes the next.
type Column struct {
	Number int
	Name   string
	Kind   Kind
}

// firstColumns is how many columns the first version of the schema has in a table, at most. Those after it are text.
const firstColumns = 29

// Later tells a column that was added since: rows made before have none of it.
func (c Column) Later() bool { return c.Number > firstColumns }

// Tables of rows, as sinks name them.
const (
	TableRequests    = "requests"
	TableEvents      = "events"
	TableCheckpoints = "checkpoints"
)

// TimeLayout is a time as text: RFC 3339, UTC, always with microseconds.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// RequestColumns lists the columns of table requests in order, without leaf_hash, which is computed from them.
func RequestColumns() []Column {
	return []Column{
		{1, "time", KindTime},
		{2, "log_id", KindText},
		{3, "seq", KindNumber},
		{4, "request_id", KindText},
		{5, "impersonation_id", KindText},
		{6, "impersonation_seq", KindNumber},
		{7, "actor_id", KindText},
		{8, "actor_username", KindText},
		{9, "actor_name", KindText},
		{10, "target_id", KindText},
		{11, "target_username", KindText},
		{12, "target_name", KindText},
		{13, "mode", KindText},
		{14, "client_ip", KindText},
		{15, "user_agent", KindText},
		{16, "method", KindText},
		{17, "scheme", KindText},
		{18, "host", KindText},
		{19, "path", KindText},
		{20, "query", KindText},
		{21, "action", KindText},
		{22, "status", KindNumber},
		{23, "outcome", KindText},
		{24, "refusal", KindText},
		{25, "banner", KindText},
		{26, "duration_us", KindNumber},
		{27, "request_bytes", KindNumber},
		{28, "response_bytes", KindNumber},
		{29, "content_type", KindText},
		{30, "fields", KindText},
	}
}

// EventColumns lists the columns of table events in order, without leaf_hash.
func EventColumns() []Column {
	return []Column{
		{1, "time", KindTime},
		{2, "log_id", KindText},
		{3, "seq", KindNumber},
		{4, "type", KindText},
		{5, "impersonation_id", KindText},
		{6, "actor_id", KindText},
		{7, "actor_username", KindText},
		{8, "target_id", KindText},
		{9, "target_username", KindText},
		{10, "client_ip", KindText},
		{11, "reason", KindText},
		{12, "ticket", KindText},
		{13, "detail", KindText},
		{14, "actor_name", KindText},
		{15, "target_name", KindText},
		{16, "mode", KindText},
	}
}

// CheckpointColumns lists the columns of table checkpoints in order. Checkpoints are signed, not hashed: they have
// no canonical encoding.
func CheckpointColumns() []Column {
	return []Column{
		{1, "time", KindTime},
		{2, "log_id", KindText},
		{3, "size", KindNumber},
		{4, "root_hash", KindHash},
		{5, "note", KindText},
	}
}

// Values is the row as text, in the order of [RequestColumns].
func (r *Request) Values() []string {
	return []string{
		timeText(r.Time), r.LogID, uintText(r.Seq), r.RequestID, r.ImpersonationID, uintText(r.ImpersonationSeq),
		r.ActorID, r.ActorUsername, r.ActorName, r.TargetID, r.TargetUsername, r.TargetName,
		r.Mode, r.ClientIP, r.UserAgent, r.Method, r.Scheme, r.Host, r.Path, r.Query, r.Action,
		intText(int64(r.Status)), r.Outcome, r.Refusal, r.Banner, intText(r.Duration.Microseconds()),
		intText(r.RequestBytes), intText(r.ResponseBytes), r.ContentType, r.Fields,
	}
}

// Values is the row as text, in the order of [EventColumns].
func (e *Event) Values() []string {
	return []string{
		timeText(e.Time), e.LogID, uintText(e.Seq), e.Type, e.ImpersonationID, e.ActorID, e.ActorUsername,
		e.TargetID, e.TargetUsername, e.ClientIP, e.Reason, e.Ticket, e.Detail, e.ActorName, e.TargetName, e.Mode,
	}
}

// Values is the row as text, in the order of [CheckpointColumns].
func (c *Checkpoint) Values() []string {
	return []string{timeText(c.Time), c.LogID, uintText(c.Size), hex.EncodeToString(c.RootHash[:]), c.Note}
}

func timeText(t time.Time) string { return t.UTC().Format(TimeLayout) }
func uintText(n uint64) string    { return strconv.FormatUint(n, 10) }

// intText clamps as the encoding does: there are no negative numbers in the tables.
func intText(n int64) string { return strconv.FormatInt(max(n, 0), 10) }
