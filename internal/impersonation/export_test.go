package impersonation

import (
	"context"
	"time"
)

// A slow disk is not one that fails.
func init() { rowTimeout = 2 * time.Minute }

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
