package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

const (
	// maxOverlay is how many changed accounts are kept beside the index before it is built anew.
	maxOverlay = 256
	// rebuildAfter gathers more of them first.
	rebuildAfter = time.Second
)

// Refresh asks every source once, all at the same time, and puts in force what changed. A source that fails keeps the
// accounts it had, for as long as it may; its error is returned, and stays in Status until it is well. The first Refresh
// leaves out those whose answer to the Directory before still counts.
func (d *Directory) Refresh(ctx context.Context) error {
	errs := make([]error, len(d.feeds))
	answers := make([]*answer, len(d.feeds))
	var wg sync.WaitGroup
	for i, f := range d.feeds {
		d.mu.Lock()
		skip := !d.loaded && f.users != nil && !f.due(d.clock.Now())
		d.mu.Unlock()
		if skip {
			answers[i] = &answer{feed: f}
			continue
		}
		wg.Go(func() { answers[i], errs[i] = d.ask(ctx, f) })
	}
	wg.Wait()
	d.apply(answers...)
	for i, f := range d.feeds {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("%s: %w", f.Name(), errs[i])
		}
	}
	return errors.Join(errs...)
}

// answer is what a feed has new.
type answer struct {
	feed  *feed
	users map[string]*User // nil: nothing
	since map[string]*User // told while it was asked
	lapse bool             // its accounts are unknown from now on
	fresh bool             // it is well
}

// ask asks one source and keeps its status.
func (d *Directory) ask(ctx context.Context, f *feed) (*answer, error) {
	f.asking.Lock()
	defer f.asking.Unlock()
	asking, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	d.mu.Lock()
	f.since = map[string]*User{}
	d.mu.Unlock()
	users, err := f.Users(asking)
	now := d.clock.Now()
	d.mu.Lock()
	a := &answer{feed: f, since: f.since}
	f.since = nil
	if err != nil && ctx.Err() != nil {
		d.mu.Unlock()
		return a, ctx.Err() // we are leaving; that says nothing about the source
	}
	was, lapsed := f.err, f.lapsed
	f.err = err
	if err == nil {
		f.lastGood = now
		a.fresh = true
	} else if f.keep > 0 && !f.lapsed && !f.lastGood.IsZero() && now.Sub(f.lastGood) > f.keep {
		a.lapse = true
	}
	n, since := len(f.users), f.lastGood
	d.mu.Unlock()
	switch {
	case a.lapse:
		err := fmt.Errorf("no good answer since %s: its %d accounts count as unknown: %w", since.UTC().Format(time.RFC3339), n, err)
		d.log.ErrorContext(ctx, "a directory source has been down for too long; its accounts count as unknown", "source", f.Name(), "accounts", n, "error", err)
		d.broken(ctx, f.Name(), err)
	case err != nil && (was == nil || was.Error() != err.Error()):
		d.log.ErrorContext(ctx, "a directory source can't be read; the accounts it last gave stay in force", "source", f.Name(), "error", err)
		d.broken(ctx, f.Name(), err)
	case err == nil && (was != nil || lapsed):
		d.log.InfoContext(ctx, "a directory source can be read again", "source", f.Name())
	}
	if users != nil && err == nil {
		a.users = d.byKey(ctx, f, users)
	}
	return a, err
}

// byKey files what a source gave. An account it gives twice is the first of them, and inactive if either is. One that
// can't be used is left out; if it is inactive, that is all that is kept of it.
func (d *Directory) byKey(ctx context.Context, f *feed, users []User) map[string]*User {
	m := make(map[string]*User, len(users))
	name, dropped := f.Name(), 0
	var why error
	for i := range users {
		u := &users[i]
		if err := u.check(); err != nil {
			dropped++
			if why == nil {
				why = err
			}
			if u.Active || CheckUsername(u.Username) != nil {
				continue
			}
			u = &User{Identity: identity.Identity{ID: u.Username, Username: u.Username}}
		}
		key := identity.Key(u.Username)
		if first, dup := m[key]; dup {
			first.Active = first.Active && u.Active
			continue
		}
		u.Source = name
		m[key] = u
	}
	if dropped != f.dropped && dropped > 0 {
		d.log.WarnContext(ctx, "a directory source has accounts that can't be used; they are left out", "source", name, "accounts", dropped, "error", why)
	}
	f.dropped = dropped
	return m
}

// Run asks the sources again and again until ctx ends: paced ones as often as they say, the others every so often. None
// waits for another. What goes wrong is logged and in Status.
func (d *Directory) Run(ctx context.Context, every time.Duration) {
	var wg sync.WaitGroup
	for _, f := range d.feeds {
		wg.Go(func() { d.run(ctx, f, every) })
	}
	wg.Wait()
}

func (d *Directory) run(ctx context.Context, f *feed, every time.Duration) {
	if f.every > 0 {
		every = f.every
	}
	for ctx.Err() == nil {
		due := make(chan struct{})
		t := d.clock.AfterFunc(every, func() { close(due) })
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-due:
		}
		if a, err := d.ask(ctx, f); err == nil || ctx.Err() == nil {
			d.apply(a)
		}
	}
}

