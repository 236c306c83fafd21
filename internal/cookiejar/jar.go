package cookiejar

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Jar is one impersonation's cookies at one host: what the app set for the target, what of it the browser holds
// too, and what the browser held before. It is safe for concurrent use.
type Jar struct {
	mu     sync.Mutex
	secure bool
	// target are the cookies the app set during the impersonation.
	target map[key]*held
	// script are cookies a page made during it; the browser holds them, their attributes are unknown.
	script map[string]*scriptCookie
	// actor are the person's own, by what the app set (attributes known) or the browser sent (name and value).
	actor map[key]*actorCookie
	// seen are the first path segments requests came for: a name first met on a new one may be the actor's, kept
	// for a narrower path than any seen before.
	seen map[string]bool
	// latest is when the newest of target was created. No two share a moment: they are sent in the order they came.
	latest  time.Time
	version atomic.Uint64
}

// held is a cookie of the target's.
type held struct {
	Cookie
	// Mirrored: the browser holds it too. Confirmed: it has sent it, so that its absence means a script removed it.
	Mirrored, Confirmed bool
}

// actorCookie is a cookie of the actor's.
type actorCookie struct {
	Cookie
	// Known: its attributes are, because the app set it through the gateway.
	Known bool
	// Displaced: the browser no longer holds it; it is put back at the end.
	Displaced bool
	// Guessed: taken for the actor's because it was met first on a path not seen before.
	Guessed bool
}

// scriptCookie is a cookie a page of the target's made.
type scriptCookie struct {
	Value string
	// From is the path of the request it was first met on.
	From string
}

// maxSeen bounds the path segments remembered; past it, every path counts as seen.
const maxSeen = 1000

// NewJar starts an impersonation with an empty jar. The browser's cookies at this moment (lines of the Cookie
// header, without the gateway's own) are the actor's, as is all that own remembers.
func NewJar(secure bool, own *Own, browser []string, now time.Time) *Jar {
	j := &Jar{secure: secure, target: map[key]*held{}, script: map[string]*scriptCookie{}, actor: map[key]*actorCookie{}, seen: map[string]bool{}}
	for k, c := range own.cookies {
		if !c.expired(now) {
			j.actor[k] = &actorCookie{Cookie: *c, Known: true}
		}
	}
	for _, p := range pairs(browser) {
		j.noteActor(p, now, false)
	}
	j.version.Store(1)
	return j
}

// noteActor remembers a pair the browser sent as the actor's.
func (j *Jar) noteActor(p pair, now time.Time, guessed bool) {
	known := false
	for _, a := range j.actor {
		if a.Name == p.name {
			known = true
			if a.Value != p.value && !j.several(p.name) {
				a.Value = p.value // a script of the actor's page changed it
			}
		}
	}
	if known || len(j.actor) >= 4*MaxCookies {
		return
	}
	c := &actorCookie{Cookie: Cookie{Name: p.name, Value: p.value, Path: "/", Created: now}, Guessed: guessed}
	j.actor[c.key()] = c
}

func (j *Jar) several(name string) bool {
	n := 0
	for _, a := range j.actor {
		if a.Name == name {
			n++
		}
	}
	return n > 1
}

// Begin lists Set-Cookie values that take the actor's readable cookies out of the browser, so that the target's
// pages can't read them. Those whose attributes are unknown stay: they could not be put back as they were.
func (j *Jar) Begin(now time.Time) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []string
	for _, a := range sorted(j.actor) {
		if a.Known && !a.HTTPOnly && !a.expired(now) {
			a.Displaced = true
			lines = append(lines, a.removal())
		}
	}
	return lines
}

// Version changes whenever there is something to save.
func (j *Jar) Version() uint64 { return j.version.Load() }

// Observe notes the cookies of a request to the gateway's own pages. What is sent there and was not there at the
// start is for the whole site and new: a page of the target's made it.
func (j *Jar) Observe(r *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range pairs(r.Header["Cookie"]) {
		if j.mirroredName(p.name) {
			continue
		}
		for k, a := range j.actor {
			if a.Name == p.name && a.Guessed {
				delete(j.actor, k)
			}
		}
		if !j.actorName(p.name) {
			j.noteScript(p, "/")
		}
	}
}

