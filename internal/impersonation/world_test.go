package impersonation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/session"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

var noon = time.Date(2025, 3, 3, 12, 0, 0, 0, time.UTC)

// people is a directory source that tests edit.
type people struct {
	mu    sync.Mutex
	users map[string]directory.User
}

func (*people) Name() string { return "people" }

func (p *people) Users(context.Context) ([]directory.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.AppendSeq([]directory.User{}, maps.Values(p.users)), nil // nil would mean: as before
}

func (p *people) set(u directory.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[identity.Key(u.Username)] = u
}

func (p *people) edit(username string, f func(*directory.User)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u, ok := p.users[username]; ok {
		f(&u)
		p.users[username] = u
	}
}

func (p *people) remove(username string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, username)
}

func user(id, username, name string, groups ...string) directory.User {
	if groups == nil {
		groups = []string{}
	}
	return directory.User{
		Identity: identity.Identity{ID: id, Username: username, Name: name, Email: username + "@example.com", Groups: groups, Attributes: map[string]string{}},
		Active:   true,
	}
}

// journal collects events; fail and hold stand in for a disk that is full or hangs.
type journal struct {
	mu     sync.Mutex
	events []audit.Event
	fail   error
	before func(audit.Event) // called before an event is taken
	hold   chan struct{}     // non-nil: taking waits until it is closed
}

func (j *journal) Event(ctx context.Context, e audit.Event) error {
	j.mu.Lock()
	before, hold := j.before, j.hold
	j.mu.Unlock()
	if before != nil {
		before(e)
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		return j.fail
	}
	j.events = append(j.events, e)
	return nil
}

func (j *journal) broken(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail = err
}

// of are the events of a type, of an impersonation if id is not empty.
func (j *journal) of(typ, id string) []audit.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []audit.Event
	for _, e := range j.events {
		if e.Type == typ && (id == "" || e.ImpersonationID == id) {
			out = append(out, e)
		}
	}
	return out
}

// disk is the real store, with faults.
type disk struct {
	state.Store
	mu      sync.Mutex
	fail    error // of writes
	lost    bool  // a create fails only after it was done
	updates map[string]int
}

func (d *disk) fault(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id != "" {
		d.updates[id]++
	}
	return d.fail
}

func (d *disk) broken(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

func (d *disk) writes(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.updates[id]
}

func (d *disk) CreateImpersonation(ctx context.Context, i *state.Impersonation, told ...state.Telling) error {
	if err := d.fault(""); err != nil {
		if d.lost {
			_ = d.Store.CreateImpersonation(ctx, i, told...) //nolint:errcheck // the caller is told it failed, whatever happened
		}
		return err
	}
	return d.Store.CreateImpersonation(ctx, i, told...)
}

func (d *disk) PutSettingTelling(ctx context.Context, name, value string, n ...*state.Notice) error {
	if err := d.fault(""); err != nil {
		return err
	}
	return d.Store.PutSettingTelling(ctx, name, value, n...)
}

func (d *disk) UpdateImpersonation(ctx context.Context, id string, f func(*state.Impersonation) error) error {
	if err := d.fault(id); err != nil {
		return err
	}
	return d.Store.UpdateImpersonation(ctx, id, f)
}

// logs is a log that tests may read while it is written.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// told is one call of OnEnd.
type told struct {
	live  *impersonation.Live
	ended *impersonation.Ended
}

// world is a manager over a real store, real sessions and a real directory.
type world struct {
	*impersonation.Manager
	t        testing.TB
	clock    *clock.Manual
	path     string
	disk     *disk
	sessions *session.Manager
	people   *people
	dir      *directory.Directory
	set      *policy.Set
	journal  *journal
	post     *post
	log      *logs
	counts   map[string]uint64

	mu    sync.Mutex
	told  []told
	onEnd func(*impersonation.Live, *impersonation.Ended)
}

var rules = policy.Rules{
	Roles:   map[string]policy.Match{policy.RoleOwner: {Groups: []string{"owners"}}},
	Protect: policy.Match{Groups: []string{"vip"}},
	Policies: []policy.Policy{
		{
			Name: "support", Actor: policy.Match{Groups: []string{"support"}}, Target: policy.Match{Groups: []string{"field"}},
			Modes: []string{policy.ModeFull, policy.ModeReadOnly}, Duration: 30 * time.Minute, Idle: 10 * time.Minute, RequireReason: true,
		},
		{Name: "admin", Actor: policy.Match{Groups: []string{"admins"}}, Target: policy.Match{Groups: []string{"field", "support"}}, Duration: time.Hour},
	},
}

func compile(t testing.TB, edit func(*policy.Rules)) *policy.Set {
	t.Helper()
	r := rules
	r.Policies = slices.Clone(rules.Policies)
	if edit != nil {
		edit(&r)
	}
	s, err := policy.Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, clock: clock.NewManual(noon), path: filepath.Join(t.TempDir(), "state.db"), journal: &journal{}, post: &post{}, log: &logs{}, counts: map[string]uint64{},
		people: &people{users: map[string]directory.User{}},
	}
	for _, u := range []directory.User{
		user("u1", "olga", "Olga Owner", "owners", "support"),
		user("u2", "amy", "Amy Admin", "admins"),
		user("u3", "sue", "Sue Support", "support"),
		user("u4", "stan", "Stan Support", "support"),
		user("u5", "sam", "Sam Reed", "field"),
		user("u6", "fay", "Fay Field", "field"),
		user("u7", "vic", "Vic Important", "field", "vip"),
		user("u8", "nora", "Nora Nobody"),
	} {
		w.people.set(u)
	}
	w.open()
	w.newDirectory()
	w.set = compile(t, nil)
	w.use()
	return w
}

