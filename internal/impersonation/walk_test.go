package impersonation_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

// TestWalk goes at random through starts, stops, requests, time, deactivations, changes of groups and names, objections,
// reloads, logouts and restarts, and after every step holds who each browser is to a model that knows none of the code here.
// The model is exact: nobody may be in an account that is not allowed now, and nobody may be thrown out of one that is.
// IMPERSONATION_SEED repeats a walk.
func TestWalk(t *testing.T) {
	seed := rand.Uint64()
	if v := os.Getenv("IMPERSONATION_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("memory", func(t *testing.T) {
		newWalk(t, seed, newMemory()).run(120_000)
	})
	t.Run("sqlite", func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() }) //nolint:errcheck // after the test
		newWalk(t, seed, store).run(2_000)
	})
}

// browser is one session, and what the model knows of it.
type browser struct {
	s *session.Session
	// what it impersonates, if anything
	id, target, targetID, mode, policy string
	started, expires, lastSeen         time.Time
	idle, extended                     time.Duration
	extensions                         int
	from                               netip.Addr // where it is
	ended                              []string   // ids
}

type walk struct {
	t        *testing.T
	r        *rand.Rand
	step     int
	did      string
	store    state.Store
	clock    *clock.Manual
	m        *impersonation.Manager
	people   *people
	dir      *directory.Directory
	rules    policy.Rules
	journal  *journal
	browsers []*browser
	logins   uint64
	causes   map[string]int
	extended map[string]int // by id
	names    []string
	last     time.Time // of the last compare
	refusals map[string]int
	locked   map[[2]string]bool // actor and target, after an objection
}

// walkHours are the first forty minutes of every hour: so they come and go often.
var walkHours = func() (all []policy.Hours) {
	for h := range 24 {
		from := time.Duration(h) * time.Hour
		all = append(all, policy.Hours{Days: [7]bool{true, true, true, true, true, true, true}, From: from, To: from + 40*time.Minute, In: time.UTC})
	}
	return all
}()

// walkNetworks are where requests of the walk come from: inside, mostly.
var walkNetworks = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("::ffff:10.1.1.1"), netip.IPv6Loopback()}

var walkGroups = []string{"support", "field", "admins", "owners", "vip"}

func newWalk(t *testing.T, seed uint64, store state.Store) *walk {
	t.Logf("IMPERSONATION_SEED=%d", seed)
	w := &walk{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), store: store, clock: clock.NewManual(noon), journal: &journal{}, causes: map[string]int{}, extended: map[string]int{}, last: noon, refusals: map[string]int{},
		locked: map[[2]string]bool{},
		people: &people{users: map[string]directory.User{}}, names: []string{"amy", "sue", "stan", "sam", "fay", "vic", "olga", "nora"},
	}
	for i, n := range w.names {
		w.people.set(user(fmt.Sprint("u", i), n, n, w.groups()...))
	}
	w.rules = w.newRules()
	w.newDirectory()
	w.open()
	for range 6 {
		w.browsers = append(w.browsers, w.login())
	}
	return w
}

func (w *walk) open() {
	w.m = impersonation.NewPatientManager(impersonation.Options{Store: w.store, Clock: w.clock})
	w.use()
}

func (w *walk) close() {
	if err := w.m.Close(w.t.Context()); err != nil {
		w.fatal(err)
	}
}

func (w *walk) newDirectory() {
	w.dir = directory.New(directory.Options{Clock: w.clock, Sources: []directory.Source{w.people}})
	w.refresh()
}

func (w *walk) refresh() {
	if err := w.dir.Refresh(w.t.Context()); err != nil {
		w.fatal(err)
	}
}

func (w *walk) use() {
	set, err := policy.Compile(w.rules)
	if err != nil {
		w.fatal(err)
	}
	if err := w.m.Use(w.t.Context(), impersonation.Rules{Policy: set, Directory: w.dir}, w.journal); err != nil {
		w.fatal(err)
	}
}

func (w *walk) fatal(args ...any) {
	w.t.Helper()
	w.t.Fatalf("step %d, %s: %s", w.step, w.did, fmt.Sprint(args...))
}

func (w *walk) groups() []string {
	g := []string{}
	for _, name := range walkGroups {
		often := 2
		if name == "owners" || name == "vip" {
			often = 6
		}
		if w.r.IntN(often) == 0 {
			g = append(g, name)
		}
	}
	return g
}

