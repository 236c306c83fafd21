package gateway_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// TestCrowd: 200 people start and end impersonations all the time while their tabs load; facts change under them. The
// app never sees an identity that is not right for that session at that time.
func TestCrowd(t *testing.T) {
	const people, rounds = 200, 4
	accounts := []account{}
	for i := range people {
		accounts = append(accounts, account{fmt.Sprintf("actor%d", i), "Actor", "admins", false}, account{fmt.Sprintf("target%d", i), "Target", "fieldworkers", false})
	}
	w := newWorld(t, func(w *world) {
		w.policy.Policies = []policy.Policy{{Name: "all", Actor: policy.Match{Groups: []string{"admins"}}, Target: policy.Match{Groups: []string{"fieldworkers"}}, Duration: time.Hour}}
	})
	w.users(accounts...)

	// phase is what is right for a session: 0 the actor, 1 in between, 2 the target.
	phases := make([]atomic.Int32, people)
	var wrong atomic.Int64
	w.serve(func(rw http.ResponseWriter, r *http.Request) error {
		var i int
		if _, err := fmt.Sscanf(r.Header.Get("X-Test-Person"), "%d", &i); err != nil {
			return err
		}
		actor, target := fmt.Sprintf("actor%d", i), fmt.Sprintf("target%d", i)
		user, by := r.Header.Get("Remote-User"), r.Header.Get("X-Impersonated-By")
		ok := user == actor && by == "" || user == target && by == actor
		var sent int32
		_, _ = fmt.Sscanf(r.Header.Get("X-Test-Phase"), "%d", &sent)
		if sent == phases[i].Load() { // the same since it was sent
			ok = ok && (sent == 1 || (sent == 2) == (user == target))
		}
		if !ok {
			wrong.Add(1)
			t.Errorf("person %d in phase %d: user %q by %q", i, sent, user, by)
		}
		return page(rw, r)
	})

	stop := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() { // the directory moves all the time
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			w.users(append(accounts[:len(accounts):len(accounts)], account{fmt.Sprintf("extra%d", n%3), "Extra", "others", false})...)
		}
	})
	var wg sync.WaitGroup
	for i := range people {
		b := w.login(fmt.Sprintf("actor%d", i))
		load := func() error {
			r := b.request([]string{"GET", "GET", "POST"}[rand.IntN(3)], "/", "", append([]string{"X-Test-Person", fmt.Sprint(i), "X-Test-Phase", fmt.Sprint(phases[i].Load())}, navigation...)...)
			res, err := b.c.Do(r)
			if err != nil {
				return err // cut by an end
			}
			defer func() { _ = res.Body.Close() }()
			_, err = io.Copy(io.Discard, res.Body)
			return err
		}
		wg.Go(func() {
			for range rounds {
				w.check(load())
				phases[i].Store(1)
				b.begin(fmt.Sprintf("target%d", i))
				phases[i].Store(2)
				w.check(load())
				phases[i].Store(1)
				var tabs sync.WaitGroup
				for range 2 {
					tabs.Go(func() { _ = load() })
				}
				b.stop()
				tabs.Wait()
				phases[i].Store(0)
				w.check(load())
			}
		})
	}
	wg.Wait()
	close(stop)
	background.Wait()
	if wrong.Load() != 0 {
		t.Errorf("%d wrong identities", wrong.Load())
	}
}

// check is must for goroutines that are not the test's.
func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}
