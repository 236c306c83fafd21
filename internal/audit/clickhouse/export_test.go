package clickhouse

import "time"

// SetSettle shortens the wait for rows that the server says it has.
func (s *Sink) SetSettle(d time.Duration) { s.settle = d }

// Kept is where a table's rows are changed, by what the server says of its engine.
func (s *Sink) Kept(table, engine string) (string, error) { return s.kept(table, engine) }
