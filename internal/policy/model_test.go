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

// hold are the hours of the walk, each as plain Go.
var hold = []struct {
	hours []Hours
	holds func(t time.Time) bool
}{
	{nil, func(time.Time) bool { return true }},
	{[]Hours{officeHours}, func(t time.Time) bool { // Tokyo has no summer time
		t = t.UTC().Add(9 * time.Hour)
		return t.Weekday() >= 1 && t.Weekday() <= 5 && t.Hour() >= 8 && t.Hour() < 18
	}},
	{[]Hours{{Days: [7]bool{time.Saturday: true}, From: 22 * time.Hour, To: 6 * time.Hour, In: time.UTC}, {Days: [7]bool{time.Monday: true}, To: 24 * time.Hour, In: time.UTC}}, func(t time.Time) bool {
		t = t.UTC()
		return t.Weekday() == 1 || t.Weekday() == 6 && t.Hour() >= 22 || t.Weekday() == 0 && t.Hour() < 6
	}},
}

var tokyo = func() *time.Location {
	z, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		panic(err)
	}
	return z
}()

var officeHours = Hours{Days: [7]bool{false, true, true, true, true, true, false}, From: 8 * time.Hour, To: 18 * time.Hour, In: tokyo}

// model decides as the documentation says it, in the plainest way, without anything of the package but its types.
func model(r Rules, in Input) (code, policy string) {
	has := func(p Person, m Match) bool {
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
		for name, values := range m.Attributes {
			if v, ok := p.Attributes[name]; ok && slices.Contains(values, v) {
				return true
			}
		}
		return false
	}
	is := func(p Person, m Match) bool {
		for _, role := range m.Roles {
			if has(p, r.Roles[role]) {
				return true
			}
		}
		return has(p, m)
	}
	// The groups that a policy's target is by its actor.
	supervised := func(p Policy, actor Person) []string {
		var groups []string
		for _, g := range actor.Groups {
			for _, pattern := range p.Target.OwnGroups { // all of the walk end in *
				if strings.HasPrefix(g, strings.TrimSuffix(pattern, "*")) {
					groups = append(groups, g)
				}
			}
		}
		if list, ok := actor.Attributes[p.Target.GroupsIn]; ok {
			for _, g := range strings.Split(list, ",") {
				groups = append(groups, strings.TrimSpace(g))
			}
		}
		return groups
	}
	targeted := func(p Policy) bool {
		return is(in.Target, p.Target) || is(in.Target, Match{Groups: supervised(p, in.Actor)})
	}
	type reach struct{ whom, when string }
	reaches := func(who Person) map[reach]string { // the widest mode
		all := make(map[reach]string)
		if is(who, r.Withhold) {
			return all
		}
		for _, p := range r.Policies {
			if !is(who, p.Actor) {
				continue
			}
			mode := "full"
			if len(p.Modes) > 0 && !slices.Contains(p.Modes, "full") {
				mode = "read_only"
			}
			var whom []string
			for _, g := range append(supervised(p, who), p.Target.Groups...) {
				whom = append(whom, "group "+g)
			}
			for _, u := range p.Target.Users {
				whom = append(whom, "user "+strings.ToLower(strings.TrimSpace(u)))
			}
			for name, values := range p.Target.Attributes {
				for _, v := range values {
					whom = append(whom, "attribute "+name+"="+v)
				}
			}
			for _, w := range whom {
				if k := (reach{w, p.When}); all[k] != "full" {
					all[k] = mode
				}
			}
		}
		return all
	}
	morePower := func() bool {
		owner, auditor := r.Roles["owner"], r.Roles["auditor"]
		if is(in.Actor, owner) {
			return false
		}
		if is(in.Target, owner) || is(in.Target, auditor) && !is(in.Actor, auditor) {
			return true
		}
		for _, p := range r.Policies {
			approvers := p.Approvers
			if len(approvers.Groups) == 0 {
				approvers = owner
			}
			if p.RequireApproval && is(in.Target, approvers) && !is(in.Actor, approvers) {
				return true
			}
		}
		mine := reaches(in.Actor)
		for k, mode := range reaches(in.Target) {
			enough := false
			for _, when := range []string{"", k.when} {
				if m := mine[reach{k.whom, when}]; m == "full" || m != "" && mode == "read_only" {
					enough = true
				}
			}
			if !enough {
				return true
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
	if is(in.Actor, r.Withhold) {
		return "actor_withheld", ""
	}
	if !slices.ContainsFunc(r.Policies, func(p Policy) bool { return is(in.Actor, p.Actor) }) {
		return "no_policy", ""
	}
	if morePower() {
		return "target_more_powerful", ""
	}
	code = "target_no_policy"
	for _, p := range r.Policies {
		if !is(in.Actor, p.Actor) || !targeted(p) {
			continue
		}
		unmet := ""
		if i := slices.IndexFunc(hold, func(h struct {
			hours []Hours
			holds func(t time.Time) bool
		},
		) bool {
			return slices.Equal(h.hours, p.Hours)
		}); !hold[i].holds(in.Now) {
			unmet = "outside_hours"
		}
		if unmet == "" && len(p.Networks) > 0 { // 10.0.0.0/8 is the only one
			if in.NoRequest {
				return "condition_failed", ""
			}
			if !in.ClientIP.IsValid() || in.ClientIP.Unmap().As4()[0] != 10 {
				unmet = "network_not_allowed"
			}
		}
		if unmet == "" {
			yes, known := asked[p.When](in)
			switch {
			case !known:
				return "condition_failed", ""
			case !yes:
				unmet = "condition_not_met"
			}
		}
		if unmet != "" {
			if code == "target_no_policy" {
				code = unmet
			}
			continue
		}
		ofActor, ofTarget := 0, 0
		if in.Live != nil {
			ofActor, ofTarget = in.Live("", "")
		}
		switch {
		case p.LimitActor > 0 && ofActor >= p.LimitActor:
			return "actor_limit_reached", ""
		case p.LimitTarget > 0 && ofTarget >= p.LimitTarget:
			return "target_limit_reached", ""
		}
		return "", p.Name
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
		if r.IntN(6) == 0 {
			m.Attributes = map[string][]string{"team": {groups[r.IntN(len(groups))]}}
		}
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
		if r.IntN(4) == 0 {
			if attributes == nil {
				attributes = map[string]string{}
			}
			attributes["supervises"] = groups[r.IntN(len(groups))] + ", " + groups[r.IntN(len(groups))]
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
		if r.IntN(4) == 0 {
			rules.Protect.Roles = pick(r, []string{RoleOwner, RoleAuditor}, 2)
		}
		if r.IntN(3) == 0 {
			rules.Withhold = Match{Groups: pick(r, groups, 1), Roles: pick(r, []string{RoleOwner, RoleAuditor}, 2)}
		}
		for i := range r.IntN(6) {
			p := Policy{Name: fmt.Sprintf("p%d", i), Actor: randomMatch(), Target: randomMatch(), Duration: time.Hour}
			if r.IntN(2) == 0 {
				p.When = whens[r.IntN(len(whens))]
			}
			if r.IntN(3) == 0 {
				p.Hours = hold[r.IntN(len(hold))].hours
			}
			if r.IntN(4) == 0 {
				p.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			}
			if r.IntN(2) == 0 {
				p.LimitActor, p.LimitTarget = r.IntN(3), r.IntN(3)
			}
			if r.IntN(3) == 0 {
				p.Modes = []string{ModeReadOnly}
			}
			if r.IntN(4) == 0 {
				p.Target.OwnGroups = []string{[]string{"team-*", "x*", "*"}[r.IntN(3)]}
			}
			if r.IntN(4) == 0 {
				p.Target.GroupsIn = "supervises"
			}
			if r.IntN(6) == 0 && len(rules.Roles[RoleOwner].Groups) > 0 {
				p.RequireApproval, p.Approvers.Groups = true, pick(r, groups, 1)
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
		switch r.IntN(100) % 12 { // new rules are dear: conditions are compiled
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
		case 11:
			in.Live = nil
			if a, b := r.IntN(4), r.IntN(4); r.IntN(3) > 0 {
				in.Live = func(string, string) (int, int) { return a, b }
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
		RefusedCondition, RefusedConditionFailed, RefusedWithheld, RefusedPowerful, RefusedHours, RefusedNetwork, RefusedLimitActor, RefusedLimitTarget,
	} {
		if seen[code] < 20 { // the rarest come more than a hundred times, as a rule
			t.Errorf("the walk saw %q only %d times", code, seen[code])
		}
	}
}
