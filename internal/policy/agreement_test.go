package policy

import (
	"strings"
	"testing"
	"time"
)

var agreementRules = Rules{
	Roles:  map[string]Match{RoleOwner: {Groups: []string{"account-owners"}}},
	StepUp: StepUp{Within: 5 * time.Minute, ACR: []string{"mfa", "phr"}},
	Policies: []Policy{
		{
			Name: "support", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"fieldworkers"}},
			RequireStepUp: true, RequireApproval: true, RequireConsent: true, Approvers: Match{Groups: []string{"admins"}, Users: []string{"Stan"}},
			Emergency: true, RequestLife: 2 * time.Hour,
		},
		{Name: "admin", Actor: Match{Groups: []string{"admins"}}, Target: Match{Groups: []string{"staff"}}, RequireApproval: true},
		{Name: "team", Actor: Match{Groups: []string{"trainers"}}, Target: Match{Groups: []string{"staff"}}},
	},
}

func TestMissing(t *testing.T) {
	s := mustCompile(t, agreementRules)
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	all := Given{Now: now, AuthTime: now.Add(-5 * time.Minute), ACR: "mfa", Approved: true, Consented: true}
	for _, tt := range []struct {
		name, actor string
		change      func(*Given, *Choice)
		want        string
	}{
		{"everything", "sue", func(*Given, *Choice) {}, ""},
		{"nothing", "sue", func(g *Given, _ *Choice) { *g = Given{Now: now} }, RefusedApproval},
		{"approval", "sue", func(g *Given, _ *Choice) { g.Approved = false }, RefusedApproval},
		{"consent", "sue", func(g *Given, _ *Choice) { g.Consented = false }, RefusedConsent},
		{"no auth_time", "sue", func(g *Given, _ *Choice) { g.AuthTime = time.Time{} }, RefusedStepUp},
		{"old login", "sue", func(g *Given, _ *Choice) { g.AuthTime = now.Add(-6*time.Minute - time.Second) }, RefusedStepUp},
		{"within the skew", "sue", func(g *Given, _ *Choice) { g.AuthTime = now.Add(-6 * time.Minute) }, ""},
		{"a clock ahead", "sue", func(g *Given, _ *Choice) { g.AuthTime = now.Add(time.Minute) }, ""},
		{"no acr", "sue", func(g *Given, _ *Choice) { g.ACR = "" }, RefusedStepUp},
		{"a weak acr", "sue", func(g *Given, _ *Choice) { g.ACR = "pwd" }, RefusedStepUp},
		{"the other acr", "sue", func(g *Given, _ *Choice) { g.ACR = "phr" }, ""},
		{"emergency", "sue", func(g *Given, c *Choice) { g.Approved, g.Consented, c.Emergency = false, false, true }, ""},
		{"emergency, old login", "sue", func(g *Given, c *Choice) { *g, c.Emergency = Given{Now: now}, true }, RefusedStepUp},
		{"owners approve by default", "amy", func(g *Given, _ *Choice) { *g = Given{Now: now} }, RefusedApproval},
		{"nothing needed", "tia", func(g *Given, _ *Choice) { *g = Given{Now: now} }, ""},
		{"no policy", "nora", func(*Given, *Choice) {}, RefusedNoPolicy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, c := all, Choice{Reason: "testing it"}
			tt.change(&g, &c)
			d := s.Decide(Input{Actor: actor(t, tt.actor), Target: actor(t, "sam"), Now: now})
			code := ""
			if r := s.Missing(d, c, g); r != nil {
				if code = r.Code; r.Message == "" {
					t.Error("nobody is told why")
				}
			}
			if code != tt.want {
				t.Errorf("%q, want %q", code, tt.want)
			}
		})
	}
}

func TestMayApprove(t *testing.T) {
	s := mustCompile(t, agreementRules)
	for _, tt := range []struct {
		policy, approver, actor, target string
		want                            bool
	}{
		{"support", "amy", "sue", "sam", true},
		{"support", "stan", "sue", "sam", true},          // by name, in another spelling
		{"support", "amy/claims", "sue", "sam", true},    // known by their login only
		{"support", "amy/inactive", "sue", "sam", false}, //
		{"support", "olga", "sue", "sam", false},         // owners approve where nobody is named
		{"admin", "olga", "amy", "nora", true},           //
		{"admin", "abe", "amy", "nora", false},           //
		{"support", "stan", "stan", "sam", false},        // not one's own
		{"support", "stan", "sue", "stan", false},        // not as the target
		{"support", "amy", "amy", "sam", false},          //
		{"support", "sue", "sue", "sam", false},          //
		{"support", "sam", "sue", "sam", false},          //
		{"team", "olga", "tia", "sam", false},            // nothing to approve
		{"gone", "amy", "sue", "sam", false},             // no such policy
		{"", "amy", "sue", "sam", false},                 //
	} {
		got := s.MayApprove(tt.policy, actor(t, tt.approver), actor(t, tt.actor), actor(t, tt.target))
		if got != tt.want {
			t.Errorf("%s: %s approves %s → %s: %v, want %v", tt.policy, tt.approver, tt.actor, tt.target, got, tt.want)
		}
	}
	// Two usernames of one account.
	twin := person("3", "amy.renamed", "admins")
	if s.MayApprove("support", twin, actor(t, "amy"), actor(t, "sam")) || s.MayApprove("support", twin, actor(t, "sue"), actor(t, "amy")) {
		t.Error("somebody approves for themselves, under another username")
	}
	if s.MayApprove("support", Person{}, actor(t, "sue"), actor(t, "sam")) || s.MayApprove("support", actor(t, "amy"), Person{}, actor(t, "sam")) {
		t.Error("nobody approves")
	}
}

func TestEmergencyNeedsAReason(t *testing.T) {
	s := mustCompile(t, agreementRules)
	d := s.Decide(Input{Actor: actor(t, "sue"), Target: actor(t, "sam")})
	if r := s.Check(d, Choice{}); r != nil {
		t.Fatalf("without an emergency: %v", r)
	}
	if r := s.Check(d, Choice{Emergency: true}); r == nil || r.Code != RefusedReason {
		t.Errorf("an emergency without a reason: %v", r)
	}
	if got, r := s.Settle(d, Choice{Emergency: true, Reason: "the lift is stuck"}); r != nil || !got.Emergency {
		t.Errorf("%+v, %v", got, r)
	}
	d = s.Decide(Input{Actor: actor(t, "amy"), Target: actor(t, "sam")})
	if r := s.Check(d, Choice{Emergency: true, Reason: "the lift is stuck"}); r == nil || r.Code != RefusedEmergency {
		t.Errorf("an emergency where there are none: %v", r)
	}
}

func TestCompileAgreements(t *testing.T) {
	for want, change := range map[string]func(*Rules, *Policy){
		"write step_up 5m into oidc":   func(r *Rules, _ *Policy) { r.StepUp = StepUp{} },
		"nobody can give it":           func(r *Rules, p *Policy) { r.Roles, p.Approvers = nil, Match{} },
		"add require approval":         func(_ *Rules, p *Policy) { p.RequireApproval = false },
		"a group or username is empty": func(_ *Rules, p *Policy) { p.Approvers.Groups = []string{" "} },
		"request_expires -1s":          func(_ *Rules, p *Policy) { p.RequestLife = -time.Second },
		"nobody is asked for anything": func(_ *Rules, p *Policy) { p.RequireApproval, p.RequireConsent, p.Approvers = false, false, Match{} },
	} {
		r := agreementRules
		p := r.Policies[0]
		change(&r, &p)
		r.Policies = []Policy{p}
		if _, err := Compile(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