func (j *Jar) noteScript(p pair, from string) {
	s := j.script[p.name]
	if s == nil {
		if len(j.script) >= MaxCookies || len(p.name)+len(p.value) > MaxBytes {
			return
		}
		s = &scriptCookie{From: from}
		j.script[p.name] = s
	}
	if s.Value != p.value {
		s.Value = p.value
		j.version.Add(1)
	}
}

func (j *Jar) mirroredName(name string) bool {
	for _, h := range j.target {
		if h.Mirrored && h.Name == name {
			return true
		}
	}
	return false
}

func (j *Jar) actorName(name string) bool {
	for _, a := range j.actor {
		if a.Name == name && !a.Displaced {
			return true
		}
	}
	return false
}

// Request is the Cookie header the app gets for a request of the impersonation: the jar's cookies, with the
// browser's values for those that scripts may change, and the ones scripts made. Never one of the actor's.
func (j *Jar) Request(r *http.Request, now time.Time) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	sent := pairs(r.Header["Cookie"])
	if len(sent) == 0 && len(j.target) == 0 {
		return ""
	}
	fresh := j.freshPath(r.URL.EscapedPath())

	send := make([]*held, 0, len(j.target))
	for _, h := range j.target {
		if h.matches(r, j.secure, now) {
			send = append(send, h)
		}
	}
	slices.SortFunc(send, func(a, b *held) int {
		return cmp.Or(cmp.Compare(len(b.Path), len(a.Path)), a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	used := make([]bool, len(sent))
	for _, h := range send {
		if !h.Mirrored {
			continue
		}
		i := slices.IndexFunc(sent, func(p pair) bool { return p.name == h.Name })
		for i >= 0 && (used[i] || j.ofActor(sent[i]) && sent[i].value != h.Value) {
			next := slices.IndexFunc(sent[i+1:], func(p pair) bool { return p.name == h.Name })
			if next < 0 {
				i = -1
				break
			}
			i += 1 + next
		}
		switch {
		case i >= 0:
			used[i] = true
			h.Confirmed = true
			if h.Value != sent[i].value {
				h.Value = sent[i].value
				j.version.Add(1)
			}
		case h.Confirmed: // a script removed it
			delete(j.target, h.key())
			h.Mirrored = false
			h.Expires = now
			j.version.Add(1)
		}
	}
	var b strings.Builder
	add := func(name, value string) {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		if name != "" {
			b.WriteString(name)
			b.WriteByte('=')
		}
		b.WriteString(value)
	}
	for _, h := range send {
		if !h.expired(now) {
			add(h.Name, h.Value)
		}
	}
	for i, p := range sent {
		if used[i] || j.mirroredName(p.name) || slices.ContainsFunc(send, func(h *held) bool { return h.Name == p.name }) {
			continue
		}
		switch {
		case j.script[p.name] != nil:
			j.noteScript(p, "")
			add(p.name, p.value)
		case j.ofActor(p) || j.actorHTTPOnly(p.name):
		case j.actorName(p.name): // the actor's, changed by a script of the target's: its new value is the target's
			j.displace(p.name)
			j.noteScript(p, r.URL.EscapedPath())
			add(p.name, p.value)
		case fresh:
			j.noteActor(p, now, true)
		default:
			j.noteScript(p, r.URL.EscapedPath())
			add(p.name, p.value)
		}
	}
	return b.String()
}

// freshPath tells whether the path's first segment is met for the first time.
func (j *Jar) freshPath(path string) bool {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if j.seen[segment] || len(j.seen) >= maxSeen {
		return false
	}
	j.seen[segment] = true
	return true
}

// ofActor tells whether a pair is one of the actor's cookies as they were.
func (j *Jar) ofActor(p pair) bool {
	for _, a := range j.actor {
		if a.Name == p.name && a.Value == p.value {
			return true
		}
	}
	return false
}

func (j *Jar) actorHTTPOnly(name string) bool {
	for _, a := range j.actor {
		if a.Name == name && a.Known && a.HTTPOnly && !a.Displaced {
			return true
		}
	}
	return false
}

// displace marks the actor's cookies of a name as no longer in the browser.
func (j *Jar) displace(name string) {
	for _, a := range j.actor {
		if a.Name == name {
			a.Displaced = true
		}
	}
}

// Response takes the Set-Cookie values of the app's answer to r and returns those the browser gets: of cookies
// that scripts may read, as the app wrote them. The second result tells that one took a place in the browser it
// did not have before: the jar must be saved before the answer is released.
func (j *Jar) Response(r *http.Request, setCookies []string, now time.Time) (mirror []string, displaces bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range setCookies {
		c, ok := parse(line, r, j.secure, now)
		if !ok {
			continue // a browser would ignore it too
		}
		j.version.Add(1)
		k := c.key()
		old := j.target[k]
		if c.expired(now) {
			delete(j.target, k)
			if old != nil && old.Mirrored || old == nil && j.script[c.Name] != nil {
				delete(j.script, c.Name)
				mirror = append(mirror, c.removal())
			}
			continue
		}
		h := &held{Cookie: *c, Mirrored: !c.HTTPOnly}
		if old != nil {
			h.Created = old.Created
		} else {
			if h.Created = now; !now.After(j.latest) {
				h.Created = j.latest.Add(1)
			}
			j.latest = h.Created
			if len(j.target) >= MaxCookies {
				if gone := j.evict(); gone != "" {
					mirror = append(mirror, gone)
				}
			}
		}
		j.target[k] = h
		switch {
		case h.Mirrored:
			if old == nil || !old.Mirrored {
				displaces = true
				if a := j.actor[k]; a != nil {
					a.Displaced = true
					j.likeMirrored(a, c)
				}
			}
			delete(j.script, c.Name)
			mirror = append(mirror, line)
		case old != nil && old.Mirrored:
			mirror = append(mirror, old.removal())
		}
	}
	return mirror, displaces
}

// likeMirrored gives an actor's cookie of unknown attributes those of the target's: the same app set both.
func (j *Jar) likeMirrored(a *actorCookie, c *Cookie) {
	if !a.Known {
		a.Secure, a.SameSite, a.HTTPOnly, a.Known = c.Secure, c.SameSite, c.HTTPOnly, true
	}
}

// evict makes room; it returns the removal of a cookie the browser holds.
func (j *Jar) evict() string {
	var oldest *held
	for _, h := range j.target {
		if oldest == nil || h.Created.Before(oldest.Created) {
			oldest = h
		}
	}
	delete(j.target, oldest.key())
	if oldest.Mirrored {
		return oldest.removal()
	}
	return ""
}

// Restore lists Set-Cookie values that leave the browser as it was before: what the impersonation put there goes,
// what it displaced comes back with its own attributes.
func (j *Jar) Restore(now time.Time) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []string
	for _, h := range sortedHeld(j.target) {
		if a := j.actor[h.key()]; h.Mirrored && (a == nil || a.expired(now)) {
			lines = append(lines, h.removal())
		}
	}
	names := make([]string, 0, len(j.script))
	for n := range j.script {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		for _, path := range ancestors(j.script[n].From) {
			c := Cookie{Name: n, Path: path, Secure: j.secure}
			if _, kept := j.actor[c.key()]; !kept {
				lines = append(lines, c.removal())
			}
		}
	}
	for _, a := range sorted(j.actor) {
		if a.Displaced && !a.expired(now) {
			lines = append(lines, a.line())
		}
	}
	return lines
}

// ancestors are the paths a cookie met at path may have been made for, bounded.
func ancestors(path string) []string {
	paths := []string{"/"}
	for i := 1; i < len(path) && len(paths) < 8; i++ {
		if path[i] == '/' {
			paths = append(paths, path[:i])
		}
	}
	if len(path) > 1 && len(paths) < 8 {
		paths = append(paths, path)
	}
	return paths
}

// Own is the Cookie header for the actor's own request after the end, whatever of the impersonation's the browser
// still sends: its cookies are left out, displaced ones of the actor's are back in place.
func (j *Jar) Own(r *http.Request, now time.Time) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var kept []string
	have := map[string]bool{}
	for _, p := range pairs(r.Header["Cookie"]) {
		if !j.ofActor(p) && j.left(p) {
			continue
		}
		have[p.name] = true
		kept = append(kept, p.String())
	}
	for _, a := range sorted(j.actor) {
		if a.Displaced && !have[a.Name] && a.matches(r, j.secure, now) {
			kept = append(kept, pair{a.Name, a.Value}.String())
		}
	}
	return strings.Join(kept, "; ")
}

