package clickhouse

import "time"

// SetSettle shortens the wait for rows that the server says it has.
func (s *Sink) SetSettle(d time.Duration) { s.settle = d }
