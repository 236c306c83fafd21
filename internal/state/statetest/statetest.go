// Package statetest is what every backend of state must pass. A backend's test is a few lines:
//
//	func TestConformance(t *testing.T) {
//		dir := t.TempDir()
//		statetest.Run(t, func(t *testing.T) state.Store {
//			s, err := sqlite.Open(t.Context(), filepath.Join(dir, t.Name(), "state.db"), sqlite.Options{})
//			…
//			return s
//		})
//	}
package statetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Open opens the store that belongs to the test: empty the first time, what was left there after a Close. The suite
// closes what it opens.
type Open func(t *testing.T) state.Store

// Run runs the whole suite, each part in a subtest with a store of its own.
func Run(t *testing.T, open Open) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, state.Store)
	}{
		{"Sessions", sessions},
		{"SessionTimes", sessionTimes},
		{"SessionUpdate", sessionUpdate},
		{"SessionTouch", sessionTouch},
		{"SessionsOf", sessionsOf},
		{"ExpiredSessions", expiredSessions},
		{"Impersonations", impersonations},
		{"OneLiveImpersonation", oneLive},
		{"ImpersonationOfNoSession", ofNoSession},
		{"ImpersonationUpdate", impersonationUpdate},
		{"LastImpersonation", lastImpersonation},
		{"ListImpersonations", listImpersonations},
		{"ListSameMoment", listSameMoment},
		{"UnrecordedEnds", unrecordedEnds},
		{"PruneImpersonations", prune},
		{"Requests", requests},
		{"RequestUpdate", requestUpdate},
		{"ListRequests", listRequests},
		{"PruneRequests", pruneRequests},
		{"ConcurrentClaims", concurrentClaims},
		{"Seen", seen},
		{"Jars", jars},
		{"JarsGoWithTheSession", jarsGo},
		{"Notices", notices},
		{"StartTelling", startTelling},
		{"Bells", bells},
		{"Locks", locks},
		{"Favourites", favourites},
		{"ConcurrentFavourites", concurrentFavourites},
		{"Languages", personLanguages},
		{"Keys", keys},
		{"Settings", settings},
		{"SCIM", scim},
		{"Limits", limits},
		{"NothingShared", nothingShared},
		{"Cancelled", cancelled},
		{"Panic", panics},
		{"ConcurrentUpdates", concurrentUpdates},
		{"ConcurrentStarts", concurrentStarts},
	} {
		t.Run(part.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { check(t, s.Close()) })
			part.run(t, s)
		})
	}
	t.Run("Reopen", func(t *testing.T) { reopen(t, open) })
	t.Run("Closed", func(t *testing.T) { closed(t, open) })
}

// base has nanoseconds and a zone, which a store does not keep.
var base = time.Date(2026, 3, 29, 2, 30, 0, 123456789, time.FixedZone("", 2*60*60))

// at is base later by d, as a store gives it back.
func at(d time.Duration) time.Time { return base.Add(d).Truncate(time.Microsecond).UTC() }

// Session is a session with every field set; n makes it a different one.
func Session(n int) *state.Session {
	return &state.Session{
		ID:     state.HashID(fmt.Sprint("session ", n)),
		Issuer: "https://idp.example.com", Subject: fmt.Sprint("sub-", n), UserID: fmt.Sprint("id-", n),
		Username: fmt.Sprintf("Zoë.%d", n), Name: "Zoë Ångström 王", Email: "zoe@example.com",
		Groups: []string{"support", "a,b", `"quoted"`, ""}, Attributes: map[string]string{"department": "nord", "": "x"},
		SID: fmt.Sprint("sid-", n), ACR: "urn:mfa",
		AuthTime: at(-time.Minute), CreatedAt: at(time.Duration(n) * time.Second), LastSeen: at(time.Duration(n)*time.Second + time.Minute),
		Sealed: []byte{0, 1, 255, 0}, Notice: `{"cause":"expired"}`,
	}
}

// Impersonation is a live one with every field set, of Session(n).
func Impersonation(n int) *state.Impersonation {
	return &state.Impersonation{
		ID: fmt.Sprint("imp-", n), Session: Session(n).ID, Site: "https://app.example.com",
		ActorID: "a", ActorUsername: "alice", ActorName: "Alice Ng", TargetID: "s", TargetUsername: "sam", TargetName: "Sam Reed",
		Mode: "full", Policy: "support", Reason: "can't complete\nbooking ✓", Ticket: "T-1", ReturnTo: "/users?page=2",
		StartedAt: at(time.Duration(n) * time.Second), ExpiresAt: at(time.Hour), Idle: 10*time.Minute + time.Microsecond, LastSeen: at(time.Minute),
		Extensions: 2, Extended: 30*time.Minute + time.Microsecond,
		Emergency: true, Request: "req-1", ApprovedBy: "olga",
		ObjectedAt: at(2 * time.Minute), ReviewedAt: at(3 * time.Minute), ReviewedBy: "owner", ReviewNote: "talked to Sam\n✓",
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
}

// with creates the sessions.
func with(t *testing.T, s state.Store, n ...int) {
	t.Helper()
	for _, n := range n {
		check(t, s.CreateSession(t.Context(), Session(n)))
	}
}

// must returns a getter's value.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func ids[T any](of func(T) string, all []T) []string {
	names := []string{}
	for _, v := range all {
		names = append(names, of(v))
	}
	return names
}

func impIDs(all []*state.Impersonation) []string {
	return ids(func(i *state.Impersonation) string { return i.ID }, all)
}

