package impersonation

import "time"

// SetWriteTimeout shortens what a start waits for store and journal.
func (m *Manager) SetWriteTimeout(d time.Duration) { m.writeTimeout = d }

// StopTimers leaves ends by the clock to those who ask.
func (m *Manager) StopTimers() {
	for _, c := range m.all() {
		c.stopTimer()
	}
}
