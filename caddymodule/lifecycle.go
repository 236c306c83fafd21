package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/audit/retention"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory/scim"
	"github.com/seed-240d5494/caddy-impersonate/internal/gateway"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/login"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
)

const (
	// refreshEvery is how often the directory's sources are asked. A file that has not changed costs a look at it.
	refreshEvery = 2 * time.Second
	sweepEvery   = 10 * time.Minute
	// keepHistory is how long the state remembers impersonations that have ended; the audit does for longer.
	keepHistory = 90 * 24 * time.Hour
	eventWithin = 5 * time.Second
	stopWithin  = 10 * time.Second
	exitWithin  = time.Second
	// For the digest, the record is asked once a week: it may take its time.
	askWithin  = 2 * time.Minute
	maxRefused = 500
)

// running is what an App is made of while it runs.
type running struct {
	handlers []*Handler    // provisioned with it
	ready    chan struct{} // closed once requests can be served

	node      *node
	trail     *trail
	tenant    *tenant
	shipping  *shipping
	directory *directory.Directory
	scim      http.Handler // nil: there is none
	events    *gateway.DirectoryEvents
	retention *retention.Keeper
	login     *login.Handler
	reader    Reader // nil: the record can't be read

	cancel context.CancelFunc // ends work
	work   sync.WaitGroup

	// requests are those under way; releases gives back what they work with.
	requests *inflight
	releases []func() error
}

// Start opens what the configuration works with, or takes over what is open, and puts the configuration in force. At
// a reload the old configuration is there until this has succeeded, and goes on if it fails.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	if err := a.start(ctx); err != nil {
		// Cleanup, which follows, gives back what was acquired.
		return errors.Join(err, a.Stop())
	}
	close(a.ready)
	a.log.Info("ready", "sites", len(a.handlers), "policies", len(a.Policies), "users", a.directory.Len())
	return nil
}

