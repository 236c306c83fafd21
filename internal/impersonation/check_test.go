package impersonation_test

import (
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// TestInvariant4StillAllowed: each change of facts or rules ends what they no longer allow, at once, and leaves what
// they do (authentik checked at the start only; gitlab #20388 let a revoked admin go on).
func TestInvariant4StillAllowed(t *testing.T) {
	facts := func(who string, f func(*directory.User)) func(*world) {
		return func(w *world) {
			w.people.edit(who, f)
			w.refresh()
		}
	}
	rules := func(f func(*policy.Rules)) func(*world) { return func(w *world) { w.reload(f) } }
	for name, row := range map[string]struct {
		change func(*world)
		cause  string // empty: it goes on
	}{
		"nothing":               {func(w *world) { w.refresh() }, ""},
		"the same rules again":  {rules(nil), ""},
		"target renamed":        {facts("sam", func(u *directory.User) { u.Name = "Samuel" }), ""},
		"target gains a group":  {facts("sam", func(u *directory.User) { u.Groups = []string{"field", "night"} }), ""},
		"somebody else changes": {facts("fay", func(u *directory.User) { u.Active = false }), ""},
		"target deactivated":    {facts("sam", func(u *directory.User) { u.Active = false }), impersonation.CauseTargetDeactivated},
		"target loses group":    {facts("sam", func(u *directory.User) { u.Groups = []string{} }), impersonation.CausePolicyChanged},
		"target protected":      {facts("sam", func(u *directory.User) { u.Groups = []string{"field", "vip"} }), impersonation.CausePolicyChanged},
		"target becomes owner":  {facts("sam", func(u *directory.User) { u.Groups = []string{"field", "owners"} }), impersonation.CausePolicyChanged},
		"target is another":     {facts("sam", func(u *directory.User) { u.ID = "u99" }), impersonation.CausePolicyChanged},
		"target vanishes":       {func(w *world) { w.people.remove("sam"); w.refresh() }, impersonation.CausePolicyChanged},
		"actor deactivated":     {facts("sue", func(u *directory.User) { u.Active = false }), impersonation.CauseActorDeactivated},
		"actor loses group":     {facts("sue", func(u *directory.User) { u.Groups = []string{"x"} }), impersonation.CausePolicyChanged},
		// With the directory's word gone, the login's counts, and it says "support".
		"actor vanishes":     {func(w *world) { w.people.remove("sue"); w.refresh() }, ""},
		"policy gone":        {rules(func(r *policy.Rules) { r.Policies = r.Policies[1:] }), impersonation.CausePolicyChanged},
		"mode gone":          {rules(func(r *policy.Rules) { r.Policies[0].Modes = []string{policy.ModeReadOnly} }), impersonation.CausePolicyChanged},
		"protected by name":  {rules(func(r *policy.Rules) { r.Protect.Users = []string{"SAM"} }), impersonation.CausePolicyChanged},
		"duration used up":   {rules(func(r *policy.Rules) { r.Policies[0].Duration, r.Policies[0].Idle = 5*time.Minute, 0 }), impersonation.CausePolicyChanged},
		"longer":             {rules(func(r *policy.Rules) { r.Policies[0].Duration = time.Hour }), ""},
		"idle used up":       {rules(func(r *policy.Rules) { r.Policies[0].Idle = time.Minute }), ""}, // just now there was a request
		"another directory":  {func(w *world) { w.newDirectory(); w.use() }, ""},
		"an empty directory": {func(w *world) { w.people.remove("sam"); w.newDirectory(); w.use() }, impersonation.CausePolicyChanged},
		"an older one is stale": {func(w *world) {
			old := w.dir
			w.newDirectory()
			w.use()
			w.people.remove("sam")
			must(w.t, old.Refresh(w.t.Context()))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.login("sue", "support")
			l := w.start(s, "sam")
			w.clock.Advance(6 * time.Minute)
			l.Touch(w.clock.Now())
			row.change(w)
			if row.cause == "" {
				if w.of(s) != "sam" || !l.Live() || l.Context().Err() != nil {
					t.Fatalf("ended: %v", l.Ended())
				}
				if l.Remaining(w.clock.Now()) != 24*time.Minute {
					t.Errorf("%s remain", l.Remaining(w.clock.Now()))
				}
				return
			}
			if l.Context().Err() == nil {
				t.Error("not cut until the next request")
			}
			w.mustEnd(l, row.cause)
			if w.of(s) != "" {
				t.Error("not the actor")
			}
		})
	}
}

// TestCheckSeesNewFacts: also where nobody told of the change before the request asks.
func TestCheckSeesNewFacts(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	w.newDirectory()
	told := false
	w.dir.OnChange(func([]directory.Change) { // before the manager is told
		if told = true; w.of(s) != "" {
			t.Error("decided on facts that are no more")
		}
	})
	w.use()
	l := w.start(s, "sam")
	w.people.edit("sam", func(u *directory.User) { u.Active = false })
	w.refresh()
	w.mustEnd(l, impersonation.CauseTargetDeactivated)
	if !told {
		t.Error("not told")
	}
}

func TestTarget(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	l := w.start(s, "sam")
	w.people.edit("sam", func(u *directory.User) { u.Name = "Samuel" })
	w.refresh()
	if w.of(s) != "sam" || l.Target().Name != "Samuel" {
		t.Errorf("%+v", l.Target())
	}
	if u, _ := w.dir.Lookup("sam"); l.Target() != u {
		t.Error("not the directory's own")
	}
}

// TestShortened: a stricter policy shortens what runs, a laxer one does not prolong it.
func TestShortened(t *testing.T) {
	w := newWorld(t)
	s := w.login("amy")
	l := w.start(s, "sam") // one hour, no idle
	w.reload(func(r *policy.Rules) { r.Policies[1].Duration, r.Policies[1].Idle = 20*time.Minute, 8*time.Minute })
	if w.of(s) != "sam" {
		t.Fatal("ended")
	}
	now := w.Of(t.Context(), s.ID)
	if !now.ExpiresAt.Equal(noon.Add(20*time.Minute)) || now.Idle != 8*time.Minute || l.Remaining(noon) != 20*time.Minute {
		t.Errorf("%+v, %s remain", now.Impersonation, l.Remaining(noon))
	}
	if !l.ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Error("a Live's fields change")
	}
	w.reload(func(r *policy.Rules) { r.Policies[1].Duration = 2 * time.Hour })
	if now := w.Of(t.Context(), s.ID); !now.ExpiresAt.Equal(noon.Add(20*time.Minute)) || now.Idle != 8*time.Minute {
		t.Errorf("prolonged: %+v", now.Impersonation)
	}
	w.clock.Advance(7 * time.Minute)
	if i := w.row(l.ID); !i.ExpiresAt.Equal(noon.Add(20*time.Minute)) || i.Idle != 8*time.Minute {
		t.Errorf("stored %+v", i)
	}
	l.Touch(w.clock.Now())
	w.clock.Advance(7 * time.Minute)
	l.Touch(w.clock.Now())
	w.clock.Advance(6*time.Minute - 1)
	if w.of(s) != "sam" {
		t.Fatal("too early")
	}
	w.clock.Advance(1)
	w.mustEnd(l, impersonation.CauseExpired)
}

