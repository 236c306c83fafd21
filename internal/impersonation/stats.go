package impersonation

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// causes are all an end can have; what they are counted under.
var causes = [...]string{
	CauseStopped, CauseExpired, CauseIdle, CauseRevoked, CauseTargetDeactivated, CauseActorDeactivated, CausePolicyChanged, CauseLogout, CauseObjection, CauseStartFailed,
}

// outcomes are all a request can have in the end; what they are counted under.
var outcomes = [...]string{state.RequestStarted, state.RequestRefused, state.RequestCancelled, state.RequestExpired}

type counters struct {
	asked  atomic.Uint64
	closed [len(outcomes)]atomic.Uint64 // by the index in outcomes

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

// close counts a request that waited for others, and came to its end.
func (c *counters) close(outcome string) {
	if i := slices.Index(outcomes[:], outcome); i >= 0 {
		c.closed[i].Add(1)
	}
}

// Stats are counts since the process began, and of now.
type Stats struct {
	Started, Refused, Extended uint64
	// Asked is how many starts had to wait for others; Closed how many of those came to which end, all of them in it.
	Asked  uint64
	Closed map[string]uint64
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
		Asked: m.stats.asked.Load(), Closed: make(map[string]uint64, len(outcomes)),
	}
	for i, outcome := range outcomes {
		s.Closed[outcome] = m.stats.closed[i].Load()
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

// CountWaiting is how many starts wait for others now, in all processes that share the store. It reads the store.
func (m *Manager) CountWaiting(ctx context.Context) (int, error) {
	open, err := m.store.OpenRequests(ctx)
	if err != nil {
		return 0, fmt.Errorf("counting requests: %w", err)
	}
	n, now := 0, m.clock.Now()
	for _, r := range open {
		if r.State == state.RequestPending && !over(r, now) {
			n++
		}
	}
	return n, nil
}
