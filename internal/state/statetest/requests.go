package statetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// Request is an approved one with every field set; n makes it a different, later one.
func Request(n int) *state.Request {
	return &state.Request{
		ID: fmt.Sprint("req-", n), State: state.RequestApproved, Site: "https://app.example.com",
		Actor: state.Party{
			ID: "a", Username: "alice", Name: "Alice Ng", Email: "alice@example.com",
			Groups: []string{"support", `"quoted"`}, Attributes: map[string]string{"department": "nord"},
		},
		TargetID: "s", TargetUsername: "sam", TargetName: "Zoë 王",
		Mode: "full", Policy: "support", Reason: "can't complete\nbooking ✓", Ticket: "T-1", Duration: 30*time.Minute + time.Microsecond,
		ReturnTo: "/users?page=2", Next: "/bookings", ClientIP: "192.0.2.7", Emergency: true, NeedApproval: true, NeedConsent: true,
		CreatedAt: at(time.Duration(n) * time.Second), ExpiresAt: at(time.Hour), StartBy: at(2 * time.Hour),
		Approver: state.Party{ID: "o", Username: "olga", Name: "Olga", Groups: []string{"leads"}}, ApprovedAt: at(time.Minute), ConsentedAt: at(2 * time.Minute),
		Note: "fine",
	}
}

func closeAt(r *state.Request, how string, when time.Time) *state.Request {
	r.State, r.ClosedAt, r.ClosedBy = how, when, "olga"
	return r
}

func reqIDs(all []*state.Request) []string {
	return ids(func(r *state.Request) string { return r.ID }, all)
}

func requests(t *testing.T, s state.Store) {
	ctx := t.Context()
	_, err := s.Request(ctx, "req-1")
	wantErr(t, err, state.ErrNotFound)
	open := func() []string { t.Helper(); return reqIDs(must[[]*state.Request](t)(s.OpenRequests(ctx))) }
	same(t, open(), []string{})
	small := &state.Request{ID: "small", State: state.RequestPending, CreatedAt: at(0)}
	for _, r := range []*state.Request{Request(2), Request(1), closeAt(Request(3), state.RequestRefused, at(time.Hour)), small} {
		check(t, s.CreateRequest(ctx, r))
	}
	same(t, must[*state.Request](t)(s.Request(ctx, "req-1")), Request(1))
	same(t, must[*state.Request](t)(s.Request(ctx, "small")), small)
	same(t, must[*state.Request](t)(s.Request(ctx, "req-3")), closeAt(Request(3), state.RequestRefused, at(time.Hour)))
	same(t, open(), []string{"small", "req-1", "req-2"})
	again := Request(1)
	again.Reason = "another"
	wantErr(t, s.CreateRequest(ctx, again), state.ErrConflict)
	same(t, must[*state.Request](t)(s.Request(ctx, "req-1")), Request(1))
	check(t, s.DeleteRequest(ctx, "req-1"))
	check(t, s.DeleteRequest(ctx, "req-1"))
	_, err = s.Request(ctx, "req-1")
	wantErr(t, err, state.ErrNotFound)

	for name, breakIt := range map[string]func(*state.Request){
		"no id":              func(r *state.Request) { r.ID = "" },
		"no state":           func(r *state.Request) { r.State = "" },
		"no creation":        func(r *state.Request) { r.CreatedAt = time.Time{} },
		"NUL":                func(r *state.Request) { r.Reason = "a\x00b" },
		"long":               func(r *state.Request) { r.Note = strings.Repeat("x", state.MaxText+1) },
		"actor not UTF-8":    func(r *state.Request) { r.Actor.Username = "\xff" },
		"approver's groups":  func(r *state.Request) { r.Approver.Groups = make([]string, state.MaxGroups+1) },
		"open and closed":    func(r *state.Request) { r.ClosedAt = at(0) },
		"neither, nor":       func(r *state.Request) { r.State = state.RequestStarted },
		"attribute with NUL": func(r *state.Request) { r.Actor.Attributes = map[string]string{"a": "\x00"} },
	} {
		r := Request(9)
		breakIt(r)
		if err := s.CreateRequest(ctx, r); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: error %v, want %v", name, err, state.ErrInvalid)
		}
	}
}

