package gateway

import (
	"maps"
	"sync"
)

// BannerCounts counts the documents that impersonated requests were answered with, by what became of them. It outlives
// configurations.
type BannerCounts struct {
	mu sync.Mutex // guards n
	n  map[BannerOutcome]uint64
}

// BannerOutcome is what became of a document: one of the audit's Banner constants, and why it could not be marked, one
// of the banner's Reason constants or empty.
type BannerOutcome struct {
	Banner, Reason string
}

func (c *BannerCounts) count(o BannerOutcome) {
	if c == nil || o.Banner == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[BannerOutcome]uint64)
	}
	c.n[o]++
}

// Stats is a copy of the counts.
func (c *BannerCounts) Stats() map[BannerOutcome]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}
