package policy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// asked are the conditions of the walk, each as plain Go: whether it holds, and whether that can be told.
var asked = map[string]func(in Input) (yes, known bool){
	"":      func(Input) (bool, bool) { return true, true },
	"false": func(Input) (bool, bool) { return false, true },
	"actor.team == target.team": func(in Input) (bool, bool) {
		a, okA := in.Actor.Attributes["team"]
		b, okB := in.Target.Attributes["team"]
		return a == b, okA && okB
	},
	"has(actor.team) && actor.team in target.groups": func(in Input) (bool, bool) {
		team, ok := in.Actor.Attributes["team"]
		return ok && slices.Contains(in.Target.Groups, team), true
	},
	"now.getHours('Asia/Tokyo') < 12": func(in Input) (bool, bool) {
		return in.Now.Add(9*time.Hour).UTC().Hour() < 12, true
	},
	"cidr('10.0.0.0/8').containsIP(request.ip)": func(in Input) (bool, bool) {
		return in.ClientIP.IsValid() && in.ClientIP.As4()[0] == 10, in.ClientIP.IsValid() && !in.NoRequest
	},
}

// model decides as the documentation says it, in the plainest way, without anything of the package but its types.
func model(r Rules, in Input) (code, policy string) {
	is := func(p Person, m Match) bool {
		for _, u := range m.Users {
			if strings.EqualFold(strings.TrimSpace(u), strings.TrimSpace(p.Username)) {
				return true
			}
		}
		for _, want := range m.Groups {
			for _, have := range p.Groups {
				if want == have {
					return true
				}
			}
		}
		return false
	}
	sameName := strings.EqualFold(strings.TrimSpace(in.Actor.Username), strings.TrimSpace(in.Target.Username))
	if !in.Actor.Active {
		return "actor_inactive", ""
	}
	if !in.Target.Known {
		return "target_unknown", ""
	}
	if sameName || (in.Actor.Known && in.Actor.ID == in.Target.ID) {
		return "self", ""
	}
	if in.Nested {
		return "nested", ""
	}
	if !in.Target.Active {
		return "target_inactive", ""
	}
	if is(in.Target, r.Protect) {
		return "target_protected", ""
	}
	for _, role := range []string{"owner", "auditor"} {
		if is(in.Target, r.Roles[role]) && !is(in.Actor, r.Roles[role]) {
			return "target_protected", ""
		}
	}
	code = "no_policy"
	for _, p := range r.Policies {
		if is(in.Actor, p.Actor) {
			if code == "no_policy" {
				code = "target_no_policy"
			}
			if is(in.Target, p.Target) {
				switch yes, known := asked[p.When](in); {
				case !known:
					return "condition_failed", ""
				case yes:
					return "", p.Name
				}
				code = "condition_not_met"
			}
		}
	}
	return code, ""
}

// seed is printed with every random test; POLICY_SEED repeats one.
func seed(t testing.TB) *rand.Rand {
	t.Helper()
	s := rand.Uint64()
	if v := os.Getenv("POLICY_SEED"); v != "" {
		var err error
		if s, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("POLICY_SEED=%d", s)
	return rand.New(rand.NewPCG(s, 0))
}

func pick[T any](r *rand.Rand, from []T, most int) []T {
	var out []T
	for range r.IntN(most + 1) {
		out = append(out, from[r.IntN(len(from))])
	}
	return out
}

// TestDecideAgreesWithModel walks at random through rules and people, changing one thing at a time, so that both
// rare combinations and close neighbours are seen.
func TestDecideAgreesWithModel(t *testing.T) {
	r := seed(t)
	groups := []string{"admins", "Admins", "admin", "support", "field", "owners", "auditors", "team-a", "team-b", "team-á", "x", " field"}
	names := []string{"ann", "Ann", "bob", "cid", "dee", " eve ", "Ødger", "frå"}

	randomMatch := func() Match {
		m := Match{Groups: pick(r, groups, 2), Users: pick(r, names, 1)}
		if m.size() == 0 {
			m.Groups = []string{groups[r.IntN(len(groups))]}
		}
		return m
	}
	whens := slices.Sorted(maps.Keys(asked))
	person := func() Person {
		n := r.IntN(len(names))
		var attributes map[string]string
		if r.IntN(4) > 0 {
			attributes = map[string]string{"team": groups[r.IntN(len(groups))]}
		}
		return Person{
			Identity: &identity.Identity{ID: strconv.Itoa(r.IntN(12)), Username: names[n], Groups: pick(r, groups, 4), Attributes: attributes},
			Known:    r.IntN(5) > 0, Active: r.IntN(5) > 0,
		}
	}
	newRules := func() Rules {
		rules := Rules{Roles: map[string]Match{}}
		if r.IntN(2) == 0 {
			rules.Roles[RoleOwner] = randomMatch()
		}
		if r.IntN(2) == 0 {
			rules.Roles[RoleAuditor] = randomMatch()
		}
		if r.IntN(3) > 0 {
			rules.Protect = randomMatch()
		}
		for i := range r.IntN(5) {
			p := Policy{Name: fmt.Sprintf("p%d", i), Actor: randomMatch(), Target: randomMatch(), Duration: time.Hour}
			if r.IntN(2) == 0 {
				p.When = whens[r.IntN(len(whens))]
			}
			rules.Policies = append(rules.Policies, p)
		}
		return rules
	}

	rules := newRules()
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Actor: person(), Target: person()}
	seen := make(map[string]int)
	for step := range 200_000 {
		switch r.IntN(100) % 11 { // new rules are dear: conditions are compiled
		case 0:
			if step%5 > 0 {
				continue
			}
			rules = newRules()
			if set, err = Compile(rules); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
		case 1, 2:
			in.Actor = person()
		case 3, 4:
			in.Target = person()
		case 5:
			in.Nested = r.IntN(6) == 0
		case 6:
			in.Actor.Active = true
		case 7:
			in.Target.Known, in.Target.Active = true, true
		case 8:
			in.Now = time.Unix(r.Int64N(1<<31), 0)
		case 9:
			in.NoRequest = r.IntN(8) == 0
		case 10:
			in.ClientIP = netip.AddrFrom4([4]byte{byte(8 + r.IntN(4)), 1, 2, 3})
			if r.IntN(8) == 0 {
				in.ClientIP = netip.Addr{}
			}
		}
		wantCode, wantPolicy := model(rules, in)
		d := set.Decide(in)
		code := ""
		if d.Refusal != nil {
			code = d.Refusal.Code
		}
		if code != wantCode || d.Policy != wantPolicy {
			t.Fatalf("step %d: %q by %q, model says %q by %q\nrules %+v\nactor %+v %+v\ntarget %+v %+v", step, code, d.Policy, wantCode, wantPolicy,
				rules, in.Actor, *in.Actor.Identity, in.Target, *in.Target.Identity)
		}
		if code == "" && !set.MayImpersonate(in.Actor) {
			t.Fatalf("step %d: allowed, but MayImpersonate says no policy names the actor", step)
		}
		seen[code]++
	}
	for _, code := range []string{
		"", RefusedActorInactive, RefusedUnknown, RefusedSelf, RefusedNested, RefusedInactive, RefusedProtected, RefusedNoPolicy, RefusedTargetNoPolicy,
		RefusedCondition, RefusedConditionFailed,
	} {
		if seen[code] < 100 {
			t.Errorf("the walk saw %q only %d times", code, seen[code])
		}
	}
}