func requestUpdate(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.CreateRequest(ctx, Request(1)))
	check(t, s.CreateRequest(ctx, Request(2)))
	want := closeAt(Request(5), state.RequestStarted, at(time.Hour))
	want.ID, want.Impersonation = "req-1", "imp-1"
	check(t, s.UpdateRequest(ctx, "req-1", func(r *state.Request) error {
		same(t, r, Request(1))
		*r = *want
		return nil
	}))
	same(t, must[*state.Request](t)(s.Request(ctx, "req-1")), want)
	same(t, must[*state.Request](t)(s.Request(ctx, "req-2")), Request(2))
	no := errors.New("no")
	if err := s.UpdateRequest(ctx, "req-2", func(r *state.Request) error { r.Note = "half"; return no }); err != no { //nolint:errorlint // as it is
		t.Fatalf("error %v, want the function's own", err)
	}
	wantErr(t, s.UpdateRequest(ctx, "req-2", func(r *state.Request) error { r.ID = "other"; return nil }), state.ErrInvalid)
	same(t, must[*state.Request](t)(s.Request(ctx, "req-2")), Request(2))
	wantErr(t, s.UpdateRequest(ctx, "none", func(*state.Request) error { return nil }), state.ErrNotFound)
}

func listRequests(t *testing.T, s state.Store) {
	ctx := t.Context()
	for n := range 5 {
		r := Request(n)
		if n%2 == 1 {
			r.Actor.Username = "Bob"
		}
		if n == 4 {
			r.State = state.RequestStepUp // nobody's but the actor's own browser's
		}
		check(t, s.CreateRequest(ctx, r))
	}
	list := func(actor string, before time.Time, limit int) []string {
		t.Helper()
		return reqIDs(must[[]*state.Request](t)(s.ListRequests(ctx, actor, state.Place{At: before}, limit)))
	}
	same(t, list("", time.Time{}, 10), []string{"req-3", "req-2", "req-1", "req-0"})
	same(t, list("", time.Time{}, 2), []string{"req-3", "req-2"})
	same(t, list("", at(2*time.Second), 10), []string{"req-1", "req-0"})
	same(t, list("Bob", time.Time{}, 10), []string{"req-3", "req-1"})
	same(t, list("bob", time.Time{}, 10), []string{})
}

func pruneRequests(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.CreateRequest(ctx, Request(0)))
	for n := 1; n <= 4; n++ {
		check(t, s.CreateRequest(ctx, closeAt(Request(n), state.RequestExpired, at(time.Duration(n)*time.Hour))))
	}
	same(t, must[int](t)(s.PruneRequests(ctx, at(4*time.Hour), 2)), 2)
	same(t, reqIDs(must[[]*state.Request](t)(s.ListRequests(ctx, "", state.Place{}, 10))), []string{"req-4", "req-3", "req-0"})
	same(t, must[int](t)(s.PruneRequests(ctx, at(4*time.Hour), 10)), 1)
	same(t, must[int](t)(s.PruneRequests(ctx, at(4*time.Hour), 10)), 0)
	same(t, reqIDs(must[[]*state.Request](t)(s.ListRequests(ctx, "", state.Place{}, 10))), []string{"req-4", "req-0"})
}

// concurrentClaims: of many that take a request at once, one gets it.
func concurrentClaims(t *testing.T, s state.Store) {
	check(t, s.CreateRequest(t.Context(), Request(1)))
	taken := errors.New("taken")
	const workers = 8
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			errs[n] = s.UpdateRequest(t.Context(), "req-1", func(r *state.Request) error {
				if !r.Open() {
					return taken
				}
				r.State, r.ClosedAt, r.Impersonation = state.RequestStarted, at(time.Hour), fmt.Sprint("imp-", n)
				return nil
			})
		})
	}
	wg.Wait()
	won := -1
	for n, err := range errs {
		switch {
		case err == nil && won < 0:
			won = n
		case err == nil:
			t.Fatalf("both %d and %d took it", won, n)
		default:
			wantErr(t, err, taken)
		}
	}
	if won < 0 {
		t.Fatal("nobody took it")
	}
	same(t, must[*state.Request](t)(s.Request(t.Context(), "req-1")).Impersonation, fmt.Sprint("imp-", won))
}