func (a *App) start(ctx context.Context) error {
	if err := a.acquire(ctx); err != nil {
		return err
	}
	if err := a.openDirectory(ctx); err != nil {
		return err
	}
	key := signing{file: a.Audit.SigningKey, rows: a.Audit.CheckpointRows, every: a.Audit.CheckpointTime.Std()}
	if key.file != "" {
		// The journal's own is tried again and again; one that was named must be there.
		if _, err := audit.ReadSigner(key.file); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	redactor, err := a.redactor()
	if err != nil {
		return err
	}
	a.shipping = &shipping{log: a.log, redactor: redactor, sinks: a.sinks, witnesses: a.witnesses, signing: key}
	if err := a.trail.tenants.enter(a.shipping, a.trail.apply(ctx)); err != nil {
		return err
	}
	notifiers, err := a.openNotifiers(ctx)
	if err != nil {
		return err
	}
	loaded, err := a.loaded()
	if err != nil {
		return err
	}
	rules := impersonation.Rules{Policy: a.policy, Directory: a.directory}
	a.tenant = &tenant{
		log: a.log, rules: rules, recorder: a.trail.recorder.Configured(loaded), notifiers: notifiers,
		lifetimes: session.Lifetimes{Absolute: a.Session.Lifetime.Std(), Idle: a.Session.Idle.Std()},
	}
	if err := a.node.tenants.enter(a.tenant, a.node.apply(ctx)); err != nil {
		return fmt.Errorf("putting the configuration in force: %w", err)
	}
	// After the rules have subscribed: impersonations are to end before it is written down why.
	a.directory.OnChange(a.events.Changed)
	if err := a.openSites(ctx, rules); err != nil {
		return err
	}
	a.goOn(ctx)
	return nil
}

// acquire takes journal and state; in this order, because the state's last words at its end are for the journal.
func (a *App) acquire(ctx context.Context) error {
	trail, release, err := acquireTrail(a.Audit.Journal, a.clock, a.log)
	if err != nil {
		return err
	}
	a.trail, a.releases = trail, append(a.releases, release)
	node, release, err := acquireNode(ctx, a.state, a.clock, a.log)
	if err != nil {
		return err
	}
	a.node, a.releases = node, append(a.releases, release)
	if err := trail.recorder.Healthy(); err != nil {
		a.log.Error("the audit journal takes nothing: nobody can impersonate until it does; everybody's own account works", "error", err)
	}
	return nil
}

// openDirectory asks every source once, so that a reload does not end impersonations for want of facts.
func (a *App) openDirectory(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	var sources []Source
	for _, opener := range a.directories {
		s, err := opener.OpenSource(ctx, Env{Log: a.log, Clock: a.clock, Store: a.node.Store, scim: a.node.scim})
		if err != nil {
			return fmt.Errorf("opening a directory: %w", err)
		}
		if c, ok := s.(io.Closer); ok {
			a.releases = append(a.releases, c.Close)
		}
		if h, ok := s.(*scim.Source); ok {
			a.scim = h
		}
		sources = append(sources, s)
	}
	a.events = gateway.NewDirectoryEvents(a.trail.recorder, a.log)
	a.directory = directory.New(directory.Options{Clock: a.clock, Log: a.log, Sources: sources, Broken: a.events.Broken, Previous: a.node.directory()})
	if a.directory.Refresh(ctx) == nil || !a.node.tenants.inUse() {
		return nil // the directory has logged what it could not read, and goes on trying
	}
	// The configuration in force has the accounts that this one would not know, except those it took over.
	return neverRead(a.directory)
}

// neverRead tells which sources have never given an answer.
func neverRead(d *directory.Directory) error {
	var errs []error
	for _, s := range d.Status() {
		if s.LastGood.IsZero() {
			errs = append(errs, fmt.Errorf("reading the directory: %s: %w", s.Name, s.Err))
		}
	}
	return errors.Join(errs...)
}

// openNotifiers makes what people are told by. None is reached for.
func (a *App) openNotifiers(ctx context.Context) ([]Notifier, error) {
	var notifiers []Notifier
	for _, opener := range a.notifiers {
		n, err := opener.OpenNotifier(ctx, Env{Log: a.log, Clock: a.clock, Store: a.node.Store, Zone: a.Notify.Location()})
		if err != nil {
			return nil, fmt.Errorf("opening a notifier: %w", err)
		}
		if c, ok := n.(io.Closer); ok {
			a.releases = append(a.releases, c.Close)
		}
		notifiers = append(notifiers, n)
	}
	return notifiers, nil
}

// openSites makes the gateway and gives each handler its site.
func (a *App) openSites(ctx context.Context, rules impersonation.Rules) error {
	var err error
	a.login, err = login.New(login.Options{
		Issuer: a.OIDC.Issuer, ClientID: a.OIDC.ClientID, ClientSecret: a.OIDC.ClientSecret, Scopes: a.OIDC.Scopes, Claims: a.OIDC.Claims,
		StepUp: a.OIDC.StepUp.Std(), StepUpACR: a.OIDC.StepUpACR,
		Clock: a.clock, Log: a.log, SealKey: a.node.LoginKey,
		Sessions:       a.node.Sessions,
		Impersonations: a.node.Impersonations,
		Events:         a.trail.recorder,
		Directory:      a.directory,
		Seen:           a.directory.Note,
		Site:           func(r *http.Request) (scheme, host string) { return schemeOf(r), r.Host },
		ClientIP:       clientIPOf,
	})
	if err != nil {
		return err
	}
	reader, err := a.openReader(ctx)
	if err != nil {
		return err
	}
	a.reader = reader
	initial, floor, err := a.Audit.RetentionDays()
	if err != nil {
		return err
	}
	a.retention = retention.New(retention.Options{
		Store: a.node.Store, Audit: a.trail.recorder, Clock: a.clock, Log: a.log,
		Limits: retention.Limits{Initial: retention.Period(initial), Floor: retention.Period(floor)},
	})
	g, err := gateway.New(gateway.Options{
		Store: a.node.Store, Sessions: a.node.Sessions, Impersonations: a.node.Impersonations, Rules: rules,
		Login: a.login, Signer: a.node.Signer, Recorder: a.trail.recorder, Clock: a.clock, Log: a.log,
		RecordAll: a.Audit.Requests == "all", RecordFields: a.Audit.Fields, Reader: reader, Retention: a.retention,
		Scheme: schemeOf, ClientIP: clientIPOf, StatusOf: statusOf, Ready: a.checks, SCIM: a.scim, Banners: a.node.Banners, Zone: a.Notify.Location(),
	})
	if err != nil {
		return err
	}
	for _, h := range a.handlers {
		site, err := g.Site(h.options())
		if err != nil {
			return err
		}
		h.site.Store(site)
	}
	return nil
}

// openReader opens the first sink that can be read; nil: none can.
func (a *App) openReader(ctx context.Context) (Reader, error) {
	for _, sink := range a.sinks {
		opener, ok := sink.(ReaderOpener)
		if !ok {
			continue
		}
		reader, err := opener.OpenReader(ctx, Env{Log: a.log, Clock: a.clock})
		if err != nil {
			return nil, fmt.Errorf("opening the audit for reading: %w", err)
		}
		a.releases = append(a.releases, reader.Close)
		return reader, nil
	}
	return nil, nil
}

// checks are what /readyz asks beside state and journal: a source that has never been read, or not for so long that its
// accounts count as unknown, means people are missing. The provider is not among them: who is logged in can work without it.
func (a *App) checks(context.Context) []gateway.Check {
	var err error
	for _, s := range a.directory.Status() {
		if s.LastGood.IsZero() || s.Lapsed {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.Name, s.Err))
		}
	}
	return []gateway.Check{{Name: "directory", Err: err}}
}

