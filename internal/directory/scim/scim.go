// Package scim is a service provider of SCIM 2.0 (RFC 7643, 7644): an identity provider writes accounts and groups here,
// and they are in force at once. What it wrote is in the state, and in memory to be read.
package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	userSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	patchSchema      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

	userKind  = "User"
	groupKind = "Group"

	maxResources = 1_000_000
)

// Service is the accounts and groups of one state. It outlives configurations; each has a [Source] of it.
type Service struct {
	store state.Store
	clock clock.Clock

	writing sync.Mutex // one change at a time

	mu       sync.RWMutex // guards what is below, which is replaced, never changed
	loaded   bool
	byID     map[string]*resource
	byName   map[string]*resource            // by kind and folded name
	groupsOf map[string]map[string]*resource // groups by the id of a member
	sources  map[*Source]func(directory.User)
}

// resource is an account or a group. Immutable.
type resource struct {
	state.SCIMResource
	o object
}

// NewService is the service over what the store has. Nothing is read before it is asked.
func NewService(store state.Store, c clock.Clock) *Service {
	return &Service{store: store, clock: c, sources: map[*Source]func(directory.User){}}
}

// load reads the store, once.
func (s *Service) load(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return nil
	}
	s.byID, s.byName, s.groupsOf = map[string]*resource{}, map[string]*resource{}, map[string]map[string]*resource{}
	err := s.store.EachSCIM(ctx, func(r *state.SCIMResource) error {
		one := &resource{SCIMResource: *r}
		if err := json.Unmarshal(r.Body, &one.o); err != nil {
			return fmt.Errorf("the %s %s can't be read: %w", r.Kind, r.ID, err)
		}
		s.put(nil, one)
		return nil
	})
	s.loaded = err == nil
	return err
}

// put takes one in the place of another. It is called with mu held.
func (s *Service) put(old, one *resource) {
	if old != nil {
		delete(s.byID, old.ID)
		delete(s.byName, old.Kind+old.Name)
		for _, m := range old.members() {
			delete(s.groupsOf[m], old.ID)
		}
	}
	if one != nil {
		s.byID[one.ID] = one
		s.byName[one.Kind+one.Name] = one
		for _, m := range one.members() {
			if s.groupsOf[m] == nil {
				s.groupsOf[m] = map[string]*resource{}
			}
			s.groupsOf[m][one.ID] = one
		}
	}
}