// open opens store and managers, as a process does when it starts.
func (w *world) open() {
	w.t.Helper()
	store, err := sqlite.Open(w.t.Context(), w.path, sqlite.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.disk = &disk{Store: store, updates: map[string]int{}}
	w.sessions = session.NewManager(session.Options{Store: store, Clock: w.clock})
	w.sessions.SetLifetimes(session.Lifetimes{Absolute: 1000 * time.Hour, Idle: 1000 * time.Hour})
	w.Manager = impersonation.NewPatientManager(impersonation.Options{
		Store: w.disk, Clock: w.clock, Notices: w.post, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Counts: func(id string) uint64 {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.counts[id]
		},
		OnEnd: func(_ context.Context, l *impersonation.Live, e *impersonation.Ended) {
			w.mu.Lock()
			w.told = append(w.told, told{l, e})
			f := w.onEnd
			w.mu.Unlock()
			if f != nil {
				f(l, e)
			}
		},
	})
	m, d := w.Manager, w.disk
	w.t.Cleanup(func() { closeAll(m, d) })
}

func closeAll(m *impersonation.Manager, d *disk) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_ = m.Close(ctx)    //nolint:errcheck // tests that leave something unwritten mean to
	_ = d.Store.Close() //nolint:errcheck // likewise
}

// restart is a new process on the same file.
func (w *world) restart() {
	w.t.Helper()
	closeAll(w.Manager, w.disk)
	w.mu.Lock()
	w.told = nil
	w.mu.Unlock()
	w.open()
}

func (w *world) newDirectory() {
	w.t.Helper()
	w.dir = directory.New(directory.Options{Clock: w.clock, Sources: []directory.Source{w.people}})
	w.refresh()
}

func (w *world) refresh() {
	w.t.Helper()
	if err := w.dir.Refresh(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) use() {
	w.t.Helper()
	if err := w.Use(w.t.Context(), impersonation.Rules{Policy: w.set, Directory: w.dir}, w.journal); err != nil {
		w.t.Fatal(err)
	}
}

// reload puts an edited policy in force.
func (w *world) reload(edit func(*policy.Rules)) {
	w.t.Helper()
	w.set = compile(w.t, edit)
	w.use()
}

// login is a new session of somebody.
func (w *world) login(username string, groups ...string) *session.Session {
	w.t.Helper()
	s, _, err := w.sessions.Create(w.t.Context(), session.Login{
		Claims: identity.Identity{ID: "subject-" + username, Username: username, Name: "Login " + username, Groups: groups}, Issuer: "https://idp.example", Subject: username,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func request(s *session.Session, target string) impersonation.StartRequest {
	return impersonation.StartRequest{
		Session: s, Target: target, Reason: "booking won't complete", Ticket: "HD-7", ReturnTo: "/list?page=2", Site: "https://app.example.com",
		ClientIP: netip.MustParseAddr("192.0.2.7"),
	}
}

func (w *world) start(s *session.Session, target string) *impersonation.Live {
	w.t.Helper()
	l, err := w.Start(w.t.Context(), request(s, target))
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// of is who the session's requests are made as: "" for its own person.
func (w *world) of(s *session.Session) string {
	w.t.Helper()
	l := w.Of(w.t.Context(), s.ID)
	if l == nil || w.Check(w.t.Context(), l, w.clock.Now()) != nil {
		return ""
	}
	return l.TargetUsername
}

func (w *world) flush() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	if err := w.Flush(ctx); err != nil {
		w.t.Fatalf("%v\n%s", err, w.log)
	}
}

// tick moves the clock until done says so: for what happens in the background after a wait on the clock.
func (w *world) tick(d time.Duration, done func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			w.t.Fatalf("nothing happens\n%s", w.log)
		}
		w.clock.Advance(d)
	}
}

// row is what the store has.
func (w *world) row(id string) *state.Impersonation {
	w.t.Helper()
	i, err := w.disk.Impersonation(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

func (w *world) tellings() []told {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

// mustEnd checks that l ended for cause: live, stored, recorded once, told once if it should be, cut.
func (w *world) mustEnd(l *impersonation.Live, cause string) {
	w.t.Helper()
	if got := w.Of(w.t.Context(), l.Session); got != nil && got.ID == l.ID {
		w.t.Error("the session still impersonates")
	}
	e := l.Ended()
	if e == nil || e.Cause != cause || l.Live() {
		w.t.Fatalf("ended: %v, want %s", e, cause)
	}
	if got := context.Cause(l.Context()); !errors.Is(got, e) {
		w.t.Errorf("what was under way was cut because of %v", got)
	}
	if l.Enter() {
		w.t.Error("requests are still let in")
	}
	if r := l.Remaining(w.clock.Now()); r != 0 {
		w.t.Errorf("%s remain", r)
	}
	w.flush()
	row := w.row(l.ID)
	if row.Live() || row.EndCause != cause || row.EndedBy != e.By || !row.EndedAt.Equal(e.At) || !row.EndRecorded {
		w.t.Errorf("the store has %+v", row)
	}
	ended := w.journal.of(audit.EventImpersonationEnded, l.ID)
	if len(ended) != 1 || !strings.HasPrefix(ended[0].Detail, fmt.Sprintf(`{"cause":%q,"requests":%d,"duration_s":`, cause, w.counts[l.ID])) {
		w.t.Errorf("events: %+v", ended)
	}
	n := 0
	for _, x := range w.tellings() {
		if x.live.ID == l.ID {
			n++
			if x.ended != e {
				w.t.Errorf("told %v, but %v", x.ended, e)
			}
		}
	}
	if n != 1 {
		w.t.Errorf("told %d times", n)
	}
}