// Left tells whether a request carries a cookie that the impersonation left in the browser.
func (j *Jar) Left(r *http.Request) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range pairs(r.Header["Cookie"]) {
		if !j.ofActor(p) && j.left(p) {
			return true
		}
	}
	return false
}

// left tells whether a pair is one the impersonation left in the browser.
func (j *Jar) left(p pair) bool {
	if s := j.script[p.name]; s != nil && s.Value == p.value {
		return true
	}
	for _, h := range j.target {
		if h.Mirrored && h.Name == p.name && h.Value == p.value {
			return true
		}
	}
	return false
}

// Learn notes what the app set for the actor after the end: it is newer than what was displaced.
func (j *Jar) Learn(r *http.Request, setCookies []string, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range setCookies {
		if c, ok := parse(line, r, j.secure, now); ok {
			delete(j.target, c.key())
			delete(j.script, c.Name)
			j.actor[c.key()] = &actorCookie{Cookie: *c, Known: true}
		}
	}
}

// saved is the jar as it is stored.
type saved struct {
	Secure bool
	Target []*held
	Script map[string]*scriptCookie
	Actor  []*actorCookie
	Seen   []string
}

// Marshal is the jar for the store. It holds the target's session at the app: seal it.
func (j *Jar) Marshal() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := saved{Secure: j.secure, Target: sortedHeld(j.target), Script: j.script, Actor: sorted(j.actor)}
	for segment := range j.seen {
		s.Seen = append(s.Seen, segment)
	}
	return encode(s)
}

