package impersonation_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

// TestLimitsHoldInARush: of thirty starts at once, by one actor in thirty browsers, as many win as the policy allows.
func TestLimitsHoldInARush(t *testing.T) {
	for name, row := range map[string]struct {
		edit  func(*policy.Policy)
		actor func(i int) string
		want  int64
		code  string
	}{
		"actor":  {func(p *policy.Policy) { p.LimitActor = 3 }, func(int) string { return "sue" }, 3, policy.RefusedLimitActor},
		"target": {func(p *policy.Policy) { p.LimitTarget = 2 }, func(i int) string { return []string{"sue", "stan"}[i%2] }, 2, policy.RefusedLimitTarget},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.set = compile(t, func(r *policy.Rules) { row.edit(&r.Policies[0]) })
			w.use()
			w.SetWriteTimeout(time.Minute)
			var won atomic.Int64
			var all sync.WaitGroup
			for i := range 30 {
				s := w.login(row.actor(i))
				all.Go(func() {
					switch _, err := w.Start(context.Background(), request(s, "sam")); {
					case err == nil:
						won.Add(1)
					case policy.AsRefusal(err) == nil || policy.AsRefusal(err).Code != row.code:
						t.Error(err)
					}
				})
			}
			all.Wait()
			if won.Load() != row.want {
				t.Errorf("%d won, %d may", won.Load(), row.want)
			}
			// One that ends makes room for one.
			live, err := w.List(t.Context(), "", "active", state.Place{}, 10)
			must(t, err)
			must(t, w.End(t.Context(), live[0].ID, impersonation.CauseStopped, "sue"))
			if _, err := w.Start(t.Context(), request(w.login("sue"), "sam")); err != nil {
				t.Error(err)
			}
			if _, err := w.Start(t.Context(), request(w.login("sue"), "sam")); policy.AsRefusal(err) == nil {
				t.Errorf("one too many: %v", err)
			}
			// So does one whose time is over, though nobody has looked.
			w.clock.Advance(9*time.Minute + 59*time.Second)
			if of, _ := w.LiveOf("sue", "sam"); of == 0 {
				t.Error("none is counted")
			}
			w.clock.Advance(time.Hour)
			if a, b := w.LiveOf("sue", "sam"); a+b != 0 {
				t.Errorf("%d and %d are counted, all are over", a, b)
			}
			// What lives when a limit is lowered goes on.
			l, err := w.Start(t.Context(), request(w.login("sue"), "sam"))
			must(t, err)
			_, err = w.Start(t.Context(), request(w.login("stan"), "sam"))
			must(t, err)
			w.set = compile(t, func(r *policy.Rules) { r.Policies[0].LimitActor, r.Policies[0].LimitTarget = 1, 1 })
			w.use()
			if e := w.Check(t.Context(), l, w.clock.Now()); e != nil {
				t.Error(e)
			}
		})
	}
}

// TestLimitsAfterARestart: those that came back are counted.
func TestLimitsAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.set = compile(t, func(r *policy.Rules) { r.Policies[0].LimitActor = 1 })
	w.use()
	_, err := w.Start(t.Context(), request(w.login("sue"), "sam"))
	must(t, err)
	w.restart()
	w.use()
	if _, err := w.Start(t.Context(), request(w.login("sue"), "fay")); policy.AsRefusal(err) == nil || policy.AsRefusal(err).Code != policy.RefusedLimitActor {
		t.Errorf("after a restart: %v", err)
	}
}

// TestHoursAndNetworksEnd: an impersonation ends with its hours, also without a request, and where a request comes from
// elsewhere.
func TestHoursAndNetworksEnd(t *testing.T) {
	hours := []policy.Hours{{Days: [7]bool{time.Monday: true}, From: 8 * time.Hour, To: 12*time.Hour + 15*time.Minute, In: time.UTC}} // noon is a Monday's
	w := newWorld(t)
	w.set = compile(t, func(r *policy.Rules) {
		r.Policies[0].Hours, r.Policies[0].Idle = hours, 0
		r.Policies[1].Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	w.use()
	l, err := w.Start(t.Context(), request(w.login("sue"), "sam"))
	must(t, err)
	w.clock.Advance(14*time.Minute + 59*time.Second)
	if e := w.Check(t.Context(), l, w.clock.Now()); e != nil {
		t.Fatalf("in its hours: %v", e)
	}
	w.clock.Advance(time.Second)
	select {
	case <-l.Context().Done(): // nobody asked
	case <-time.After(2 * time.Minute):
		t.Fatal("it goes on after its hours")
	}
	e := l.Ended()
	if e.Cause != impersonation.CausePolicyChanged || e.Refusal.Code != policy.RefusedHours || !strings.Contains(e.Refusal.Message, "Monday 08:00–12:15 (UTC)") {
		t.Errorf("%+v, %v", e, e.Refusal)
	}

	req := request(w.login("amy"), "sam")
	req.ClientIP = netip.MustParseAddr("192.0.2.1")
	if _, err := w.Start(t.Context(), req); policy.AsRefusal(err) == nil || policy.AsRefusal(err).Code != policy.RefusedNetwork {
		t.Errorf("from elsewhere: %v", err)
	}
	req.ClientIP = netip.MustParseAddr("10.1.2.3")
	l, err = w.Start(t.Context(), req)
	must(t, err)
	from := impersonation.From{IP: netip.MustParseAddr("10.3.2.1")}
	if e := w.CheckFrom(t.Context(), l, w.clock.Now(), from); e != nil {
		t.Errorf("from within: %v", e)
	}
	from.IP = netip.MustParseAddr("192.0.2.1")
	if e := w.CheckFrom(t.Context(), l, w.clock.Now(), from); e == nil || e.Refusal.Code != policy.RefusedNetwork {
		t.Errorf("from elsewhere: %v", e)
	}
}

// TestTicketIsALink: where the operator said how, the record says where the ticket can be read.
func TestTicketIsALink(t *testing.T) {
	w := newWorld(t)
	w.set = compile(t, func(r *policy.Rules) {
		r.Policies[0].RequireTicket = true
		r.Policies[0].Ticket = policy.Ticket{Pattern: `[A-Z]+-\d+`, URL: "https://tickets.example.com/{ticket}"}
	})
	w.use()
	req := request(w.login("sue"), "sam")
	for ticket, code := range map[string]string{"": policy.RefusedTicket, "help": policy.RefusedTicketForm} {
		req.Ticket = ticket
		if _, err := w.Start(t.Context(), req); policy.AsRefusal(err) == nil || policy.AsRefusal(err).Code != code {
			t.Errorf("%q: %v", ticket, err)
		}
	}
	req.Ticket = "SUP-7"
	l, err := w.Start(t.Context(), req)
	must(t, err)
	if e := w.journal.of(audit.EventImpersonationStarted, l.ID); len(e) != 1 || !strings.Contains(e[0].Detail, `"ticket_url":"https://tickets.example.com/SUP-7"`) {
		t.Errorf("%+v", e)
	}
}
