package portal_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

func policyOf(name, actor, target string) policy.Policy {
	return policy.Policy{Name: name, Actor: policy.Match{Groups: []string{actor}}, Target: policy.Match{Groups: []string{target}}}
}

// TestWalk lets four people do things at random in five browsers, while accounts change and time passes, and compares
// what the portal says with a model that knows only what the rules say in words.
func TestWalk(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a walk to repeat, not a secret
	t.Logf("seed %d", seed)
	g := newRig(t)
	type runs struct {
		target string
		until  time.Time
		seen   time.Time
		idle   time.Duration
	}
	actors := []string{"admin", "admin", "super", "sam", "auditor"}
	var browsers []*browser
	for _, a := range actors {
		browsers = append(browsers, g.login(a))
	}
	live := make([]*runs, len(actors))
	active := map[string]bool{"admin": true, "super": true, "sam": true, "auditor": true, "kim": true, "office": true, "owner": true}
	may := func(actor, target string) bool {
		field := target == "sam" || target == "kim"
		return active[actor] && active[target] && (actor == "admin" && (field || target == "office") || actor == "super" && field)
	}
	sweep := func() {
		now := g.clock.Now()
		for i, l := range live {
			if l != nil && (!now.Before(l.until) || !may(actors[i], l.target) || l.idle > 0 && !now.Before(l.seen.Add(l.idle))) {
				live[i] = nil
			}
		}
	}
	everyone := []string{"owner", "admin", "super", "auditor", "sam", "kim", "office", "former", "ghost"}
	for step := range 1500 {
		i := rng.IntN(len(browsers))
		b, who := browsers[i], actors[i]
		target := everyone[rng.IntN(len(everyone))]
		did := ""
		switch rng.IntN(8) {
		case 0, 1:
			byAPI := rng.IntN(2) == 0
			ok := may(who, target) && live[i] == nil
			var status int
			if byAPI {
				status = b.json("POST", api+"impersonations", fmt.Sprintf(`{"target":%q,"reason":"walking","duration":"10m"}`, target)).StatusCode
			} else {
				status = b.post("/.impersonate/start", url.Values{"target": {target}, "reason": {"walking"}, "duration": {"600"}}).StatusCode
			}
			did = fmt.Sprintf("start %s (api %v): %d", target, byAPI, status)
			want := http.StatusForbidden
			if ok {
				want = map[bool]int{true: http.StatusCreated, false: http.StatusSeeOther}[byAPI]
				now := g.clock.Now()
				live[i] = &runs{target: target, until: now.Add(10 * time.Minute), seen: now}
				if who == "admin" {
					live[i].idle = 10 * time.Minute
				}
			}
			if status != want {
				t.Fatalf("step %d: %s: %s, want %d", step, who, did, want)
			}
		case 2:
			b.post("/.impersonate/stop", nil).want(t, http.StatusSeeOther)
			live[i], did = nil, "stop"
		case 3:
			want := http.StatusNoContent
			switch {
			case !active[who]:
				want = http.StatusForbidden
			case live[i] == nil:
				want = http.StatusNotFound
			}
			b.json("DELETE", api+"impersonations/current", "").want(t, want)
			if active[who] {
				live[i] = nil
			}
			did = "delete"
		case 4:
			g.clock.Advance(time.Duration(rng.IntN(200)) * time.Second)
			did = "wait"
		case 5:
			if name := []string{"sam", "kim", "office", "super", "admin"}[rng.IntN(5)]; true {
				active[name] = !active[name]
				g.change(name, func(u *directory.User) { u.Active = active[name] })
				did = fmt.Sprintf("%s active: %v", name, active[name])
			}
		case 6:
			b.get("/.impersonate/ended")
			b.get("/.impersonate/stop").want(t, 200)
			did = "look"
		case 7:
			did = "list"
			if !active[who] {
				break
			}
			page := b.get("/.impersonate/confirm?target="+target).want(t, 200)
			if offered := strings.Contains(page.body, `action="/.impersonate/start"`); offered != (may(who, target) && live[i] == nil) {
				t.Fatalf("step %d: %s is offered %s: %v", step, who, target, offered)
			}
		}
		sweep()
		// Nobody is anybody but who the model says, in any browser.
		for j, o := range browsers {
			res := o.json("GET", api+"me", "")
			if !active[actors[j]] {
				res.want(t, http.StatusForbidden)
				continue
			}
			me := res.want(t, 200).object(t)
			got := ""
			if m, ok := me["target"].(map[string]any); ok {
				got = m["username"].(string)
			}
			want := ""
			if live[j] != nil {
				want = live[j].target
			}
			if got != want || me["actor"].(map[string]any)["username"] != actors[j] {
				t.Fatalf("step %d: after %s of %s, %s is %q, want %q", step, did, who, actors[j], got, want)
			}
		}
	}
}
