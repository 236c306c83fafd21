package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

const (
	// maxOverlay is how many changed accounts are kept beside the index before it is built anew.
	maxOverlay = 256
	// rebuildAfter gathers more of them first.
	rebuildAfter = time.Second
)

// Refresh asks every source once and puts in force what changed. A source that fails keeps the accounts it had; its
// error is returned, and stays in Status until it is well.
func (d *Directory) Refresh(ctx context.Context) error {
	d.refreshing.Lock()
	defer d.refreshing.Unlock()
	var errs []error
	news := make([]map[string]*User, len(d.feeds))
	for i, f := range d.feeds {
		users, err := d.ask(ctx, f)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name(), err))
		}
		if users == nil {
			continue
		}
		news[i] = d.byKey(ctx, f, users)
	}
	d.apply(news)
	d.tell()
	return errors.Join(errs...)
}

// byKey files what a source gave; an account it gives twice is the first of them.
func (d *Directory) byKey(ctx context.Context, f *feed, users []User) map[string]*User {
	m := make(map[string]*User, len(users))
	name, dropped := f.Name(), 0
	for i := range users {
		u := &users[i]
		if CheckUsername(u.Username) != nil {
			dropped++
			continue
		}
		key := identity.Key(u.Username)
		if _, dup := m[key]; !dup {
			u.Source = name
			m[key] = u
		}
	}
	if dropped != f.dropped && dropped > 0 {
		d.log.WarnContext(ctx, "a directory source has accounts whose username can't be used; they are left out", "source", name, "accounts", dropped)
	}
	f.dropped = dropped
	return m
}

// ask asks one source and keeps its status.
func (d *Directory) ask(ctx context.Context, f *feed) ([]User, error) {
	asking, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	d.mu.Lock()
	f.since = map[string]*User{}
	d.mu.Unlock()
	users, err := f.Users(asking)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // we are leaving; that says nothing about the source
	}
	d.mu.Lock()
	was := f.err
	f.err = err
	if err == nil {
		f.lastGood = d.clock.Now()
	}
	d.mu.Unlock()
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		d.log.ErrorContext(ctx, "a directory source can't be read; the accounts it last gave stay in force", "source", f.Name(), "error", err)
		d.broken(ctx, f.Name(), err)
	case err == nil && was != nil:
		d.log.InfoContext(ctx, "a directory source can be read again", "source", f.Name())
	}
	if err != nil {
		return nil, err
	}
	return users, nil
}

// Run refreshes again and again until ctx ends. What goes wrong is logged and in Status.
func (d *Directory) Run(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		due := make(chan struct{})
		t := d.clock.AfterFunc(every, func() { close(due) })
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-due:
		}
		_ = d.Refresh(ctx)
	}
}

// apply puts in force what the feeds have new (nil: nothing).
func (d *Directory) apply(news []map[string]*User) {
	d.mu.Lock()
	var touched []string
	for i, users := range news {
		f := d.feeds[i]
		since := f.since
		f.since = nil
		if users == nil {
			continue
		}
		maps.Copy(users, since) // newer than the answer
		for key, u := range users {
			old := f.users[key]
			if old != nil && old.equal(u) {
				users[key] = old // the same pointer: cheap to compare later
				continue
			}
			touched = append(touched, key)
		}
		for key := range f.users {
			if users[key] == nil {
				touched = append(touched, key)
			}
		}
		f.users = users
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
		return
	}
	d.mu.Unlock()
	d.reindex()
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
		if c, ok := changeOf(before, d.merged(key)); ok {
			all = append(all, change{c, key})
		}
	}
	return all
}

// merged is the account as all feeds together have it; nil: none has. It is called with mu held.
func (d *Directory) merged(key string) *User {
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