func (w *walk) newRules() policy.Rules {
	r := policy.Rules{Roles: map[string]policy.Match{policy.RoleOwner: {Groups: []string{"owners"}}}, Protect: policy.Match{Groups: []string{"vip"}}}
	if w.r.IntN(4) == 0 {
		r.Protect.Users = []string{w.names[w.r.IntN(len(w.names))]}
	}
	if w.r.IntN(6) == 0 {
		r.Withhold = policy.Match{Users: []string{w.names[w.r.IntN(len(w.names))]}, Roles: []string{policy.RoleOwner}}
	}
	modes := [][]string{nil, {policy.ModeFull, policy.ModeReadOnly}, {policy.ModeReadOnly}}
	for i, p := range []policy.Policy{
		{Actor: policy.Match{Groups: []string{"support"}}, Target: policy.Match{Groups: []string{"field"}}},
		{Actor: policy.Match{Groups: []string{"admins", "owners"}}, Target: policy.Match{Groups: []string{"field", "support", "owners"}}},
		{Actor: policy.Match{Users: []string{"nora"}}, Target: policy.Match{Users: []string{"sam", "fay"}}},
	} {
		if w.r.IntN(5) == 0 {
			continue
		}
		p.Name = fmt.Sprint("p", i)
		p.LockOnObjection = w.r.IntN(2) == 0
		p.Modes = modes[w.r.IntN(len(modes))]
		p.Duration = time.Duration(5+w.r.IntN(60)) * time.Minute
		if w.r.IntN(2) == 0 {
			p.Idle = time.Duration(1+w.r.IntN(5)) * time.Minute
		}
		switch w.r.IntN(6) {
		case 0:
			p.Hours = walkHours
		case 1:
			p.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		case 2:
			p.LimitActor, p.LimitTarget = w.r.IntN(3), w.r.IntN(3)
		case 3:
			p.Target.OwnGroups = []string{"fi*"}
		}
		if w.r.IntN(2) == 0 {
			p.Extension, p.Extensions = time.Duration(1+w.r.IntN(20))*time.Minute, w.r.IntN(4)
		}
		r.Policies = append(r.Policies, p)
	}
	return r
}

func (w *walk) login() *browser {
	w.logins++
	var id state.Hash
	binary.BigEndian.PutUint64(id[:], w.logins)
	n := w.names[w.r.IntN(len(w.names))]
	claims := identity.Identity{ID: "sub-" + n, Username: n, Groups: w.groups()}
	if err := w.store.CreateSession(w.t.Context(), &state.Session{
		ID: id, Issuer: "https://idp.example", Subject: n, UserID: claims.ID, Username: n, Groups: claims.Groups, CreatedAt: noon,
	}); err != nil {
		w.fatal(err)
	}
	return &browser{s: &session.Session{ID: id, Claims: claims}, from: walkNetworks[w.r.IntN(len(walkNetworks))]}
}

