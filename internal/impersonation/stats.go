package impersonation

import "sync/atomic"

// causes are all an end can have; what they are counted under.
var causes = [...]string{
	CauseStopped, CauseExpired, CauseIdle, CauseRevoked, CauseTargetDeactivated, CauseActorDeactivated, CausePolicyChanged, CauseLogout, CauseStartFailed,
}

type counters struct {
	started, refused, extended, bannerMissing, retries atomic.Uint64
	ended                                              [len(causes) + 1]atomic.Uint64 // by the index in causes; the last: others
}

func (c *counters) end(cause string) {
	for i, known := range causes {
		if known == cause {
			c.ended[i].Add(1)
			return
		}
	}
	c.ended[len(causes)].Add(1)
}

// Stats are counts since the process began, and of now.
type Stats struct {
	Started, Refused, Extended uint64
	// BannerMissing is how often a page's script reported that the banner is not seen, recorded or not.
	BannerMissing uint64
	// Ended by cause; all causes are in it.
	Ended map[string]uint64
	// Live is how many are running, those being started included.
	Live int
	// Unwritten is how many have ended, but are not yet in both store and journal; Retries counts the tries that
	// failed. Where Unwritten stays above 0, somebody should look at why.
	Unwritten int
	Retries   uint64
}

// Stats is for metrics.
func (m *Manager) Stats() Stats {
	s := Stats{
		Started: m.stats.started.Load(), Refused: m.stats.refused.Load(), Extended: m.stats.extended.Load(), BannerMissing: m.stats.bannerMissing.Load(), Retries: m.stats.retries.Load(), Live: int(m.count.Load()),
		Ended: make(map[string]uint64, len(causes)+1),
	}
	for i, cause := range causes {
		s.Ended[cause] = m.stats.ended[i].Load()
	}
	if n := m.stats.ended[len(causes)].Load(); n > 0 {
		s.Ended["other"] = n
	}
	m.mu.RLock()
	s.Unwritten = len(m.pending)
	m.mu.RUnlock()
	return s
}
