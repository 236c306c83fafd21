package policy

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
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

// TestExplainRules: each rule that comes before policies says why it holds or does not, and refuses what Decide refuses.
func TestExplainRules(t *testing.T) {
	person := func(username string, groups ...string) Person {
		return Person{Identity: &identity.Identity{ID: "id-" + username, Username: username, Groups: groups}, Known: true, Active: true}
	}
	rules := Rules{
		Roles:    map[string]Match{RoleOwner: {Groups: []string{"owners"}}, RoleAuditor: {Users: []string{"aud"}}},
		Protect:  Match{Groups: []string{"board"}, Users: []string{"boss"}},
		Withhold: Match{Roles: []string{RoleAuditor}},
		Policies: []Policy{
			{Name: "admins", Actor: Match{Groups: []string{"admins"}}, Target: Match{Groups: []string{"support", "field"}}},
			{Name: "support", Actor: Match{Groups: []string{"support"}}, Target: Match{Groups: []string{"field"}}, RequireApproval: true, Approvers: Match{Groups: []string{"leads"}}},
		},
	}
	s := mustCompile(t, rules)
	sue, sam, boss := person("sue", "support"), person("sam", "field"), person("Boss", "field", "board")
	off, stranger := sam, sam
	off.Active, stranger.Known = false, false
	for name, tt := range map[string]struct {
		actor, target Person
		rule, why     string // the one that does not hold; empty: all do
		code          string
	}{
		"all":       {sue, sam, "", "", ""},
		"inactive":  {sue, off, "active", "the target is deactivated", RefusedInactive},
		"stranger":  {sue, stranger, "known", "no source of the directory has the target", RefusedUnknown},
		"oneself":   {sue, sue, "self", "both are the same account", RefusedSelf},
		"protected": {sue, boss, "protect", "protect names the target: group board, user boss", RefusedProtected},
		"withheld":  {person("aud", "support"), sam, "withhold", "withhold names the actor: role auditor", RefusedWithheld},
		"owner":     {sue, person("o", "field", "owners"), "power", "the target is an owner, and the actor is not", RefusedPowerful},
		"auditor":   {sue, person("aud", "field"), "power", "the target is an auditor, and the actor is not", RefusedPowerful},
		"approver":  {sue, person("lee", "field", "leads"), "power", "the target may approve under policy support, and the actor may not", RefusedPowerful},
		"reach":     {sue, person("ada", "field", "admins"), "power", "policy admins lets the target become group support, group field: the actor's policies", RefusedPowerful},
	} {
		e := s.Explain(Input{Actor: tt.actor, Target: tt.target})
		code := ""
		if r := e.Decision.Refusal; r != nil {
			code = r.Code
		}
		if code != tt.code {
			t.Errorf("%s: %q, want %q", name, code, tt.code)
		}
		var broken []RuleCheck
		for _, r := range e.Rules {
			if !r.OK {
				broken = append(broken, r)
			}
			if r.Why == "" {
				t.Errorf("%s: %s does not say why", name, r.Rule)
			}
		}
		switch {
		case tt.rule == "" && (len(broken) != 0 || len(e.Terms) == 0):
			t.Errorf("%s: %v, terms %v", name, broken, e.Terms)
		case tt.rule != "" && (len(broken) != 1 || broken[0].Rule != tt.rule || !strings.HasPrefix(broken[0].Why, tt.why) || e.Terms != nil):
			t.Errorf("%s: %v, want %s: %s", name, broken, tt.rule, tt.why)
		}
	}
	if e := s.Explain(Input{Actor: sue}); len(e.Rules) != 2 || e.Rules[1].OK {
		t.Errorf("nobody: %+v", e.Rules)
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
			TellTarget: true, RequireNotice: true, LockOnObjection: true,
		},
		{
			Name: "leads", Actor: Match{Groups: []string{"leads"}}, Target: Match{OwnGroups: []string{"team-*"}, GroupsIn: "supervises"},
			RequireTicket: true, TellTarget: true,
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
An account may be used by at most one person at once.
They have to write down why, in at least 20 characters.
They have to name a ticket, such as SUP-1234.
They have to log in again, within 5 minutes before.
A second person has to approve: owners.
The person whose account it is has to agree.
In an emergency it can do without anybody's agreement: then the owners are told at once, and it is reviewed.
The person whose account it is gets a message; it starts only if they can be told.
If they say that they did not expect it, it ends at once and can’t be started again until an owner allows it.

leads: People in the group leads may log in as people with whom they share a group named team-* and people in a group that their attribute supervises names.
Access: full access.
For 30 minutes at most.
They have to name a ticket.
The person whose account it is gets a message when it starts and when it ends.
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestDescribeOne: one is no plural, in any language.
func TestDescribeOne(t *testing.T) {
	want := map[string][4]string{
		"en": {"It can be extended by 15 minutes, once.", "Nobody may use more than one account at once.", "An account may be used by at most one person at once.", "They have to write down why, in at least one character."},
		"de": {"Es kann verlängert werden: um 15 Minuten, einmal.", "Niemand darf mehr als ein Konto gleichzeitig verwenden.", "Ein Konto darf von höchstens einer Person gleichzeitig verwendet werden.", "Eine Begründung von mindestens 1 Zeichen ist nötig."},
		"fr": {"Peut être prolongé de 15 minutes, une fois au plus.", "Personne ne peut utiliser plus d’un compte à la fois.", "Un compte peut être utilisé par une personne à la fois au plus.", "Il faut écrire pourquoi, en au moins un caractère."},
		"es": {"Puede ampliarse: 15 minutos, una vez como máximo.", "Nadie puede usar más de una cuenta a la vez.", "Una cuenta puede ser usada a la vez por una persona como máximo.", "Hay que escribir el motivo, con al menos un carácter."},
		"ja": {"15分の延長が最大1回できます。", "1人が同時に使用できるアカウントは1件まで。", "1つのアカウントを同時に使用できるのは1人まで。", "理由を1文字以上で書く必要があります。"},
	}
	rules := everything
	one, many := rules.Policies[0], rules.Policies[0]
	one.Extensions, one.LimitActor, one.LimitTarget, one.MinReason = 1, 1, 1, 1
	many.Name, many.Extensions, many.LimitActor, many.LimitTarget, many.MinReason = "many", 7, 7, 7, 7
	rules.Policies = []Policy{one, many}
	for _, l := range lang.All {
		d := mustCompile(t, rules).Describe(l)
		terms := strings.Join(d.Policies[0].Terms, "\n")
		for _, sentence := range want[l] {
			if sentence == "" || !strings.Contains("\n"+terms+"\n", "\n"+sentence+"\n") {
				t.Errorf("%s: %q is not among:\n%s", l, sentence, terms)
			}
		}
		if terms := strings.Join(d.Policies[1].Terms, "\n"); strings.Count(terms, "7") != 4 || strings.ContainsAny(terms, "{}%") {
			t.Errorf("%s: not four times seven in:\n%s", l, terms)
		}
	}
}

// complete tells which words a language lacks, or has with other things in them than English has.
func complete(t *testing.T, where string, got, want reflect.Value) {
	t.Helper()
	things := func(s string) string {
		all := regexp.MustCompile(`%(\[\d\])?[sd]`).FindAllString(s, -1)
		slices.Sort(all)
		return strings.Join(slices.Compact(all), " ")
	}
	switch want.Kind() {
	case reflect.String:
		if want.String() != "" && got.String() == "" && !strings.HasSuffix(where, ".Between") || things(got.String()) != things(want.String()) {
			t.Errorf("%s is %q, in English %q", where, got, want)
		}
	case reflect.Struct:
		for i := range want.NumField() {
			complete(t, where+"."+want.Type().Field(i).Name, got.Field(i), want.Field(i))
		}
	case reflect.Array:
		for i := range want.Len() {
			complete(t, fmt.Sprintf("%s[%d]", where, i), got.Index(i), want.Index(i))
		}
	case reflect.Map:
		for _, k := range want.MapKeys() {
			if v := got.MapIndex(k); v.IsValid() {
				complete(t, where+"."+k.String(), v, want.MapIndex(k))
			} else {
				t.Errorf("%s.%s: there is none", where, k)
			}
		}
		if got.Len() != want.Len() {
			t.Errorf("%s: %d, in English %d", where, got.Len(), want.Len())
		}
	default:
		t.Errorf("%s is a %s", where, want.Kind())
	}
}

// TestPointless: whoever would agree to what is refused all the same is told that, in their language.
func TestPointless(t *testing.T) {
	r := Refuse(RefusedLocked).Pointless()
	if r.Code != RefusedLocked || r.Message != r.In("en") || !strings.Contains(r.Message, "nothing to agree to") || r.In("fr") == r.Message || r.In("fr") == Refuse(RefusedLocked).In("fr") {
		t.Errorf("%+v: %s", r, r.In("fr"))
	}
	if IsRefusal(pointless) || !IsRefusal(RefusedLocked) {
		t.Error("a sentence is no code")
	}
}

// TestEveryLanguage: each has every sentence, with the same things in it.
func TestEveryLanguage(t *testing.T) {
	s := mustCompile(t, everything)
	english := s.Describe("en")
	source, err := os.ReadFile("refusal.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`Refused\w+ += "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 35 {
		t.Errorf("%d codes", len(codes))
	}
	for _, code := range codes {
		if !IsRefusal(code[1]) {
			t.Errorf("%s: there is no sentence", code[1])
		}
	}
	for _, l := range lang.All {
		w := languages[l]
		if w == nil {
			t.Errorf("%s: no words", l)
			continue
		}
		complete(t, l, reflect.ValueOf(*w), reflect.ValueOf(*languages["en"]))
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