// apply puts in force what the feeds have new.
func (d *Directory) apply(answers ...*answer) {
	d.refreshing.Lock()
	d.mu.Lock()
	var touched []string
	for _, a := range answers {
		f := a.feed
		if a.lapse || a.fresh && f.lapsed {
			f.lapsed = a.lapse
			touched = slices.AppendSeq(touched, maps.Keys(f.users))
		}
		if a.users == nil {
			continue
		}
		maps.Copy(a.users, a.since) // newer than the answer
		for key, u := range a.users {
			old := f.users[key]
			if old != nil && old.equal(u) {
				a.users[key] = old // the same pointer: cheap to compare later
				continue
			}
			touched = append(touched, key)
		}
		for key := range f.users {
			if a.users[key] == nil {
				touched = append(touched, key)
			}
		}
		f.users = a.users
	}
	if !d.loaded { // with what was taken over from the Directory before
		touched = touched[:0]
		for _, f := range d.feeds {
			touched = slices.AppendSeq(touched, maps.Keys(f.users))
		}
	}
	changes := d.changes(touched)
	if !d.loaded {
		d.loaded = true
	} else {
		for _, c := range changes {
			d.queue = append(d.queue, c.Change)
		}
	}
	if n := len(changes); n == 0 || n+len(d.now.Load().over) <= maxOverlay {
		d.publish(changes)
		d.mu.Unlock()
	} else {
		d.mu.Unlock()
		d.reindex()
	}
	d.refreshing.Unlock()
	d.tell()
}

// change is a Change and the account's key.
type change struct {
	Change
	key string
}

// changes compares the accounts with what is in force. It is called with mu held.
func (d *Directory) changes(keys []string) []change {
	now := d.now.Load()
	var all []change
	done := make(map[string]bool, len(keys))
	for _, key := range keys {
		if done[key] {
			continue
		}
		done[key] = true
		before, _ := now.lookup(key)
		after := d.merged(key)
		if c, ok := changeOf(before, after); ok {
			if after == nil && d.isLapsed(key) {
				c.Kind = Lapsed
			}
			all = append(all, change{c, key})
		}
	}
	return all
}

// isLapsed tells whether a source that has been down for too long had that account. It is called with mu held.
func (d *Directory) isLapsed(key string) bool {
	return slices.ContainsFunc(d.feeds, func(f *feed) bool { return f.lapsed && f.users[key] != nil })
}

// merged is the account as all feeds together have it; nil: none has, or what one has is too old to count: then other
// sources, which that one corrects, are not enough. It is called with mu held.
func (d *Directory) merged(key string) *User {
	m := d.mergedAll(key)
	if m != nil && m.Active && d.isLapsed(key) {
		return nil
	}
	return m
}

func (d *Directory) mergedAll(key string) *User {
	var m *User
	own := false // m is a copy
	for _, f := range d.feeds {
		u := f.users[key]
		switch {
		case u == nil:
			continue
		case m == nil:
			m = u
			continue
		case !own:
			c := *m
			m, own = &c, true
		}
		m.fill(&u.Identity)
		m.Active = m.Active && u.Active
	}
	return m
}

// publish puts a few changes in force, beside the index. It is called with mu held.
func (d *Directory) publish(changes []change) {
	if len(changes) == 0 {
		return
	}
	d.now.Store(d.now.Load().with(changes))
	if d.late != nil {
		for _, c := range changes {
			d.late[c.key] = c.After
		}
	}
}

// inherit takes over what a source of that key said last to another Directory.
func (f *feed) inherit(from *Directory, key string) {
	if from == nil {
		return
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	for _, g := range from.feeds {
		if p, ok := g.Source.(PacedSource); ok && p.Key() == key && !g.lastGood.IsZero() {
			f.users, f.lastGood, f.lapsed, f.err = g.users, g.lastGood, g.lapsed, g.err
			return
		}
	}
}

// upsert takes one account from a live source. It does not wait for an index.
func (d *Directory) upsert(feed int, u User) {
	if CheckUsername(u.Username) != nil {
		return
	}
	key := identity.Key(u.Username)
	d.mu.Lock()
	f := d.feeds[feed]
	u.Source = f.Name()
	if f.users == nil {
		f.users = map[string]*User{}
	}
	f.users[key] = &u
	if f.since != nil {
		f.since[key] = &u
	}
	changes := d.changes([]string{key})
	d.publish(changes)
	for _, c := range changes {
		d.queue = append(d.queue, c.Change)
	}
	if len(d.now.Load().over) > maxOverlay && d.rebuild == nil {
		d.rebuild = d.clock.AfterFunc(rebuildAfter, func() {
			d.refreshing.Lock()
			defer d.refreshing.Unlock()
			d.reindex()
		})
	}
	d.mu.Unlock()
	if len(changes) > 0 {
		go d.tell() // whoever logs in does not wait for what follows from it
	}
}

// reindex builds the index anew from the feeds and puts it in force. It is called with refreshing held, and lets go
// of mu meanwhile: accounts that change then are put beside the old index and carried over to the new one.
func (d *Directory) reindex() {
	d.mu.Lock()
	d.rebuild = nil
	all := map[string]*User{}
	for _, f := range d.feeds {
		for key := range f.users {
			if _, ok := all[key]; !ok {
				all[key] = d.merged(key)
			}
		}
	}
	maps.DeleteFunc(all, func(_ string, u *User) bool { return u == nil })
	d.late = map[string]*User{}
	d.mu.Unlock()

	base := buildIndex(all)

	d.mu.Lock()
	defer d.mu.Unlock()
	var late []change
	for key, u := range d.late {
		late = append(late, change{Change{After: u}, key})
	}
	d.late = nil
	next := &snapshot{base: base, generation: d.now.Load().generation + 1}
	if len(late) > 0 {
		next = next.with(late)
	}
	d.now.Store(next)
}
