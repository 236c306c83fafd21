package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

func TestExplain(t *testing.T) {
	r := Rules{
		Protect: Match{Users: []string{"dev"}},
		Policies: []Policy{
			{Name: "admins", Actor: Match{Groups: []string{"admins"}}, Target: Match{Groups: []string{"fieldworkers"}}},
			{Name: "vips", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"vip"}, Users: []string{"x"}}},
			{Name: "office", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"fieldworkers"}}, Hours: []Hours{officeHours}},
			{Name: "support", Actor: Match{Groups: []string{"support"}, Users: []string{"SUE"}}, Target: Match{Groups: []string{"fieldworkers"}}},
			{Name: "later", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"staff"}}},
			{Name: "latest", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"staff"}}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		},
	}
	s := mustCompile(t, r)
	verdicts := func(e Explanation) string {
		var all []string
		for _, p := range e.Policies {
			all = append(all, p.Verdict)
		}
		return strings.Join(all, " ")
	}
	e := s.Explain(Input{Actor: cast["sue"], Target: cast["sam"], Now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)})
	if e.Decision.Policy != "support" || verdicts(e) != "actor_not_named target_not_named outside_hours decides not_reached would_refuse" {
		t.Errorf("%s: %s", e.Decision.Policy, verdicts(e))
	}
	if p := e.Policies[3]; !slices.Equal(p.ActorBy, []string{"group support", "user SUE"}) || !slices.Equal(p.TargetBy, []string{"group fieldworkers"}) {
		t.Errorf("%+v", p)
	}
	if p := e.Policies[1]; !slices.Equal(p.TargetWants, []string{"group vip", "user x"}) {
		t.Errorf("%+v", p)
	}
	e = s.Explain(Input{Actor: cast["sue"], Target: actor(t, "sam/inactive")})
	if outcome(e.Decision) != "!"+RefusedInactive || !strings.HasSuffix(verdicts(e), "not_asked not_asked would_refuse") {
		t.Errorf("%s: %s", outcome(e.Decision), verdicts(e))
	}
	st := s.Standing(cast["sue"].Identity)
	if !slices.Equal(st.ActorOf, []string{"vips", "office", "support", "later", "latest"}) || !slices.Equal(st.TargetOf, []string{"later", "latest"}) || st.Protected {
		t.Errorf("%+v", st)
	}
	if st := s.Standing(cast["dev"].Identity); !st.Protected || st.ActorOf != nil {
		t.Errorf("%+v", st)
	}
	if about := s.About(cast["sam"].Identity, "en"); len(about) != 5 || about[0].Name != "admins" {
		t.Errorf("%+v", about)
	}
	if about := s.About(cast["dev"].Identity, "en"); about != nil {
		t.Errorf("protected, and yet %+v", about)
	}
}

// everything has a rule of each kind.
var everything = Rules{
	Roles:   map[string]Match{RoleOwner: {Attributes: map[string][]string{"job": {"boss"}}}, RoleAuditor: {Groups: []string{"auditors"}}},
	Protect: Match{Groups: []string{"board"}, Roles: []string{RoleOwner}}, Withhold: Match{Roles: []string{RoleOwner, RoleAuditor}},
	StepUp: StepUp{Within: 5 * time.Minute},
	Policies: []Policy{
		{
			Name: "support", Actor: Match{Groups: []string{"support", "helpdesk"}, Users: []string{"amy"}}, Target: Match{Groups: []string{"field"}},
			Modes: []string{ModeReadOnly, ModeFull}, Duration: 90 * time.Minute, Idle: 10 * time.Minute, Extension: 15 * time.Minute, Extensions: 2,
			Hours: []Hours{officeHours}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")},
			When: "actor.team == target.team", LimitActor: 2, LimitTarget: 1, RequireReason: true, MinReason: 20, RequireTicket: true,
			Ticket: Ticket{Pattern: `SUP-\d+`, Example: "SUP-1234"}, RequireStepUp: true, RequireApproval: true, RequireConsent: true, Emergency: true,
		},
		{
			Name: "leads", Actor: Match{Groups: []string{"leads"}}, Target: Match{OwnGroups: []string{"team-*"}, GroupsIn: "supervises"},
			RequireTicket: true,
		},
	},
}

func TestDescribe(t *testing.T) {
	d := mustCompile(t, everything).Describe("en")
	got := strings.Join(d.General, "\n") + "\n"
	for _, p := range d.Policies {
		got += "\n" + p.Name + ": " + p.Who + "\n" + strings.Join(p.Terms, "\n") + "\n"
	}
	want := `Owners, who see everything and may end any impersonation, are people whose job is boss.
Auditors, who see everything, are people in the group auditors.
Nobody may log in as people in the group board and owners.
Never may owners and auditors log in as anybody else.
Nobody may log in as somebody who has more power here than they have.

support: People in the group support or helpdesk and the account amy may log in as people in the group field.
Access: read only or full access.
For 1 hour 30 minutes at most.
It ends after 10 minutes without use.
It can be extended by 15 minutes, at most 2 times.
Only at these times: Monday to Friday 08:00–18:00 (Asia/Tokyo).
Only from these networks: 10.0.0.0/8, 192.0.2.1.
Only if this holds: actor.team == target.team
Nobody may use more than 2 accounts at once.
An account may be used by at most 1 at once.
They have to write down why, in at least 20 characters.
They have to name a ticket, such as SUP-1234.
They have to log in again, within 5 minutes before.
A second person has to approve: owners.
The person whose account it is has to agree.
In an emergency it can do without anybody's agreement: then the owners are told at once, and it is reviewed.

leads: People in the group leads may log in as people with whom they share a group named team-* and people in a group that their attribute supervises names.
Access: full access.
For 30 minutes at most.
They have to name a ticket.
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestEveryLanguage: each has every sentence, with the same things in it.
func TestEveryLanguage(t *testing.T) {
	s := mustCompile(t, everything)
	english := s.Describe("en")
	for l, w := range languages {
		if !slices.Contains(lang.All[:], l) {
			t.Errorf("%s: no such language", l)
		}
		for code, sentence := range languages["en"].Refusals {
			other := w.Refusals[code]
			if other == "" || l != "en" && other == sentence || strings.Count(other, "%[") != strings.Count(sentence, "%[") {
				t.Errorf("%s: %s is %q", l, code, other)
			}
		}
		d := s.Describe(l)
		if len(d.General) != len(english.General) || len(d.Policies[0].Terms) != len(english.Policies[0].Terms) {
			t.Errorf("%s: %+v", l, d)
		}
		all := strings.Join(d.General, " ")
		for _, p := range d.Policies {
			all += p.Who + strings.Join(p.Terms, " ")
		}
		if strings.Contains(all, "%!") || strings.Contains(all, "  ") {
			t.Errorf("%s: %s", l, all)
		}
		r := refuse(RefusedHours, []Hours{officeHours}).In(l)
		if !strings.Contains(r, "08:00") || strings.Contains(r, "%!") {
			t.Errorf("%s: %s", l, r)
		}
		if d := WordsIn(l, 90*time.Minute); !strings.Contains(d, "30") || !strings.Contains(d, "1") {
			t.Errorf("%s: %s", l, d)
		}
	}
}