// members are the ids of a group's; none of an account's.
func (r *resource) members() []string {
	if r.Kind != groupKind {
		return nil
	}
	var ids []string
	for _, v := range values(r.o, []string{"members", "value"}) {
		if id, ok := v.(string); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// change keeps one in the place of old (nil: none) and puts it in force before it returns; a nil one removes old.
func (s *Service) change(ctx context.Context, old, one *resource) error {
	var err error
	if one == nil {
		err = s.store.DeleteSCIM(ctx, old.Kind, old.ID)
	} else {
		err = s.store.PutSCIM(ctx, &one.SCIMResource)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	before := s.touchedBy(old)
	s.put(old, one)
	touched := append(before, s.touchedBy(one)...)
	slices.Sort(touched)
	var users []directory.User
	for _, id := range slices.Compact(touched) {
		if r := s.byID[id]; r != nil && r.Kind == userKind {
			users = append(users, s.user(r))
		}
	}
	if old != nil && old.Kind == userKind && (one == nil || one.Name != old.Name) {
		// Whoever is gone, or has another name, is nobody under the old one; the next reading leaves them out.
		gone := s.user(old)
		gone.Active = false
		users = append([]directory.User{gone}, users...)
	}
	var tell []func(directory.User)
	for _, f := range s.sources {
		tell = append(tell, f)
	}
	for src := range s.sources {
		src.stale.Store(true)
	}
	s.mu.Unlock()
	for _, f := range tell {
		for _, u := range users {
			f(u)
		}
	}
	return nil
}

// touchedBy are the ids of accounts whose facts hang on a resource. It is called with mu held.
func (s *Service) touchedBy(r *resource) []string {
	if r == nil {
		return nil
	}
	if r.Kind == userKind {
		return []string{r.ID}
	}
	var ids []string
	seen := map[string]bool{r.ID: true}
	for open := []*resource{r}; len(open) > 0; open = open[1:] {
		for _, m := range open[0].members() {
			if seen[m] {
				continue
			}
			seen[m] = true
			ids = append(ids, m)
			if g := s.byID[m]; g != nil && g.Kind == groupKind {
				open = append(open, g)
			}
		}
	}
	return ids
}

// user is the account as the directory wants it. It is called with mu held.
func (s *Service) user(r *resource) directory.User {
	text := func(names ...string) string {
		for _, v := range values(r.o, names) {
			if t, ok := v.(string); ok {
				return t
			}
		}
		return ""
	}
	u := directory.User{Active: isActive(r.o), Identity: identity.Identity{ID: r.ID, Username: text("userName"), Name: text("displayName"), Email: emailOf(r.o)}}
	if u.Name == "" {
		u.Name = text("name", "formatted")
	}
	if u.Name == "" {
		u.Name = strings.TrimSpace(text("name", "givenName") + " " + text("name", "familyName"))
	}
	u.Attributes = map[string]string{}
	for _, name := range []string{"title", "userType", "externalId", "locale"} {
		if v := text(name); v != "" {
			u.Attributes[name] = v
		}
	}
	for _, name := range []string{"department", "division", "organization", "costCenter", "employeeNumber"} {
		if v := text(enterpriseSchema, name); v != "" {
			u.Attributes[name] = v
		}
	}
	u.Groups = []string{}
	seen := map[string]bool{}
	for open := []string{r.ID}; len(open) > 0; open = open[1:] {
		for id, g := range s.groupsOf[open[0]] {
			if seen[id] {
				continue
			}
			seen[id] = true
			open = append(open, id)
			if name, ok := g.o[keyOf(g.o, "displayName")].(string); ok && !slices.Contains(u.Groups, name) {
				u.Groups = append(u.Groups, name)
			}
		}
	}
	slices.Sort(u.Groups)
	return u
}

// isActive: an account nothing is said of is.
func isActive(o object) bool {
	active, ok := o[keyOf(o, "active")].(bool)
	return active || !ok
}

// emailOf is the primary one, or the first.
func emailOf(o object) string {
	first := ""
	list, _ := o[keyOf(o, "emails")].([]any)
	for _, e := range list {
		inner, _ := e.(object)
		v, _ := inner[keyOf(inner, "value")].(string)
		if primary, _ := inner[keyOf(inner, "primary")].(bool); primary && v != "" {
			return v
		}
		if first == "" {
			first = v
		}
	}
	return first
}

// Source is one configuration's view of the accounts.
type Source struct {
	service *Service
	stale   flag
	handler http.Handler
}

// flag is set by whoever changes something, and cleared by who reads all.
type flag struct {
	mu sync.Mutex
	on bool
}

func (f *flag) Store(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = on
}

func (f *flag) clear() (was bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, f.on = f.on, false
	return was
}

// Open makes a source, whose requests carry the bearer token. Close it when done.
func (s *Service) Open(bearer string) *Source {
	src := &Source{service: s, stale: flag{on: true}}
	src.handler = newHandler(s, bearer)
	return src
}

// Name implements [directory.Source].
func (s *Source) Name() string { return "scim" }

// OnUser implements [directory.LiveSource].
func (s *Source) OnUser(f func(directory.User)) {
	s.service.mu.Lock()
	defer s.service.mu.Unlock()
	s.service.sources[s] = f
}

// Close implements [io.Closer].
func (s *Source) Close() error {
	s.service.mu.Lock()
	defer s.service.mu.Unlock()
	delete(s.service.sources, s)
	return nil
}

// Users implements [directory.Source].
func (s *Source) Users(ctx context.Context) ([]directory.User, error) {
	if err := s.service.load(ctx); err != nil {
		return nil, err
	}
	s.service.mu.RLock()
	defer s.service.mu.RUnlock()
	if !s.stale.clear() {
		return nil, nil
	}
	users := []directory.User{}
	for _, r := range s.service.byID {
		if r.Kind == userKind {
			users = append(users, s.service.user(r))
		}
	}
	return users, nil
}

// ServeHTTP serves what is below …/scim/v2.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// failure is an answer of RFC 7644, section 3.12.
type failure struct {
	status   int
	scimType string
	detail   string
}

func (f *failure) Error() string { return f.detail }

func bad(scimType, format string, args ...any) error {
	return &failure{http.StatusBadRequest, scimType, fmt.Sprintf(format, args...)}
}

func notFound(kind, id string) error {
	return &failure{http.StatusNotFound, "", fmt.Sprintf("there is no %s %.100s", kind, id)}
}

var errTaken = &failure{http.StatusConflict, "uniqueness", "another has that name already"}

// fromStore makes an answer of what the state said.
func fromStore(kind, id string, err error) error {
	switch {
	case errors.Is(err, state.ErrConflict):
		return errTaken
	case errors.Is(err, state.ErrNotFound):
		return notFound(kind, id)
	case errors.Is(err, state.ErrInvalid):
		return &failure{http.StatusRequestEntityTooLarge, "", err.Error()}
	}
	return err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Interface guard
var _ directory.LiveSource = (*Source)(nil)