func subjects(all []*state.Session) []string {
	return ids(func(s *state.Session) string { return s.Subject }, all)
}

func reopen(t *testing.T, open Open) {
	ctx := t.Context()
	s := open(t)
	with(t, s, 1, 2)
	check(t, s.CreateImpersonation(ctx, Impersonation(1)))
	check(t, s.CreateRequest(ctx, Request(1)))
	check(t, s.PutJar(ctx, &state.Jar{Owner: "imp-1", Host: "app", Sealed: []byte("jar")}))
	check(t, s.AddKey(ctx, &state.Key{Use: "assertion", ID: "k1", PKCS8: []byte("key"), CreatedAt: at(0)}))
	check(t, s.PutSetting(ctx, "retention", "400d"))
	check(t, s.PutFavourite(ctx, favourite("sam", 0)))
	check(t, s.PutSeen(ctx, &state.SeenUser{Issuer: "i", Subject: "s", Username: "sam", FirstSeen: at(0), LastSeen: at(0)}))
	check(t, s.DeleteSession(ctx, Session(2).ID))
	check(t, s.Close())

	s = open(t)
	defer func() { check(t, s.Close()) }()
	same(t, must[*state.Session](t)(s.Session(ctx, Session(1).ID)), Session(1))
	_, err := s.Session(ctx, Session(2).ID)
	wantErr(t, err, state.ErrNotFound)
	same(t, must[*state.Impersonation](t)(s.Impersonation(ctx, "imp-1")), Impersonation(1))
	same(t, must[*state.Request](t)(s.Request(ctx, "req-1")), Request(1))
	same(t, must[*state.Jar](t)(s.Jar(ctx, "imp-1", "app")).Sealed, []byte("jar"))
	same(t, len(must[[]*state.Key](t)(s.Keys(ctx, "assertion"))), 1)
	same(t, must[string](t)(s.Setting(ctx, "retention")), "400d")
	same(t, must[[]*state.Favourite](t)(s.Favourites(ctx, "alice")), []*state.Favourite{favourite("sam", 0)})
	n := 0
	check(t, s.EachSeen(ctx, func(*state.SeenUser) error { n++; return nil }))
	same(t, n, 1)
}

func closed(t *testing.T, open Open) {
	s := open(t)
	check(t, s.Ping(t.Context()))
	check(t, s.Close())
	check(t, s.Close())
	if s.Ping(t.Context()) == nil || s.PutSetting(t.Context(), "a", "b") == nil {
		t.Fatal("a closed store works")
	}
}

func cancelled(t *testing.T, s state.Store) {
	with(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Session(ctx, Session(1).ID)
	wantErr(t, err, context.Canceled)
	wantErr(t, s.CreateSession(ctx, Session(2)), context.Canceled)
	wantErr(t, s.UpdateSession(ctx, Session(1).ID, func(*state.Session) error { return nil }), context.Canceled)
	wantErr(t, s.Ping(ctx), context.Canceled)
	wantErr(t, s.EachSeen(ctx, func(*state.SeenUser) error { return nil }), context.Canceled)

	// Cancelled in the middle: nothing of the update stays, and the store goes on.
	ctx, cancel = context.WithCancel(t.Context())
	err = s.UpdateSession(ctx, Session(1).ID, func(v *state.Session) error {
		v.Notice = "half"
		cancel()
		return nil
	})
	wantErr(t, err, context.Canceled)
	same(t, must[*state.Session](t)(s.Session(t.Context(), Session(1).ID)), Session(1))
	_, err = s.Session(t.Context(), Session(2).ID)
	wantErr(t, err, state.ErrNotFound)
	check(t, s.CreateSession(t.Context(), Session(2)))
}

func panics(t *testing.T, s state.Store) {
	with(t, s, 1)
	func() {
		defer func() { _ = recover() }()
		_ = s.UpdateSession(t.Context(), Session(1).ID, func(v *state.Session) error {
			v.Notice = "half"
			panic("in an update")
		})
	}()
	same(t, must[*state.Session](t)(s.Session(t.Context(), Session(1).ID)), Session(1))
	check(t, s.PutSetting(t.Context(), "a", "b"))
}

func concurrentUpdates(t *testing.T, s state.Store) {
	const workers, each = 8, 20
	v := Session(1)
	v.Notice = ""
	check(t, s.CreateSession(t.Context(), v))
	var wg sync.WaitGroup
	errs := make(chan error, 2*workers)
	for range workers {
		wg.Go(func() {
			for range each {
				if err := s.UpdateSession(t.Context(), v.ID, func(v *state.Session) error { v.Notice += "x"; return nil }); err != nil {
					errs <- err
					return
				}
			}
		})
		wg.Go(func() {
			for range each {
				if _, err := s.Session(t.Context(), v.ID); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	same(t, len(must[*state.Session](t)(s.Session(t.Context(), v.ID)).Notice), workers*each)
}

func concurrentStarts(t *testing.T, s state.Store) {
	with(t, s, 1)
	const workers = 8
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			i := Impersonation(1)
			i.ID = fmt.Sprint("try-", n)
			errs[n] = s.CreateImpersonation(t.Context(), i)
		})
	}
	wg.Wait()
	ok := 0
	for _, err := range errs {
		if err == nil {
			ok++
		} else {
			wantErr(t, err, state.ErrConflict)
		}
	}
	same(t, ok, 1)
	same(t, len(must[[]*state.Impersonation](t)(s.LiveImpersonations(t.Context()))), 1)
}
