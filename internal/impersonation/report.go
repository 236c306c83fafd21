package impersonation

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// WhyMissing is what a page's script can say of a banner that is not seen.
var WhyMissing = []string{
	"removed",     // it is not in the page
	"hidden",      // by display, visibility or the like
	"transparent", // by opacity or a filter
	"empty",       // it has no size, or what holds its sentence has none
	"offscreen",   // it lies outside of the window
	"clipped",     // an ancestor's overflow, clip-path or mask cuts it off
	"covered",     // something lies over it
}

const (
	reportEvery = 10 * time.Second // on average, for each impersonation
	reportBurst = 10
	maxPath     = 512
)

// ReportBanner records that a page shown in the impersonation says its banner is not seen, and why: one of
// [WhyMissing]. The page says so itself, so it is a hint and no proof. More than ten at once, or one in ten seconds,
// are counted and not recorded; then it is false.
func (m *Manager) ReportBanner(ctx context.Context, l *Live, path, why string, ip netip.Addr) (bool, error) {
	if !slices.Contains(WhyMissing, why) {
		return false, fmt.Errorf("reporting a missing banner: why is %.40q", why)
	}
	m.stats.bannerMissing.Add(1)
	cur := m.cur.Load()
	if cur == nil || !l.c.mayReport(m.clock.Now()) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusedTimeout)
	defer cancel()
	err := cur.events.Event(ctx, audit.Event{
		Time: m.clock.Now(), Type: audit.EventBannerMissing, ImpersonationID: l.ID,
		ActorID: l.ActorID, ActorUsername: l.ActorUsername, ActorName: l.ActorName,
		TargetID: l.TargetID, TargetUsername: l.TargetUsername, TargetName: l.TargetName,
		ClientIP: address(ip), Mode: l.Mode, Detail: audit.Detail("why", why, "path", text(path, maxPath)),
	})
	if err != nil {
		return false, fmt.Errorf("recording a missing banner: %w", err)
	}
	return true, nil
}

// mayReport is a bucket of reportBurst that refills by one each reportEvery (GCRA).
func (c *core) mayReport(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := now.Sub(c.base)
	next := max(c.reports, at)
	if next-at > (reportBurst-1)*reportEvery {
		return false
	}
	c.reports = next + reportEvery
	return true
}
