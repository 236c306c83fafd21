package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// cast are the people of the tables; a suffix changes one: "sam/inactive", "sam/unknown", "amy/claims" (known by
// their login only).
var cast = map[string]Person{
	"olga":  person("1", "olga", "account-owners", "staff"),
	"oscar": person("2", "oscar", "account-owners", "auditors"),
	"amy":   person("3", "amy", "admins", "staff"),
	"abe":   person("4", "abe", "admins"),
	"sue":   person("5", "sue", "support", "staff"),
	"stan":  person("6", "Stan", "support", "fieldworkers"),
	"tia":   person("7", "tia", "trainers"),
	"sam":   person("8", "sam", "fieldworkers", "staff"),
	"fay":   person("9", "fay", "fieldworkers", "vip"),
	"aud":   person("10", "aud", "auditors"),
	"nora":  person("11", "nora"),
	"case":  person("12", "case", "Support", "Fieldworkers"),
	"dev":   person("13", "dev", "developers"),
	"box":   person("14", "test-box", "robots"),
	"sam2":  person("8", "sam.renamed", "fieldworkers"),
}

func person(id, username string, groups ...string) Person {
	return Person{Identity: &identity.Identity{ID: id, Username: username, Groups: groups}, Known: true, Active: true}
}

func actor(t *testing.T, who string) Person {
	t.Helper()
	name, state := who, ""
	if i := slices.Index([]byte(who), '/'); i >= 0 {
		name, state = who[:i], who[i+1:]
	}
	p, ok := cast[name]
	if !ok {
		t.Fatalf("nobody is called %q", name)
	}
	switch state {
	case "":
	case "inactive":
		p.Active = false
	case "unknown", "claims":
		p.Known = false
	case "gone":
		p.Known, p.Active = false, false
	default:
		t.Fatalf("unknown state %q", state)
	}
	return p
}

var tableRules = Rules{
	Roles: map[string]Match{
		RoleOwner:   {Groups: []string{"account-owners"}},
		RoleAuditor: {Groups: []string{"auditors"}},
	},
	Protect: Match{Groups: []string{"vip"}, Users: []string{"Dev"}},
	Policies: []Policy{
		{
			Name: "support", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"fieldworkers"}},
			Modes: []string{ModeReadOnly, ModeFull}, Duration: 10 * time.Minute, Idle: 5 * time.Minute, RequireReason: true,
		},
		{Name: "admin", Actor: Match{Groups: []string{"admins", "account-owners"}}, Target: Match{Groups: []string{"staff", "fieldworkers", "support", "account-owners", "auditors", "vip"}}},
		{Name: "robots", Actor: Match{Users: []string{"TIA"}}, Target: Match{Users: []string{"Test-Box"}}, Modes: []string{ModeReadOnly}},
		{Name: "late", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"staff"}}, Duration: 2 * time.Hour},
		{Name: "dev", Actor: Match{Groups: []string{"developers"}}, Target: Match{Users: []string{"nora"}}},
	},
}