// goOn starts what runs beside the requests.
func (a *App) goOn(ctx context.Context) {
	a.work.Go(func() { a.login.Run(ctx) })
	a.work.Go(func() { a.directory.Run(ctx, refreshEvery) })
	a.work.Go(func() { a.sweep(ctx) })
	a.work.Go(func() { a.retention.Run(ctx) })
	if !a.Notify.Digest.Off && len(a.notifiers) > 0 {
		day, at := a.Notify.Digest.Weekday()
		a.work.Go(func() {
			a.node.Impersonations.RunDigest(ctx, impersonation.Schedule{Day: day, At: at, Zone: a.Notify.Location()}, a.refused())
		})
	}
}

// refused asks the record where much was refused; nil: it can't be asked.
func (a *App) refused() impersonation.Refused {
	if a.reader == nil {
		return nil
	}
	reader := a.reader
	return func(ctx context.Context, from, until time.Time) (map[string]bool, error) {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		found, err := reader.Notable(ctx, audit.Filter{From: from, To: until}, audit.Thresholds{Limit: maxRefused})
		if err != nil {
			return nil, err
		}
		many := make(map[string]bool)
		for _, f := range found {
			if f.Kind == audit.NotableRefusals {
				many[f.ImpersonationID] = true
			}
		}
		return many, nil
	}
}

// sweep removes what is over from the state, now and then.
func (a *App) sweep(ctx context.Context) {
	due := make(chan struct{}, 1)
	for {
		if err := errors.Join(a.node.Sessions.Sweep(ctx), a.node.Impersonations.Sweep(ctx, keepHistory)); err != nil && ctx.Err() == nil {
			a.log.Error("what is over can't be removed from the state", "error", err)
		}
		timer := a.clock.AfterFunc(sweepEvery, func() { due <- struct{}{} })
		select {
		case <-due:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// loaded is the event that tells which configuration this is, by a hash of its settings without their secrets.
func (a *App) loaded() (audit.Event, error) {
	public := a.App // config.App; its guests were loaded from it, and are not in it any more
	public.OIDC.ClientSecret = ""
	settings, err := json.Marshal(public)
	if err != nil {
		return audit.Event{}, fmt.Errorf("writing the settings for the audit: %w", err)
	}
	hash := sha256.Sum256(settings)
	return audit.Event{Type: audit.EventConfigLoaded, Detail: audit.Detail("sha256", hex.EncodeToString(hash[:]), "policies", a.policyTexts())}, nil
}

// maxPolicyTexts bounds the texts of policies in an event, in bytes.
const maxPolicyTexts = 6000

// policyTexts are the policies as people read them, by name, so that it can be shown later by which rule somebody was let in.
// Those that are too much are left out, the last first; the hash is of all.
func (a *App) policyTexts() map[string]string {
	texts, left := make(map[string]string), maxPolicyTexts
	for _, p := range a.policy.Describe(lang.Default).Policies {
		text := strings.Join(append([]string{p.Who}, p.Terms...), " ")
		if left -= len(p.Name) + len(text) + 8; left < 0 {
			break
		}
		texts[p.Name] = text
	}
	return texts
}

// wait returns once requests can be served.
func (a *App) wait(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	select {
	case <-a.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop ends what runs beside the requests. Requests under way go on.
func (a *App) Stop() error {
	if a.cancel == nil {
		return nil
	}
	a.cancel()
	a.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if a.events != nil {
		a.events.Close(ctx)
		a.events = nil
	}
	var errs []error
	if a.tenant != nil {
		errs = append(errs, a.node.tenants.leave(a.tenant, a.node.apply(ctx)))
		a.tenant = nil
	}
	if a.shipping != nil {
		errs = append(errs, a.trail.tenants.leave(a.shipping, a.trail.apply(ctx)))
		a.shipping = nil
	}
	return errors.Join(errs...)
}

// Cleanup gives back what Start acquired, once the last request that works with it is over.
func (a *App) Cleanup() error {
	releases := a.releases
	a.releases = nil
	if len(releases) == 0 {
		return nil
	}
	release := func() error {
		var errs []error
		for i := len(releases) - 1; i >= 0; i-- {
			errs = append(errs, releases[i]())
		}
		return errors.Join(errs...)
	}
	drained := a.requests.drain()
	if caddy.Exiting() {
		// The servers have waited for their requests as long as they may.
		select {
		case <-drained:
		case <-time.After(exitWithin):
		}
		return release()
	}
	select {
	case <-drained:
		return release()
	default:
	}
	// After a reload the servers let long requests end by themselves.
	go func() {
		<-drained
		if err := release(); err != nil {
			a.log.Error("closing what the last request worked with", "error", err)
		}
	}()
	return nil
}