// UnmarshalJar is Marshal's reverse.
func UnmarshalJar(b []byte) (*Jar, error) {
	var s saved
	if err := decode(b, &s); err != nil {
		return nil, fmt.Errorf("reading a cookie jar: %w", err)
	}
	j := NewJar(s.Secure, NewOwn(), nil, time.Time{})
	for _, h := range s.Target {
		j.target[h.key()] = h
	}
	for _, a := range s.Actor {
		j.actor[a.key()] = a
	}
	if s.Script != nil {
		j.script = s.Script
	}
	for _, segment := range s.Seen {
		j.seen[segment] = true
	}
	return j, nil
}

func sorted(m map[key]*actorCookie) []*actorCookie {
	list := make([]*actorCookie, 0, len(m))
	for _, a := range m {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *actorCookie) int { return compareKeys(a.key(), b.key()) })
	return list
}

func sortedHeld(m map[key]*held) []*held {
	list := make([]*held, 0, len(m))
	for _, h := range m {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b *held) int { return compareKeys(a.key(), b.key()) })
	return list
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Path, b.Path))
}

// pair is a cookie as a request carries it.
type pair struct{ name, value string }

func (p pair) String() string {
	if p.name == "" {
		return p.value
	}
	return p.name + "=" + p.value
}

func isControl(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }

// maxPairs bounds the pairs looked at in one request. Browsers keep fewer for a host.
const maxPairs = 300

// pairs splits Cookie header lines.
func pairs(lines []string) []pair {
	if len(lines) == 0 {
		return nil
	}
	var list []pair
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ";") {
			item = trim(item)
			if item == "" || len(list) >= maxPairs || strings.ContainsFunc(item, isControl) {
				continue
			}
			name, value, found := strings.Cut(item, "=")
			if !found {
				name, value = "", item
			}
			list = append(list, pair{trim(name), trim(value)})
		}
	}
	return list
}