// TestActorUnknownToDirectory: their login vouches for them, also after a restart.
func TestActorUnknownToDirectory(t *testing.T) {
	w := newWorld(t)
	s := w.login("temp", "support", "x")
	l := w.start(s, "sam")
	if l.ActorID != "subject-temp" || l.ActorName != "Login temp" {
		t.Errorf("%+v", l.Impersonation)
	}
	w.restart()
	w.use()
	if w.of(s) != "sam" {
		t.Error("gone with the restart")
	}
	w.people.set(directory.User{Identity: identity.Identity{ID: "u50", Username: "temp", Groups: []string{}}, Active: true})
	w.refresh()
	if w.of(s) != "" {
		t.Error("the directory's word does not count")
	}
}

func TestCheckIsCached(t *testing.T) {
	w := newWorld(t)
	s := w.login("sue")
	l := w.start(s, "sam")
	now := w.clock.Now()
	if n := testing.AllocsPerRun(1000, func() {
		got := w.Of(t.Context(), s.ID)
		if got != l || w.Check(t.Context(), got, now) != nil || !got.Enter() {
			t.Fatal("not live")
		}
		got.Touch(now)
		got.Leave()
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	w := newWorld(b)
	s, other := w.login("sue"), w.login("sue")
	l := w.start(s, "sam")
	now := w.clock.Now()
	for name, f := range map[string]func(){
		"check":       func() { w.Check(b.Context(), l, now) },
		"of":          func() { w.Of(b.Context(), s.ID) },
		"own account": func() { w.Of(b.Context(), other.ID) },
		"enter":       func() { l.Enter(); l.Touch(now); l.Leave() },
		"decide":      func() { w.Recheck(b.Context()) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