func (w *walk) run(steps int) {
	for w.step = range steps {
		b := w.browsers[w.r.IntN(len(w.browsers))]
		name := w.names[w.r.IntN(len(w.names))]
		switch n := w.r.IntN(100); {
		case n < 25:
			for range 4 { // those that can be are rarer
				if w.allowed(b, name, w.clock.Now()) == nil {
					name = w.names[w.r.IntN(len(w.names))]
				}
			}
			w.start(b, name)
		case n < 30:
			w.did = "stop"
			if b.id != "" {
				if err := w.m.End(w.t.Context(), b.id, impersonation.CauseStopped, b.s.Claims.Username); err != nil {
					w.fatal(err)
				}
				w.over(b, impersonation.CauseStopped)
			}
		case n < 32:
			w.object(b)
		case n < 34:
			w.unlock()
		case n < 60:
			w.did = "request"
			if w.r.IntN(20) == 0 && slices.ContainsFunc(w.rules.Policies, func(p policy.Policy) bool { return len(p.Networks) > 0 }) {
				b.from = walkNetworks[w.r.IntN(len(walkNetworks))]
				w.did = "request from " + b.from.String()
			}
			if l := w.m.Of(w.t.Context(), b.s.ID); l != nil && w.m.CheckFrom(w.t.Context(), l, w.clock.Now(), impersonation.From{IP: b.from}) == nil {
				l.Touch(w.clock.Now())
				b.lastSeen = w.clock.Now()
			}
		case n < 64:
			w.extend(b)
		case n < 75:
			d := time.Duration(w.r.IntN(200)) * time.Second
			w.did = "advance " + d.String()
			w.clock.Advance(d)
		case n < 77:
			w.did = "(de)activate " + name
			w.people.edit(name, func(u *directory.User) { u.Active = !u.Active })
			w.refresh()
		case n < 86:
			w.did = "activate " + name
			w.people.edit(name, func(u *directory.User) { u.Active = true })
			w.refresh()
		case n < 90:
			w.did = "groups of " + name
			w.people.edit(name, func(u *directory.User) { u.Groups = w.groups() })
			w.refresh()
		case n < 92:
			w.did = "remove or add " + name
			if w.user(name) != nil && w.r.IntN(3) == 0 {
				w.people.remove(name)
			} else if w.user(name) == nil {
				w.people.set(user(fmt.Sprint("u", w.step), name, name, w.groups()...))
			}
			w.refresh()
		case n < 93:
			w.did = "another account called " + name
			if w.user(name) != nil {
				w.people.edit(name, func(u *directory.User) { u.ID = fmt.Sprint("v", w.step) })
			}
			w.refresh()
		case n < 96:
			w.did = "reload"
			w.rules = w.newRules()
			if w.r.IntN(2) == 0 {
				w.newDirectory()
			}
			w.use()
			w.everybody()
		case n < 98:
			w.did = "logout"
			if err := w.m.EndSession(w.t.Context(), b.s.ID, impersonation.CauseLogout, ""); err != nil {
				w.fatal(err)
			}
			w.over(b, impersonation.CauseLogout)
			if err := w.store.DeleteSession(w.t.Context(), b.s.ID); err != nil {
				w.fatal(err)
			}
			ended := b.ended
			*b = *w.login()
			b.ended = ended
		case n < 99:
			w.did = "revoke " + name
			w.m.EndAllFor(w.t.Context(), name, impersonation.CauseRevoked, "olga")
			for _, b := range w.browsers {
				if b.target == name || b.s.Claims.Username == name {
					w.over(b, impersonation.CauseRevoked)
				}
			}
		case w.r.IntN(20) == 0:
			w.did = "restart"
			w.close()
			if w.r.IntN(2) == 0 {
				w.clock.Advance(time.Duration(w.r.IntN(20)) * time.Minute)
			}
			w.open()
			w.last = w.clock.Now() // nobody looked meanwhile
			w.everybody()
		}
		w.compare()
		if w.step%500 == 0 {
			w.settle()
		}
	}
	w.settle()
	w.t.Logf("refused: %v", w.refusals)
	for _, code := range []string{policy.RefusedPowerful, policy.RefusedWithheld, policy.RefusedHours, policy.RefusedNetwork, policy.RefusedLimitActor, policy.RefusedLimitTarget, policy.RefusedProtected, policy.RefusedLocked} {
		if want := steps / 10_000; w.refusals[code] < want {
			w.t.Errorf("the walk saw %s only %d times", code, w.refusals[code])
		}
	}
	w.t.Logf("ended: %v, live: %d, extended: %d", w.causes, w.m.Stats().Live, len(w.extended))
	if want := steps / 1000; want > 10 && len(w.extended) < want {
		w.t.Errorf("the walk extended only %d impersonations", len(w.extended))
	}
	for _, cause := range []string{
		impersonation.CauseStopped, impersonation.CauseExpired, impersonation.CauseIdle, impersonation.CauseRevoked, impersonation.CauseTargetDeactivated,
		impersonation.CauseActorDeactivated, impersonation.CausePolicyChanged, impersonation.CauseLogout,
		impersonation.CauseObjection,
	} {
		if want := steps / 4000; want > 1 && w.causes[cause] < want { // the short walk may miss the rarest
			w.t.Errorf("the walk saw %s only %d times, want %d", cause, w.causes[cause], want)
		}
	}
	w.close()
}

func (w *walk) user(name string) *directory.User {
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	if u, ok := w.people.users[name]; ok {
		return &u
	}
	return nil
}

