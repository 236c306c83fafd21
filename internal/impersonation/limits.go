package impersonation

import (
	"slices"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// places are those starting and live, by the keys of their actors' and their targets' usernames.
type places struct {
	actors, targets map[string][]*core
}

func (p *places) add(c *core) {
	if p.actors == nil {
		p.actors, p.targets = make(map[string][]*core), make(map[string][]*core)
	}
	l := c.view.Load()
	actor, target := identity.Key(l.ActorUsername), identity.Key(l.TargetUsername)
	p.actors[actor] = append(p.actors[actor], c)
	p.targets[target] = append(p.targets[target], c)
}

func (p *places) remove(c *core) {
	l := c.view.Load()
	out := func(from map[string][]*core, key string) {
		if left := slices.DeleteFunc(from[key], func(other *core) bool { return other == c }); len(left) > 0 {
			from[key] = left
		} else {
			delete(from, key)
		}
	}
	out(p.actors, identity.Key(l.ActorUsername))
	out(p.targets, identity.Key(l.TargetUsername))
}

// live counts those that are not over, whether or not that was noticed.
func (p *places) live(actor, target string, now time.Time) (ofActor, ofTarget int) {
	count := func(all []*core) (n int) {
		for _, c := range all {
			if c.ended.Load() == nil && c.dueEnd(now) == nil {
				n++
			}
		}
		return n
	}
	return count(p.actors[actor]), count(p.targets[target])
}

// LiveOf counts the impersonations there are of an actor and of a target, by the keys of their usernames
// ([identity.Key]); those starting are counted in.
func (m *Manager) LiveOf(actor, target string) (ofActor, ofTarget int) {
	if m.count.Load() == 0 {
		return 0, 0
	}
	now := m.clock.Now()
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.places.live(actor, target, now)
}
