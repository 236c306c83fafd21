package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Counts are what the log has of one impersonation.
type Counts struct {
	// Requests is how many intents there were: their rows have ImpersonationSeq 1 to Requests.
	Requests uint64
	// First and Last are the Seq of its first and last row so far, events included; 0: none.
	First, Last uint64
	// Start is the Seq of its impersonation_started event; 0: this log has none.
	Start uint64
	Ended bool // its impersonation_ended event is recorded
}

// keepEnded is how many ended impersonations are remembered, for requests that were under way at the end.
const keepEnded = 1024

// counters counts by impersonation.
type counters struct {
	by    map[string]*Counts
	ended []string // oldest first
}

func newCounters() counters { return counters{by: map[string]*Counts{}} }

func (c *counters) of(id string) Counts {
	if n := c.by[id]; n != nil {
		return *n
	}
	return Counts{}
}

func (c *counters) get(id string) *Counts {
	n := c.by[id]
	if n == nil {
		n = new(Counts)
		c.by[id] = n
	}
	return n
}

// next is the ImpersonationSeq of the next intent; 0 for own accounts.
func (c *counters) next(id string) uint64 {
	if id == "" {
		return 0
	}
	if n := c.by[id]; n != nil {
		return n.Requests + 1
	}
	return 1
}

func (c *counters) intent(id string, seq uint64) {
	if id != "" {
		n := c.get(id)
		n.Requests = max(n.Requests, seq)
	}
}

func (c *counters) finished(row *Request) {
	if row.ImpersonationID != "" {
		c.intent(row.ImpersonationID, row.ImpersonationSeq)
		c.get(row.ImpersonationID).row(row.Seq)
	}
}

func (c *counters) event(e *Event) {
	if e.ImpersonationID == "" {
		return
	}
	n := c.by[e.ImpersonationID]
	if n == nil {
		// Others may come long after the end, when it is forgotten.
		if e.Type != EventImpersonationStarted && e.Type != EventImpersonationEnded {
			return
		}
		n = c.get(e.ImpersonationID)
	}
	n.row(e.Seq)
	switch {
	case e.Type == EventImpersonationStarted && n.Start == 0:
		n.Start = e.Seq
	case e.Type == EventImpersonationEnded:
		c.end(e.ImpersonationID)
	}
}

func (n *Counts) row(seq uint64) {
	if n.First == 0 {
		n.First = seq
	}
	n.Last = max(n.Last, seq)
}

// end marks one ended and forgets the one that ended longest ago.
func (c *counters) end(id string) {
	if n := c.get(id); !n.Ended {
		n.Ended = true
		c.ended = append(c.ended, id)
	}
	if len(c.ended) > keepEnded {
		delete(c.by, c.ended[0])
		c.ended = c.ended[1:]
	}
}

// endDetail is the Detail of an impersonation_ended event with the number of requests in it, and where its start is: so what
// is left once retention has removed the start can show that the start was among the rows that were let go.
func endDetail(detail string, n Counts) string {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(detail), &fields) != nil || fields == nil {
		fields = map[string]json.RawMessage{}
		if detail != "" {
			fields["cause"] = encodeJSON(detail)
		}
	}
	fields["requests"] = encodeJSON(n.Requests)
	delete(fields, "start_seq")
	if n.Start > 0 {
		fields["start_seq"] = encodeJSON(n.Start)
	}
	return string(encodeJSON(fields))
}

// startDetail is the Detail of an impersonation_started event with where the configuration is that was in force, so that no
// other can be shown for it.
func startDetail(detail string, config uint64) string {
	if detail == "" {
		detail = "{}"
	}
	inner, ok := strings.CutSuffix(detail, "}")
	if !ok || !json.Valid([]byte(detail)) {
		return detail // what is none is left as it is
	}
	if inner = strings.TrimSpace(inner); inner != "{" {
		inner += ","
	}
	return fmt.Sprintf(`%s"config_seq":%d}`, inner, config)
}

// encodeJSON encodes what can't fail, without the escapes that are for HTML.
func encodeJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