func (w *walk) start(b *browser, name string) {
	req := impersonation.StartRequest{Session: b.s, Target: name, ClientIP: b.from, Mode: []string{"", "", policy.ModeFull, policy.ModeReadOnly}[w.r.IntN(4)]}
	if w.r.IntN(2) == 0 {
		req.Duration = time.Duration(1+w.r.IntN(40)) * time.Minute
	}
	w.did = fmt.Sprintf("%s starts as %s, %s, %s", b.s.Claims.Username, name, req.Mode, req.Duration)
	w.compare() // so that what is over by now does not nest
	l, err := w.m.Start(w.t.Context(), req)
	p := w.allowed(b, name, w.clock.Now())
	ok := p != nil && b.id == "" && w.room(p, b, name) && (req.Mode == "" || offers(p, req.Mode)) && req.Duration <= p.Duration
	if ok != (err == nil) {
		w.fatal("the model says ", ok, ", the start says ", err)
	}
	if !ok {
		r := policy.AsRefusal(err)
		if r == nil {
			w.fatal(err)
		}
		w.refusals[r.Code]++
		return
	}
	now := w.clock.Now()
	b.id, b.target, b.targetID, b.mode, b.policy, b.started, b.lastSeen, b.idle = l.ID, name, w.user(name).ID, l.Mode, p.Name, now, now, p.Idle
	b.extensions, b.extended, b.expires = 0, 0, now.Add(p.Duration)
	if req.Duration > 0 {
		b.expires = now.Add(req.Duration)
	}
}

// object has a target say that they had not expected it.
func (w *walk) object(b *browser) {
	w.did = "objection to " + b.s.Claims.Username
	w.compare()
	if b.id == "" {
		return
	}
	locks := slices.ContainsFunc(w.rules.Policies, func(p policy.Policy) bool { return p.Name == b.policy && p.LockOnObjection })
	actor, target := b.s.Claims.Username, b.target
	got, err := w.m.Object(w.t.Context(), b.id, &identity.Identity{ID: b.targetID, Username: target}, impersonation.From{})
	if err != nil || (got == impersonation.ConsequenceLocked) != locks {
		w.fatal("the model says locked ", locks, ", the objection says ", strconv.Quote(got), ", ", err)
	}
	if !locks {
		return
	}
	w.locked[[2]string{actor, target}] = true
	for _, o := range w.browsers {
		if o.id != "" && o.s.Claims.Username == actor && o.target == target {
			w.over(o, impersonation.CauseObjection)
		}
	}
	w.start(b, target) // again, at once
}

// unlock lifts the lock of a pair.
func (w *walk) unlock() {
	pairs := slices.SortedFunc(maps.Keys(w.locked), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	if len(pairs) == 0 {
		return
	}
	pair := pairs[w.r.IntN(len(pairs))]
	w.did = "unlock " + pair[0] + " and " + pair[1]
	if err := w.m.Unlock(w.t.Context(), pair[0], pair[1], &identity.Identity{Username: "olga"}, impersonation.From{}, "settled"); err != nil {
		w.fatal(err)
	}
	delete(w.locked, pair)
}

func (w *walk) extend(b *browser) {
	press := w.r.IntN(b.extensions + 2)
	w.did = fmt.Sprintf("%s extends, press %d", b.s.Claims.Username, press)
	w.compare()
	l := w.m.Of(w.t.Context(), b.s.ID)
	if l == nil {
		return // the model agrees
	}
	left, _ := l.Extension()
	got, err := w.m.Extend(w.t.Context(), l, press, netip.IPv6Loopback())
	p := w.allowed(b, b.target, w.clock.Now())
	times := p.Extensions
	if p.Extension > 0 && times == 0 {
		times = 1
	}
	room := time.Duration(times)*p.Extension - b.extended
	mayMore := p.Extension > 0 && b.extensions < times && room > 0
	if mayMore != (left > 0) || mayMore && left != times-b.extensions {
		w.fatal("the model says ", mayMore, " of ", times, ", there are said to be left ", left)
	}
	switch {
	case press > 0 && press <= b.extensions:
		if err != nil || got.Extensions != b.extensions {
			w.fatal("a press that was granted already: ", err)
		}
		return
	case mayMore != (err == nil):
		w.fatal("the model says ", mayMore, ", the press says ", err)
	case !mayMore:
		if policy.AsRefusal(err) == nil {
			w.fatal(err)
		}
		return
	}
	by := min(p.Extension, room)
	b.extensions, b.extended, b.expires, b.lastSeen = b.extensions+1, b.extended+by, b.expires.Add(by), w.clock.Now()
	w.extended[b.id]++
	if !got.ExpiresAt.Equal(b.expires) || got.Extensions != b.extensions || got.Extended != b.extended {
		w.fatal("extended to ", got.ExpiresAt, ", the model says ", b.expires)
	}
}