func mustCompile(t testing.TB, r Rules) *Set {
	t.Helper()
	s, err := Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecide(t *testing.T) {
	set := mustCompile(t, tableRules)
	for _, row := range []struct {
		actor, target string
		want          string // a policy's name, or "!" and the code of a refusal
	}{
		// Who acts.
		{"sue", "sam", "support"},
		{"sue/claims", "sam", "support"}, // unknown to the directory: the login vouches for them
		{"sue/inactive", "sam", "!" + RefusedActorInactive},
		{"sue/gone", "sam", "!" + RefusedActorInactive},
		{"amy/inactive", "nora/unknown", "!" + RefusedActorInactive}, // the first refusal is about the actor
		{"olga/inactive", "olga/inactive", "!" + RefusedActorInactive},
		{"nora", "sam", "!" + RefusedNoPolicy},
		{"nora/claims", "sam", "!" + RefusedNoPolicy},
		{"sam", "fay", "!" + RefusedProtected},
		{"sam", "stan", "!" + RefusedNoPolicy},
		{"case", "sam", "!" + RefusedNoPolicy}, // Support is not support
		{"aud", "sam", "!" + RefusedNoPolicy},  // reading the audit is no right to act
		// Who is acted as.
		{"sue", "sam/unknown", "!" + RefusedUnknown},
		{"sue", "sam/gone", "!" + RefusedUnknown},
		{"sue", "sam/inactive", "!" + RefusedInactive},
		{"amy", "sam/inactive", "!" + RefusedInactive},
		{"olga", "sam/inactive", "!" + RefusedInactive},
		{"sue", "case", "!" + RefusedTargetNoPolicy},
		{"sue", "nora", "!" + RefusedTargetNoPolicy},
		{"amy", "nora", "!" + RefusedTargetNoPolicy},
		{"amy", "sue", "admin"},
		{"amy", "abe", "!" + RefusedTargetNoPolicy},
		{"tia", "box", "robots"}, // usernames in any case
		{"tia", "sam", "!" + RefusedTargetNoPolicy},
		{"dev", "nora", "dev"}, // protected as a target, free as an actor
		{"dev", "sam", "!" + RefusedTargetNoPolicy},
		// Oneself.
		{"amy", "amy", "!" + RefusedSelf},
		{"amy/claims", "amy", "!" + RefusedSelf},
		{"amy", "amy/unknown", "!" + RefusedUnknown},
		{"amy", "amy/inactive", "!" + RefusedSelf},
		{"stan", "stan", "!" + RefusedSelf}, // though support may become fieldworkers and he is both
		{"nora", "nora", "!" + RefusedSelf},
		{"sam", "sam2", "!" + RefusedSelf},             // one id: one person under a new name
		{"sam/claims", "sam2", "!" + RefusedNoPolicy},  // a subject's number is not a directory's id
		{"stan", "sam", "support"},                     // and others as usual
		{"stan", "fay", "!" + RefusedProtected},        // protected, though fieldworkers
		{"amy", "fay", "!" + RefusedProtected},         // and though a policy names the very group
		{"olga", "fay", "!" + RefusedProtected},        // protected from owners too
		{"amy", "dev", "!" + RefusedProtected},         // protected by name
		{"nora", "dev", "!" + RefusedProtected},        // said before "no policy": it is the lasting reason
		{"sue", "fay/inactive", "!" + RefusedInactive}, // inactive comes before protected
		{"sue", "fay/unknown", "!" + RefusedUnknown},   //
		{"amy", "olga", "!" + RefusedPowerful},         // an owner, from who is none
		{"sue", "olga", "!" + RefusedPowerful},         //
		{"olga", "oscar", "admin"},                     // owner to owner, though oscar is an auditor as well: owners have all of it
		{"oscar", "olga", "admin"},                     // owner to owner
		{"amy", "aud", "!" + RefusedPowerful},          // an auditor, from who is none
		{"olga", "aud", "admin"},                       // an owner has more
		{"oscar", "aud", "admin"},                      // auditor to auditor
		{"aud", "oscar", "!" + RefusedNoPolicy},        //
		{"aud", "olga", "!" + RefusedNoPolicy},         //
		{"amy/claims", "olga/claims", "!" + RefusedUnknown},
	} {
		t.Run(row.actor+" as "+row.target, func(t *testing.T) {
			in := Input{Actor: actor(t, row.actor), Target: actor(t, row.target)}
			if got := outcome(set.Decide(in)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			code, name := model(tableRules, in)
			if code != "" {
				name = "!" + code
			}
			if name != row.want {
				t.Errorf("the model says %s, want %s", name, row.want)
			}
		})
	}
}

func outcome(d Decision) string {
	if d.Refusal != nil {
		return "!" + d.Refusal.Code
	}
	return d.Policy
}

// TestDecideAll runs everybody against everybody in every state and holds it to the model.
func TestDecideAll(t *testing.T) {
	set := mustCompile(t, tableRules)
	states := []string{"", "/inactive", "/unknown", "/gone"}
	n := 0
	for a := range cast {
		for b := range cast {
			for _, sa := range states {
				for _, sb := range states {
					for _, nested := range []bool{false, true} {
						in := Input{Actor: actor(t, a+sa), Target: actor(t, b+sb), Nested: nested}
						code, name := model(tableRules, in)
						if code != "" {
							name = "!" + code
						}
						d := set.Decide(in)
						if got := outcome(d); got != name {
							t.Errorf("%s%s as %s%s, nested %t: got %s, want %s", a, sa, b, sb, nested, got, name)
						}
						if d.Refusal != nil && (d.Policy != "" || d.Modes != nil || d.Duration != 0) {
							t.Errorf("%s%s as %s%s: refused, and yet %+v", a, sa, b, sb, d)
						}
						n++
					}
				}
			}
		}
	}
	t.Logf("%d rows", n)
}

func TestDecideNested(t *testing.T) {
	set := mustCompile(t, tableRules)
	for _, row := range []struct{ actor, target, want string }{
		{"sue", "sam", RefusedNested},
		{"sue", "sam/unknown", RefusedUnknown},
		{"sue", "sue", RefusedSelf},
		{"sue", "sam/inactive", RefusedNested},
		{"amy", "olga", RefusedNested},
		{"nora", "sam", RefusedNested},
	} {
		d := set.Decide(Input{Actor: actor(t, row.actor), Target: actor(t, row.target), Nested: true})
		if got := outcome(d); got != "!"+row.want {
			t.Errorf("%s as %s: got %s, want %s", row.actor, row.target, got, row.want)
		}
	}
}

// TestDecideFirstPolicy: the first policy that matches decides, also when a later one would give more.
func TestDecideFirstPolicy(t *testing.T) {
	d := mustCompile(t, tableRules).Decide(Input{Actor: cast["sue"], Target: cast["sam"]})
	if d.Policy != "support" || d.Duration != 10*time.Minute || d.Idle != 5*time.Minute || !d.RequireReason || !slices.Equal(d.Modes, []string{ModeReadOnly, ModeFull}) {
		t.Errorf("got %+v", d)
	}
	d = mustCompile(t, tableRules).Decide(Input{Actor: cast["amy"], Target: cast["sam"]})
	if d.Policy != "admin" || d.Duration != DefaultDuration || d.Idle != 0 || d.RequireReason || !slices.Equal(d.Modes, []string{ModeFull}) {
		t.Errorf("defaults: got %+v", d)
	}
}

func TestDecideNobody(t *testing.T) {
	set := mustCompile(t, tableRules)
	for name, row := range map[string]struct {
		in   Input
		want string
	}{
		"no actor":        {Input{Target: cast["sam"]}, RefusedActorInactive},
		"no target":       {Input{Actor: cast["sue"]}, RefusedUnknown},
		"actor unnamed":   {Input{Actor: person("1", " ", "support"), Target: cast["sam"]}, RefusedActorInactive},
		"target unnamed":  {Input{Actor: cast["sue"], Target: person("1", "", "fieldworkers")}, RefusedUnknown},
		"nobody, twice":   {Input{Actor: person("", ""), Target: person("", "")}, RefusedActorInactive},
		"ids both empty":  {Input{Actor: person("", "a", "support"), Target: person("", "b", "fieldworkers")}, ""},
		"target no group": {Input{Actor: cast["sue"], Target: person("1", "b", "")}, RefusedTargetNoPolicy},
	} {
		d := set.Decide(row.in)
		if row.want == "" && d.Refusal != nil || row.want != "" && outcome(d) != "!"+row.want {
			t.Errorf("%s: got %s, want %q", name, outcome(d), row.want)
		}
	}
	if d := mustCompile(t, Rules{}).Decide(Input{Actor: cast["olga"], Target: cast["sam"]}); outcome(d) != "!"+RefusedNoPolicy {
		t.Errorf("without any rule: got %s", outcome(d))
	}
}

func TestContinue(t *testing.T) {
	start := time.Date(2025, 3, 1, 9, 0, 0, 0, time.UTC)
	set := mustCompile(t, tableRules)
	for name, row := range map[string]struct {
		actor, target, mode string
		after               time.Duration
		want                string
	}{
		"goes on":             {"sue", "sam", ModeFull, 5 * time.Minute, "support"},
		"at the last moment":  {"sue", "sam", ModeFull, 10*time.Minute - 1, "support"},
		"used up":             {"sue", "sam", ModeFull, 10 * time.Minute, "!" + RefusedDuration},
		"clock went back":     {"sue", "sam", ModeFull, -time.Hour, "support"},
		"mode gone":           {"amy", "sam", ModeReadOnly, 0, "!" + RefusedMode},
		"target deactivated":  {"sue", "sam/inactive", ModeFull, 0, "!" + RefusedInactive},
		"target vanished":     {"sue", "sam/unknown", ModeFull, 0, "!" + RefusedUnknown},
		"actor deactivated":   {"sue/inactive", "sam", ModeFull, 0, "!" + RefusedActorInactive},
		"right lost":          {"nora", "sam", ModeFull, 0, "!" + RefusedNoPolicy},
		"target now an owner": {"sue", "olga", ModeFull, 0, "!" + RefusedPowerful},
	} {
		t.Run(name, func(t *testing.T) {
			// Nested is true of every running one, and must not end it.
			in := Input{Actor: actor(t, row.actor), Target: actor(t, row.target), Nested: true, Now: start.Add(row.after)}
			if got := outcome(set.Continue(in, Running{Mode: row.mode, StartedAt: start})); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestMayImpersonateAndRoles(t *testing.T) {
	set := mustCompile(t, tableRules)
	for who, want := range map[string]bool{
		"sue": true, "sue/claims": true, "sue/inactive": false, "tia": true, "dev": true, "nora": false, "sam": false, "aud": false, "case": false, "olga": true,
	} {
		if got := set.MayImpersonate(actor(t, who)); got != want {
			t.Errorf("MayImpersonate(%s) = %t", who, got)
		}
	}
	if set.MayImpersonate(Person{}) {
		t.Error("nobody may impersonate")
	}
	for who, want := range map[string][]string{"olga": {RoleOwner}, "oscar": {RoleOwner, RoleAuditor}, "aud": {RoleAuditor}, "amy": nil} {
		if got := set.Roles(cast[who].Identity); !slices.Equal(got, want) {
			t.Errorf("Roles(%s) = %v, want %v", who, got, want)
		}
	}
	if got := set.Roles(nil); got != nil {
		t.Errorf("Roles(nil) = %v", got)
	}
}

// TestManyNames: more names than fit the buffer on the stack, and enough to share hash buckets.
func TestManyNames(t *testing.T) {
	r := Rules{}
	for i := range 1500 {
		r.Policies = append(r.Policies, Policy{
			Name: fmt.Sprint("p", i), Actor: Match{Groups: []string{fmt.Sprint("actors-", i)}}, Target: Match{Users: []string{fmt.Sprint("user-", i)}},
		})
	}
	set := mustCompile(t, r)
	for i := range 1500 {
		a := person("a", "ann", "actors-none", fmt.Sprint("actors-", i))
		if got := outcome(set.Decide(Input{Actor: a, Target: person("t", fmt.Sprint("User-", i))})); got != fmt.Sprint("p", i) {
			t.Fatalf("policy %d: got %s", i, got)
		}
		if got := outcome(set.Decide(Input{Actor: a, Target: person("t", fmt.Sprint("user-", i+1))})); got != "!"+RefusedTargetNoPolicy {
			t.Fatalf("policy %d, its neighbour's target: got %s", i, got)
		}
	}
}

// benchInput is the worst allowed case: the last of ten policies decides. Actor and target have n groups each.
func benchInput(t testing.TB, n int) (*Set, Input) {
	r := Rules{
		Roles:   map[string]Match{RoleOwner: {Groups: []string{"owners"}}, RoleAuditor: {Groups: []string{"auditors"}}},
		Protect: Match{Groups: []string{"owners", "board"}, Users: []string{"root"}},
	}
	for i := range 10 {
		r.Policies = append(r.Policies, Policy{
			Name: fmt.Sprint("p", i), Actor: Match{Groups: []string{fmt.Sprint("support-", i)}}, Target: Match{Groups: []string{fmt.Sprint("workers-", i), fmt.Sprint("trainees-", i)}},
		})
	}
	var ga, gt []string
	for i := range n - 1 {
		ga = append(ga, fmt.Sprintf("CN=Department %d,OU=Groups", i))
		gt = append(gt, fmt.Sprintf("team-%d", i))
	}
	return mustCompile(t, r), Input{
		Actor:  person("1", "ann", append(ga, "support-9")...),
		Target: person("2", "sam", append(gt, "workers-9")...),
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	set, in := benchInput(t, 50)
	if n := testing.AllocsPerRun(100, func() {
		if set.Decide(in).Refusal != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{5, 25, 50} {
		b.Run(fmt.Sprintf("groups=%d+%d", n, n), func(b *testing.B) {
			set, in := benchInput(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if set.Decide(in).Refusal != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
