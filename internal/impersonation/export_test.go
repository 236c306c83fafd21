package impersonation

import (
	"context"
	"time"
)

// NewPatientManager is NewManager for a clock that stands still: a slow disk is not one that fails.
func NewPatientManager(o Options) *Manager {
	m := NewManager(o)
	m.rowTimeout = 2 * time.Minute
	return m
}

// SetWriteTimeout shortens what a start waits for store and journal.
func (m *Manager) SetWriteTimeout(d time.Duration) { m.writeTimeout.Store(int64(d)) }

// StopTimers leaves ends by the clock to those who ask.
func (m *Manager) StopTimers() {
	for _, c := range m.all() {
		c.stopTimer()
	}
}

// DigestDue sends what is due.
func (m *Manager) DigestDue(ctx context.Context, s Schedule, refused Refused) error {
	return m.digestDue(ctx, s, refused)
}
