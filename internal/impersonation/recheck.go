package impersonation

import (
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

const (
	// recheckWithin is for how long a decision that hangs on the time holds for further requests.
	recheckWithin = time.Second
	// recheckEvery is how often those that send no request are decided again, where the rules ask for the time.
	recheckEvery = time.Minute
	// Of what can't be decided, the log hears once an hour for each cause, and of that many at most.
	complainEvery = time.Hour
	maxComplaints = 100
)

// From is where a request comes from, and the host it is for.
type From struct {
	IP   netip.Addr
	Host string
}

// holds tells whether the decision may stand for a request at now from there, without being made again.
func (v *verdict) holds(cur *current, now time.Time, from *From) bool {
	if v.on != cur.name || v.generation != cur.Directory.Generation() {
		return false
	}
	if cur.asksTime {
		if age := now.Sub(v.at); age < 0 || age >= recheckWithin {
			return false
		}
	}
	return !cur.asksRequest || from == nil || v.known && v.from == *from
}

// armRecheck has all decided again each minute, on the minute, while the rules ask for the time: so that office hours
// also end for connections that send no further request.
func (m *Manager) armRecheck() {
	cur := m.cur.Load()
	if cur == nil || !cur.asksTime {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rechecking != nil || m.closed || len(m.byID) == 0 {
		return
	}
	now := m.clock.Now()
	m.rechecking = m.clock.AfterFunc(now.Truncate(recheckEvery).Add(recheckEvery).Sub(now), func() {
		m.mu.Lock()
		m.rechecking = nil
		m.mu.Unlock()
		if !m.isClosed() {
			m.Recheck(m.ctx)
			m.armRecheck()
		}
	})
}

// complaints are what the operator was told of what can't be decided.
type complaints struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// Complain tells the operator why a condition could not be evaluated; nothing for all other refusals, and not the same
// again and again.
func (m *Manager) Complain(r *policy.Refusal) {
	if r == nil || r.Cause == nil {
		return
	}
	why, now := r.Cause.Error(), m.clock.Now()
	m.complaints.mu.Lock()
	defer m.complaints.mu.Unlock()
	last, told := m.complaints.told[why]
	if told && now.Sub(last) < complainEvery {
		return
	}
	if !told && len(m.complaints.told) >= maxComplaints {
		for w, at := range m.complaints.told {
			if now.Sub(at) >= complainEvery {
				delete(m.complaints.told, w)
			}
		}
		if len(m.complaints.told) >= maxComplaints {
			return
		}
	}
	if m.complaints.told == nil {
		m.complaints.told = make(map[string]time.Time)
	}
	m.complaints.told[why] = now
	m.log.Error("who may impersonate whom can't be decided; it is refused until the rules or the accounts are corrected", "error", r.Cause)
}

// hostOf is the host of a site such as https://app.example.com.
func hostOf(site string) string {
	u, err := url.Parse(site)
	if err != nil {
		return ""
	}
	return u.Host
}
